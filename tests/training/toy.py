"""Two small tasks with deterministic batches, and a program that trains one (to be killed)."""

import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import config_dict


class Linear:
    """Linear regression on y = x w* + b*, in two streams of unequal shares."""

    unit = "rows"

    def __init__(self, width=8, batch=16, seed=0, bad_step=None, noise=0.0):
        self.width, self.batch, self.seed = width, batch, seed
        self.bad_step, self.noise = bad_step, noise
        self.evaluated: list[int] = []

    def init(self, key):
        del key
        return {"layer": {"kernel": jnp.zeros((self.width, 1)), "bias": jnp.zeros((1,))}}

    def loss(self, params, batch, key):
        layer = params["layer"]
        x = jnp.concatenate([batch[name]["x"] for name in sorted(batch)])
        y = jnp.concatenate([batch[name]["y"] for name in sorted(batch)])
        x = x + self.noise * jax.random.normal(key, x.shape)
        error = (x @ layer["kernel"] + layer["bias"][None])[:, 0] - y
        return (error**2).mean(), {"absolute": jnp.abs(error).mean()}

    def _stream(self, step, stream, rows):
        rng = np.random.default_rng((self.seed, step, stream))
        x = rng.normal(size=(rows, self.width)).astype(np.float32)
        y = x @ np.linspace(-1, 1, self.width, dtype=np.float32) + np.float32(0.5)
        if step == self.bad_step:
            y[1] = np.nan
        return {"x": x, "y": y, "id": np.array([f"{step}/{stream}/{i}" for i in range(rows)])}

    def shares(self):
        return {"few": self.batch // 2, "many": self.batch}

    def batches(self, split, rank, world, start_step):
        step = start_step
        while True:
            yield {
                name: {k: v[rank::world] for k, v in self._stream(step, i, rows).items()}
                for i, (name, rows) in enumerate(self.shares().items())
            }
            step += 1

    def batch_spec(self):
        return {
            name: {
                "x": jax.ShapeDtypeStruct((rows, self.width), jnp.float32),
                "y": jax.ShapeDtypeStruct((rows,), jnp.float32),
            }
            for name, rows in self.shares().items()
        }

    def data_identity(self):
        return {"seed": self.seed, "streams": {"few": {"rows": self.batch // 2}}}

    def examples_per_epoch(self):
        return 160

    def evaluate(self, params, step, directory):
        self.evaluated.append(step)
        return {"bias": params["layer"]["bias"][0]}


class Perceptron(Linear):
    """A small network with scanned blocks, a token, noise from the key, and running statistics."""

    def __init__(self, hidden=16, **options):
        super().__init__(**options)
        self.hidden = hidden
        self.model = _Network(hidden)

    def init(self, key):
        params = self.model.init(key, jnp.zeros((2, self.width)))["params"]
        return {**params, "stats": {"mean": jnp.zeros((self.width,))}}

    def loss(self, params, batch, key):
        x = jnp.concatenate([batch[name]["x"] for name in sorted(batch)])
        y = jnp.concatenate([batch[name]["y"] for name in sorted(batch)])
        x = x + self.noise * jax.random.normal(key, x.shape)
        network = {name: value for name, value in params.items() if name != "stats"}
        error = self.model.apply({"params": network}, x) - y
        mean = 0.9 * params["stats"]["mean"] + 0.1 * x.mean(0)
        return (error**2).mean(), {"stats": {"mean": mean}}

    def evaluate(self, params, step, directory):
        self.evaluated.append(step)
        return {"norm": jnp.linalg.norm(params["leave"]["kernel"])}


class _Block(nn.Module):
    hidden: int

    @nn.compact
    def __call__(self, x, _):
        return x + nn.Dense(self.hidden, name="fc")(nn.LayerNorm(name="norm")(x)), None


class _Network(nn.Module):
    hidden: int

    @nn.compact
    def __call__(self, x):
        x = nn.gelu(nn.Dense(self.hidden, name="enter")(x))
        scan = nn.scan(_Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
        x, _ = scan(self.hidden, name="blocks")(x, None)
        x = x + self.param("cls_token", nn.initializers.normal(0.02), (1, self.hidden))
        return nn.Dense(1, name="leave")(x)[:, 0]


def config(**changes):
    """Returns a complete configuration; changes are dotted keys with "__" for the dot."""
    made = config_dict.ConfigDict(
        {
            "name": "toy",
            "seed": 3,
            "steps": 12,
            "batch_size": 16,
            "task": {},
            "model": {},
            "data": {"workers": 0},
            "optimizer": {"learning_rate": 0.01, "warmup_steps": 2, "weight_decay": 0.05},
            "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
            "checkpoint": {"every": 5, "keep": 2},
            "log": {"every": 2},
            "evaluate": {"every": 0},
        }
    )
    with made.unlocked():
        for key, value in changes.items():
            made.update_from_flattened_dict({key.replace("__", "."): value})
    return made


class Slow(Linear):
    """The linear task with a pause before each batch, so that a kill can hit any step."""

    def batches(self, split, rank, world, start_step):
        for batch in super().batches(split, rank, world, start_step):
            time.sleep(0.01)
            yield batch


class Hangs(Linear):
    """The linear task whose batch 3 never comes."""

    def batches(self, split, rank, world, start_step):
        for step, batch in enumerate(super().batches(split, rank, world, start_step), start_step):
            if step == 3:
                time.sleep(100)
            yield batch


def long():
    """Returns the configuration of the run that tests kill and resume."""
    return config(
        steps=60, checkpoint__every=7, log__every=1, evaluate__every=14, optimizer__ema=0.9
    )


if __name__ == "__main__":
    from smarties.training import loop

    if sys.argv[2:] == ["hang"]:
        loop.train(Hangs(), config(log__hang_minutes=0.3), Path(sys.argv[1]))
    else:
        loop.train(Slow(noise=0.1), long(), Path(sys.argv[1]))
