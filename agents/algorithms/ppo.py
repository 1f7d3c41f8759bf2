"""Proximal policy optimisation (Schulman et al. 2017) with any memory.

One update is one compiled program: rollout, advantages, epochs of minibatches of
sequences, optimiser. It differs from common implementations in what it guarantees:
before the first minibatch the learner recomputes exactly the policy that acted (same
memory state entering each sequence, same resets), and an episode cut off by a time
limit is valued at its final observation with the memory from before the reset.
"""

import dataclasses
import functools
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from agents.algorithms import minibatches
from agents.algorithms.acting import is_sampled
from agents.algorithms.footprint import rollout_footprint
from agents.algorithms.losses import clipped_surrogate, ratio_metrics, squared_error
from agents.algorithms.metrics import rollout_metrics
from agents.algorithms.minibatches import RolloutState
from agents.algorithms.optimizer import optimizer_of
from agents.algorithms.settings import check_hidden, check_ranges, check_sequences
from agents.base import Agent, Extras, Gathering, Inputs, MemoryState, Params
from agents.devices import mean_over
from agents.experience.exploration import annealed
from agents.experience.normalize import (
    normalized,
    with_statistics,
)
from agents.experience.returns import generalized_advantage, standardized
from agents.experience.rollout import (
    Rollout,
    Streams,
    Transition,
    as_sequences,
    gather,
    play,
)
from agents.footprint import Part
from agents.keys import update_keys
from agents.networks.actor_critic import ActorCritic
from agents.networks.build import build_actor_critic
from agents.networks.distributions import PolicySpec, Squash
from envs.vector import VectorEnv


class Batch(NamedTuple):
    """Sequences to learn from, `[sequence_length, sequences, ...]`."""

    transitions: Transition
    advantage: Float[Array, "time sequences"]
    target: Float[Array, "time sequences"]


@dataclasses.dataclass(frozen=True)
class PPO(Agent):
    """PPO on one task with one memory; fields are settings, beside those of `Agent`.

    Attributes:
        rollout_length: steps per stream and update.
        sequence_length: steps over which gradients flow; divides rollout_length. None
            is the whole rollout.
        num_epochs: passes over a rollout.
        num_minibatches: minibatches per pass; divides the number of sequences,
            `num_envs * rollout_length / sequence_length`.
        learning_rate: of Adam, at the start.
        memory_learning_rate: factor on it for the memory's weights; 0 freezes them.
        anneal_learning_rate: whether it falls linearly to 0 over `total_updates`.
        gamma: discount per step.
        gae_lambda: of generalised advantage estimation.
        clip_ratio: bound on the change of the probability ratio.
        clip_value: bound on the change of values per rollout; None for no bound.
        entropy_coefficient: weight of the entropy bonus, at the start.
        anneal_entropy: whether it falls linearly to 0 over `total_updates`.
        value_coefficient: weight of the value loss, half the mean squared error.
        reconstruction_weight: weight of reconstructing observations (`Decoder`).
        max_gradient_norm: global norm to which gradients are clipped.
        adam_epsilon: added to the root of a gradient's mean square.
        normalize_advantage: whether each minibatch's advantages are standardised.
        normalize_observation: whether float observations are standardised.
        normalize_reward: whether rewards are divided by the standard deviation of
            the discounted return; what is reported stays raw.
        staggered_starts: whether streams begin training spread over their episodes.
        separate_memories: whether actor and critic get encoder and memory each.
        critic_sees_hidden: whether the critic also sees the task's hidden variables.
        encoder_size: features per observation key.
        head_size: hidden units of each head; 0 for linear heads.
        squash: how Box actions are fitted into their bounds.
        initial_log_std: of the Gaussian policy over Box actions.
    """

    rollout_length: int = 128
    sequence_length: int | None = None
    num_epochs: int = 4
    num_minibatches: int = 8
    learning_rate: float = 1e-3
    memory_learning_rate: float = 1.0
    anneal_learning_rate: bool = True
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_ratio: float = 0.1
    clip_value: float | None = None
    entropy_coefficient: float = 0.01
    anneal_entropy: bool = False
    value_coefficient: float = 0.5
    reconstruction_weight: float = 0.0
    max_gradient_norm: float = 0.5
    adam_epsilon: float = 3e-5
    normalize_advantage: bool = True
    normalize_observation: bool = False
    normalize_reward: bool = False
    staggered_starts: bool = False
    separate_memories: bool = False
    critic_sees_hidden: bool = False
    encoder_size: int = 64
    head_size: int = 128
    squash: Squash = "clip"
    initial_log_std: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)
        check_hidden(self)
        check_sequences(self, self._sequence_length)

    # Sizes ----------------------------------------------------------------------

    @property
    def steps_per_update(self) -> int:
        """Environment steps, over all streams, per update."""
        return self.num_envs * self.rollout_length

    @property
    def gradient_steps_back(self) -> int:
        """Steps over which gradients flow."""
        return self._sequence_length

    @property
    def optimizer_steps(self) -> int:
        """Steps of the optimiser per update."""
        return self.num_epochs * self.num_minibatches

    @property
    def counted(self) -> tuple[str, ...]:
        """Settings whose product is `steps_per_update`."""
        return ("agent.num_envs", "agent.rollout_length")

    def describe(self) -> str:
        """How an update is made."""
        return (
            f"{self.num_envs} environments x {self.rollout_length} steps, "
            f"gradients over {self.gradient_steps_back} steps, "
            f"{self.num_epochs} epochs x {self.num_minibatches} minibatches"
        )

    def footprint(self) -> dict[str, Part]:
        """What one seed needs in memory."""
        return rollout_footprint(self, self.advantages)

    @property
    def _sequence_length(self) -> int:
        return self.sequence_length or self.rollout_length

    @property
    def _sequences(self) -> int:
        return self.steps_per_update // self._sequence_length

    @functools.cached_property
    def vector_env(self) -> VectorEnv:
        """The task, `num_envs` times, telling what the critic may see."""
        return dataclasses.replace(super().vector_env, hidden=self.critic_sees_hidden)

    @functools.cached_property
    def policy(self) -> PolicySpec:
        """How head outputs become actions."""
        return PolicySpec(self.env.action_space, self.squash)

    # Network --------------------------------------------------------------------

    def build_network(self, key: PRNGKeyArray) -> ActorCritic:
        """A network with weights of its own."""
        return build_actor_critic(self, self.policy, key=key)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        return optimizer_of(self, epsilon=self.adam_epsilon)

    # The agent contract ---------------------------------------------------------

    def init(self, key: PRNGKeyArray, params: Params | None = None) -> RolloutState:
        """A state before any experience."""
        return minibatches.first_rollout_state(self, key, params)

    def act(
        self,
        params: Params,
        memory_state: MemoryState,
        inputs: Inputs,
        *,
        key: Key[Array, " batch"],
        exploration: float | Array | None = None,
    ) -> tuple[Array, MemoryState, Extras]:
        """Choose actions; exploration None samples, 0.0 takes the mode.

        Raises:
            ExplorationError: any other, which a stochastic policy does not have.
        """
        memory_state, distribution, value = self.network(params).step(
            memory_state, inputs
        )
        sampled = is_sampled(self, exploration)
        raw = distribution.sample(key) if sampled else distribution.mode()
        extras = Extras(raw, distribution.log_prob(raw), value)
        return distribution.action(raw), memory_state, extras

    def update(self, state: RolloutState) -> tuple[RolloutState, dict[str, Array]]:
        """Collect one rollout and learn from it."""
        return self.learn_from(state, *play(self, state))

    def gathering(self, state: RolloutState) -> Gathering:
        """How experience is gathered: by the policy itself, valued where cut off."""
        return self._gathering(update_keys(state)[0])

    def _gathering(self, key: PRNGKeyArray) -> Gathering:
        return Gathering(
            key=key,
            exploration=None,
            num_sequences=self.rollout_length // self._sequence_length,
            sequence_length=self._sequence_length,
            values=True,
            keep_finals=False,
        )

    def learn_from(
        self, state: RolloutState, streams: Streams, rollout: Rollout
    ) -> tuple[RolloutState, dict[str, Array]]:
        """Learn from a rollout that the state's parameters collected."""
        streams, rollout, batch, params, optimizer_state, losses = self._learned(
            state, streams, rollout
        )
        new_state = RolloutState(
            params, optimizer_state, streams, state.key, state.updates + 1
        )
        losses = mean_over(self.axis_name, jax.tree.map(jnp.mean, losses))
        return new_state, losses | rollout_metrics(
            rollout,
            streams,
            batch,
            has_success="success" in self.info_keys,
            axis_name=self.axis_name,
        )

    def stages(self, state: RolloutState, *collected: Any) -> OrderedDict[str, Any]:
        """What the next update computes, in order."""
        streams, rollout = collected or play(self, state)
        _, rollout, batch, params, _, losses = self._learned(state, streams, rollout)
        return OrderedDict(
            rollout=rollout.transitions,
            advantages=batch._replace(transitions=None),
            learning=jax.tree.map(jnp.ravel, losses),
            parameters=params,
        )

    def _learned(
        self, state: RolloutState, streams: Streams, rollout: Rollout
    ) -> tuple:
        # STATISTICS: in force for rewards now, for observations from the next update.
        statistics, streams, rollout = normalized(self, state.params, streams, rollout)

        # ADVANTAGES
        batch = self.advantages(state.params, streams, rollout)

        # LEARN
        params, optimizer_state, losses = self.learn(
            state.params,
            state.optimizer_state,
            batch,
            rollout.memory_states,
            update_keys(state)[1],
            entropy_weight=self.entropy_weight(state.updates),
        )
        params = with_statistics(params, statistics)
        return streams, rollout, batch, params, optimizer_state, losses

    # The three stages -----------------------------------------------------------

    def rollout(
        self, params: Params, streams: Streams, key: PRNGKeyArray
    ) -> tuple[Streams, Rollout]:
        """Collect `rollout_length` steps from every stream."""
        return gather(self, params, streams, self._gathering(key))

    def advantages(self, params: Params, streams: Streams, rollout: Rollout) -> Batch:
        """Advantages and value targets of a rollout, cut into sequences."""
        steps = rollout.transitions
        last_value = self.network(params).value(streams.memory_state, streams.inputs)
        advantage = generalized_advantage(
            reward=steps.reward,
            value=steps.extras.value,
            last_value=last_value,
            bootstrap_value=steps.bootstrap_value,
            terminated=steps.terminated,
            truncated=steps.truncated,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        batch = Batch(steps, advantage, advantage + steps.extras.value)
        return as_sequences(batch, self._sequence_length)

    def learn(
        self,
        params: Params,
        optimizer_state: optax.OptState,
        batch: Batch,
        memory_states: MemoryState,
        key: PRNGKeyArray,
        *,
        entropy_weight: float | Float[Array, ""] | None = None,
    ) -> tuple[Params, optax.OptState, dict[str, Array]]:
        """Epochs of minibatches of whole sequences; metrics `[epochs, minibatches]`."""
        return minibatches.learn(
            functools.partial(self.loss, entropy_weight=entropy_weight),
            self.optimizer,
            params,
            optimizer_state,
            batch,
            memory_states,
            num_epochs=self.num_epochs,
            num_minibatches=self.num_minibatches,
            axis_name=self.axis_name,
            key=key,
        )

    def entropy_weight(self, updates: Int[Array, ""]) -> float | Float[Array, ""]:
        """Of the entropy bonus, after so many updates."""
        if not self.anneal_entropy or self.total_updates is None:
            return self.entropy_coefficient
        return annealed(self.entropy_coefficient, 0.0, updates, self.total_updates)

    def loss(
        self,
        params: Params,
        memory_state: MemoryState,
        batch: Batch,
        entropy_weight: float | Float[Array, ""] | None = None,
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The clipped surrogate, value loss and entropy bonus of some sequences.

        Args:
            params: arrays of the network.
            memory_state: the state that entered each sequence, a constant.
            batch: the sequences.
            entropy_weight: of the bonus; None for `entropy_coefficient`.

        Returns:
            The loss to minimise, and metrics.
        """
        if entropy_weight is None:
            entropy_weight = self.entropy_coefficient
        steps = batch.transitions
        distribution, value, reconstruction = self.network(params).sequence_to_learn(
            jax.lax.stop_gradient(memory_state), steps.inputs
        )
        log_prob = distribution.log_prob(steps.extras.raw_action)
        log_ratio = log_prob - steps.extras.log_prob
        advantage = batch.advantage
        if self.normalize_advantage:
            advantage = standardized(advantage, self.axis_name)
        policy_loss = clipped_surrogate(log_ratio, advantage, self.clip_ratio)
        before = steps.extras.value
        value_loss = squared_error(value, batch.target, before, self.clip_value)
        entropy = distribution.entropy().mean()
        total = (
            policy_loss
            + self.value_coefficient * value_loss
            - entropy_weight * entropy
            + self.reconstruction_weight * reconstruction
        )
        return total, {
            "loss/total": total,
            "loss/policy": policy_loss,
            "loss/value": value_loss,
            "loss/reconstruction": reconstruction,
            "policy/entropy": entropy,
            **ratio_metrics(log_ratio, self.clip_ratio),
        }
