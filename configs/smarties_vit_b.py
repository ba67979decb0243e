"""SMARTIES pretraining as published: fMoW RGB with fMoW-Sentinel, BigEarthNet S2 with S1.

Paper     SMARTIES, arXiv 2506.19585 (recipe of the authors' release; mixup and target variance as
          in the paper).
Command   smarties train --config configs/smarties_vit_b.py:base --workdir runs/vit_b
          (argument: base, large, huge, or giant, which is ours)
Data      record folders made by `smarties data prepare`, one per pair stream; their places are
          data.streams.*.source
Hardware  8 accelerators with 80 GB; 300 epochs of about 248,000 pairs are about 36,000 steps,
          9.2 EFLOP for B.
Expect    EuroSAT kNN about 93 at 50 epochs (paper, ablation); not run here.
"""

import dataclasses

from ml_collections import config_dict

from smarties.models import autoencoder


def get_config(size="base"):
    config = config_dict.ConfigDict()
    config.name, config.seed = f"smarties_vit_{size[0]}", 0
    config.epochs, config.batch_size = 300, 2048
    config.task = dict(name="pretraining", mixup="mirrored", variance="paper", rule="linear")
    config.model = dict(
        image_size=224,
        patch=16,
        encoder=dataclasses.asdict(autoencoder.SIZES[size]),
        decoder=dict(width=512, depth=8, heads=16),
        dtype="bfloat16",
        remat="dots",
    )
    config.data = dict(
        streams=dict(
            fmow=dict(
                first="rgb",
                second="sentinel2-l1c",
                share=0.25,
                source=dict(kind="records", directory="data/fmow"),
            ),
            bigearthnet=dict(
                first="sentinel2-l2a",
                second="sentinel1-grd",
                share=0.75,
                source=dict(kind="records", directory="data/bigearthnet", split="train"),
            ),
        ),
        workers=8,
    )
    config.optimizer = dict(base_learning_rate=1.5e-4, warmup_epochs=20, weight_decay=0.05)
    config.mesh = dict(data=-1, fsdp=1, tensor=1)
    config.checkpoint = dict(every=1000, keep=3)
    config.log = dict(every=50)
    return config
