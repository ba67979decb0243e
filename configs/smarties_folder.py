"""SMARTIES on folders of co-registered GeoTIFF pairs, split by scene.

Paper     SMARTIES, arXiv 2506.19585; sizes are ours, for a few scenes on CPU. Targets are not
          standardised per patch: speckle would be all that is left of radar.
Command   smarties train --config configs/smarties_folder.py:FOLDER --workdir runs/folder
          FOLDER has S2L2A/*.tif and S1RTC/*.tif, or say other patterns in `PATTERNS`. Without
          FOLDER: the three sets of real pairs in $SMARTIES_DATA, one TerraMesh scene held out.
Hardware  2 CPU cores, about five minutes.
Expect    on the real pairs: error of S2 1.08 (band mean 2.01), of S1 .40 (.92); recall at 1 of the
          tile of the other sensor about .2 (chance .03, random weights .06, permuted pairs .1); one
          scene, wide intervals.
"""

import os
from pathlib import Path

from ml_collections import config_dict

RADAR = "sentinel1-grd"
PATTERNS = {"sentinel2-l2a": "S2L2A/*.tif", RADAR: "S1RTC/*.tif"}
TILES = dict(kind="folder", tile=64, stride=32, cache=True)


def real(data):
    """Returns (streams, held-out source) of the real pairs in a folder `data`."""
    terramesh = dict(root=str(data / "s1s2_terramesh"), sensors=PATTERNS, **TILES)
    terramesh["test_scenes"] = ("282D_485L_3_3",)
    floods = dict(
        root=str(data / "s1s2_sen1floods11"),
        sensors={"sentinel2-l1c": "*_S2Hand.tif", RADAR: "*_S1Hand.tif"},
        **TILES,
    )
    seasons = dict(
        root=str(data / "s1s2_ssl4eo_s12" / "SSL4EO-S12"),
        sensors={"sentinel2-l2a": "s2a/*/*/{band}.tif", RADAR: "s1/*/*/{band}.tif"},
        match="order",
        centred=True,  # its georeference lays radar three pixels beside what it shows
        **TILES,
    )
    streams = dict(
        terramesh=stream({**terramesh, "split": "train"}, 0.5),
        floods=stream(floods, 0.25),
        seasons=stream(seasons, 0.25),
    )
    return streams, {**terramesh, "split": "test"}


def own(root):
    """Returns (streams, held-out source) of one folder; a fifth of its scenes is held out."""
    source = dict(root=root, sensors=PATTERNS, test_share=0.2, **TILES)
    return dict(pairs=stream({**source, "split": "train"}, 1.0)), {**source, "split": "test"}


def stream(source, share):
    first, second = source["sensors"]
    return dict(first=first, second=second, share=share, permute=False, source=source)


def get_config(root=""):
    data = Path(os.environ.get("SMARTIES_DATA", "../shared/data"))
    streams, held_out = own(root) if root else real(data)
    config = config_dict.ConfigDict()
    config.name, config.seed = "smarties_folder", 0
    config.steps, config.batch_size = 600, 32
    config.task = dict(name="pretraining", standardise_targets=False)
    config.model = dict(
        image_size=64,
        patch=8,
        encoder=dict(width=128, depth=4, heads=4),
        decoder=dict(width=96, depth=1, heads=4),
        unroll=4,
    )
    config.data = dict(streams=streams, threads=2)
    config.optimizer = dict(learning_rate=1e-3, warmup_steps=40, clip_norm=1.0)
    config.checkpoint = dict(every=200, keep=1)
    config.log = dict(every=20)
    config.evaluate = dict(every=0, source=held_out, pairs=dict(held_out=tuple(PATTERNS)))
    return config
