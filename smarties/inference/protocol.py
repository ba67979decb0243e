"""The configuration of an evaluation: its keys and defaults, and what is to be run by it."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

from smarties import errors
from smarties.inference import features, probes
from smarties.metrics import classification
from smarties.tasks import embedding

PROTOCOLS = ("held_out", "released")
TRACKS = ("bands", "resolution", "sensor", "noise")
MODEL, RANDOM = "model", "random weights"
STATISTICS, CONVOLUTIONS = "band statistics", "random convolutions"
PIXELS, CONSTANT = "bands of the pixel", "most frequent class"
CLASSIFICATION, SEGMENTATION = TASKS = ("classification", "segmentation")
TOKENS = ("tokens", "final_tokens")  # before and after the final norm

DEFAULTS: dict[str, Any] = {
    "name": "evaluation",
    # Of images; or "segmentation", of pixels, by "logistic" alone; or see `retrieval_protocol`.
    "task": CLASSIFICATION,
    "seed": 0,
    # "held_out": settings are chosen on the split validation, and test is looked at once.
    # "released": as the paper did it, kNN with k 20 and temperature 0.07 on CLS, and what else
    # there is to choose is chosen on the list that is reported.
    "protocol": "held_out",
    "sensor": "",
    "bands": "",  # names with commas, in any order
    "size": 0,  # pixels per side the model looks at; 0 for those of its training
    "batch_size": 32,
    "poolings": ("cls", "mean"),  # to choose from
    "probes": ("knn", "logistic"),
    "labelled": ("100%",),  # regimes: "1%", "10%", "5-shot"; tracks run in the last
    "metrics": (),  # all that fit the labels
    "knn": {"k": (5, 20, 50), "temperature": (0.07,), "standardise": (False, True)},
    "logistic": {"C": (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)},
    "convolutions": {"filters": 256, "patch": 3},
    # Pixels that are learnt from, spread over the images; side of the window that features of the
    # baselines are averaged over; whether splits may have parts of one scene.
    "segmentation": {"pixels": 5_000, "window": 9, "shared_scenes": False},
    # The probe is as trained, the test images are not: fewer bands (sets of names with commas),
    # coarser (shares of the pixels per side), of another sensor. "noise": wrong training labels.
    "tracks": {"bands": (), "resolution": (), "sensor": (), "noise": ()},
    "data": {
        "labels": "labels",  # key of the examples
        "classes": (),  # names; by default the source's
        "leave_out_empty": False,  # classes without a training or a test example
    },
}
_DATA = (*DEFAULTS["data"], "source", "splits")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One row to come.

    Attributes:
      features: `MODEL`, `RANDOM`, `STATISTICS`, `CONVOLUTIONS`, `PIXELS` or `CONSTANT`.
      probe: "knn" or "logistic".
      labelled: regime.
      track, level: "" and "", or one of `TRACKS` and how much of it.
    """

    features: str
    probe: str
    labelled: str
    track: str = ""
    level: str = ""


def check(config: Mapping[str, Any]) -> None:
    """Raises `UserError` for a value that cannot be; reads no data."""
    for key, known in (("protocol", PROTOCOLS), ("task", TASKS)):
        if config[key] not in known:
            raise errors.unknown(key, config[key], known)
    for key, known in (("poolings", embedding.POOLINGS), ("probes", probes.PROBES)):
        for value in config[key]:
            if value not in known:
                raise errors.unknown(f"value of {key}", value, known)
        if not config[key]:
            raise errors.UserError(f"{key} is empty: give some of {', '.join(known)}")
    if not config["labelled"]:
        raise errors.UserError('labelled is empty: give e.g. ("1%", "100%")')
    for key in config["data"]:
        if key not in _DATA:
            raise errors.unknown("configuration key", f"data.{key}", [f"data.{k}" for k in _DATA])
    for name in config["metrics"]:
        known = {*classification.SINGLE, *classification.MULTI}
        if name not in known:
            raise errors.unknown("metric", name, known)
    wanted = ("train", "test") + (("validation",) * (config["protocol"] == "held_out"))
    for split in wanted:
        if split not in config["data"].get("splits", {}):
            raise errors.UserError(
                f"protocol {config['protocol']} needs data.splits.{split}: a source, or a rule for "
                "data.source"
            )
    for share in config["tracks"]["noise"]:
        if not 0 <= share <= 1:
            raise errors.UserError(f"label noise of {share}: a share, 0 to 1")
    if config["task"] == SEGMENTATION:
        for what, given in (
            ("tracks.noise", config["tracks"]["noise"]),
            ("metrics", config["metrics"]),
        ):
            if given:
                raise errors.UserError(f"{what} is {tuple(given)}: there is none of class maps")
        for key in ("pixels", "window"):
            if config["segmentation"][key] < 1:
                raise errors.UserError(
                    f"segmentation.{key} is {config['segmentation'][key]}: 1 or more"
                )
    if not config["sensor"]:
        raise errors.UserError("sensor is not given: name the one whose images are looked at")


def runs(config: Mapping[str, Any], model: bool) -> list[Run]:
    """Returns all rows of a configuration: baselines always, and a model's where there is one."""
    maps = config["task"] == SEGMENTATION
    known = (PIXELS, CONVOLUTIONS, CONSTANT) if maps else (STATISTICS, CONVOLUTIONS)
    encoders = ((MODEL, RANDOM) if model else ()) + known
    conditions = [(amount, "", "") for amount in config["labelled"]] + [
        (config["labelled"][-1], track, f"{level:g}" if isinstance(level, float) else str(level))
        for track in TRACKS
        for level in config["tracks"][track]
    ]
    return [
        Run(features=encoder, probe=probe, labelled=amount, track=track, level=level)
        for amount, track, level in conditions
        for encoder in encoders
        for probe in (("logistic",) if maps else config["probes"])
    ]


def grid(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Returns what a run's probe chooses from, the poolings of a transformer included."""
    chosen = dict(config[run.probe])
    transformer = run.features in (MODEL, RANDOM)
    if config["protocol"] == "released" and run.probe == "knn":
        # Baselines may standardise: their features have units, and raw cosines would fail them.
        chosen = {"k": (20,), "temperature": (0.07,)}
        chosen["standardise"] = (False,) if transformer else (False, True)
    poolings = ("cls",) if config["protocol"] == "released" else tuple(config["poolings"])
    if config["task"] == SEGMENTATION:
        poolings = TOKENS
    return {**chosen, "variants": poolings} if transformer else chosen


def identity(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Returns all of a configuration that the numbers of a run depend on."""
    kept = {key: config[key] for key in ("name", "seed", "protocol", "sensor", "bands", "metrics")}
    if run.features in (MODEL, RANDOM):
        kept["size"] = config["size"]
    if run.features == CONVOLUTIONS:
        kept["convolutions"] = dict(config["convolutions"])
    if config["task"] == SEGMENTATION:
        section = config["segmentation"]
        kept |= {"task": SEGMENTATION, "pixels": section["pixels"]}
        kept |= {"window": section["window"]} if run.features in (PIXELS, CONVOLUTIONS) else {}
    return {**kept, "grid": grid(config, run), **dataclasses.asdict(run)}


def digest(content: Any) -> str:
    """Returns the hash of a tree of plain values."""
    return hashlib.sha256(features.canonical(content)).hexdigest()[:16]
