"""From a Gymnasium observation space to features.

Everything here works on arrays with any leading axes, `[..., shape of the space]`.
"""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.base import Inputs
from agents.experience.normalize import Moments
from agents.networks.convolution import halved
from agents.networks.distributions import PolicySpec
from agents.spaces import (
    flatten_leaf,
    is_image,
    leaf_width,
    named_leaves,
    observation_keys,
)
from memory_models import Linear, orthogonal
from memory_models.registry import Columns


class Static:
    """Makes an unhashable Gymnasium space a static field, compared by equality."""

    def __init__(self, value: gymnasium.Space):
        self.value = value

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.value == other.value


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
            x = jax.nn.relu(halved(x, kernel))
        return self.output(x.reshape(*lead, -1))


def _vector_layer(inputs: int, size: int, *, key: PRNGKeyArray) -> Linear:
    """Orthogonal weights, and biases uniform within 1 / sqrt(inputs).

    With zero biases an observation of zeros (a corridor) would encode to exactly
    nothing: only the biases of the heads could learn there, and whatever they learn
    holds at every other observation too.
    """
    weight_key, bias_key = jax.random.split(key)
    bound = 1 / math.sqrt(inputs)
    dtype = jax.dtypes.canonicalize_dtype(float)
    return Linear(
        inputs,
        size,
        key=weight_key,
        initializer=orthogonal(math.sqrt(2)),
        bias=jax.random.uniform(bias_key, (size,), dtype, -bound, bound),
    )


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
    layer_norm: bool = eqx.field(static=True)

    def __init__(
        self,
        space: gymnasium.Space,
        policy: PolicySpec,
        *,
        size: int,
        raw_keys: tuple[str, ...] = (),
        previous_action: bool = False,
        previous_reward: bool = False,
        layer_norm: bool = False,
        key: PRNGKeyArray,
    ):
        """Build for an observation space, `size` features per observation key.

        With `layer_norm` the features of every key are standardised before the
        non-linearity (Ba et al. 2016), without weights of their own.

        Raises:
            ValueError: a raw key that the observation lacks, or an unknown space.
        """
        leaves = observation_keys(space)
        self.space, self.policy, self.raw_keys = Static(space), policy, raw_keys
        self.layers, self.columns, self.size = [], {}, 0
        self.layer_norm = layer_norm
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

    def __call__(
        self, inputs: Inputs, moments: Mapping[str, Moments] | None = None
    ) -> Float[Array, "... features"]:
        """Encode inputs with any leading axes.

        Args:
            inputs: what a policy sees.
            moments: statistics of the observation keys to standardise. Keys that
                reach the memory as they are (`raw_keys`) stay so.
        """
        moments = moments or {}
        leaves = named_leaves(self.space.value, inputs.observation)
        spaces = observation_keys(self.space.value)
        parts = []
        for layer, (name, leaf) in zip(self.layers, leaves.items(), strict=True):
            leaf = moments[name].standardized(leaf) if name in moments else leaf
            raw = leaf if is_image(spaces[name]) else flatten_leaf(spaces[name], leaf)
            if isinstance(layer, Linear):
                raw = raw.astype(layer.weight.dtype)
            encoded = layer(raw)
            if self.layer_norm:
                encoded = jax.nn.standardize(encoded)
            parts.append(jax.nn.relu(encoded))
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
