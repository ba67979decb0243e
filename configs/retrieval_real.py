"""Retrieval on real pairs that pretraining did not have: the same place, or the same land cover.

Paper     F1 as of CSMAE, arXiv 2401.07782, for `:labels`; recall at k of the place by default.
Command   smarties evaluate --config configs/retrieval_real.py --weights runs/samples
          Land cover in place of place: configs/retrieval_real.py:labels
          Each sensor less its own mean: --config.centred=True
Data      tiles of 64 pixels, for places half overlapping, of the TerraMesh scenes 282D_485L_3_3 and
          637U_59R_1_3 in $SMARTIES_DATA, which `smarties_samples` and `csmae_*:real` hold out.
          Labels are the classes on more than a twentieth of a tile.
Hardware  2 CPU cores, a minute.
Expect    chance is 1 in 72 tiles for places; the second best is often a neighbour. Intervals are
          over tiles of two scenes, and say nothing of other places.
"""

import os
from pathlib import Path

from ml_collections import config_dict

SENSORS = ("sentinel2-l2a", "s1-rtc")
SCENES = "^(282D_485L_3_3|637U_59R_1_3)$"


def get_config(arg="place"):
    root = Path(os.environ.get("SMARTIES_DATA", "../shared/data")) / "s1s2_terramesh"
    config = config_dict.ConfigDict()
    config.name, config.task, config.seed = "retrieval_real", "retrieval", 0
    config.relevance, config.sensors = arg, SENSORS
    config.k = (1, 5, 10) if arg == "place" else (3, 5)
    scenes = dict(kind="terramesh", root=str(root), sensors=SENSORS, cache=True)
    stride = 32 if arg == "place" else 64  # a neighbour that overlaps would share its labels
    tiles = dict(kind="part", source=scenes, ids=SCENES, tile=64, stride=stride)
    config.data = dict(labels="map", present=0.05, splits=dict(query=tiles))
    return config
