"""The encoder for one sensor as a StableHLO program, run by JAX without this package.

Beside what `hub.write` writes:

    model.stablehlo   (weights, images) -> features, serialised by `jax.export`
    program.json      its inputs and output, and how to call it

The sensor's statistics and mixing matrix are constants in it. The weights are not: the program
takes tensors of model.safetensors under their released names, so that it stays small, every format
shares one file of them, and models may be larger than the 2 GB a serialised program can be.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.errors import UserError
from smarties.interchange import card, hub, weights, whole
from smarties.spectrum.bands import Sensor
from smarties.typing import Tree

PROGRAM, DESCRIPTION = "model.stablehlo", "program.json"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

_CALL = """import json, jax, jax.export, safetensors.numpy
program = jax.export.deserialize(open("model.stablehlo", "rb").read())
tensors = safetensors.numpy.load_file("model.safetensors")
weights = jax.device_put({key: tensors[key] for key in json.load(open("program.json"))["weights"]})
features = program.call(weights, images)"""


def write(
    path: str | Path,
    params: Tree,
    config: Mapping[str, Any],
    embed: Callable[..., jax.Array],
    sensor: Sensor,
    output: str,
    platforms: Sequence[str] = PLATFORMS,
) -> None:
    """Writes the folder, whole or not at all.

    Args:
      path: of the folder.
      params, config: of the model.
      embed: (params, images [B, S, S, c] float32 in stored numbers, valid [B, S, S]) -> features.
      sensor: with exactly the c bands of the images.
      output: what the features are, for the description.
      platforms: of JAX, that the program is for.

    Raises:
      UserError: the folder is there or cannot be written; flatbuffers is not installed.
    """
    program, described = _exported(params, config, embed, sensor, platforms)
    described["output"]["meaning"] = output
    with whole.folder(Path(path)) as part:
        weights.write(part / hub.WEIGHTS, params, config)
        hub.write_config(part, config)
        (part / PROGRAM).write_bytes(program)
        (part / DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n")
        (part / hub.CARD).write_text(card.text(params, config) + _section(sensor))


def _exported(params, config, embed, sensor, platforms) -> tuple[bytes, dict[str, Any]]:
    """Returns the serialised program and its description."""
    from jax import export

    side, bands = config["model"]["image_size"], len(sensor.bands)
    encoder, _ = weights.encoder_only(params, config)
    named = weights.renamed(jax.device_get(encoder), config)
    taken = {
        k: v for k, v in named.items()
        if not k.endswith("pos_embed") and ("/" not in k or k.startswith("encoder/"))
    }  # fmt: skip
    taken = {k: v for k, v in taken.items() if not k.startswith(("head.", "decoder_"))}

    def program(tensors: dict[str, jax.Array], images: jax.Array) -> jax.Array:
        return embed(weights.parameters(tensors, config, jnp), images, _valid(images, sensor))

    (batch,) = export.symbolic_shape("b")
    shapes = {k: jax.ShapeDtypeStruct(v.shape, jnp.float32) for k, v in taken.items()}
    image = jax.ShapeDtypeStruct((batch, side, side, bands), jnp.float32)
    try:
        exported = export.export(jax.jit(program), platforms=tuple(platforms))(shapes, image)
        serialised = bytes(exported.serialize())
    except ImportError as error:
        raise UserError(
            "exporting StableHLO needs flatbuffers: pip install 'smarties[export]'"
        ) from error
    shape = ["b", *exported.out_avals[0].shape[1:]]
    described = {
        "program": PROGRAM,
        "platforms": list(exported.platforms),
        "jax": jax.__version__,
        "weights": sorted(taken),
        "images": {
            "shape": ["b", side, side, bands],
            "dtype": "float32",
            "sensor": sensor.name,
            "bands": [_described(band) for band in sensor.bands],
            "pixels": "stored numbers of the sensor's files; non-finite and nodata do not count",
        },
        "output": {"shape": shape, "dtype": "float32"},
        "call": _CALL.splitlines(),
    }
    return serialised, described


def _described(band) -> dict[str, Any]:
    keys = ("name", "unit", "scale", "offset", "nodata")
    return {key: getattr(band, key) for key in keys}


def _valid(images: jax.Array, sensor: Sensor) -> jax.Array:
    """Returns which pixels [B, S, S] count, as `inference.model` has it."""
    seen = jnp.isfinite(images).all(-1)
    for i, band in enumerate(sensor.bands):
        if band.nodata is not None:
            seen &= images[..., i] != np.float32(band.nodata)
    return seen


def _section(sensor: Sensor) -> str:
    return (
        f"\n## Without the package\n\n`{PROGRAM}` embeds images of {sensor.name} with JAX alone; "
        f"`{DESCRIPTION}` says what goes in and out:\n\n```python\n{_CALL}\n```\n"
    )
