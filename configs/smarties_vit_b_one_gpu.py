"""SMARTIES ViT-B on one accelerator: the published batch by accumulation.

Paper     SMARTIES, arXiv 2506.19585.
Command   smarties train --config configs/smarties_vit_b_one_gpu.py --workdir runs/vit_b
Hardware  one GPU with 24 GB or more; raise accumulate if it does not fit.
Expect    not run here.
"""

import smarties_vit_b


def get_config():
    config = smarties_vit_b.get_config("base")
    config.name = "smarties_vit_b_one_gpu"
    config.model.remat = "block"
    config.optimizer.accumulate = 16
    return config
