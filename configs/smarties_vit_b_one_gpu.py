"""SMARTIES ViT-B on one accelerator: the published batch by accumulation.

Paper     SMARTIES, arXiv 2506.19585.
Command   smarties train --config configs/smarties_vit_b_one_gpu.py --workdir runs/vit_b
Hardware  one GPU with 24 GB or more; raise accumulate if it does not fit.
Expect    not run here.
"""

import importlib.util
from pathlib import Path


def get_config():
    spec = importlib.util.spec_from_file_location(
        "base", Path(__file__).with_name("smarties_vit_b.py")
    )
    base = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(base)
    config = base.get_config("base")
    config.name = "smarties_vit_b_one_gpu"
    config.model.remat = "block"
    config.optimizer.accumulate = 16
    return config
