"""UC-Merced, 21 classes of RGB pictures: linear probe.

Paper     SMARTIES, arXiv 2506.19585, which reports kNN here; this is its linear probe of others.
Command   smarties train --config configs/uc_merced.py --workdir runs/uc_merced
Data      data/uc-merced, the published pictures, split as in `eurosat`.
Hardware  one GPU with 8 GB.
Expect    no number of the paper is at hand; not run here.
"""

import finetune_folder


def get_config():
    config = finetune_folder.adapt(
        "uc_merced",
        dict(name="classification", labels="single"),
        dict(kind="uc-merced", root="data/uc-merced"),
        ("uc-merced",),
        {},
        dict(validation=dict(part=(0.7, 0.8)), test=dict(part=(0.8, 1.0))),
        part=(0.0, 0.7),
    )
    config = finetune_folder.probe(config)
    config.batch_size = 256
    return config
