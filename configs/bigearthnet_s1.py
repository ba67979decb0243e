"""BigEarthNet v1, Sentinel-1, 19 classes, 10 % of the training set: linear probe.

Paper     SMARTIES, arXiv 2506.19585; protocol of the authors' release.
Command   smarties train --config configs/bigearthnet_s1.py --workdir runs/bigearthnet_s1
Data      as of `bigearthnet_s2`, with the archive of Sentinel-1.
Hardware  one GPU with 24 GB.
Expect    micro AP 78.9 (paper, at second hand); not run here.
"""

import bigearthnet_s2
import finetune_folder


def get_config():
    config = finetune_folder.probe(bigearthnet_s2.get_config())
    config.name = "bigearthnet_s1"
    config.data.sensors = ("sentinel1-grd",)
    config.data.source.sensors = ("sentinel1-grd",)
    return config
