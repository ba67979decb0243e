"""CSMAE-SECD: blocks of each sensor, then shared ones; one decoder for both sensors.

Paper     CSMAE, arXiv 2401.07782, doi 10.1109/TGRS.2024.3517150.
Command   smarties train --config configs/csmae_secd.py --workdir runs/csmae_secd
Data      as of `csmae_sesd`, and so its options; configs/csmae_secd.py:planet too.
Hardware  one GPU with 24 GB. `planet`: 2 CPU cores, a few minutes.
Expect    F1@10 about 71 % from either sensor to the other (paper, at second hand); not run here.
"""

import csmae_sesd


def get_config(arg=""):
    return csmae_sesd.get_config(arg, "secd", specific=10, shared=2, decoding="common")
