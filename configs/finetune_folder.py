"""Fine-tuning on a folder of your own: change a path and a class list.

Paper     SMARTIES, arXiv 2506.19585, for the weights; the recipe is ours.
Command   smarties train --config configs/finetune_folder.py:FOLDER --workdir runs/mine
          FOLDER holds images and a dataset.yaml that says of which sensors they are and where their
          classes stand (`smarties data info described` shows one); records that `smarties data
          prepare` has written do as well, see `SOURCE`. For class maps set LABELS = "map".
          From your own weights: --config.task.weights=runs/x, and leave `config.model` out.
Hardware  one GPU with 8 GB for some thousand images of 224 pixels.
Expect    depends on the folder; the step that is best on `validation` is kept, and `results.json`
          has each of its metrics, those on `test` too, which no choice has seen, with intervals.
"""

import dataclasses

from ml_collections import config_dict

from smarties.models import autoencoder

WEIGHTS = "weights/smarties-v1-vitb.safetensors"
SENSORS = ("sentinel2-l2a",)
CLASSES = ()  # in the order of the data; () takes the names that the data have
LABELS = "single"  # or "multi", or "map"
METRIC = dict(single="accuracy", multi="micro_ap", map="miou")
SOURCE = dict(kind="described")


def adapt(name, task, source, sensors, optimizer, sets, size="base", **data):
    """Returns a configuration that adapts the released weights of a size."""
    config = config_dict.ConfigDict()
    config.name, config.seed = name, 0
    config.epochs, config.batch_size = 100, 256
    config.task = dict(weights=WEIGHTS.replace("vitb", f"vit{size[0]}"), **task)
    config.model = dict(
        image_size=224, patch=16, encoder=dataclasses.asdict(autoencoder.SIZES[size])
    )
    config.data = dict(source=source, sensors=sensors, **data)
    config.optimizer = dict(beta2=0.999, **optimizer)
    config.checkpoint = dict(every=1000, keep=1)
    config.log = dict(every=20)
    config.evaluate = dict(every=0, sets=sets)
    return config


def probe(config):
    """Makes a configuration one of the published linear probe."""
    config.epochs, config.batch_size = 100, 1024
    config.task.mode = "linear_probe"
    config.optimizer = dict(
        base_learning_rate=1e-3, weight_decay=0.0, schedule="steps", beta2=0.999
    )
    return config


def get_config(folder="data/mine"):
    config = adapt(
        "finetune_folder",
        dict(
            name="segmentation" if LABELS == "map" else "classification",
            labels=LABELS, mode="finetune", layer_decay=0.75, drop_path=0.1,
            label_smoothing=0.0 if LABELS == "multi" else 0.1, crop_area=(0.5, 1.0),
        ),
        {**SOURCE, "root": folder},
        SENSORS,
        dict(learning_rate=2e-4, warmup_epochs=5, weight_decay=0.05, ema=0.999),
        dict(validation=dict(part=(0.7, 0.85)), test=dict(part=(0.85, 1.0))),
        classes=CLASSES,
        part=(0.0, 0.7),
        share=1.0,  # 0.01 or 0.1 for few labels, or shots=5 of each class
    )  # fmt: skip
    config.epochs, config.batch_size = 50, 32
    config.evaluate.every = 200
    config.checkpoint.best = f"validation/{METRIC[LABELS]}"
    return config
