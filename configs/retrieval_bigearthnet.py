"""Retrieval on BigEarthNet v2, within and across Sentinel-1 and Sentinel-2.

Paper     protocol of CSMAE, arXiv 2401.07782, as its code has it: queries from validation, archive
          from test, F1 at 10 as harmonic mean of mean precision and mean recall of 19 classes.
Command   smarties data prepare bigearthnet-v2 --source DIR --out datasets    # once
          smarties evaluate --config configs/retrieval_bigearthnet.py --weights runs/x
          mAP as in MiLaN, NDCG as in GRID: --config.denominator=hits --config.ideal=retrieved
Data      datasets/bigearthnet-v2; `configs/retrieval_bigearthnet.py:DIR` for another folder.
Hardware  one GPU for the features of 242,000 pairs; metrics and chance take seconds.
Expect    about 71 across sensors, both ways, of CSMAE with separate encoders, a common decoder and
          the latent loss, on BigEarthNet v1 (at second hand); not run here. Weights trained on v1
          have seen many of these patches.
"""

from ml_collections import config_dict

SENSORS = ("sentinel1-grd", "sentinel2-l2a")


def get_config(directory="datasets/bigearthnet-v2"):
    config = config_dict.ConfigDict()
    config.name, config.task, config.seed = "retrieval_bigearthnet", "retrieval", 0
    config.sensors, config.k, config.batch_size = SENSORS, (5, 10, 20), 256
    config.data = dict(
        labels="labels",
        splits=dict(
            query=dict(kind="records", directory=directory, split="validation"),
            archive=dict(kind="records", directory=directory, split="test"),
        ),
    )
    return config
