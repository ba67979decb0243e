"""SMARTIES on everything paired that is at hand: real samples and the simulated planet, an hour.

Paper     SMARTIES, arXiv 2506.19585; sizes are ours, for a few real scenes and CPU.
Command   smarties train --config configs/smarties_samples.py --workdir runs/samples
          Real pairs are those in $SMARTIES_DATA: TerraMesh (radar with L2A, picture with L1C) and
          SSL4EO-S12. Kept out, as the tasks of `evaluate_*.py` and `segment_*.py` judge by them:
          TerraMesh 282D_485L_3_3 and 637U_59R_1_3, the chip of Sen1Floods11, BigEarthNet, EuroSAT
          and UC Merced. Without $SMARTIES_DATA the planet is all.
Hardware  2 CPU cores, about an hour.
Expect    README, "What works".
"""

import os
from pathlib import Path

from ml_collections import config_dict

TRAIN = "^(38D|433D|609U)"  # scenes of TerraMesh
RADAR, PICTURE = ("sentinel2-l2a", "sentinel1-grd"), ("rgb", "sentinel2-l1c")
SIMULATED = {"radar": RADAR, "vhr": PICTURE}
SIDE = 32  # pixels, never resampled: texture is what tells much of land cover apart


def stream(pair, share, **source):
    first, second = pair
    return dict(first=first, second=second, share=share, permute=False, source=source)


def tiles(source, ids="", stride=SIDE // 2, side=SIDE):
    return dict(kind="part", source=dict(source, cache=True), ids=ids, tile=side, stride=stride)


def real(data, side=SIDE):
    """Returns the streams of real pairs in a folder `data`, in tiles of so many pixels a side."""
    terramesh = dict(kind="terramesh", root=str(data / "s1s2_terramesh"))
    seasons = dict(kind="ssl4eo-s12", root=str(data / "s1s2_ssl4eo_s12"), sensors=RADAR)
    scenes = {
        "terramesh_radar": ("sentinel2-l2a", "s1-rtc"),
        "terramesh_picture": PICTURE,
    }
    return {
        **{
            name: stream(pair, 1 / 8, **tiles(dict(terramesh, sensors=pair), TRAIN, side=side))
            for name, pair in scenes.items()
        },
        "seasons": stream(RADAR, 1 / 16, **tiles(seasons, side=side)),
    }


def get_config():
    data = Path(os.environ.get("SMARTIES_DATA", "../shared/data"))
    streams = real(data) if data.is_dir() else {}
    left = 1 - sum(entry["share"] for entry in streams.values())
    for name, pair in SIMULATED.items():
        planet = dict(kind="planet", sensors=pair, count=4000, size=64)
        streams[name] = stream(pair, left / 2, **tiles(planet, stride=SIDE))
    config = config_dict.ConfigDict()
    config.name, config.seed = "smarties_samples", 0
    config.steps, config.batch_size = 5000, 32
    config.task = dict(name="pretraining", standardise_targets=True, crop_area=(1.0, 1.0))
    config.model = dict(
        image_size=SIDE, patch=4, unroll=4,
        encoder=dict(width=128, depth=4, heads=4), decoder=dict(width=96, depth=1, heads=4),
    )  # fmt: skip
    config.data = dict(streams=streams, threads=2)
    config.optimizer = dict(learning_rate=1e-3, warmup_steps=100, clip_norm=1.0)
    config.checkpoint = dict(every=1000, keep=1)
    config.log = dict(every=50)
    sensors = tuple({s: None for pair in SIMULATED.values() for s in pair})
    held_out = dict(kind="planet", sensors=sensors, first=1_000_000, count=128, size=64)
    config.evaluate = dict(every=0, source=tiles(held_out, stride=64), pairs=SIMULATED)
    return config
