"""MaskSDM on a region of the NCEAS benchmark, 30 % of its surveyed places held out at random.

Paper     MaskSDM, arXiv 2503.13057; benchmark: Elith et al. 2020, doi
          10.17161/bi.v15i2.13384. Sizes are ours, for few species and few predictors.
Command   smarties train --config configs/masksdm_nceas.py --workdir runs/nz
          Another region by its name, with its group of species where it surveyed several, as
          masksdm_nceas.py:SWI or masksdm_nceas.py:NSW-ot; the benchmark's own protocol (records
          and random places against surveyed ones) as masksdm_nceas.py:NZ-presence_only. The tables
          are those of $SMARTIES_DATA/sdm_disdat.
Hardware  2 CPU cores, about ten minutes.
Expect    on NZ, one seed: mean test AUC of 52 species 0.903 with all predictors, 0.894 with those
          of climate. `smarties evaluate --config configs/masksdm_nceas.py --weights runs/nz` puts
          beside them ridge on squares (0.861; 0.681 with the rest at their mean), logistic on
          squares (0.881; 0.792) and boosted trees (0.899; 0.864).
"""

import os

from ml_collections import config_dict

SUBSETS = {
    "NZ": {"climate": ("mas", "mat", "r2pet", "rain", "sseas", "tseas", "vpd", "deficit")},
    "SWI": {"climate": ("bcc", "ccc", "ddeg", "pday", "precyy", "sfroyy", "swb", "tavecc")},
    "NSW": {"climate": ("mi", "rainann", "raindq", "tempann", "tempmin", "solrad")},
    "AWT": {"climate": ("bc01", "bc04", "bc05", "bc06", "bc12", "bc15", "bc17", "bc20")},
}


def get_config(arg: str = "NZ"):
    region, *rest = arg.split("-")
    protocol = "presence_only" if "presence_only" in rest else "presence_absence"
    group = "".join(part for part in rest if part != "presence_only")
    config = config_dict.ConfigDict()
    config.name, config.seed = f"masksdm_{arg.lower()}", 0
    config.steps, config.batch_size = 3000, 256
    config.task = dict(name="species", masking="sample", missing="mask", fewest=1)
    config.model = dict(
        width=64, depth=3, heads=4, hidden=128, frequencies=16, sigma=0.1, dropout=0.1
    )
    root = os.path.join(os.environ.get("SMARTIES_DATA", "../shared/data"), "sdm_disdat")
    held_out = dict(
        kind="random", test=0.3, validation=0.0, seed=0, size=50.0, unit="km", buffer=0.0
    )
    if protocol == "presence_only":
        held_out |= dict(kind="given", test=0.0)
    config.data = dict(
        table=dict(kind="nceas", root=root, region=region, group=group, protocol=protocol),
        split=held_out,
        threads=2,
    )
    config.optimizer = dict(
        kind="schedule_free", learning_rate=2e-3, warmup_steps=100, schedule="constant",
        beta1=0.9, beta2=0.999, weight_decay=0.01, decay="all",
    )  # fmt: skip
    config.checkpoint = dict(every=1000, keep=1)
    config.log = dict(every=100)
    config.evaluate = dict(every=500, batch=1024, subsets=SUBSETS.get(region, {}))
    return config
