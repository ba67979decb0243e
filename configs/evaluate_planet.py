"""What a small model knows of the simulated planet, against random weights and baselines.

Paper     the protocols are of SMARTIES, arXiv 2506.19585 (`:released`), and held out (default).
Command   smarties evaluate --config configs/evaluate_planet.py --weights runs/quickstart
          Other labels: --config.data.labels=labels (several classes an image). Another sensor, also
          one never seen: --config.sensor=landsat5-tm. Fewer bands: --config.bands=B04,B03,B02.
Hardware  2 CPU cores, some minutes.
Expect    the table names each model's lead over the best baseline, with its interval.
"""

from ml_collections import config_dict

CLASSES = (
    "water", "broadleaf forest", "conifer forest", "shrubland", "grassland",
    "cropland", "built-up", "bare", "snow", "wetland",
)  # fmt: skip
SENSORS = ("sentinel2-l2a", "sentinel1-grd", "landsat8-oli-tirs", "landsat5-tm", "rgb")


def split(first, count):
    """Returns places that pretraining and the other splits do not have."""
    return dict(kind="planet", sensors=SENSORS, first=first, count=count, size=64, cache=True)


def get_config(arg="held_out"):
    config = config_dict.ConfigDict()
    config.name, config.seed, config.protocol = "planet", 0, arg
    config.sensor = "sentinel2-l2a"
    config.labelled = ("1%", "10%", "100%")
    config.data = dict(
        labels="land_cover",  # of the map, the most frequent class
        classes=CLASSES,
        splits=dict(
            train=split(3_000_000, 2000), validation=split(4_000_000, 500),
            test=split(5_000_000, 1000),
        ),
    )  # fmt: skip
    config.tracks = dict(
        bands=("B02,B03,B04,B08,B11,B12", "B02,B03,B04,B08", "B04,B03,B02"),
        resolution=(0.5, 0.25, 0.125),
        sensor=("landsat8-oli-tirs", "sentinel1-grd"),
        noise=(0.1, 0.2, 0.4),
    )
    return config
