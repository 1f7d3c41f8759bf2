"""Policy and value: encoder -> memory -> heads."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from agents.base import Inputs, MemoryState
from agents.experience.normalize import Moments, Statistics
from agents.networks.decoder import Decoder
from agents.networks.distributions import Distribution, PolicySpec
from agents.networks.hidden import HiddenEncoder
from agents.networks.torso import Head, Torso


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

    def decision(
        self, state: MemoryState, inputs: Inputs, action: Any
    ) -> Float[Array, "time batch parts"]:
        """What the actions of a sequence were chosen by: see `Distribution`."""
        return self.sequence(state, inputs)[1].decision(action)

    def inspect(self, state: MemoryState, inputs: Inputs) -> dict[str, Array]:
        """What the policy's memory looks at in a sequence: `[time, batch, ...]`."""
        return self.actor.inspect(state["actor"], inputs, self._moments())

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
