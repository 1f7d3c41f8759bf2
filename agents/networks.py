"""Encoder -> memory -> heads.

Encoders and heads work on arrays with any leading axes. The memory sees one stream at
a time and is vmapped over the batch.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from agents.base import Inputs, MemoryState
from agents.distributions import Distribution, PolicySpec
from agents.encoder import Encoder
from memory_models import Linear, MemoryModel
from memory_models.registry import Builder

_orthogonal = jax.nn.initializers.orthogonal


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
                inputs, hidden, key=hidden_key, initializer=_orthogonal(math.sqrt(2))
            )
        self.output = Linear(
            hidden or inputs, outputs, key=output_key, initializer=_orthogonal(gain)
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
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Float[Array, "batch features"]]:
        """One step of a batch of streams."""
        features = self.encoder(inputs)
        return jax.vmap(self.memory.step)(state, features, inputs.start)

    def sequence(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Float[Array, "time batch features"]]:
        """A sequence `[time, batch, ...]` of a batch of streams."""
        features = self.encoder(inputs)
        return jax.vmap(self.memory, in_axes=(0, 1, 1), out_axes=(0, 1))(
            state, features, inputs.start
        )


class ActorCritic(eqx.Module):
    """Policy and value, on one memory or on one each.

    `critic` is None where actor and critic share encoder and memory. The memory state
    is `{"actor": ...}`, with `"critic"` where there are two.
    """

    actor: Torso
    critic: Torso | None
    policy_head: Head
    value_head: Head
    log_std: Float[Array, " actions"]
    policy: PolicySpec

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
        return self._apply("step", state, inputs)

    def sequence(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Distribution, Float[Array, "time batch"]]:
        """A sequence: final memory state, policies and values `[time, batch, ...]`."""
        return self._apply("sequence", state, inputs)

    def value(self, state: MemoryState, inputs: Inputs) -> Float[Array, " batch"]:
        """The value at `inputs`, given the memory of what came before."""
        torso = self.actor if self.critic is None else self.critic
        entering = state["actor" if self.critic is None else "critic"]
        return self.value_head(torso.step(entering, inputs)[1])[..., 0]

    def _apply(self, mode: str, state: MemoryState, inputs: Inputs) -> Any:
        actor_state, summary = getattr(self.actor, mode)(state["actor"], inputs)
        new_state, value_summary = {"actor": actor_state}, summary
        if self.critic is not None:
            new_state["critic"], value_summary = getattr(self.critic, mode)(
                state["critic"], inputs
            )
        distribution = self.policy.distribution(
            self.policy_head(summary), self.log_std, inputs.action_mask
        )
        return new_state, distribution, self.value_head(value_summary)[..., 0]


def build_actor_critic(
    encoder: Callable[[PRNGKeyArray], Encoder],
    memory: Builder,
    policy: PolicySpec,
    *,
    separate_memories: bool,
    head_size: int,
    initial_log_std: float,
    key: PRNGKeyArray,
) -> ActorCritic:
    """Build an actor-critic; every part draws weights of its own.

    The policy head starts near zero (gain 0.01), so that the first policy is nearly
    uniform.
    """
    actor_key, critic_key, policy_key, value_key = jax.random.split(key, 4)

    def torso(key: PRNGKeyArray) -> Torso:
        encoder_key, memory_key = jax.random.split(key)
        return Torso(encoder(encoder_key), memory, key=memory_key)

    actor = torso(actor_key)
    width = actor.width()
    return ActorCritic(
        actor=actor,
        critic=torso(critic_key) if separate_memories else None,
        policy_head=Head(width, head_size, policy.outputs, gain=0.01, key=policy_key),
        value_head=Head(width, head_size, 1, gain=1.0, key=value_key),
        log_std=jnp.full(
            policy.outputs if policy.kind == "gaussian" else 0,
            initial_log_std,
            jax.dtypes.canonicalize_dtype(float),
        ),
        policy=policy,
    )


def memory_norm(state: MemoryState) -> Float[Array, ""]:
    """Mean over streams of the L2 norm of the memory's floating-point state."""
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    if not leaves:
        return jnp.zeros(())
    squares = [jnp.square(jnp.abs(x)).reshape(x.shape[0], -1).sum(-1) for x in leaves]
    return jnp.sqrt(sum(squares[1:], squares[0])).mean()
