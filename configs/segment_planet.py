"""Land cover of the simulated planet's pixels: frozen tokens, random weights and baselines.

Paper     none: the planet has as many places as one likes, and labels without error.
Command   smarties evaluate --config configs/segment_planet.py --weights runs/quickstart
          Radar: --config.sensor=sentinel1-grd. --figures DIR draws the maps beside the truth.
Data      places that neither pretraining nor evaluate_planet.py has; 10, 50 and all 500 of the
          training images have labels, of which 5000 pixels are learnt from.
Hardware  2 CPU cores, some minutes.
Expect    the table names each model's lead over the best baseline, with its interval.
"""

from ml_collections import config_dict

from smarties.data.planet.world import LAND_COVER

SENSORS = ("sentinel2-l2a", "sentinel1-grd")


def split(first, count):
    """Returns places that pretraining and the other splits do not have."""
    return dict(kind="planet", sensors=SENSORS, first=first, count=count, size=64, cache=True)


def get_config(arg="held_out"):
    config = config_dict.ConfigDict()
    config.name, config.seed, config.protocol = "planet-maps", 0, arg
    config.task, config.sensor = "segmentation", "sentinel2-l2a"
    config.labelled = ("2%", "10%", "100%")
    config.logistic = dict(C=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0))
    config.convolutions = dict(filters=64)
    config.data = dict(
        labels="land_cover",
        classes=LAND_COVER,
        splits=dict(
            train=split(6_000_000, 500), validation=split(7_000_000, 100),
            test=split(8_000_000, 300),
        ),
    )  # fmt: skip
    return config
