"""The configuration of a retrieval: its keys and defaults, and what is to be run by it."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from smarties import errors
from smarties.inference.protocol import CONVOLUTIONS, MODEL, RANDOM
from smarties.metrics import retrieval
from smarties.tasks import embedding

CHANCE = "random retrieval"
RELEVANCE = ("labels", "place")

DEFAULTS: dict[str, Any] = {
    "name": "retrieval",
    "task": "retrieval",
    "seed": 0,
    # "labels": an image is relevant that shares a class with the query.
    # "place": only the image of the same place, by another sensor; needs no labels.
    "relevance": "labels",
    "sensors": (),  # each is searched for by each
    "bands": (),  # of each sensor, names with commas or ""; () for the sensors' selected ones
    "k": (5, 10, 20),  # results that count; the second of them chooses the metric of the table
    "denominator": "relevant",  # of average precision, see `metrics.retrieval`
    "ideal": "archive",  # of NDCG, see there
    "depth": 1000,  # results that ideal "retrieved" sorts again
    # Plain cosine, or of features less their mean and over their deviation, of each sensor and set
    # on its own. Features of baselines have units: theirs are always so.
    "centred": False,
    "poolings": ("cls", "mean"),
    "size": 0,  # pixels per side the model looks at; 0 for those of its training
    "batch_size": 32,
    "convolutions": {"filters": 256, "patch": 3},
    "data": {
        "labels": "labels",  # key of the examples
        "classes": (),  # names; by default the source's
        "present": 0.0,  # share of a map's pixels above which a class counts; 0: the most frequent
    },
}
_DATA = (*DEFAULTS["data"], "source", "splits")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One row to come.

    Attributes:
      features: of `protocol`, or `CHANCE`.
      query, archive: sensors.
      pooling: of a model's features; "" of others.
    """

    features: str
    query: str
    archive: str
    pooling: str = ""


def check(config: Mapping[str, Any]) -> None:
    """Raises `UserError` for a value that cannot be; reads no data."""
    for key, known in (
        ("relevance", RELEVANCE),
        ("denominator", retrieval.DENOMINATORS),
        ("ideal", retrieval.IDEALS),
    ):
        if config[key] not in known:
            raise errors.unknown(key, config[key], known)
    for pooling in config["poolings"]:
        if pooling not in embedding.POOLINGS:
            raise errors.unknown("value of poolings", pooling, embedding.POOLINGS)
    for key in ("sensors", "poolings", "k"):
        if not config[key] or len(set(config[key])) < len(config[key]):
            raise errors.UserError(f"{key} is {tuple(config[key])}: give some, none of them twice")
    if any(not isinstance(k, int) or k < 1 for k in config["k"]):
        raise errors.UserError(f"k is {tuple(config['k'])}: numbers of results, 1 or more")
    if config["bands"] and len(config["bands"]) != len(config["sensors"]):
        raise errors.UserError(
            f"bands are given of {len(config['bands'])} sensors, but there are "
            f'{len(config["sensors"])}: "" is for the selected ones'
        )
    for key in config["data"]:
        if key not in _DATA:
            raise errors.unknown("configuration key", f"data.{key}", [f"data.{k}" for k in _DATA])
    if not 0 <= config["data"]["present"] < 1:
        raise errors.UserError(f"data.present is {config['data']['present']}: a share, 0 to 1")
    splits = config["data"].get("splits", {})
    if "query" not in splits or set(splits) - {"query", "archive"}:
        raise errors.UserError(
            f"data.splits has {', '.join(splits) or 'nothing'}: give query and archive, each a "
            "source or a rule for data.source; without archive, queries are searched for "
            "among themselves"
        )
    if config["relevance"] == "place" and len(config["sensors"]) < 2:
        raise errors.UserError("relevance place needs two sensors or more: by one it is the same")


def ways(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the pairs (query, archive) of sensors; of one place, of two sensors only."""
    found = itertools.product(config["sensors"], repeat=2)
    return [(a, b) for a, b in found if a != b or config["relevance"] == "labels"]


def bands(config: Mapping[str, Any], sensor: str) -> str:
    """Returns the names of a sensor's bands with commas, or ""."""
    return config["bands"][config["sensors"].index(sensor)] if config["bands"] else ""


def metric(config: Mapping[str, Any]) -> str:
    """Returns the metric that a table shows."""
    k = counts(config)
    if config["relevance"] == "place":
        return f"place_recall@{k[0]}"
    return f"f1_of_means@{k[min(1, len(k) - 1)]}"


def counts(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns k, ascending; the first result alone counts too where one is relevant."""
    return tuple(sorted({*config["k"], *((1,) if config["relevance"] == "place" else ())}))


def identity(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Returns all of a configuration that the numbers of a run depend on."""
    kept = {key: config[key] for key in ("name", "seed", "relevance")}
    if config["relevance"] == "labels":
        kept |= {key: config[key] for key in ("denominator", "ideal")}
        if config["ideal"] == "retrieved":
            kept["depth"] = config["depth"]
    if run.features in (MODEL, RANDOM):
        kept |= {key: config[key] for key in ("size", "centred")}  # baselines always are
    if run.features == CONVOLUTIONS:
        kept["convolutions"] = dict(config["convolutions"])
    seen = [bands(config, sensor) for sensor in (run.query, run.archive)]
    return {**kept, "k": counts(config), "bands": seen, **dataclasses.asdict(run)}
