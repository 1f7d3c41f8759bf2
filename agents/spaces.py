"""The leaves of Gymnasium observation spaces: their names, arrays and vector forms.

Everything here works on arrays with any leading axes, `[..., shape of the space]`.
"""

import math
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def observation_keys(space: gymnasium.Space) -> dict[str, gymnasium.Space]:
    """The leaves of an observation space by name.

    Dict keys keep their names, Tuple entries get their position, nested ones are
    joined with '/'; any other space is one leaf named 'observation'.
    """
    if isinstance(space, gymnasium.spaces.Dict):
        items = space.spaces.items()
    elif isinstance(space, gymnasium.spaces.Tuple):
        items = ((str(i), s) for i, s in enumerate(space.spaces))
    else:
        return {"observation": space}
    leaves = {}
    for name, inner in items:
        for below, leaf in observation_keys(inner).items():
            leaves[name if below == "observation" else f"{name}/{below}"] = leaf
    return leaves


def observation_leaves(space: gymnasium.Space, observation: Any) -> list[Array]:
    """The arrays of an observation, in the order of `observation_keys`."""
    if isinstance(space, gymnasium.spaces.Dict):
        pairs = [(s, observation[name]) for name, s in space.spaces.items()]
    elif isinstance(space, gymnasium.spaces.Tuple):
        pairs = list(zip(space.spaces, observation, strict=True))
    else:
        return [observation]
    return [leaf for s, o in pairs for leaf in observation_leaves(s, o)]


def is_image(space: gymnasium.Space) -> bool:
    """Whether a space is pixels: a uint8 Box `[height, width, channels]`.

    Raises:
        ValueError: pixels with the channels first.
    """
    if (
        not isinstance(space, gymnasium.spaces.Box)
        or space.dtype != np.uint8
        or len(space.shape) != 3
    ):
        return False
    if space.shape[0] <= 4 and min(space.shape[1:]) >= 8:
        raise ValueError(
            f"observation space {space} looks like pixels with the channels first; "
            "give them as [height, width, channels]."
        )
    return min(space.shape[:2]) >= 8


def flatten_leaf(space: gymnasium.Space, x: Array) -> Float[Array, "... features"]:
    """A leaf of the observation as a vector: one-hot choices, flattened numbers.

    Choices may already be such a vector of floats, for derivatives with respect to it.

    Raises:
        ValueError: a space without a vector form here.
    """
    if is_relaxed(space, x):
        return x
    if isinstance(space, gymnasium.spaces.Discrete):
        return jax.nn.one_hot(x - int(space.start), int(space.n))
    shape = space.shape or ()
    lead = x.shape[: x.ndim - len(shape)]
    flat = x.reshape(*lead, math.prod(shape))
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        sizes, starts = space.nvec.reshape(-1), space.start.reshape(-1)
        parts = [
            jax.nn.one_hot(flat[..., i] - int(starts[i]), int(n))
            for i, n in enumerate(sizes)
        ]
        return jnp.concatenate(parts, axis=-1)
    if isinstance(space, gymnasium.spaces.Box | gymnasium.spaces.MultiBinary):
        values = flat.astype(jax.dtypes.canonicalize_dtype(float))
        return values / 255 if space.dtype == np.uint8 else values
    raise ValueError(
        f"no encoder for observation space {space}; use Box, Discrete, MultiDiscrete, "
        "MultiBinary, or a Dict or Tuple of those."
    )


def is_relaxed(space: gymnasium.Space, x: Array) -> bool:
    """Whether choices of a space are given as floats, one per option."""
    choices = gymnasium.spaces.Discrete | gymnasium.spaces.MultiDiscrete
    return isinstance(space, choices) and jnp.issubdtype(x.dtype, jnp.floating)


def leaf_width(space: gymnasium.Space) -> int:
    """Length of the vector that `flatten_leaf` gives."""
    sample = jax.ShapeDtypeStruct(space.shape or (), jnp.int32)
    return jax.eval_shape(lambda x: flatten_leaf(space, x), sample).shape[-1]


def named_leaves(space: gymnasium.Space, observation: Any) -> dict[str, Array]:
    """The arrays of an observation by the names of `observation_keys`."""
    leaves = observation_leaves(space, observation)
    return dict(zip(observation_keys(space), leaves, strict=True))


def is_float_box(space: gymnasium.Space) -> bool:
    """Whether a space is a Box of floating-point numbers."""
    return isinstance(space, gymnasium.spaces.Box) and np.issubdtype(
        space.dtype, np.floating
    )


def null_actions(space: gymnasium.Space, batch: int) -> Array:
    """Placeholders for the action before the first one, `[batch, ...]`."""
    shape = (batch, *(space.shape or ()))
    if isinstance(space, gymnasium.spaces.Box):
        return jnp.zeros(shape)
    if isinstance(space, gymnasium.spaces.Discrete | gymnasium.spaces.MultiDiscrete):
        return jnp.broadcast_to(jnp.asarray(space.start).astype(jnp.int32), shape)
    raise ValueError(
        f"no previous action for action space {space}; use Discrete, MultiDiscrete or "
        "Box."
    )
