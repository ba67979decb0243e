"""SMARTIES on your own folder of co-registered GeoTIFF pairs, split by scene.

Paper     SMARTIES, arXiv 2506.19585; sizes are ours, for a few scenes on CPU.
Command   smarties train --config configs/smarties_folder.py:FOLDER --workdir runs/folder
          (FOLDER defaults to $SMARTIES_DATA/s1s2_terramesh; other layouts by
          --config.data.streams... and evaluate.source)
Hardware  2 CPU cores, a few minutes.
Expect    after 300 steps on five terramesh scenes, one held out: S2 error .51 (band mean .92,
          random weights 2.1); S1 .99, not yet below its band mean of .93: train longer.
"""

import os
from pathlib import Path

from ml_collections import config_dict

PATTERNS = {"sentinel2-l2a": "S2L2A/*.tif", "sentinel1-grd": "S1RTC/*.tif"}
HELD_OUT = ("282D_485L_3_3",)


def get_config(root=""):
    data = Path(os.environ.get("SMARTIES_DATA", "../shared/data"))
    folder = dict(
        kind="folder",
        root=root or str(data / "s1s2_terramesh"),
        sensors=PATTERNS,
        tile=64,
        stride=32,
        test_scenes=HELD_OUT,
        cache=True,
    )
    first, second = PATTERNS
    config = config_dict.ConfigDict()
    config.name, config.seed = "smarties_folder", 0
    config.steps, config.batch_size = 400, 32
    config.task = dict(name="pretraining")
    config.model = dict(
        image_size=64,
        patch=8,
        encoder=dict(width=128, depth=6, heads=4),
        decoder=dict(width=96, depth=2, heads=4),
        unroll=6,
    )
    config.data = dict(
        streams=dict(
            pairs=dict(first=first, second=second, share=1.0, source={**folder, "split": "train"})
        ),
        threads=2,
    )
    config.optimizer = dict(learning_rate=1e-3, warmup_steps=40, clip_norm=1.0)
    config.checkpoint = dict(every=200, keep=1)
    config.log = dict(every=20)
    config.evaluate = dict(
        every=0, source={**folder, "split": "test"}, pairs=dict(pairs=(first, second))
    )
    return config
