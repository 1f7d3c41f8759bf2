"""Encoder -> memory -> heads.

Encoders and heads work on arrays with any leading axes. The memory sees one stream at
a time and is vmapped over the batch.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.base import Inputs, MemoryState
from agents.decoder import Decoder
from agents.distributions import Distribution, PolicySpec
from agents.encoder import Encoder
from agents.hidden import HiddenEncoder
from agents.normalize import Moments, Statistics
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


class ActorCritic(eqx.Module):
    """Policy and value, on one memory or on one each.

    `critic` is None where actor and critic share encoder and memory. The memory state
    is `{"actor": ...}`, with `"critic"` where there are two. `hidden_encoder` is None
    unless the critic sees the task's hidden variables; it then needs them, and values
    without them are nan. `decoder` is None unless observations are reconstructed.
    `statistics` are constants here: no gradient reaches them.
    """

    actor: Torso
    critic: Torso | None
    policy_head: Head
    value_head: Head
    log_std: Float[Array, " actions"]
    policy: PolicySpec
    hidden_encoder: HiddenEncoder | None
    decoder: Decoder | None
    statistics: Statistics

    def initial_state(self, batch: int) -> MemoryState:
        """Memory states of `batch` streams before their first step."""
        state = {"actor": self.actor.initial_state(batch)}
        if self.critic is not None:
            state["critic"] = self.critic.initial_state(batch)
        return state

    def step(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Distribution, Float[Array, " batch"]]:
        """One step: new memory state, policy and value, each `[batch, ...]`."""
        return self._apply("step", state, inputs)[:3]

    def sequence(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Distribution, Float[Array, "time batch"]]:
        """A sequence: final memory state, policies and values `[time, batch, ...]`."""
        return self._apply("sequence", state, inputs)[:3]

    def sequence_to_learn(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[Distribution, Float[Array, "time batch"], Float[Array, ""]]:
        """Policies and values of a sequence, and the error of reconstructing it.

        The error is that of what every memory gives, averaged; 0 without a decoder.
        """
        _, distribution, value, summaries = self._apply("sequence", state, inputs)
        if self.decoder is None:
            return distribution, value, jnp.zeros((), value.dtype)
        moments = self._moments()
        errors = [self.decoder.error(x, inputs, moments) for x in summaries]
        return distribution, value, jnp.stack(errors).mean()

    def value(self, state: MemoryState, inputs: Inputs) -> Float[Array, " batch"]:
        """The value at `inputs`, given the memory of what came before."""
        torso = self.actor if self.critic is None else self.critic
        entering = state["actor" if self.critic is None else "critic"]
        summary = torso.step(entering, inputs, self._moments())[1]
        return self._value_of(summary, inputs)

    def _moments(self) -> dict[str, Moments] | None:
        return jax.lax.stop_gradient(self.statistics.observation)

    def _value_of(
        self, summary: Float[Array, "... features"], inputs: Inputs
    ) -> Float[Array, "..."]:
        if self.hidden_encoder is not None:
            if inputs.hidden is None:
                return jnp.full(summary.shape[:-1], jnp.nan, summary.dtype)
            features = self.hidden_encoder(inputs.hidden).astype(summary.dtype)
            summary = jnp.concatenate([summary, features], axis=-1)
        return self.value_head(summary)[..., 0]

    def _apply(self, mode: str, state: MemoryState, inputs: Inputs) -> Any:
        moments = self._moments()
        actor_state, summary = getattr(self.actor, mode)(
            state["actor"], inputs, moments
        )
        new_state, value_summary = {"actor": actor_state}, summary
        if self.critic is not None:
            new_state["critic"], value_summary = getattr(self.critic, mode)(
                state["critic"], inputs, moments
            )
        distribution = self.policy.distribution(
            self.policy_head(summary), self.log_std, inputs.action_mask
        )
        summaries = [summary] if self.critic is None else [summary, value_summary]
        value = self._value_of(value_summary, inputs)
        return new_state, distribution, value, summaries


def memory_norm(state: MemoryState) -> Float[Array, ""]:
    """Mean over streams of the L2 norm of the memory's floating-point state."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    if not leaves:
        return jnp.zeros(())
    squares = [jnp.square(jnp.abs(x)).reshape(x.shape[0], -1).sum(-1) for x in leaves]
    return jnp.sqrt(sum(squares[1:], squares[0])).mean()
