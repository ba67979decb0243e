"""CSMAE-SESD: blocks of each sensor, then shared ones; a decoder for each target sensor.

Paper     CSMAE, arXiv 2401.07782, doi 10.1109/TGRS.2024.3517150 (recipe of the authors' release).
Command   smarties train --config configs/csmae_sesd.py --workdir runs/csmae_sesd
          csmae_cecd, csmae_cesd and csmae_secd are the other variants.
          configs/csmae_sesd.py:planet is a small one on the simulated planet, :real one on the
          TerraMesh samples in $SMARTIES_DATA, two scenes held out for configs/retrieval_real.py.
Data      BigEarthNet v2 as records of `smarties data prepare`, its training split, in
          data.streams.bigearthnet.source.
Hardware  one GPU with 24 GB. `planet` and `real`: 2 CPU cores, a few minutes.
Expect    F1@10 about 71 % from either sensor to the other for SECD (paper, at second hand); not run
          here. `planet`: every number of the report well beyond its random-weights baseline.

Options. task.masking random, identical or disjoint with task.mask_ratio. task.scored source_masked
is the authors' configuration; the figure of the paper suggests target_masked. task.unimodal,
task.crossmodal, task.mim with task.temperature, and task.mde are the losses. model.pooling avg or
token. model.embedding spectrum takes any pair of sensors through the projections of SMARTIES.
"""

import os
from pathlib import Path

import smarties_samples
from ml_collections import config_dict

from smarties.models import autoencoder

PAIR = ("sentinel1-grd", "sentinel2-l2a")


def get_config(arg="", variant="sesd", specific=10, shared=2, decoding="specific"):
    if arg not in ("", "planet", "real"):
        raise ValueError(f"configs/csmae_{variant}.py:{arg}: the argument is planet, real, or none")
    config = config_dict.ConfigDict()
    config.name, config.seed = f"csmae_{variant}", 42
    config.epochs, config.batch_size = 150, 128
    size = autoencoder.SIZES["base"]  # its depth is that of specific and shared blocks
    config.task = dict(
        name="csmae",
        masking="random",
        mask_ratio=0.5,
        scored="source_masked",
        placement="paper",
        unimodal=True,
        crossmodal=True,
        mim=True,
        temperature=0.5,
        mde=False,
        inputs="bigearthnet-v1",
    )
    config.model = dict(
        image_size=120,
        patch=15,
        encoder=dict(width=size.width, heads=size.heads, specific=specific, shared=shared),
        decoder=dict(width=512, depth=8, heads=16),
        decoding=decoding,
        pooling="avg",
        embedding="linear",
        dtype="bfloat16",
    )
    config.data = dict(
        streams=dict(
            bigearthnet=dict(
                first=PAIR[0],
                second=PAIR[1],
                share=1.0,
                permute=False,
                source=dict(kind="records", directory="data/bigearthnet", split="train"),
            )
        ),
        workers=8,
    )
    config.optimizer = dict(
        learning_rate=1e-4, warmup_epochs=10, weight_decay=0.05, decay="all", beta1=0.9, beta2=0.95
    )
    config.checkpoint = dict(every=1000, keep=3)
    config.log = dict(every=50)
    if arg == "real":
        return real(small(config))
    return planet(small(config)) if arg == "planet" else config


def real(config):
    """Returns a small configuration on real pairs, two scenes held out."""
    data = Path(os.environ.get("SMARTIES_DATA", "../shared/data"))
    stream = smarties_samples.real(data, side=64)["terramesh_radar"]
    config.steps, config.data.streams = 200, dict(terramesh=dict(stream, share=1.0))
    return config


def small(config):
    """Returns the configuration at a size for tiles of 64 pixels and two CPU cores."""
    del config.epochs, config.optimizer["warmup_epochs"]
    config.steps, config.batch_size = 400, 32
    config.task.inputs = "registered"
    deep = config.model.encoder.specific > 0
    config.model = dict(
        image_size=64,
        patch=8,
        encoder=dict(width=128, heads=4, specific=3 if deep else 0, shared=1 if deep else 4),
        decoder=dict(width=96, depth=1, heads=4),
        decoding=config.model.decoding,
        pooling="avg",
        embedding="linear",
        unroll=4,
    )
    config.data.workers, config.data.threads = 0, 2
    config.optimizer.learning_rate, config.optimizer.warmup_steps = 1e-3, 40
    config.optimizer.clip_norm = 1.0
    config.checkpoint, config.log = dict(every=200, keep=1), dict(every=20)
    return config


def planet(config):
    """Returns a small configuration on the simulated planet."""
    places = dict(kind="planet", sensors=PAIR, size=64, cache=True)
    config.data.streams.bigearthnet.source = dict(**places, count=1000)
    config.evaluate = dict(
        every=200,
        source=dict(**places, first=1_000_000, count=128),
        archive=dict(**places, first=2_000_000, count=320),
        pairs=dict(radar=PAIR),
    )
    return config
