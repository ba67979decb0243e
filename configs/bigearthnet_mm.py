"""BigEarthNet v1, Sentinel-1 and 2 together, 10 % of the training set: linear probe of mixtures.

Paper     SMARTIES, arXiv 2506.19585; protocol of the authors' release: mirrored token mixup of the
          two sensors, both streams encoded, features side by side.
Command   smarties train --config configs/bigearthnet_mm.py --workdir runs/bigearthnet_mm
          --config.task.fusion=stack or concat compares the other ways.
Data      as of `bigearthnet_s1`.
Hardware  one GPU with 24 GB.
Expect    micro AP 85.4 (paper, at second hand); not run here. Evaluation also leaves
          each sensor out.
"""

import bigearthnet_s1


def get_config():
    config = bigearthnet_s1.get_config()
    config.name, config.task.fusion = "bigearthnet_mm", "mixup_concat"
    config.data.sensors = ("sentinel2-l2a", "sentinel1-grd")
    config.data.source.sensors = ("sentinel2-l2a", "sentinel1-grd")
    config.evaluate.missing = ("sentinel2-l2a", "sentinel1-grd")
    return config
