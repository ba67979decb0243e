"""Features of queries by one sensor and of an archive by another, and what is nearest of them."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import subsets
from smarties.inference import baselines, features, model, query_sets
from smarties.inference import retrieval_protocol as settings
from smarties.inference.index import search
from smarties.inference.protocol import CONVOLUTIONS, STATISTICS
from smarties.metrics import neighbours


class TwoSensors:
    """Encodes the sets of a configuration, each of their images once."""

    def __init__(
        self, config: Mapping[str, Any], sets: query_sets.Sets, models: Mapping[str, model.Model]
    ):
        """Keeps what is given; `models` are by the names of features.

        Raises:
          UserError: a source without a sensor of the configuration, or a sensor without its bands.
        """
        self._config, self._sets = config, sets
        size, poolings = config["size"] or None, tuple(config["poolings"])
        self._models = {n: features.Transformer(m, poolings, size) for n, m in models.items()}
        self._kept: dict[Any, features.Features] = {}
        for way in settings.ways(config):
            for name, sensor in zip(query_sets.SETS, way, strict=True):
                self._view(name, sensor)

    def common(self, query: str, archive: str) -> tuple[str, ...]:
        """Returns the bands of the archive's sensor that the query's has the like of."""
        asked, there = self._view("query", query).sensor, self._view("archive", archive).sensor
        like = baselines.matched(there, asked).sum(1) > 0
        return tuple(name for name, has in zip(there.names, like, strict=True) if has)

    def __call__(self, run: settings.Run) -> tuple[np.ndarray, np.ndarray]:
        """Returns features [Q, D] and [A, D] of a run.

        Raises:
          UserError: an image whose features are not finite.
        """
        encoder = self._models.get(run.features) or self._baseline(
            run.features, run.archive, self.common(run.query, run.archive)
        )
        queries = self._features(run, encoder, "query", run.query)
        archive = self._features(run, encoder, "archive", run.archive)
        if self._config["centred"] or run.features not in self._models:
            return neighbours.centred(queries), neighbours.centred(archive)
        return queries, archive

    def _features(
        self, run: settings.Run, encoder: features.Encoder, name: query_sets.Name, sensor: str
    ) -> np.ndarray:
        part: subsets.Part = getattr(self._sets, name)
        key = encoder, "query" if part is self._sets.query else name, sensor
        if key not in self._kept:
            seen, batch = self._view(name, sensor), self._config["batch_size"]
            self._kept[key] = features.extract(encoder, part, seen, batch)
        made = self._kept[key]
        values = made[run.pooling] if run.pooling else next(iter(made.values()))
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            raise errors.UserError(
                f"{run.features} of {sensor} are not finite for example "
                f"{self._sets.ids(name)[bad[0]]}: leave it out, or check its pixels and the weights"
            )
        return values

    def _view(self, name: query_sets.Name, sensor: str) -> features.View:
        bands = settings.bands(self._config, sensor)
        return features.view(self._sets.sources[name], sensor, bands)

    @functools.cache  # noqa: B019  one evaluation lives as long as the process
    def _baseline(self, name: str, sensor: str, bands: tuple[str, ...]) -> features.Encoder:
        seen = features.View(self._view("archive", sensor).whole, bands)
        if name == STATISTICS:
            return baselines.Statistics(seen.sensor)
        assert name == CONVOLUTIONS
        options, seed = dict(self._config["convolutions"]), self._config["seed"]
        return baselines.convolutions(self._sets.archive, seen, seed=seed, **options)


def ranked(queries: np.ndarray, archive: np.ndarray, depth: int, own: np.ndarray) -> np.ndarray:
    """Returns the rows [Q, depth] of an archive nearest by cosine, best first.

    Args:
      queries, archive: [Q, D] and [A, D].
      depth: at most A, or A - 1 where some are left out.
      own: the row [Q] that a query may not find; -1 for none.
    """
    rows = search.top_k(queries, archive, min(len(archive), depth + 1))[1]
    last = np.argsort(rows == own[:, None], axis=1, kind="stable")
    return np.take_along_axis(rows, last, 1)[:, :depth]
