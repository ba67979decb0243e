"""SMARTIES ViT-L as published: `smarties_vit_b` at another size.

Paper     SMARTIES, arXiv 2506.19585.
Command   smarties train --config configs/smarties_vit_l.py --workdir runs/vit_l
Hardware  8 accelerators with 80 GB; about 19.2 EFLOP.
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
    config = base.get_config("large")
    config.mesh.fsdp = 2
    return config
