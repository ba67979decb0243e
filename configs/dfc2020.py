"""DFC2020, land cover from Sentinel-1 and 2: scores of single tokens on a frozen encoder.

Paper     SMARTIES, arXiv 2506.19585; a 1 x 1 convolution on the tokens before the final norm, made
          larger bilinearly, as in the authors' release.
Command   smarties train --config configs/dfc2020.py --workdir runs/dfc2020
          --config.task.head=conv is the non-linear probe.
Data      data/dfc2020, as published; 70 % of the patches train, 10 % validate and 20 % test, in a
          fixed random order (the release: 96 pixels of 8 bits, lists of its own).
Hardware  one GPU with 24 GB.
Expect    no number of the paper is at hand; not run here.
"""

import finetune_folder


def get_config():
    config = finetune_folder.adapt(
        "dfc2020",
        dict(name="segmentation", labels="map", fusion="stack", head="linear"),
        dict(kind="dfc2020", root="data/dfc2020"),
        ("sentinel2-l1c", "sentinel1-grd"),
        {},
        dict(validation=dict(part=(0.7, 0.8)), test=dict(part=(0.8, 1.0))),
        part=(0.0, 0.7),
    )
    config = finetune_folder.probe(config)
    config.batch_size = 64
    config.evaluate.missing = ("sentinel2-l1c", "sentinel1-grd")
    return config
