"""The quickstart on one pair of sensors and with the fewest layers: compiled in seconds."""

import importlib.util
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "configs/quickstart.py"


def get_config():
    spec = importlib.util.spec_from_file_location("quickstart", QUICKSTART)
    quickstart = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    config = quickstart.get_config()
    del config.data.streams.vhr
    del config.evaluate.pairs.vhr
    config.data.streams.radar.source.update(count=16, size=32)
    config.model.update(image_size=32)
    config.model.encoder.update(width=32, depth=1)
    config.model.decoder.update(width=32)
    config.steps, config.batch_size = 24, 8
    config.optimizer.update(warmup_steps=2, ema=0.9)
    config.log.update(every=1)
    config.checkpoint.update(every=2, keep=2)
    sensors = ("sentinel2-l2a", "sentinel1-grd")
    config.evaluate.update(every=0, unseen=())
    config.evaluate.source.update(count=4, size=32, sensors=sensors)
    config.evaluate.archive.update(count=8, size=32, sensors=sensors)
    return config
