"""Frozen features on labelled data, beside their baselines: rows of results, one by one."""

import dataclasses
import functools
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from smarties import machine
from smarties.data import subsets
from smarties.inference import baselines, features, model, probes, protocol, results, splits
from smarties.inference.protocol import CONVOLUTIONS, MODEL, RANDOM, STATISTICS, Run
from smarties.metrics import classification

REPLICATES = 200  # kept in a row, of its main metric


class Evaluation:
    """What a configuration says, on a model or on baselines alone.

    Attributes:
      runs: all rows it stands for.
    """

    def __init__(
        self, config: Mapping[str, Any], loaded: model.Model | None = None, weights: str = ""
    ):
        """Opens the sources; no labels are read yet.

        Args:
          config: plain dicts with the keys of `protocol.DEFAULTS`.
          loaded: the model; None leaves the baselines.
          weights: what it is called in the rows.

        Raises:
          UserError: a value that cannot be, a missing source, or no such sensor or bands.
        """
        protocol.check(config)
        self._config, self._weights = config, weights
        maps = config["segmentation"] if config["task"] == protocol.SEGMENTATION else None
        self._splits = splits.Splits(config["data"], config["labelled"], config["seed"], maps)
        self._models = {}
        if loaded is not None:
            self._models = {MODEL: loaded, RANDOM: features.untrained(loaded, config["seed"])}
        self._checkpoints = {name: features.digest(one) for name, one in self._models.items()}
        self._kept: dict[Any, tuple[features.Features, float]] = {}
        self._probes: dict[Run, tuple[probes.Probe, float]] = {}
        self.runs = protocol.runs(config, loaded is not None)
        for run in self.runs:
            for split in ("train", "test"):
                self._view(run, split)

    def key(self, run: Run) -> str:
        """Returns the hash of all that a run's numbers depend on."""
        identity = protocol.identity(self._config, run)
        return protocol.digest((identity, self._checkpoint(run), self._splits.digest))

    def rows(self, done: Collection[str] = ()) -> Iterator[results.Row]:
        """Yields the rows of the runs whose keys are not done.

        Raises:
          UserError: labels that do not fit the classes, an empty class, or what a probe refuses.
        """
        for run in self.runs:
            if self.key(run) not in done:
                yield self._row(run)

    def _row(self, run: Run) -> results.Row:
        config = self._config
        found = self._judged(run)
        identity = protocol.identity(config, run)
        return {
            "key": self.key(run),
            **{k: config[k] for k in ("name", "protocol", "sensor", "bands", "seed")},
            **dataclasses.asdict(run),
            "weights": self._weights if run.features == MODEL else "",
            "split": "test",
            "select": self._select,
            "config": protocol.digest(identity),
            "checkpoint": self._checkpoint(run),
            "data": self._splits.digest,
            "hardware": machine.hardware(),
            **found,
        }

    def _judged(self, run: Run) -> results.Row:
        """Returns the part of a row that is found: metrics, what was chosen, and evidence."""
        truth = self._splits.parts["test"].labels
        fitted, fitting = self._fitted(self._plain(run))
        test, reading = self._features(run, "test")
        start = time.perf_counter()
        probability = fitted(test)
        seconds = fitting + reading + time.perf_counter() - start
        return {
            "metrics": self._metrics(truth, probability),
            "chosen": dict(fitted.chosen),
            "examples": {"train": len(self._splits.regime(run.labelled)), "test": len(truth)},
            "seconds": round(seconds, 2),
            **self._evidence(truth, probability),
        }

    def _plain(self, run: Run) -> Run:
        """Returns the run whose probe is taken: of a track, that of the images as they are."""
        return run if run.track == "noise" else dataclasses.replace(run, track="", level="")

    def _fitted(self, run: Run) -> tuple[probes.Probe, float]:
        """Returns the probe of a run, fitted once, and how long it and its features took."""
        if run in self._probes:
            return self._probes[run]
        few = self._splits.regime(run.labelled)
        train, reading = self._features(run, "train")
        labels = self._splits.train.labels[few]
        if run.track == "noise":
            labels = subsets.noisy(labels, float(run.level), self._multi, self._config["seed"])
        split = "validation" if self._config["protocol"] == "held_out" else "test"
        select, more = self._features(run, split)
        start = time.perf_counter()
        fitted = probes.fit(
            run.probe, {name: values[few] for name, values in train.items()}, labels,
            select, self._splits.parts[split].labels,
            functools.partial(classification.value, self._select, multi=self._multi),
            multi=self._multi, grid=protocol.grid(self._config, run),
        )  # fmt: skip
        self._probes[run] = fitted, reading + more + time.perf_counter() - start
        return self._probes[run]

    def _features(self, run: Run, split: str) -> tuple[features.Features, float]:
        """Returns a split's features, computed once, and how long they took."""
        view = self._view(run, split)
        key = run.features, split, view
        if key not in self._kept:
            start = time.perf_counter()
            part = self._splits.train if split == "train" else self._splits.parts[split]
            made = features.extract(self._encoder(run), part, view, self._config["batch_size"])
            self._kept[key] = made, time.perf_counter() - start
        return self._kept[key]

    def _view(self, run: Run, split: str) -> features.View:
        sensor, bands, resolution = self._config["sensor"], self._config["bands"], 1.0
        if split == "test":
            if run.track == "bands":
                bands = run.level
            elif run.track == "sensor":
                sensor, bands = run.level, ""
            elif run.track == "resolution":
                resolution = float(run.level)
        return features.view(self._splits.source(split), sensor, bands, resolution)

    def _encoder(self, run: Run) -> features.Encoder:
        if run.features not in self._models:
            return self._baselines[run.features]
        poolings = protocol.grid(self._config, run)["variants"]
        size = self._config["size"] or None
        return features.Transformer(self._models[run.features], poolings, size)

    @functools.cached_property
    def _baselines(self) -> dict[str, features.Encoder]:
        seen = self._view(self.runs[0], "train")
        options, seed = dict(self._config["convolutions"]), self._config["seed"]
        return {
            STATISTICS: baselines.Statistics(seen.sensor),
            CONVOLUTIONS: baselines.convolutions(self._splits.train, seen, seed=seed, **options),
        }

    def _metrics(self, truth: np.ndarray, probability: np.ndarray) -> dict[str, list[float]]:
        known = classification.MULTI if self._multi else classification.SINGLE
        wanted = dict.fromkeys((self._select, *(self._config["metrics"] or known)))
        found = classification.scores(
            truth, probability,
            multi=self._multi, wanted=tuple(wanted), seed=self._config["seed"],
        )  # fmt: skip
        return {name: [round(x, 6) for x in score] for name, score in found.items()}

    def _evidence(self, truth: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
        """Returns what pictures and paired differences are made of."""
        drawn = classification.replicates(
            self._select, truth, probability,
            multi=self._multi, draws=REPLICATES, seed=self._config["seed"],
        )  # fmt: skip
        found = {
            "classes": list(self._splits.classes),
            "per_class": [round(x, 4) for x in classification.per_class(truth, probability)],
            "replicates": [round(float(x), 5) for x in drawn],
        }
        if not self._multi:
            found["confusion"] = classification.confusion(truth, probability).tolist()
        return found

    @property
    def _multi(self) -> bool:
        return self._splits.parts["test"].multi

    @property
    def _select(self) -> str:
        """The metric that settings are chosen by."""
        return "micro_ap" if self._multi else "accuracy"

    def _checkpoint(self, run: Run) -> str:
        return self._checkpoints.get(run.features, "")
