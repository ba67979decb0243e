"""EuroSAT, ten classes, 13 bands of Sentinel-2: linear probe or fine-tuning.

Paper     SMARTIES, arXiv 2506.19585; optimiser and augmentation of the authors' release.
Command   smarties train --config configs/eurosat.py:finetune --workdir runs/eurosat
          (argument: linear_probe or finetune)
Data      data/eurosat, the published EuroSAT_MS. Without lists of a split in data.source, 70 % of
          the images train, 10 % validate and 20 % test, in a fixed random order.
Hardware  one GPU with 24 GB.
Expect    accuracy 98.4 linear, 99.4 fine-tuned (paper, at second hand, other split); not run.
"""

import finetune_folder


def get_config(mode="finetune"):
    config = finetune_folder.adapt(
        f"eurosat_{mode}",
        dict(name="classification", labels="single", mode=mode),
        dict(kind="eurosat", root="data/eurosat"),
        ("eurosat",),
        dict(learning_rate=2e-4, warmup_epochs=5, weight_decay=0.05),
        dict(validation=dict(part=(0.7, 0.8)), test=dict(part=(0.8, 1.0))),
        part=(0.0, 0.7),
    )
    if mode == "linear_probe":
        return finetune_folder.probe(config)
    config.epochs, config.task.mixup, config.task.cutmix = 150, 0.8, 1.0
    return config
