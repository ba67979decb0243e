"""Retrieval of the same place by the other sensor, on real pairs that pretraining did not have.

Paper     recall at k, the simplest judge of a common space where there are no labels.
Command   smarties evaluate --config configs/retrieval_real.py --weights runs/samples
          Weights that held out one scene only, as of smarties_folder.py: configs/retrieval_real.py:282D_485L_3_3
          Each sensor less its own mean: --config.centred=True
Data      tiles of two TerraMesh scenes in $SMARTIES_DATA; `configs/smarties_folder.py` holds the
          first of them out, and both with
          --config.data.streams.terramesh.source.test_scenes="('282D_485L_3_3','637U_59R_1_3')"
Hardware  2 CPU cores, a minute.
Expect    chance is 1 in 72 tiles; tiles overlap by half, so that the second best is often a
          neighbour. Intervals are over tiles of few scenes, and say nothing of other places.
"""

import os
from pathlib import Path

import smarties_folder
from ml_collections import config_dict


def get_config(scenes="282D_485L_3_3,637U_59R_1_3"):
    data = Path(os.environ.get("SMARTIES_DATA", "../shared/data"))
    _, held_out = smarties_folder.real(data)
    config = config_dict.ConfigDict()
    config.name, config.task, config.seed = "retrieval_real", "retrieval", 0
    config.relevance, config.sensors = "place", tuple(smarties_folder.PATTERNS)
    config.k = (1, 5, 10)
    held_out["test_scenes"] = tuple(scenes.split(","))
    config.data = dict(splits=dict(query=held_out))
    return config
