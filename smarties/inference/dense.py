"""Frozen features of pixels on class maps, beside their baselines: rows of results, one by one.

A softmax regression is fitted on features at some pixels of the training maps. It is linear, so
that it may look at coarse token maps and be interpolated to pixels afterwards: the scores are
those of interpolated features.
"""

import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from smarties.data import part as parts
from smarties.data import pipeline, subsets
from smarties.errors import UserError
from smarties.inference import baselines, evaluation, features, pixels, probes, protocol, results
from smarties.inference.protocol import CONSTANT, CONVOLUTIONS, PIXELS, Run
from smarties.metrics import segmentation as metrics
from smarties.spectrum.bands import Sensor


@dataclasses.dataclass(frozen=True)
class Picture:
    """A test image beside maps [H, W] of class indices, `part.IGNORE` where none is known.

    Attributes:
      example: as of the source.
      truth: of the pixels that count.
      maps: predictions by the words for their features.
    """

    example: Mapping[str, Any]
    truth: np.ndarray
    maps: Mapping[str, np.ndarray]


class Segmentation(evaluation.Evaluation):
    """As `Evaluation`, of the classes of pixels.

    Pixels without a class and those the sensor does not see are neither learnt from nor judged.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self._splits.classes

    @property
    def sensor(self) -> Sensor:
        """The sensor that is looked at, with all the bands of its images."""
        return self._view(self.runs[0], "train").whole

    def pictures(self, rows: Sequence[results.Row], count: int = 4) -> list[Picture]:
        """Returns test images with most classes, under the model and the best baseline.

        Args:
          rows: of the runs.
          count: images at most. Where there is no model, all baselines are shown.
        """
        amount = self._config["labelled"][-1]
        plain = [row for row in rows if row["labelled"] == amount and not row["track"]]
        best = results.best_baseline(plain, self._select)
        models = [row for row in plain if row["features"] == results.MODEL]
        shown = [*models, best] if models and best else plain
        known = {run.features: run for run in self.runs if run.labelled == amount and not run.track}
        whole = self._splits.parts["test"]
        most = np.argsort(-whole.labels.sum(1, dtype=int), kind="stable")
        few = whole.take(np.sort(most[:count]))
        maps: dict[str, list[np.ndarray]] = {}
        truths: list[np.ndarray] = []
        for row in shown:
            run = known[row["features"]]
            fitted, _ = self._fitted(run)
            pairs = list(self._predicted(run, "test", few, [fitted]))
            truths = [map_ for truth, _ in pairs for map_ in truth]
            maps[results.said(row)] = [map_ for _, found in pairs for map_ in found[0]]
        return [
            Picture(few.source[index], truth, {name: found[i] for name, found in maps.items()})
            for i, (index, truth) in enumerate(zip(few.indices.tolist(), truths, strict=True))
        ]

    def _judged(self, run: Run) -> results.Row:
        fitted, seconds = self._fitted(self._plain(run))
        start = time.perf_counter()
        test, classes = self._splits.parts["test"], self._splits.classes
        found = np.stack([
            metrics.confusion(truth, predicted, len(classes), parts.IGNORE)
            for truths, (maps,) in self._predicted(run, "test", test, [fitted])
            for truth, predicted in zip(truths, maps, strict=True)
        ])  # fmt: skip
        seconds += time.perf_counter() - start
        seen = found[found.sum((1, 2)) > 0]
        if not len(seen):
            raise UserError("no pixel of the split test has a class and data: nothing is judged")
        seed, there = self._config["seed"], metrics.counted(seen)
        scores = metrics.scores(seen, classes, seed, there=True)
        drawn = metrics.replicates(seen, evaluation.REPLICATES, seed)
        each = metrics.iou(seen.sum(0))
        return {
            "metrics": {name: [round(x, 6) for x in score] for name, score in scores.items()},
            "chosen": dict(fitted.chosen),
            "examples": {"train": len(self._splits.regime(run.labelled)), "test": len(seen)},
            "pixels": int(seen.sum()),
            "seconds": round(seconds, 2),
            "classes": list(classes),
            # Of classes that the test lacks there is none.
            "per_class": [
                round(float(x), 4) if known else None for x, known in zip(each, there, strict=True)
            ],
            "replicates": [round(float(x), 5) for x in drawn],
            "confusion": seen.sum(0).tolist(),
        }

    def _fitted(self, run: Run) -> tuple[pixels.Classifier, float]:
        """Returns the classifier of a run, fitted once, and how long that took."""
        if run in self._classifiers:
            return self._classifiers[run]
        start = time.perf_counter()
        train, labels = self._sample(run)
        hot = np.eye(len(self._splits.classes))[labels]
        grid = protocol.grid(self._config, run)
        candidates = [
            pixels.Classifier({"variant": variant, "C": strength}, weights, bias)
            for variant, values in train.items()
            for strength, weights, bias in probes.linear(values, hot, grid)
        ]
        if not candidates:
            raise UserError(f"probe logistic has nothing to choose from: {grid}")
        split = "validation" if self._config["protocol"] == "held_out" else "test"
        reached = self._miou(run, split, candidates)
        best = candidates[int(np.argmax(reached))]
        self._classifiers[run] = best, time.perf_counter() - start
        return self._classifiers[run]

    @functools.cached_property
    def _classifiers(self) -> dict[Run, tuple[pixels.Classifier, float]]:
        return {}

    def _miou(self, run: Run, split: str, candidates: Sequence[pixels.Classifier]) -> np.ndarray:
        """Returns the mean over the classes there of each candidate [K] on a split."""
        count = len(self._splits.classes)
        total = np.zeros((len(candidates), count, count))
        for truth, found in self._predicted(run, split, self._splits.parts[split], candidates):
            for i, maps in enumerate(found):
                total[i] += metrics.confusion(truth, maps, count, parts.IGNORE)
        there = metrics.counted(total)
        if not there.any():
            raise UserError(
                f"no pixel of the split {split} has a class and data: nothing to choose by"
            )
        return metrics.iou(total)[:, there].mean(1)

    def _sample(self, run: Run) -> tuple[features.Features, np.ndarray]:
        """Returns features [n, D] by variant and classes [n] at pixels of a regime's images.

        Of each image as many pixels, or all that count; which ones depends on seed and image only,
        so that all features see the same.
        """
        few = self._splits.train.take(self._splits.regime(run.labelled))
        each = -(-self._config["segmentation"]["pixels"] // len(few))
        encoder, seen = self._encoder(run), self._view(run, "train")
        kept: dict[str, list[np.ndarray]] = {}
        labels, done = [], 0
        for image, valid, truth in self._batches(few, seen):
            places = np.zeros((len(image), each, 2), np.int32)
            counts = np.zeros((len(image), each), bool)
            for i, classes in enumerate(truth):
                rng = np.random.default_rng((self._config["seed"], int(few.indices[done + i])))
                known = np.argwhere(classes != parts.IGNORE)
                chosen = rng.permutation(len(known))[:each]
                places[i, : len(chosen)], counts[i, : len(chosen)] = known[chosen], True
            done += len(truth)
            side = truth.shape[1:]
            for variant, maps in encoder(image, valid, seen).items():
                values = np.asarray(pixels.at(maps, places, side=side))
                kept.setdefault(variant, []).append(values[counts])
            image_of, column = np.nonzero(counts)
            rows = places[image_of, column]
            labels.append(truth[image_of, rows[:, 0], rows[:, 1]])
        found = np.concatenate(labels)
        if not len(found):
            raise UserError("no pixel of the split train has a class and data: nothing is learnt")
        return {name: np.concatenate(values) for name, values in kept.items()}, found

    def _predicted(
        self, run: Run, split: str, some: subsets.Part, candidates: Sequence[pixels.Classifier]
    ) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Yields (truth [n, H, W], predicted [n, H, W] by candidate) of batches of a part."""
        encoder, seen = self._encoder(run), self._view(run, split)
        for image, valid, truth in self._batches(some, seen):
            found = encoder(image, valid, seen)
            maps = [one(found, truth.shape[1:])[: len(truth)] for one in candidates]
            yield truth, maps

    def _batches(
        self, some: subsets.Part, seen: features.View
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields images and valid pixels of full batches, and the truth [n, H, W] of those real."""
        key, name = self._config["data"]["labels"], seen.whole.name
        size = self._config["batch_size"]
        for batch, count in pipeline.sequential(some.source, some.indices.tolist(), size):
            image, valid = batch["images"][name], batch["valid"][name]
            if image.dtype.kind == "f":
                valid = valid & np.isfinite(image).all(-1)
            truth = self._splits.table[batch[key][:count]]
            rows, columns = (
                ((np.arange(n) + 0.5) * m / n).astype(int)
                for n, m in zip(truth.shape[1:], valid.shape[1:], strict=True)
            )
            counts = valid[:count][:, rows][:, :, columns]
            yield image, valid, np.where(counts, truth, parts.IGNORE)

    def _encoder(self, run: Run) -> features.Encoder:
        if run.features not in self._models:
            return self._baselines[run.features]
        size = self._config["size"] or None
        return features.Transformer(self._models[run.features], protocol.TOKENS, size)

    @functools.cached_property
    def _baselines(self) -> dict[str, features.Encoder]:
        seen = self._view(self.runs[0], "train")
        options, seed = dict(self._config["convolutions"]), self._config["seed"]
        made = baselines.convolutions(self._splits.train, seen, seed=seed, **options)
        window = self._config["segmentation"]["window"]
        return {
            PIXELS: pixels.Bands(seen.sensor, window),
            CONVOLUTIONS: pixels.Filters(made, window),
            CONSTANT: pixels.nothing,
        }

    @property
    def _select(self) -> str:
        return "miou"
