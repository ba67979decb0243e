"""Land cover of TerraMesh's pixels, split by scene: frozen tokens, random weights and baselines.

Paper     none: weak labels (10 m, of a year) of five sample scenes, for a first look at real maps.
Command   smarties evaluate --config configs/segment_terramesh.py --weights runs/samples
          The archive is in $SMARTIES_DATA/s1s2_terramesh. Radar: --config.sensor=s1-rtc.
          --figures DIR draws the maps beside the truth.
Data      tiles of 64 pixels. Scenes 38D and 433D are learnt from, 282D chooses the settings and
          637U is reported; neither of these is in the pretraining of smarties_samples.py. There is
          no water in 637U, and no crops and built in 282D: the mean is of the classes a split has.
Hardware  2 CPU cores, a minute.
Expect    one test scene, nine tiles, mostly crops: the intervals say what they are worth, and that
          scene only. Measured numbers are in the README.
"""

import os
from pathlib import Path

from ml_collections import config_dict

SCENES = dict(
    train="^(38D_378R_2_3|433D_629L_3_1)$", validation="^282D_485L_3_3$", test="^637U_59R_1_3$"
)
CLASSES = ("trees", "crops", "built", "rangeland", "water")


def get_config(arg="held_out"):
    root = Path(os.environ.get("SMARTIES_DATA", "../shared/data")) / "s1s2_terramesh"
    scenes = dict(kind="terramesh", root=str(root), sensors=("sentinel2-l2a", "s1-rtc"), cache=True)
    config = config_dict.ConfigDict()
    config.name, config.seed, config.protocol = "terramesh-maps", 0, arg
    config.task, config.sensor = "segmentation", "sentinel2-l2a"
    config.logistic = dict(C=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0))
    config.convolutions = dict(filters=64)
    config.data = dict(
        labels="map",
        splits={
            split: dict(kind="part", source=scenes, ids=ids, tile=64, stride=80, classes=CLASSES)
            for split, ids in SCENES.items()
        },
    )
    return config
