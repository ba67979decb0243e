"""BigEarthNet v2.0 converted by rico-hdl: one LMDB of safetensors instead of millions of files."""

import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import geotiff
from smarties.data.archives import bigearthnet_patches, bigearthnet_v2
from smarties.data.archives.bigearthnet_v2 import MAP, S1
from smarties.spectrum import bands

_MAP_KEY, _MAP_BAND = "_reference_map", "Data"
_ENVIRONMENTS: dict[str, tuple[int, Any]] = {}  # by file: (process, environment)
_LOCK = threading.Lock()


class BigEarthNetLMDB(bigearthnet_v2.BigEarthNetV2):
    """The examples of `BigEarthNetV2` from the LMDB that rico-hdl writes of it.

    Keys are names of patches (S2: `patch_id`, S1: `s1_name`, maps: `patch_id` and _reference_map),
    values the bands at their own resolution, 20x20 pixels for B01 and B09. There is no georeference
    inside: CRS, ground and location follow from the patch's place in its tile, as its name says.
    The tables of metadata lie beside the LMDB's file, or in the folder given as `metadata`.
    """

    CARD = dataclasses.replace(
        bigearthnet_v2.BigEarthNetV2.CARD,
        layout="data.mdb (keys: patch names; values: safetensors of the bands)\n"
        "metadata.parquet, here or in the folder given as metadata\n"
        "metadata_for_patches_with_snow_cloud_or_shadow.parquet (if asked for)",
        tested="files written in its layout from real patches",
    )

    def listed(self, kind: str) -> set[str]:
        """Returns the names of all images of a kind, see `BigEarthNetV2`; opens the LMDB.

        Raises:
          UserError: no LMDB, or one with pickled values, which are never read.
        """
        found = set()
        with _begin(self.root) as transaction, transaction.cursor() as cursor:
            if cursor.first():
                _check(bytes(cursor.value()[:16]), f"{self.root}: {bytes(cursor.key())!r}")
                for key in cursor.iternext(values=False):
                    name = bytes(key).decode(errors="replace")
                    which = MAP if name.endswith(_MAP_KEY) else name[:2]
                    if which == {bigearthnet_v2.S2: "S2", S1: "S1", MAP: MAP}[kind]:
                        found.add(name.removesuffix(_MAP_KEY))
        return found

    def bands(
        self, kind: str, name: str, sensor: bands.Sensor
    ) -> Iterator[tuple[str, geotiff.Raster]]:
        """Yields (where, image) of each band of an image.

        Raises:
          Unreadable: a missing key or band, or no safetensors.
        """
        key = name + _MAP_KEY if kind == MAP else name
        where = f"{self.root}: {key}"
        tensors = self._load(key, where)
        crs, (_, _, x, _, _, y) = bigearthnet_patches.parse(name).grid
        for band in sensor.bands:
            part = _MAP_BAND if kind == MAP else band.name
            if part not in tensors:
                raise errors.Unreadable(
                    f"{where}: no band {part}, only {', '.join(sorted(tensors))}"
                )
            pixels = tensors[part]
            if pixels.ndim != 2:
                raise errors.Unreadable(f"{where}: band {part} is no image: {pixels.shape}")
            valid = np.isfinite(pixels)
            if band.nodata is not None:
                valid &= pixels != band.nodata
            pixels = np.where(valid, pixels, pixels.dtype.type(0))[..., None]
            transform = (band.gsd, 0.0, x, 0.0, -band.gsd, y)
            yield f"{where}, band {part}", geotiff.Raster(pixels, valid, crs, transform)

    def _load(self, key: str, where: str) -> dict[str, np.ndarray]:
        import safetensors
        from safetensors import numpy as tensors

        with _begin(self.root) as transaction:
            value = transaction.get(key.encode())
        if value is None:
            raise errors.Unreadable(f"{where}: missing from the LMDB")
        _check(value[:16], where)
        try:
            return tensors.load(value)
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            raise errors.Unreadable(f"{where}: truncated or no safetensors ({error})") from error


def _begin(root: Path) -> Any:
    """Returns a transaction that only reads.

    The environment is this process's own and shared by its sources: LMDB forbids to open a file
    twice in a process, or to use it after a fork. Sources keep none, so they can be pickled.
    """
    file, process = str(root.resolve()), os.getpid()
    with _LOCK:
        owner, environment = _ENVIRONMENTS.get(file, (process, None))
        if environment and owner != process:
            environment.close()  # inherited: the parent's stays open
        if not environment or owner != process:
            environment = _open(file)
            _ENVIRONMENTS[file] = process, environment
    return environment.begin()


def _open(root: str) -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise errors.UserError("reading LMDB needs lmdb: pip install 'smarties[data]'") from error
    if not os.path.exists(root):
        raise errors.UserError(f"no such LMDB: {root}")
    folder = os.path.isdir(root)
    try:
        return lmdb.open(root, subdir=folder, readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise errors.UserError(f"{root}: truncated or no LMDB ({error})") from error


def _check(head: bytes, where: str) -> None:
    """Raises `UserError` for values that are pickles: loading one runs whatever it says."""
    if head[:1] == b"\x80" and head[8:9] != b"{":  # safetensors: eight bytes, then JSON
        raise errors.UserError(
            f"{where}: holds pickled objects, as the LMDBs of BigEarthNet v1 by "
            "bigearthnet_encoder do; they are not read, since unpickling runs what a file says: "
            "convert the images with rico-hdl, or read the TIFF files"
        )
