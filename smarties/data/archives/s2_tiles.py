"""Sentinel-2 level 1C as Amazon's bucket `sentinel-s2-l1c` lays it out: one folder per tile."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from smarties import errors
from smarties.data import times
from smarties.data.archives import archive, safe, tiling
from smarties.spectrum import registry

_PLACE = re.compile(r"(?:.*/)?(\d+/[A-Z]/[A-Z]{2}/(\d{4})/(\d+)/(\d+)/\d+)/")


class S2Tiles(safe.Sentinel2):
    """Tiles "zone/band/square/year/month/day/number", cut into tiles of 10 m pixels."""

    CARD = archive.Card(
        title="Sentinel-2 level 1C on AWS",
        task="none",
        units="sentinel2-l1c: reflectance x 10000, uint16, 0 where nothing was measured. What "
        "baselines from 04.00 on add, 1000, is taken off",
        citation=safe.Safe.CARD.citation,
        licence=safe.Safe.CARD.licence,
        size="some 600 MB a tile",
        url="https://registry.opendata.aws/sentinel-2",
        layout="""tiles/19/U/DP/2017/7/29/0/B01.jp2 ... B12.jp2, B8A.jp2, and
  tileInfo.json with productName, which tells the baseline
  preview/B01.jp2 ...  the same at 160 m""",
        tested="real files",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        tile: int = 240,
        baseline: float | None = None,
        resampling: str = "nearest",
        preview: bool = False,
    ):
        """Lists the tiles and looks at their headers.

        Args:
          root: a folder with tiles at any depth.
          tile: side in pixels of the finest band.
          baseline: of tiles without tileInfo.json, see `baseline.settle`.
          resampling: of bands of 20 and 60 m, one of `geotiff.RESAMPLING`.
          preview: read the previews in place of the bands.

        Raises:
          UserError: an unknown resampling, or no tile.
        """
        omitted: list[archive.Omission] = []
        super().__init__(
            root,
            {"all": list(_scenes(Path(root), preview, baseline, omitted))},
            sensors=["sentinel2-l1c"],
            tile=tile,
            resampling=resampling,
            omitted=omitted,
            options={
                "tile": tile, "baseline": baseline, "resampling": resampling, "preview": preview,
            },
        )  # fmt: skip


def _scenes(
    root: Path, preview: bool, otherwise: float | None, omitted: list[archive.Omission]
) -> Iterator[tiling.Scene]:
    names = registry.sensor("sentinel2-l1c").names
    found: dict[str, set[str]] = {}
    for file in root.glob("**/preview/B*.jp2" if preview else "**/B*.jp2"):
        if (file.parent.name == "preview") == preview:
            found.setdefault(file.parent.relative_to(root).as_posix(), set()).add(file.stem)
    for place, present in sorted(found.items()):
        hit = _PLACE.fullmatch(f"{(root / place).as_posix()}/".replace("/preview/", "/"))
        if lacking := [name for name in names if name not in present]:
            reason = f"no file of band {', '.join(lacking)}"
        elif not hit:
            reason = "must lie in zone/band/square/year/month/day/number"
        else:
            try:
                info = _info((root / place.removesuffix("preview")) / "tileInfo.json")
                product = str(info.get("productName", ""))
                known = safe.offset_baseline(product, {}, otherwise)
                date = f"{hit[2]}-{int(hit[3]):02d}-{int(hit[4]):02d}"
                time = times.seconds(info.get("timestamp") or date, place)
            except errors.UserError as error:
                reason = str(error)
            else:
                files = tuple(str(root / place / f"{name}.jp2") for name in names)
                yield tiling.Scene(hit[1], (files,), time, extra=known)
                continue
        omitted.append(archive.Omission(file=place, reason=reason))


def _info(file: Path) -> dict:
    if not file.exists():
        return {}
    try:
        info = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise errors.Unreadable(f"{file}: truncated or no JSON: get it again") from error
    if not isinstance(info, dict):
        raise errors.Unreadable(f"{file}: must be a mapping with productName")
    return info
