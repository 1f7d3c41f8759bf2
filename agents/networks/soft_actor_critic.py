"""A policy and two critics of actions, on one memory or on one each."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from agents.base import Inputs, MemoryState
from agents.experience.normalize import Moments, Statistics
from agents.networks.choices import Choices
from agents.networks.distributions import Categorical, Distribution, PolicySpec
from agents.networks.torso import Head, Torso

LOG_STD = (-5.0, 2.0)
"""Bounds on the logarithm of a Gaussian's standard deviation."""


class SoftActorCritic(eqx.Module):
    """The network of `SAC`.

    `critic` is None where policy and critics share encoder and memory. The memory state
    is `{"actor": ...}`, with `"critic"` where there are two. With Discrete and
    MultiDiscrete actions each critic values all of them (`choices`); with Box actions
    one, which is an input of its head. `statistics` are constants here.
    """

    actor: Torso
    critic: Torso | None
    policy_head: Head
    value_heads: tuple[Head, Head]
    log_temperature: Float[Array, ""]
    policy: PolicySpec
    statistics: Statistics
    choices: Choices | None = eqx.field(static=True)

    def initial_state(self, batch: int) -> MemoryState:
        """Memory states of `batch` streams before their first step."""
        state = {"actor": self.actor.initial_state(batch)}
        if self.critic is not None:
            state["critic"] = self.critic.initial_state(batch)
        return state

    def step(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Distribution]:
        """One step: new memory state, and the policy."""
        state, summary, _ = self._apply("step", state, inputs)
        return state, self.distribution(summary, inputs.action_mask)

    def sequence(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Float[Array, "time batch _"], Float[Array, "time batch _"]]:
        """A sequence: final memory state, and what policy and critics remember."""
        return self._apply("sequence", state, inputs)

    def distribution(
        self, summary: Float[Array, "... features"], mask: Bool[Array, "..."] | None
    ) -> Distribution:
        """The policy, given what it remembers."""
        outputs = self.policy_head(summary)
        if self.policy.kind != "gaussian":
            empty = jnp.zeros((0,), outputs.dtype)
            return self.policy.distribution(outputs, empty, mask)
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        low, high = LOG_STD
        log_std = low + 0.5 * (high - low) * (jnp.tanh(log_std) + 1)
        return self.policy.distribution(mean, log_std)

    def values(
        self, summary: Float[Array, "... features"], action: Any = None
    ) -> Float[Array, "two ..."]:
        """What both critics say: of all choices `[2, ..., count]`, or of a Box action.

        Args:
            summary: what the critics remember.
            action: of a Box, `[..., *shape]`; None with choices.
        """
        if self.choices is not None:
            return jnp.stack([head(summary) for head in self.value_heads])
        features = self.policy.features(action).astype(summary.dtype)
        inputs = jnp.concatenate([summary, features], axis=-1)
        return jnp.stack([head(inputs)[..., 0] for head in self.value_heads])

    def decision(
        self, state: MemoryState, inputs: Inputs, action: Any
    ) -> Float[Array, "time batch parts"]:
        """What the actions of a sequence were chosen by: see `Distribution`."""
        summary = self.sequence(state, inputs)[1]
        return self.distribution(summary, inputs.action_mask).decision(action)

    def inspect(self, state: MemoryState, inputs: Inputs) -> dict[str, Array]:
        """What the policy's memory looks at in a sequence: `[time, batch, ...]`."""
        return self.actor.inspect(state["actor"], inputs, self._moments())

    def _moments(self) -> dict[str, Moments] | None:
        return jax.lax.stop_gradient(self.statistics.observation)

    def _apply(self, mode: str, state: MemoryState, inputs: Inputs) -> Any:
        moments = self._moments()
        actor_state, summary = getattr(self.actor, mode)(
            state["actor"], inputs, moments
        )
        if self.critic is None:
            return {"actor": actor_state}, summary, summary
        critic_state, other = getattr(self.critic, mode)(
            state["critic"], inputs, moments
        )
        return {"actor": actor_state, "critic": critic_state}, summary, other


def critics_of(params: Any) -> Any:
    """The part of a network, or of its arrays, that values actions."""
    torso = params.actor if params.critic is None else params.critic
    return torso, params.value_heads


def with_critics(params: Any, critics: Any) -> Any:
    """A network, or its arrays, with another part that values actions."""
    return eqx.tree_at(critics_of, params, critics)


def log_probabilities(distribution: Categorical) -> Float[Array, "... count"]:
    """Log-probabilities of all choices, numbered as in `Choices`."""
    first, *others = distribution.logits
    for part in others:
        joint = first[..., :, None] + part[..., None, :]
        first = joint.reshape(*joint.shape[:-2], -1)
    return first
