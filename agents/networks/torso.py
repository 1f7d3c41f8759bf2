"""Encoder and memory, and the heads on top of them.

Encoders and heads work on arrays with any leading axes. The memory sees one stream at
a time and is vmapped over the batch.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.base import Inputs, MemoryState
from agents.experience.normalize import Moments
from agents.networks.encoder import Encoder
from memory_models import Linear, MemoryModel, orthogonal
from memory_models.registry import Builder


class Head(eqx.Module):
    """An optional hidden layer, then a linear one."""

    hidden: Linear | None
    output: Linear

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, gain: float, key: PRNGKeyArray
    ):
        """Build; `hidden` 0 leaves the hidden layer out, `gain` scales the output."""
        hidden_key, output_key = jax.random.split(key)
        self.hidden = None
        if hidden:
            self.hidden = Linear(
                inputs, hidden, key=hidden_key, initializer=orthogonal(math.sqrt(2))
            )
        self.output = Linear(
            hidden or inputs, outputs, key=output_key, initializer=orthogonal(gain)
        )

    def __call__(self, x: Float[Array, "... inputs"]) -> Float[Array, "... outputs"]:
        """Apply to arrays with any leading axes."""
        if self.hidden is not None:
            x = jax.nn.relu(self.hidden(x))
        return self.output(x)


class Torso(eqx.Module):
    """Encoder and memory: from inputs to a summary of the history."""

    encoder: Encoder
    memory: MemoryModel

    def __init__(self, encoder: Encoder, memory: Builder, *, key: PRNGKeyArray):
        """Build the memory for the encoder's features."""
        self.encoder = encoder
        self.memory = memory(encoder.size, key=key, columns=encoder.columns)

    def width(self) -> int:
        """Width of the memory's output."""
        features = jax.ShapeDtypeStruct(
            (self.encoder.size,), jax.dtypes.canonicalize_dtype(float)
        )
        start = jax.ShapeDtypeStruct((), bool)
        output = eqx.filter_eval_shape(
            lambda m, x, s: m.step(m.initial_state(), x, s)[1],
            self.memory,
            features,
            start,
        )
        return output.shape[-1]

    def initial_state(self, batch: int) -> MemoryState:
        """Memory states of `batch` streams before their first step."""
        return jax.tree.map(
            lambda x: jnp.broadcast_to(x, (batch, *x.shape)),
            self.memory.initial_state(),
        )

    def step(
        self,
        state: MemoryState,
        inputs: Inputs,
        moments: dict[str, Moments] | None = None,
    ) -> tuple[MemoryState, Float[Array, "batch features"]]:
        """One step of a batch of streams; `moments` as in `Encoder`."""
        features = self.encoder(inputs, moments)
        return jax.vmap(self.memory.step)(state, features, inputs.start)

    def sequence(
        self,
        state: MemoryState,
        inputs: Inputs,
        moments: dict[str, Moments] | None = None,
    ) -> tuple[MemoryState, Float[Array, "time batch features"]]:
        """A sequence `[time, batch, ...]` of a batch of streams."""
        features = self.encoder(inputs, moments)
        return jax.vmap(self.memory, in_axes=(0, 1, 1), out_axes=(0, 1))(
            state, features, inputs.start
        )

    def inspect(
        self,
        state: MemoryState,
        inputs: Inputs,
        moments: dict[str, Moments] | None = None,
    ) -> dict[str, Array]:
        """What the memory looks at in a sequence: `[time, batch, ...]` each."""
        features = self.encoder(inputs, moments)
        return jax.vmap(self.memory.inspect, in_axes=(0, 1, 1), out_axes=1)(
            state, features, inputs.start
        )


def memory_norm(state: MemoryState) -> Float[Array, ""]:
    """Mean over streams of the L2 norm of the memory's floating-point state."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    if not leaves:
        return jnp.zeros(())
    squares = [jnp.square(jnp.abs(x)).reshape(x.shape[0], -1).sum(-1) for x in leaves]
    return jnp.sqrt(sum(squares[1:], squares[0])).mean()
