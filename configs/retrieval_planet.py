"""Retrieval on the simulated planet, within and across Sentinel-2 and Sentinel-1.

Paper     F1 as of CSMAE, arXiv 2401.07782, beside precision, recall, mAP and NDCG.
Command   smarties evaluate --config configs/retrieval_planet.py --weights runs/quickstart
          The image of the same place in place of shared labels: configs/retrieval_planet.py:place
          Sensors less alike in their statistics than in what they show: --config.centred=True
Hardware  2 CPU cores, about 5 minutes, most of them simulating.
Expect    chance is high, as places share labels: what counts is the lead over the best baseline.
          The short quickstart, 300 queries in 900 places, F1 at 10, mean token: across sensors 41
          and 42 (random weights 34 and 36, chance 34); within one sensor 56 and 45, below band
          statistics with 60 and 50.
"""

from ml_collections import config_dict

SENSORS = ("sentinel2-l2a", "sentinel1-grd")
CLASSES = (
    "water", "broadleaf forest", "conifer forest", "shrubland", "grassland",
    "cropland", "built-up", "bare", "snow", "wetland",
)  # fmt: skip


def places(first, count):
    """Returns places that neither pretraining nor the other evaluations have."""
    return dict(kind="planet", sensors=SENSORS, first=first, count=count, size=64, cache=True)


def get_config(arg="labels"):
    config = config_dict.ConfigDict()
    config.name, config.task, config.seed = "retrieval_planet", "retrieval", 0
    config.relevance, config.sensors, config.k = arg, SENSORS, (5, 10, 20)
    config.data = dict(labels="labels", classes=CLASSES)
    if arg == "place":
        config.data.splits = dict(query=places(7_000_000, 1000))
    else:
        config.data.splits = dict(query=places(6_000_000, 1000), archive=places(7_000_000, 3000))
    return config
