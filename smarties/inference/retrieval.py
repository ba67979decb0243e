"""Retrieval within and across sensors, beside its baselines and chance: rows of results."""

import dataclasses
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from smarties import errors, machine
from smarties.inference import features, model, protocol, query_sets, results, two_sensors
from smarties.inference import retrieval_protocol as settings
from smarties.inference.protocol import CONVOLUTIONS, MODEL, RANDOM, STATISTICS
from smarties.inference.retrieval_protocol import CHANCE, Run
from smarties.metrics import bootstrap, random_retrieval, retrieval

_CHUNK = 2048  # queries whose results' labels are held at a time
_REPLICATES = 200  # kept in a row, of its main metric


class Retrieval:
    """What a configuration says, on a model or on baselines alone.

    Attributes:
      runs: all rows it stands for.
    """

    def __init__(
        self, config: Mapping[str, Any], loaded: model.Model | None = None, weights: str = ""
    ):
        """Opens the sources; no examples are read yet.

        Args:
          config: plain dicts with the keys of `retrieval_protocol.DEFAULTS`.
          loaded: the model; None leaves the baselines.
          weights: what it is called in the rows.

        Raises:
          UserError: a value that cannot be, a missing source, or no such sensor or bands.
        """
        settings.check(config)
        self._config, self._weights = config, weights
        self._by_place = config["relevance"] == "place"
        self._sets = query_sets.Sets(config["data"], not self._by_place, config["seed"])
        models = {}
        if loaded is not None:
            models = {MODEL: loaded, RANDOM: features.untrained(loaded, config["seed"])}
        self._checkpoints = {name: features.digest(one) for name, one in models.items()}
        self._features = two_sensors.TwoSensors(config, self._sets, models)
        self.runs = [run for way in settings.ways(config) for run in self._runs(*way)]

    def key(self, run: Run) -> str:
        """Returns the hash of all that a run's numbers depend on."""
        identity = settings.identity(self._config, run)
        checkpoint = self._checkpoints.get(run.features, "")
        return protocol.digest((identity, checkpoint, self._sets.digest))

    def rows(self, done: Collection[str] = ()) -> Iterator[results.Row]:
        """Yields the rows of the runs whose keys are not done.

        Raises:
          UserError: no labels, labels that do not fit the classes, k beyond the archive, or
            features that are not finite.
        """
        for run in self.runs:
            if self.key(run) not in done:
                yield self._row(run)

    def _runs(self, query: str, archive: str) -> list[Run]:
        """Returns the runs of a way; baselines only where the sensors have bands in common."""
        names = [(name, p) for name in self._checkpoints for p in self._config["poolings"]]
        if self._features.common(query, archive):
            names += [(STATISTICS, ""), (CONVOLUTIONS, "")]
        return [
            Run(features=name, query=query, archive=archive, pooling=pooling)
            for name, pooling in (*names, (CHANCE, ""))
        ]

    def _row(self, run: Run) -> results.Row:
        start, config = time.perf_counter(), self._config
        self._check()
        values = self._chance() if run.features == CHANCE else self._measured(run)
        found = retrieval.scores(values, config["seed"])
        select = settings.metric(config)
        drawn = bootstrap.counts(len(self._asking), _REPLICATES, config["seed"])
        replicates = np.concatenate([retrieval.means(values, w)[select] for w in drawn])
        seen = [settings.bands(config, sensor) for sensor in (run.query, run.archive)]
        centred = run.features in (STATISTICS, CONVOLUTIONS) or config["centred"]
        said = ", ".join(filter(None, ("cosine", run.pooling, "centred" if centred else "")))
        return {
            "key": self.key(run),
            "name": config["name"],
            "protocol": f"retrieval by {config['relevance']}",
            "sensor": f"{run.query}->{run.archive}",
            "bands": " -> ".join(seen) if any(seen) else "",
            "seed": config["seed"],
            "labelled": "",
            "track": "",
            "level": "",
            **dataclasses.asdict(run),
            "probe": "chance" if run.features == CHANCE else said,
            "weights": self._weights if run.features == MODEL else "",
            "select": select,
            "metrics": {name: [round(x, 6) for x in score] for name, score in found.items()},
            "settings": settings.identity(config, run),
            "examples": {
                "query": len(self._asking),
                "left out": len(self._sets.query) - len(self._asking),
                "archive": len(self._sets.archive),
            },
            "config": protocol.digest(settings.identity(config, run)),
            "checkpoint": self._checkpoints.get(run.features, ""),
            "data": self._sets.digest,
            "hardware": machine.hardware(),
            "seconds": round(time.perf_counter() - start, 2),
            "replicates": [round(float(x), 5) for x in replicates],
        }

    @functools.cached_property
    def _asking(self) -> np.ndarray:
        """The rows of queries that something could be relevant to.

        Raises:
          UserError: there is none.
        """
        if self._by_place:
            rows, why = np.flatnonzero(self._sets.places >= 0), "the id of an image of the archive"
        else:
            rows, why = np.flatnonzero(self._sets.query.labels.any(1)), "a label"
        if not len(rows):
            raise errors.UserError(f"no query has {why}: nothing is relevant to any")
        return rows

    @functools.cached_property
    def _own(self) -> np.ndarray:
        """The row of the archive [Q] that a query may not find: its own place; -1 for none."""
        places = self._sets.places[self._asking]
        return np.full_like(places, -1) if self._by_place else places

    def _check(self) -> None:
        most = max(self._config["k"])
        there = len(self._sets.archive) - int((self._own >= 0).any())
        if most > there:
            raise errors.UserError(
                f"k is {most}, but the archive has {there} images to find: give fewer by k, or "
                "more images"
            )

    @functools.cached_property
    def _chances(self) -> random_retrieval.Chances:
        queries = self._sets.query.labels[self._asking]
        return random_retrieval.chances(queries, self._sets.archive.labels, self._own >= 0)

    def _chance(self) -> retrieval.PerQuery:
        """Returns {metric@k: [Q]} as expected of random rankings."""
        if self._by_place:
            size, ones = len(self._sets.archive), np.ones(len(self._asking))
            return {f"place_recall@{k}": k / size * ones for k in settings.counts(self._config)}
        return self._at_each_k(
            lambda k: random_retrieval.expected(
                self._chances, k, denominator=self._config["denominator"],
                ideal=self._config["ideal"], depth=self._depth, seed=self._config["seed"],
            )
        )  # fmt: skip

    def _measured(self, run: Run) -> retrieval.PerQuery:
        """Returns {metric@k: [Q]} of the features of a run."""
        query, archive = self._features(run)
        rows = two_sensors.ranked(query[self._asking], archive, self._depth, self._own)
        if self._by_place:
            hit = rows == self._sets.places[self._asking][:, None]
            return {f"place_recall@{k}": hit[:, :k].any(1) for k in settings.counts(self._config)}
        labels, known = self._sets.query.labels[self._asking], self._sets.archive.labels

        def at(k: int) -> retrieval.PerQuery:
            parts = [
                retrieval.measured(
                    labels[part], known[rows[part]], k, shared=self._chances.shared[part],
                    denominator=self._config["denominator"], ideal=self._config["ideal"],
                )
                for part in (slice(i, i + _CHUNK) for i in range(0, len(rows), _CHUNK))
            ]  # fmt: skip
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

        return self._at_each_k(at)

    def _at_each_k(self, values: Callable[[int], retrieval.PerQuery]) -> retrieval.PerQuery:
        return {
            f"{name}@{k}": value
            for k in settings.counts(self._config)
            for name, value in values(k).items()
        }

    @property
    def _depth(self) -> int:
        """How many results are looked at: the largest k, or more that an ideal sorts again."""
        further = self._config["depth"] if self._config["ideal"] == "retrieved" else 0
        there = len(self._sets.archive) - int((self._own >= 0).any())
        return min(there, max(*settings.counts(self._config), further))
