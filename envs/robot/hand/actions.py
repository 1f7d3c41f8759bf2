"""Actions of robot tasks, and the commands that they are."""

import itertools
from typing import Literal

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Float

Mode = Literal["continuous", "discrete"]


def _discrete() -> np.ndarray:
    ways = list(itertools.product((0, 1, -1), repeat=3))[1:]
    rows = [np.zeros(5), *(np.array([*way, 0, 0]) for way in ways)]
    for axis, speed in ((0, 0.25), (1, 0.25), (2, 0.25), (3, 1.0), (4, 1.0)):
        rows += [sign * speed * np.eye(5)[axis] for sign in (1, -1)]
    return np.array(rows, np.float32)


DISCRETE = _discrete()
"""What discrete actions command: rest; the 26 ways along x, y and z at full speed; one
of the three at a quarter of it; a turn; the fingers."""


def commanded(action: Array, mode: Mode) -> Float[Array, "5"]:
    """What an action commands: shares of full speed: x, y, z, yaw, opening."""
    if mode == "continuous":
        return jnp.clip(action, -1.0, 1.0)
    return jnp.asarray(DISCRETE)[action]


def nearest(command: Float[Array, "5"], mode: Mode) -> Array:
    """The action that commands what is nearest to this."""
    if mode == "continuous":
        return jnp.clip(command, -1.0, 1.0).astype(jnp.float32)
    misses = ((jnp.asarray(DISCRETE, command.dtype) - command[None]) ** 2).sum(1)
    return jnp.argmin(misses).astype(jnp.int32)


def space(mode: Mode) -> spaces.Space:
    """All actions."""
    if mode == "discrete":
        return spaces.Discrete(len(DISCRETE))
    return spaces.Box(-1.0, 1.0, (5,), np.float32)
