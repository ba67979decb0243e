"""`smarties sensors`: the registry, one sensor in full, and the coverage chart."""

import argparse
import json
from collections.abc import Iterator, Sequence

from smarties.errors import UserError, unknown
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Band, Sensor, Spectrum

_COLUMNS = ("name", "bands", "covers", "gsd", "title")


def main(argv: list[str]) -> None:
    """Prints the registered sensors, or one of them, or writes the coverage chart.

    Raises:
      UserError: unknown sensor, rule or spectrum, an impossible sensor file, or no place to write.
    """
    args = _parser().parse_args(argv)
    spectrum = registry.spectrum(args.spectrum)
    if args.rule not in mixing.RULES:
        raise unknown("mixing rule", args.rule, mixing.RULES)
    listed = [registry.sensor(args.sensor)] if args.sensor else list(registry.sensors().values())
    if args.chart:
        from smarties.figures import coverage  # only the chart needs Matplotlib

        print(f"wrote {coverage.chart(spectrum, listed, args.chart)}")
    elif args.json:
        entries = [_entry(sensor, spectrum, args.rule) for sensor in listed]
        print(json.dumps(entries[0] if args.sensor else entries, indent=2))
    elif args.sensor:
        print("\n".join(_description(listed[0], spectrum, args.rule)))
    else:
        print("\n".join(_table([_COLUMNS, *map(_summary, listed)])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties sensors",
        description="List the registered sensors, print one, or draw what they cover.",
        allow_abbrev=False,
    )
    parser.add_argument("sensor", nargs="?", help="a registered name, or a YAML file of your own")
    parser.add_argument("--rule", default="linear", help="mixing rule: " + ", ".join(mixing.RULES))
    parser.add_argument("--spectrum", default="smarties-v1", help="the ranges to mix bands of")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--chart", metavar="OUT.png", help="write the coverage chart")
    return parser


def _summary(sensor: Sensor) -> tuple[str, ...]:
    gsds = sorted({band.gsd for band in sensor.bands})
    gsd = f"{gsds[0]:g}" if len(gsds) == 1 else f"{gsds[0]:g}-{gsds[-1]:g}"
    return sensor.name, str(len(sensor.bands)), _covers(sensor), f"{gsd} m", sensor.title


def _covers(sensor: Sensor) -> str:
    """Returns what the bands span, from half maximum to half maximum: nm, GHz, or both."""
    spans = []
    edges = [
        (b.center - b.fwhm / 2, b.center + b.fwhm / 2) for b in sensor.bands if b.center and b.fwhm
    ]
    if edges:
        low, high = min(edge[0] for edge in edges), max(edge[1] for edge in edges)
        spans.append(f"{low:.0f}-{high:.0f} nm")
    frequencies = sorted({band.frequency for band in sensor.bands if band.frequency})
    spans += [f"{frequency:g} GHz" for frequency in frequencies]
    return ", ".join(spans)


def _words(sensor: Sensor, band: Band, spectrum: Spectrum, rule: mixing.Rule) -> str:
    try:
        return mixing.words(spectrum, mixing.mixing(spectrum, sensor.select([band.name]), rule)[0])
    except UserError:
        return f"none: no {band.domain} range"


def _place(band: Band) -> str:
    if band.frequency is not None:
        return f"{band.frequency:g} GHz {band.polarization}"
    return f"{band.center:g} / {band.fwhm:g} nm"


def _description(sensor: Sensor, spectrum: Spectrum, rule: mixing.Rule) -> Iterator[str]:
    yield f"{sensor.name}: {sensor.title}"
    yield f"source: {sensor.source}"
    yield ""
    header = (
        *("band", "common name", "center / fwhm", "gsd", "stored as", "physical value"),
        *("nodata", "clip (stored)", "mean", "std", f"made of ({rule})"),
    )
    rows = [
        (
            band.name + ("" if band.selected else " *"),
            band.common_name,
            _place(band),
            f"{band.gsd:g} m",
            band.dtype,
            _physical(band),
            "" if band.nodata is None else f"{band.nodata:g}",
            f"{band.clip[0]:.4g} to {band.clip[1]:.5g}",
            f"{band.mean:.4f}",
            f"{band.std:.4f}",
            _words(sensor, band, spectrum, rule),
        )
        for band in sensor.bands
    ]
    yield from _table([header, *rows])
    yield ""
    if any(not band.selected for band in sensor.bands):
        yield "* in the file, not given to models by default"
    yield "clip, mean and std (of the clipped values, scaled to 0..1):"
    for statistics in dict.fromkeys(band.statistics for band in sensor.bands):
        names = [band.name for band in sensor.bands if band.statistics == statistics]
        which = ", ".join(names) if len(names) <= 8 else f"{names[0]} .. {names[-1]} ({len(names)})"
        yield f"  {which}: {statistics or 'not said'}"


def _physical(band: Band) -> str:
    if band.scale == 1 and band.offset == 0:
        return band.unit
    offset = f" {'+' if band.offset > 0 else '-'} {abs(band.offset):g}" if band.offset else ""
    return f"{band.unit} = {band.scale:g} x{offset}"


def _entry(sensor: Sensor, spectrum: Spectrum, rule: mixing.Rule) -> dict:
    entry = registry.sensor_to_dict(sensor)
    for fields, band in zip(entry["bands"], sensor.bands, strict=True):
        fields["mixing"] = _words(sensor, band, spectrum, rule)
    return entry


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
