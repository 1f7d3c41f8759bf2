"""From a Gymnasium observation space to features.

Everything here works on arrays with any leading axes, `[..., shape of the space]`.
"""

import math
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from agents.base import Inputs
from agents.distributions import PolicySpec
from memory_models import Linear
from memory_models.registry import Columns


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


def _observation_leaves(space: gymnasium.Space, observation: Any) -> list[Array]:
    """The arrays of an observation, in the order of `observation_keys`."""
    if isinstance(space, gymnasium.spaces.Dict):
        pairs = [(s, observation[name]) for name, s in space.spaces.items()]
    elif isinstance(space, gymnasium.spaces.Tuple):
        pairs = list(zip(space.spaces, observation, strict=True))
    else:
        return [observation]
    return [leaf for s, o in pairs for leaf in _observation_leaves(s, o)]


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

    Raises:
        ValueError: a space without a vector form here.
    """
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


def leaf_width(space: gymnasium.Space) -> int:
    """Length of the vector that `flatten_leaf` gives."""
    sample = jax.ShapeDtypeStruct(space.shape or (), jnp.int32)
    return jax.eval_shape(lambda x: flatten_leaf(space, x), sample).shape[-1]


class _Static:
    """Makes an unhashable Gymnasium space a static field, compared by equality."""

    def __init__(self, value: gymnasium.Space):
        self.value = value

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.value == other.value


class ImageEncoder(eqx.Module):
    """Strided 3x3 convolutions down to at most 6x6, then one linear layer.

    Pixels arrive as uint8 `[..., height, width, channels]` and are scaled on device.
    """

    kernels: list[Float[Array, "3 3 inputs outputs"]]
    output: Linear

    def __init__(self, shape: tuple[int, ...], size: int, *, key: PRNGKeyArray):
        """Build for images of `shape` `[height, width, channels]`."""
        height, width, channels = shape
        self.kernels = []
        initializer = jax.nn.initializers.he_normal()
        outputs = 16
        while max(height, width) > 6:
            key, layer_key = jax.random.split(key)
            self.kernels.append(initializer(layer_key, (3, 3, channels, outputs)))
            channels, outputs = outputs, min(2 * outputs, 64)
            height, width = -(-height // 2), -(-width // 2)
        self.output = Linear(height * width * channels, size, key=key)

    def __call__(self, x: Array) -> Float[Array, "... features"]:
        """Encode images with any leading axes."""
        lead = x.shape[:-3]
        dtype = self.output.weight.dtype
        x = x.reshape(-1, *x.shape[-3:]).astype(dtype) / 255
        for kernel in self.kernels:
            x = jax.lax.conv_general_dilated(
                x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x)
        return self.output(x.reshape(*lead, -1))


def _vector_layer(inputs: int, size: int, *, key: PRNGKeyArray) -> Linear:
    """Orthogonal weights, and biases uniform within 1 / sqrt(inputs).

    With zero biases an observation of zeros (a corridor) would encode to exactly
    nothing: only the biases of the heads could learn there, and whatever they learn
    holds at every other observation too.
    """
    weight_key, bias_key = jax.random.split(key)
    layer = Linear(
        inputs,
        size,
        key=weight_key,
        initializer=jax.nn.initializers.orthogonal(math.sqrt(2)),
    )
    bound = 1 / math.sqrt(inputs)
    dtype = layer.weight.dtype
    bias = jax.random.uniform(bias_key, (size,), dtype, -bound, bound)
    return eqx.tree_at(lambda x: x.bias, layer, bias)


class Encoder(eqx.Module):
    """Features from everything a policy sees at one step.

    Each observation key gets a layer and a slice of its own. The start flag, and
    where configured the previous action and reward, follow as they are, as do the
    keys named in `raw_keys`.

    Attributes:
        columns: slice of the features per observation key, and per extra input.
        size: width of the features.
    """

    layers: list[Linear | ImageEncoder]
    space: Any = eqx.field(static=True)
    policy: PolicySpec
    raw_keys: tuple[str, ...] = eqx.field(static=True)
    columns: Columns = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(
        self,
        space: gymnasium.Space,
        policy: PolicySpec,
        *,
        size: int,
        raw_keys: tuple[str, ...] = (),
        previous_action: bool = False,
        previous_reward: bool = False,
        key: PRNGKeyArray,
    ):
        """Build for an observation space, `size` features per observation key.

        Raises:
            ValueError: a raw key that the observation lacks, or an unknown space.
        """
        leaves = observation_keys(space)
        self.space, self.policy, self.raw_keys = _Static(space), policy, raw_keys
        self.layers, self.columns, self.size = [], {}, 0
        for name, leaf in leaves.items():
            key, layer_key = jax.random.split(key)
            if is_image(leaf):
                layer = ImageEncoder(leaf.shape or (), size, key=layer_key)
            else:
                layer = _vector_layer(leaf_width(leaf), size, key=layer_key)
            self.layers.append(layer)
            self._append(name, size)
        for name in raw_keys:
            if name not in leaves:
                has = ", ".join(repr(k) for k in leaves)
                raise ValueError(
                    f"raw_keys names {name!r}, but this task observes {has}; choose "
                    "one of those."
                )
            self._append(f"raw/{name}", leaf_width(leaves[name]))
        self._append("start", 1)
        if previous_action:
            self._append("previous_action", policy.outputs)
        if previous_reward:
            self._append("previous_reward", 1)

    def _append(self, name: str, width: int) -> None:
        if name in self.columns:
            raise ValueError(
                f"two inputs are named {name!r}; rename the observation key, or name "
                "it once in raw_keys."
            )
        self.columns = {**self.columns, name: (self.size, self.size + width)}
        self.size += width

    def __call__(self, inputs: Inputs) -> Float[Array, "... features"]:
        """Encode `Inputs` with any leading axes."""
        space = self.space.value
        leaves = dict(
            zip(
                observation_keys(space),
                _observation_leaves(space, inputs.observation),
                strict=True,
            )
        )
        spaces = observation_keys(space)
        parts = []
        for layer, (name, leaf) in zip(self.layers, leaves.items(), strict=True):
            raw = leaf if is_image(spaces[name]) else flatten_leaf(spaces[name], leaf)
            if isinstance(layer, Linear):
                raw = raw.astype(layer.weight.dtype)
            parts.append(jax.nn.relu(layer(raw)))
        dtype = parts[0].dtype
        parts += [flatten_leaf(spaces[name], leaves[name]) for name in self.raw_keys]
        start = inputs.start[..., None]
        parts.append(start)
        if inputs.previous_action is not None:
            action = self.policy.features(inputs.previous_action)
            parts.append(jnp.where(start, 0, action))
        if inputs.previous_reward is not None:
            parts.append(jnp.where(start, 0, inputs.previous_reward[..., None]))
        return jnp.concatenate([part.astype(dtype) for part in parts], axis=-1)
