"""MaskSDM on sPlotOpen as published: 12,738 plants, 61 predictors and a location embedding.

Paper     MaskSDM, arXiv 2503.13057, doi 10.1111/2041-210x.70200.
Command   smarties train --config configs/masksdm_splotopen.py:FOLDER --workdir runs/splotopen
          FOLDER holds the processed files (Zenodo 16902598). Blocks of 5 degrees:
          --config.data.split.size=5.0
Hardware  one GPU; the authors give about 30 s an epoch on an RTX 3090.
Expect    published, not measured here: mean AUC 0.980 with all predictors, 0.971 with WorldClim,
          0.960 with location, 0.851 with annual temperature, after 178 epochs.
"""

from ml_collections import config_dict

STEPS = ("worldclim", "soil", "topography", "location", "human", "metadata")


def get_config(root: str = "splotopen"):
    config = config_dict.ConfigDict()
    config.name, config.seed = "masksdm_splotopen", 42
    config.epochs, config.batch_size = 178.0, 256
    config.task = dict(name="species", masking="batch", missing="mask", fewest=1)
    config.model = dict(
        width=192, depth=7, heads=8, hidden=256, frequencies=48, sigma=0.01, dropout=0.1
    )
    config.data = dict(
        table=dict(kind="splotopen", root=root),
        split=dict(
            kind="blocks", test=0.15, validation=0.15, seed=42, size=1.0, unit="degrees", buffer=0.0
        ),
    )
    config.optimizer = dict(
        kind="schedule_free", learning_rate=1e-3, warmup_steps=1000, schedule="constant",
        beta1=0.9, beta2=0.999, weight_decay=0.01, decay="all",
    )  # fmt: skip
    config.checkpoint = dict(every=2600, keep=2, best="validation/all/auc")
    config.log = dict(every=50)
    growing = {"+".join(STEPS[: i + 1]): STEPS[: i + 1] for i in range(len(STEPS))}
    config.evaluate = dict(
        every=2600,
        batch=4096,
        subsets=dict(
            temperature=("bio_1",), location=("location",), satclip=("satclip",), **growing
        ),
    )
    return config
