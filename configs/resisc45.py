"""RESISC45, 45 classes of RGB pictures: fine-tuning.

Paper     SMARTIES, arXiv 2506.19585; optimiser of the authors' release.
Command   smarties train --config configs/resisc45.py --workdir runs/resisc45
Data      data/resisc45, the published NWPU-RESISC45, split as in `eurosat`.
Hardware  one GPU with 24 GB.
Expect    no number of the paper is at hand; not run here.
"""

import finetune_folder


def get_config():
    config = finetune_folder.adapt(
        "resisc45",
        dict(name="classification", labels="single", mode="finetune", label_smoothing=0.1),
        dict(kind="resisc45", root="data/resisc45"),
        ("resisc45",),
        dict(learning_rate=6.25e-5, warmup_epochs=5, weight_decay=0.05),
        dict(validation=dict(part=(0.7, 0.8)), test=dict(part=(0.8, 1.0))),
        part=(0.0, 0.7),
    )
    config.epochs, config.batch_size = 200, 64
    return config
