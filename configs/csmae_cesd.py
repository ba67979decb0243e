"""CSMAE-CESD: all blocks shared, a decoder for each target sensor.

Paper     CSMAE, arXiv 2401.07782, doi 10.1109/TGRS.2024.3517150. The depths are those
          of the method: the authors' file has 12 blocks of each sensor and none shared.
Command   smarties train --config configs/csmae_cesd.py --workdir runs/csmae_cesd
Data      as of `csmae_sesd`, and so its options; configs/csmae_cesd.py:planet too.
Hardware  one GPU with 24 GB. `planet`: 2 CPU cores, a few minutes.
Expect    not run here.
"""

import csmae_sesd


def get_config(arg=""):
    return csmae_sesd.get_config(arg, "cesd", specific=0, shared=12, decoding="specific")
