"""WHU-RS19, 19 classes of RGB pictures: linear probe.

Paper     SMARTIES, arXiv 2506.19585, which reports kNN here; this is its linear probe of others.
Command   smarties train --config configs/whu_rs19.py --workdir runs/whu_rs19
Data      data/whu-rs19, the published pictures, split as in `eurosat`.
Hardware  one GPU with 8 GB.
Expect    no number of the paper is at hand; not run here.
"""

import finetune_folder


def get_config():
    config = finetune_folder.adapt(
        "whu_rs19",
        dict(name="classification", labels="single"),
        dict(kind="whu-rs19", root="data/whu-rs19"),
        ("whu-rs19",),
        {},
        dict(validation=dict(part=(0.7, 0.8)), test=dict(part=(0.8, 1.0))),
        part=(0.0, 0.7),
    )
    config = finetune_folder.probe(config)
    config.batch_size = 256
    return config
