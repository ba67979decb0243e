"""A trained CSMAE at work: images of the sensors it was trained on to vectors and token maps."""

import dataclasses
import functools

import jax

from smarties.errors import UserError
from smarties.inference import model
from smarties.models import build, csmae
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding
from smarties.typing import Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Csmae(model.Model):
    """A `model.Model` whose sensors each have an embedding, a CLS token and blocks of their own.

    Evaluation sees all tokens, whatever the masking of training. `config` has "stacks" besides:
    the bands of each sensor in the order of its embedding.
    """

    @property
    def pooling(self) -> embedding.Pooling:
        return "mean" if self.config["model"].get("pooling", "avg") == "avg" else "cls"

    @functools.cached_property
    def encoder(self) -> csmae.Encoder:
        return build.described(self.config).encoder

    def encoder_of(self, sensor: Sensor) -> csmae.Encoder:
        """Returns the encoder of images with exactly the bands of a sensor, in their order.

        Raises:
          UserError: the model was not trained on the sensor, or needs other bands of it.
        """
        stacks = self.config["stacks"]
        if sensor.name not in stacks:
            raise UserError(
                f"{self.config['name']} has no blocks for {sensor.name}: it was trained on "
                f"{' and '.join(stacks)}"
            )
        if self.encoder.ranges:
            return self.encoder.clone(sensor=sensor.name)
        needed = stacks[sensor.name]
        missing = [name for name in needed if name not in sensor.names]
        if missing or len(needed) != len(sensor.names):
            raise UserError(
                f"{self.config['name']} needs exactly the bands {', '.join(needed)} of "
                f"{sensor.name}, in any order: these are {', '.join(sensor.names)}"
            )
        order = tuple(sensor.names.index(name) for name in needed)
        return self.encoder.clone(sensor=sensor.name, order=order)

    def untrained(self, seed: int) -> Tree:
        module = build.described(self.config)
        return jax.jit(lambda key: csmae.init(module, key)["encoder"])(jax.random.key(seed))
