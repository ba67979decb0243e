"""SMARTIES ViT-L as published: `smarties_vit_b` at another size.

Paper     SMARTIES, arXiv 2506.19585.
Command   smarties train --config configs/smarties_vit_l.py --workdir runs/vit_l
Hardware  8 accelerators with 80 GB; about 19.2 EFLOP.
Expect    not run here.
"""

import smarties_vit_b


def get_config():
    config = smarties_vit_b.get_config("large")
    config.mesh.fsdp = 2
    return config
