"""A small SMARTIES on the simulated planet: the first run on a new machine.

Paper     SMARTIES, arXiv 2506.19585; sizes are ours.
Command   make quickstart
Hardware  2 CPU cores, about 3 minutes; `configs/quickstart.py:long` about 3 hours.
Expect    every number of the report well beyond its random-weights baseline, and with `long`
          retrieval far above the control with permuted pairs too.
"""

from ml_collections import config_dict

SENSORS = ("rgb", "sentinel2-l1c", "sentinel2-l2a", "sentinel1-grd")
PAIRS = {"vhr": ("rgb", "sentinel2-l1c"), "radar": ("sentinel2-l2a", "sentinel1-grd")}
UNSEEN = ("landsat5-tm",)


def get_config(arg: str = "short"):
    if arg not in ("short", "long"):
        raise ValueError(f"configs/quickstart.py:{arg}: the argument is short or long")
    long = arg == "long"
    config = config_dict.ConfigDict()
    config.name, config.seed = "quickstart", 0
    config.steps, config.batch_size = 8000 if long else 400, 32
    config.task = dict(name="pretraining", standardise_targets=True)
    config.model = dict(
        image_size=64,
        patch=8,
        encoder=dict(width=128, depth=4, heads=4),
        decoder=dict(width=96, depth=1, heads=4),
        unroll=4,
    )
    config.data = dict(
        streams={
            name: dict(
                first=first,
                second=second,
                share=0.5,
                permute=False,  # True pairs different places: the control for what pairs teach
                source=dict(
                    kind="planet",
                    sensors=(first, second),
                    count=3000 if long else 1000,
                    size=64,
                    cache=True,
                ),
            )
            for name, (first, second) in PAIRS.items()
        },
        threads=2,
    )
    config.optimizer = dict(learning_rate=1e-3, warmup_steps=40, clip_norm=1.0)
    config.checkpoint = dict(every=2000 if long else 200, keep=1)
    config.log = dict(every=20)
    sensors = (*SENSORS, *UNSEEN)
    config.evaluate = dict(
        every=0 if long else 200,
        source=dict(
            kind="planet", sensors=sensors, first=1_000_000, count=128, size=64, cache=True
        ),
        archive=dict(
            kind="planet", sensors=sensors, first=2_000_000, count=320, size=64, cache=True
        ),
        pairs=PAIRS,
        unseen=UNSEEN,
    )
    return config
