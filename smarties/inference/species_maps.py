"""Maps of suitability and of Shapley values over rasters of predictors, in constant memory."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from smarties.errors import UserError
from smarties.inference import (
    jobs,
    predictor_rasters,
    rasters,
    shapley,
    species_games,
    store,
    windows,
)

SIDE = 128  # pixels of a window, before coalitions make it smaller
MEMORY = 200_000_000  # bytes of suitabilities of one window under all coalitions
Progress = Callable[[int, int], None]  # windows done, of how many


def write(
    model: species_games.Model,
    grid: predictor_rasters.Grid,
    which: np.ndarray,
    suitability: Path | None,
    explained: Sequence[Path] = (),
    *,
    players: species_games.Players,
    rows: int = species_games.ROWS,
    progress: Progress = lambda done, total: None,
) -> None:
    """Writes COGs, float32 with NaN where no predictor is known, on the grid of the predictors.

    Args:
      which: [s], numbers of species.
      suitability: a band for each of them, 0..1, as far as the players' predictors tell.
      explained: a file for each of them with a band for each player: its Shapley value there. They
        sum to the suitability less that of nothing known, which is the tag EMPTY.
      players: who explains, then at most `shapley.MOST`; other predictors are hidden.
      rows: predictions at once.

    Raises:
      UserError: what `predictor_rasters` raises; nothing is known anywhere; no room.
    """
    names = [str(model.species[i]) for i in which]
    if explained and (len(explained) != len(which) or len(players.names) > shapley.MOST):
        raise UserError(
            f"maps of {len(players.names)} players for {len(which)} species in {len(explained)} "
            f"files: at most {shapley.MOST} players, and a file each"
        )
    count = len(players.names)
    keep = players.keep(shapley.coalitions(count) if explained else np.ones((1, count), bool))
    target = suitability or explained[0]
    share = MEMORY // (8 * len(keep) * max(len(which), 1))
    side = max(1, min(SIDE, int(share**0.5)))
    plan = windows.Plan(shape=grid.shape, side=side)
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".map.") as part:
            folder = Path(part)
            stores = _stores(folder, grid.shape, len(which), players if explained else None)
            empty = _fill(model, grid, plan, which, keep, stores, rows, progress)
            if suitability:
                _cog(folder / "done", stores[0], grid, names, "suitability", {})
                jobs.rename(folder / "done", suitability)
            for k, path in enumerate(explained):
                tags = {"SPECIES": names[k], "EMPTY": f"{empty[k]:.8g}"}
                _cog(folder / "done", stores[1 + k], grid, players.names, "Shapley value", tags)
                jobs.rename(folder / "done", path)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror or error})") from error


def _stores(
    folder: Path, shape: tuple[int, int], count: int, players: species_games.Players | None
) -> list[store.Store]:
    """Returns the store of suitability, then one of the Shapley values of each species."""
    bands = [count, *([len(players.names)] * count if players else [])]
    stores = [
        store.Store(folder / f"{i}", (*shape, n), np.dtype(np.float32)) for i, n in enumerate(bands)
    ]
    for one in stores:
        one.create()
    return stores


def _fill(
    model: species_games.Model,
    grid: predictor_rasters.Grid,
    plan: windows.Plan,
    which: np.ndarray,
    keep: np.ndarray,
    stores: Sequence[store.Store],
    rows: int,
    progress: Progress,
) -> np.ndarray:
    """Returns the suitability [s] of nothing known, once all windows are stored."""
    weights = shapley.weights(len(keep).bit_length() - 1) if len(keep) > 1 else None
    seen, empty = False, np.full(len(which), np.nan)
    height, wide = plan.window
    with grid.opened() as reader:
        for done, window in enumerate(plan.windows()):
            values = reader.read(window.row, window.column, height, wide)
            known = (np.isfinite(values) & keep[-1]).any(-1)
            blocks = [np.full((height, wide, one.shape[2]), np.nan, np.float32) for one in stores]
            if known.any():
                worth = species_games.suitability(model, values[known], keep, which, rows)
                blocks[0][known] = worth[-1]
                if weights is not None:
                    empty = worth[0, 0]  # the same everywhere
                    each = np.tensordot(weights, worth.astype(np.float64), 1)  # [d, n, s]
                    for k, block in enumerate(blocks[1:]):
                        block[known] = each[..., k].T
                seen = True
            for one, block in zip(stores, blocks, strict=True):
                one.write(window.row, window.column, block)
            progress(done + 1, len(plan))
    if not seen:
        raise UserError(f"{grid.files[0]}: no predictor is known at any pixel")
    return empty


def _cog(
    path: Path,
    values: store.Store,
    grid: predictor_rasters.Grid,
    names: Sequence[str],
    what: str,
    tags: dict[str, str],
) -> None:
    said = rasters.Description(
        crs=grid.crs, transform=grid.transform, nodata=np.nan, names=names, block=512,
        tags={"CONTENT": what, "BANDS": json.dumps(list(names)), **tags},
    )  # fmt: skip
    rasters.write(path, values, said)
