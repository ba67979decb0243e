"""UC Merced Land Use, 21 classes of aerial pictures: kNN and logistic regression.

Paper     SMARTIES, arXiv 2506.19585, kNN with k 20 and temperature 0.07 on CLS (`:released`).
Command   smarties evaluate --config configs/evaluate_ucmerced.py --weights runs/x
          The archive is in $SMARTIES_DATA/rgb_ucmerced, or --config.data.source.root=FOLDER.
          Images 00 to 69 of each class are learnt from, of which 60 to 69 choose the settings when
          held out; 70 to 99 are reported.
Hardware  2 CPU cores, a minute on the sample of 10 images a class.
Expect    with so few test images, intervals of some ten points.
"""

import os
from pathlib import Path

from ml_collections import config_dict


def get_config(arg="held_out"):
    data = Path(os.environ.get("SMARTIES_DATA", "../shared/data"))
    config = config_dict.ConfigDict()
    config.name, config.seed, config.protocol = "uc-merced", 0, arg
    config.sensor = "uc-merced"
    numbers = dict(train=r"[0-5]\d$", validation=r"6\d$", test=r"[7-9]\d$")
    if arg == "released":
        numbers = dict(train=r"[0-6]\d$", test=numbers["test"])
    config.data = dict(
        source=dict(kind="uc-merced", root=str(data / "rgb_ucmerced"), cache=True),
        splits={split: dict(ids=found) for split, found in numbers.items()},
    )
    return config
