"""Water of one flooded scene of Sen1Floods11: frozen tokens, random weights and baselines.

Paper     Sen1Floods11, Bonafilia et al. 2020; its splits are of 446 chips, this is ONE of them.
Command   smarties evaluate --config configs/segment_floods.py --weights runs/samples
          The chip is in $SMARTIES_DATA/s1s2_sen1floods11. Radar: --config.sensor=sentinel1-grd.
          --figures DIR draws the maps beside the truth.
Data      tiles of 64 pixels of one scene, whose left half is learnt from, the next quarter chooses
          the settings and the right quarter is reported. Neighbouring ground of one day is no new
          place: this shows that the parts work together, not how well floods are found elsewhere.
          For that take the whole archive, and `ids` of other events in each split.
Hardware  2 CPU cores, a minute.
Expect    water stands out in single bands and its edges are finer than tokens of 8 pixels: even
          the true share of water in each such token gives no more than mIoU 82 of the right half.
          --config.size=128 has a model of 64 pixels look at tokens of half the ground.
"""

import os
from pathlib import Path

from ml_collections import config_dict

COLUMNS = dict(train=(0.0, 0.5), validation=(0.5, 0.75), test=(0.75, 1.0))


def get_config(arg="held_out"):
    root = Path(os.environ.get("SMARTIES_DATA", "../shared/data")) / "s1s2_sen1floods11"
    chip = dict(kind="sen1floods11", root=str(root), cache=True)
    config = config_dict.ConfigDict()
    config.name, config.seed, config.protocol = "floods-one-scene", 0, arg
    config.task, config.sensor = "segmentation", "sentinel2-l1c"
    config.segmentation = dict(shared_scenes=True)
    config.logistic = dict(C=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0))
    config.convolutions = dict(filters=64)
    config.data = dict(
        labels="map",
        splits={
            split: dict(kind="part", source=chip, tile=64, columns=columns)
            for split, columns in COLUMNS.items()
        },
    )
    return config
