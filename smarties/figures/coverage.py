"""The coverage chart: which wavelengths the ranges of a spectrum and the bands of sensors cover."""

import colorsys
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from smarties.errors import UserError
from smarties.spectrum.bands import THERMAL_FROM_NM, Band, Range, Sensor, Spectrum

_INK, _SOFT, _RULE = "#1f2933", "#6b7785", "#e3e8ee"
_SPAN_NM = (385, 13800)
_TICKS_NM = (400, 500, 600, 700, 800, 1000, 1300, 1600, 2000, 2500, 11000)
_CHARACTER = 0.03  # width of a character of a label, in units of log wavelength
_HUES = ((400, 0.76), (440, 0.66), (490, 0.55), (530, 0.38), (580, 0.16), (620, 0.06), (680, 0.0))
_RADAR = {"VV": "#3d5a80", "HH": "#5b7fa6", "VH": "#98a9c4", "HV": "#b9c4d6"}


def chart(spectrum: Spectrum, sensors: Sequence[Sensor], path: str | Path) -> Path:
    """Returns `path`, where the chart was written as PNG (or whatever its suffix says).

    Ranges of `spectrum` stand on top, one row for every sensor below, over wavelength in nm on a
    log axis; radar has its own panel, over frequency in GHz. Bars run over the full width at half
    maximum; hollow ones are bands that models leave out by default.

    Raises:
      UserError: the file cannot be written, or its suffix is none matplotlib knows.
    """
    path = Path(path)
    lanes = _lanes([r for r in spectrum.ranges if r.domain != "microwave"])
    height = 1.5 + 0.21 * len(lanes) + 0.34 * len(sensors)
    figure = Figure(figsize=(13.5, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1, 0.17), height_ratios=(0.21 * len(lanes), 0.34 * len(sensors)),
        left=0.15, right=0.985, bottom=0.55 / height, top=1 - 0.75 / height,
        wspace=0.03, hspace=0.04,
    )  # fmt: skip
    ranges, bands = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    radar_ranges, radar = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    _draw_ranges(ranges, lanes, spectrum.name)
    _draw_radar_ranges(radar_ranges, [r for r in spectrum.ranges if r.domain == "microwave"])
    for row, sensor in enumerate(sensors):
        widest_first = sorted(sensor.bands, key=lambda b: -(b.fwhm or 0))
        for band in widest_first:
            _draw_band(radar if band.domain == "microwave" else bands, row, band, len(sensor.bands))
    _dress_bands(bands, sensors)
    _dress_radar(radar, len(sensors))
    _reach_all(spectrum, sensors, (ranges, bands), (radar_ranges, radar))
    who = sensors[0].name if len(sensors) == 1 else f"{len(sensors)} sensors"
    title = f"Bands of {who} and the ranges of {spectrum.name}"
    figure.text(0.15, 1 - 0.32 / height, title, fontsize=14, weight="bold", color=_INK)
    figure.text(0.15, 1 - 0.54 / height, "bars: full width at half maximum; hollow: read from the "
                "file, not given to models by default", fontsize=9, color=_SOFT)  # fmt: skip
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be written: {error}".replace("\n", " ")) from error
    return path


def colour(nanometres: float) -> tuple[float, float, float]:
    """Returns an RGB colour that reads as the wavelength: hues in the visible, browns beyond it."""
    if nanometres >= THERMAL_FROM_NM:
        return (0.60, 0.11, 0.19)
    if nanometres > 700:
        depth = min((nanometres - 700) / 1700, 1.0)
        return colorsys.hsv_to_rgb(0.02 + 0.06 * depth, 0.72 - 0.30 * depth, 0.62 - 0.16 * depth)
    low = max((h for h in _HUES if h[0] <= nanometres), default=_HUES[0])
    high = min((h for h in _HUES if h[0] > nanometres), default=_HUES[-1])
    part = (nanometres - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
    return colorsys.hsv_to_rgb(low[1] + part * (high[1] - low[1]), 0.70, 0.84)


def _lanes(ranges: Sequence[Range]) -> list[list[Range]]:
    """Returns the ranges in rows such that no two of a row, labels included, overlap."""
    lanes: list[list[Range]] = []
    for item in sorted(ranges, key=lambda r: r.interval):
        for lane in lanes:
            if item.interval[0] > lane[-1].interval[1] * math.exp(_CHARACTER * len(lane[-1].name)):
                lane.append(item)
                break
        else:
            lanes.append([item])
    return lanes


def _draw_ranges(axes: Axes, lanes: Sequence[Sequence[Range]], name: str) -> None:
    for row, lane in enumerate(lanes):
        for item in lane:
            low, high = item.interval
            axes.barh(row, high - low, left=low, height=0.72, color=colour(item.center))
            axes.text(high * 1.008, row, item.name, va="center", fontsize=7.5, color=_INK)
    _wavelengths(axes)
    middle = math.sqrt(THERMAL_FROM_NM * axes.get_xlim()[1])
    axes.text(middle, len(lanes) - 1, "thermal infrared", ha="center", fontsize=8, color=_SOFT)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_yticks([(len(lanes) - 1) / 2], [name], fontsize=10, weight="bold", color=_INK)
    axes.tick_params(labelbottom=False, length=0)


def _draw_radar_ranges(axes: Axes, ranges: Sequence[Range]) -> None:
    for row, item in enumerate(ranges):
        assert item.frequency is not None
        shade = _RADAR.get(item.polarization or "", _SOFT)
        axes.plot(item.frequency, row, "s", color=shade, markersize=7)
        at = item.frequency * 1.15
        axes.text(at, row, item.name, va="center", fontsize=7.5, color=_INK)
    _frequencies(axes)
    axes.set_ylim(max(len(ranges), 3) - 0.4, -0.6)
    axes.tick_params(labelbottom=False)


def _draw_band(axes: Axes, row: int, band: Band, count: int) -> None:
    if band.frequency is not None:
        co_polarised = band.polarization in ("VV", "HH")
        shade = _RADAR[band.polarization or "VV"]
        at = row - 0.17 if co_polarised else row + 0.17
        axes.plot(band.frequency, at, "s", color=shade, markersize=6)
        axes.text(
            band.frequency * 1.15, at, band.polarization or "", va="center", fontsize=7, color=_INK
        )
        return
    assert band.center is not None and band.fwhm is not None
    shade = colour(band.center)
    edge = ("white" if count < 50 else "none") if band.selected else shade  # none in spectrometers
    axes.barh(
        row, band.fwhm, left=band.center - band.fwhm / 2, height=0.62, linewidth=0.8,
        edgecolor=edge, facecolor=shade if band.selected else "none",
    )  # fmt: skip


def _reach_all(spectrum: Spectrum, sensors: Sequence[Sensor], optical, radar) -> None:
    """Widens the axes where a sensor lies beyond them; ticks stand at the frequencies in use."""
    bands = [band for sensor in sensors for band in sensor.bands]
    edges = [b.center + sign * b.fwhm / 2 for b in bands if b.center and b.fwhm for sign in (-1, 1)]
    for axes in optical:
        axes.set_xlim(min([_SPAN_NM[0], *(0.97 * e for e in edges)]),
                      max([_SPAN_NM[1], *(1.03 * e for e in edges)]))  # fmt: skip
    used = sorted({x.frequency for x in (*spectrum.ranges, *bands) if x.frequency})
    for axes in radar:
        low, high = min([5.4, *used]), max([5.4, *used])
        axes.set_xlim(low / 1.6, 2.6 * high * high / low)  # room for the labels, right
        axes.xaxis.set_major_locator(FixedLocator(used))


def _wavelengths(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_TICKS_NM))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.axvspan(THERMAL_FROM_NM, 1e6, color="#fbf4f2", zorder=0)
    axes.set_xlim(*_SPAN_NM)
    _plain(axes)


def _frequencies(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_facecolor("#f4f7fb")
    axes.set_yticks([])
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_RULE, linewidth=0.7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8.5, colors=_SOFT)


def _dress_bands(axes: Axes, sensors: Sequence[Sensor]) -> None:
    _wavelengths(axes)
    axes.set_ylim(len(sensors) - 0.4, -0.6)
    names = [f"{s.name}  ({len(s.bands)})" for s in sensors]
    axes.set_yticks(range(len(sensors)), names, fontsize=9, color=_INK)
    for row in range(0, len(sensors), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f7f9fb", zorder=-1)
    axes.set_xlabel("wavelength, nm (log)", fontsize=9, color=_SOFT)


def _dress_radar(axes: Axes, rows: int) -> None:
    _frequencies(axes)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlabel("radar, GHz", fontsize=9, color=_SOFT)
