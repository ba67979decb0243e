"""The model card: what a person must know before using the weights."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import yaml

from smarties.interchange import sizes as told
from smarties.spectrum import registry
from smarties.spectrum.bands import Band, Sensor
from smarties.typing import Tree

_UNSAID = "not said by who exported it"


def text(params: Tree, config: Mapping[str, Any]) -> str:
    """Returns Markdown with the front matter of the hub: sizes, bands, classes, data, licence."""
    return "\n".join(_lines(params, config)) + "\n"


def _lines(params: Tree, config: Mapping[str, Any]) -> Iterator[str]:
    licence = config.get("licence")
    front = {
        "license": (licence or "other").lower(),
        "library_name": "smarties",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["remote-sensing", "earth-observation", "jax", "multispectral"],
    }
    sensors = {
        name: registry.sensor_from_dict(entry, where=name)
        for name, entry in config["sensors"].items()
    }
    yield from ("---", yaml.safe_dump(front, sort_keys=False).rstrip(), "---", "")
    yield from (f"# {config['name']}", "")
    yield "An encoder of remote-sensing images of any sensor, read by the package `smarties`:"
    name = next(iter(sensors), "sentinel2-l2a")
    yield from ("", "```python", "import smarties")
    yield 'model = smarties.load("FOLDER")  # this folder; or "hf:OWNER/NAME", download=True'
    yield f'z = model.embed(images, sensor="{name}")  # [B, H, W, C] stored numbers -> [B, D]'
    yield from ("```", "", "## Model", "", *_model(params, config), "", "## Sensors", "")
    yield from _sensors(sensors)
    if config.get("classes"):
        yield from ("## Classes", "", "In the order of the head's outputs:", "")
        yield from (f"{i}. {label}" for i, label in enumerate(config["classes"]))
        yield ""
    yield from ("## Training data", "")
    yield f"Identity (sources, sensors, seed): {_code(config.get('data'))}"
    yield from ("", "## Licence", "", licence or _UNSAID)


def _model(params: Tree, config: Mapping[str, Any]) -> Iterator[str]:
    sizes, count = config["model"], sum(x.size for x in jax.tree.leaves(params))
    for half in ("encoder", "decoder"):
        if half in sizes:
            one = sizes[half]
            yield f"* {half}: width {one['width']}, {told.depth(one)}, heads {one['heads']}"
    yield f"* images of {sizes['image_size']} pixels in training, patches of {sizes['patch']}"
    yield f"* spectrum `{config['spectrum']}`, mixing rule `{config['rule']}`"
    average = "moving average of the parameters" if config.get("average") else "parameters"
    step = "" if config["step"] is None else f", after step {config['step']}"
    yield f"* {average}{step}: {count:,} numbers, float32, in the names of the SMARTIES release"


def _sensors(sensors: Mapping[str, Sensor]) -> Iterator[str]:
    if not sensors:
        yield from ("The weights do not say which sensors they were trained on.", "")
    else:
        yield "Bands are in the order of the sensor's files; the model gets those marked +. A"
        yield "stored number x becomes (clip((x - low) / (high - low), 0, 1) - mean) / std."
        yield ""
    for name, sensor in sensors.items():
        yield from (f"### {name}", "")
        if sensor.title:
            yield from (sensor.title, "")
        yield "| | band | place | unit | low | high | mean | std |"
        yield "|---|---|---|---|---|---|---|---|"
        yield from map(_row, sensor.bands)
        said = dict.fromkeys(band.statistics for band in sensor.bands if band.statistics)
        yield from ("", f"Statistics: {'; '.join(said) or _UNSAID}", "")


def _row(band: Band) -> str:
    where = (
        f"{band.frequency:g} GHz {band.polarization}"
        if band.frequency is not None
        else f"{band.center:g} nm, {band.fwhm:g} nm wide"
        if band.fwhm is not None
        else f"{band.center:g} nm"
    )
    unit = band.unit
    if (band.scale, band.offset) != (1, 0):
        unit = f"{unit} = {band.scale:g} x" + (f" {band.offset:+g}" if band.offset else "")
    low, high = band.clip
    numbers = " | ".join(f"{value:.6g}" for value in (low, high, band.mean, band.std))
    return f"| {'+' if band.selected else ''} | {band.name} | {where} | {unit} | {numbers} |"


def _code(value: str | None) -> str:
    return f"`{value}`" if value else _UNSAID
