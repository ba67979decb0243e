"""HLS Burn Scars, burnt or not, six bands at 30 m: UPerNet on a frozen encoder.

Paper     SMARTIES, arXiv 2506.19585 (UPerNet probing, there by PANGAEA); the optimiser is ours.
Command   smarties train --config configs/hls_burn_scars.py --workdir runs/hls_burn_scars
Data      data/hls_burn_scars, as published: split "training", tested on "validation".
Hardware  one GPU with 24 GB: 512 pixels are 1,024 tokens, their positions interpolated.
Expect    mIoU 82.8 (paper, at second hand); not run here.
"""

import finetune_folder


def get_config():
    config = finetune_folder.adapt(
        "hls_burn_scars",
        dict(name="segmentation", labels="map", mode="linear_probe", head="upernet", size=512),
        dict(kind="hls-burn-scars", root="data/hls_burn_scars"),
        ("hls-burn-scars",),
        dict(learning_rate=1e-4, warmup_epochs=2, weight_decay=0.05),
        dict(test=dict(split="validation")),
        split="training",
    )
    config.epochs, config.batch_size = 80, 8
    config.evaluate.batch = 8
    return config
