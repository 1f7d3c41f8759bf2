"""Parallelised Q-networks with any memory (Gallici et al. 2024).

Q(lambda) from rollouts of many epsilon-greedy streams: no replay and no target network;
what keeps it stable is that features are standardised (`layer_norm`) and that a rollout
is of the current policy. Values and targets are recomputed with the current weights at
every minibatch, in one pass over sequences in which the final observation of an episode
that a time limit cut off has a place of its own (`agents/experience/tape.py`).
"""

import dataclasses
import functools
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from agents.algorithms import minibatches
from agents.algorithms.acting import QExtras, act_on_values
from agents.algorithms.footprint import rollout_footprint
from agents.algorithms.metrics import value_metrics
from agents.algorithms.minibatches import RolloutState
from agents.algorithms.optimizer import optimizer_of
from agents.algorithms.settings import check_ranges, check_sequences
from agents.base import Agent, Gathering, Inputs, MemoryState, Params
from agents.devices import mean_over
from agents.experience.exploration import epsilon_of
from agents.experience.normalize import (
    normalized,
    with_statistics,
)
from agents.experience.returns import lambda_returns, rests_on
from agents.experience.rollout import (
    Rollout,
    Streams,
    as_sequences,
    play,
)
from agents.experience.tape import (
    Finals,
    at_places,
    lay_out,
    on_tape,
    room_for,
    rows_of_finals,
)
from agents.footprint import Part
from agents.keys import update_keys
from agents.networks.action_values import ActionValues
from agents.networks.build import build_action_values
from agents.networks.choices import Choices, masked, value_of


class Batch(NamedTuple):
    """Sequences to learn from, `[sequence_length, sequences, ...]`.

    Attributes:
        inputs: of every step.
        following: of the step after it: the last of them tells what follows a sequence.
        action: what was done.
        reward: what came of it.
        terminated, truncated: how the episode ended at a step, if it did.
        finals: what every step led to; None for tasks that never truncate.
    """

    inputs: Inputs
    following: Inputs
    action: Any
    reward: Float[Array, "time sequences"]
    terminated: Bool[Array, "time sequences"]
    truncated: Bool[Array, "time sequences"]
    finals: Finals | None


@dataclasses.dataclass(frozen=True)
class PQN(Agent):
    """PQN on one task with one memory; fields are settings, beside those of `Agent`.

    Attributes:
        rollout_length: steps per stream and update.
        sequence_length: steps over which gradients flow; divides rollout_length. None
            is the whole rollout.
        num_epochs: passes over a rollout.
        num_minibatches: minibatches per pass; divides the number of sequences,
            `num_envs * rollout_length / sequence_length`.
        learning_rate: of RAdam, at the start.
        memory_learning_rate: factor on it for the memory's weights; 0 freezes them.
        anneal_learning_rate: whether it falls linearly to 0 over `total_updates`.
        gamma: discount per step.
        q_lambda: of the returns: 0 one-step, 1 Monte Carlo.
        max_gradient_norm: global norm to which gradients are clipped.
        exploration_share: of the run, over which epsilon falls from 1.
        exploration_last: epsilon afterwards; None for a ladder over the streams.
        normalize_observation: whether float observations are standardised.
        normalize_reward: whether rewards are divided by the standard deviation of
            the discounted return; what is reported stays raw.
        staggered_starts: whether streams begin training spread over their episodes.
        layer_norm: whether the encoder standardises features.
        dueling: whether values are a mean and what actions are better than that.
        encoder_size: features per observation key.
        head_size: hidden units of each head; 0 for linear heads.
    """

    rollout_length: int = 128
    sequence_length: int | None = None
    num_epochs: int = 4
    num_minibatches: int = 32
    learning_rate: float = 1e-3
    memory_learning_rate: float = 1.0
    anneal_learning_rate: bool = True
    gamma: float = 0.99
    q_lambda: float = 0.9
    max_gradient_norm: float = 1.0
    exploration_share: float = 0.2
    exploration_last: float | None = None
    normalize_observation: bool = False
    normalize_reward: bool = False
    staggered_starts: bool = False
    layer_norm: bool = True
    dueling: bool = False
    encoder_size: int = 64
    head_size: int = 128

    def __post_init__(self) -> None:
        check_ranges(self)
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
        return rollout_footprint(self, self.sequences)

    @property
    def _sequence_length(self) -> int:
        return self.sequence_length or self.rollout_length

    @property
    def _room(self) -> int:
        """Places for final observations in a sequence."""
        return room_for(self.env.card, self._sequence_length)

    # Network --------------------------------------------------------------------

    @functools.cached_property
    def choices(self) -> Choices:
        """The actions."""
        return Choices.of(self.env.action_space, "pqn")

    def build_network(self, key: PRNGKeyArray) -> ActionValues:
        """A network with weights of its own."""
        return build_action_values(self, self.choices, key=key)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """RAdam with clipped gradients."""
        return optimizer_of(self, rectified=True)

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
    ) -> tuple[Array, MemoryState, QExtras]:
        """Choose actions: the best, or with probability `exploration` any allowed.

        `exploration` is one number, or one per stream; None is 0.
        """
        return act_on_values(
            self, params, memory_state, inputs, key=key, exploration=exploration
        )

    def update(self, state: RolloutState) -> tuple[RolloutState, dict[str, Array]]:
        """Collect one rollout and learn from it."""
        return self.learn_from(state, *play(self, state))

    def gathering(self, state: RolloutState) -> Gathering:
        """How experience is gathered: a little at random."""
        index = state.streams.env_state.index
        return Gathering(
            key=update_keys(state)[0],
            exploration=self.exploration(index, state.updates),
            num_sequences=self.rollout_length // self._sequence_length,
            sequence_length=self._sequence_length,
            values=False,
            keep_finals=self._room > 0,
        )

    def learn_from(
        self, state: RolloutState, streams: Streams, rollout: Rollout
    ) -> tuple[RolloutState, dict[str, Array]]:
        """Learn from a rollout that the state's parameters collected."""
        new_state, losses = self._learned(state, streams, rollout)
        index = state.streams.env_state.index
        epsilon = self.exploration(index, state.updates).mean()
        return new_state, {
            **value_metrics(self, streams, rollout, losses),
            "exploration/epsilon": mean_over(self.axis_name, epsilon),
        }

    def stages(self, state: RolloutState, *collected: Any) -> OrderedDict[str, Any]:
        """What the next update computes, in order."""
        streams, rollout = collected or play(self, state)
        new_state, losses = self._learned(state, streams, rollout)
        return OrderedDict(
            rollout=rollout.transitions,
            learning=jax.tree.map(jnp.ravel, losses),
            parameters=new_state.params,
        )

    def exploration(
        self, index: Int[Array, " batch"], updates: Int[Array, ""]
    ) -> Float[Array, " batch"]:
        """How likely each stream is to try any action."""
        return epsilon_of(self, index, updates)

    def _learned(
        self, state: RolloutState, streams: Streams, rollout: Rollout
    ) -> tuple[RolloutState, dict[str, Array]]:
        # STATISTICS: in force for rewards now, for observations from the next update.
        statistics, streams, scaled = normalized(self, state.params, streams, rollout)

        # LEARN
        batch = self.sequences(state.params, streams, scaled)
        params, optimizer_state, losses = minibatches.learn(
            self.loss,
            self.optimizer,
            state.params,
            state.optimizer_state,
            batch,
            rollout.memory_states,
            num_epochs=self.num_epochs,
            num_minibatches=self.num_minibatches,
            axis_name=self.axis_name,
            key=update_keys(state)[1],
        )
        params = with_statistics(params, statistics)
        updates = state.updates + 1
        new_state = RolloutState(params, optimizer_state, streams, state.key, updates)
        return new_state, losses

    # The stages -----------------------------------------------------------------

    def sequences(self, params: Params, streams: Streams, rollout: Rollout) -> Batch:
        """A rollout cut into sequences, each with what follows it."""
        del params  # targets are recomputed with the weights of the moment
        steps = rollout.transitions
        following = jax.tree.map(
            lambda x, last: jnp.concatenate([x[1:], last[None]]),
            steps.inputs,
            streams.inputs,
        )
        batch = Batch(
            inputs=steps.inputs,
            following=following,
            action=steps.action,
            reward=steps.reward,
            terminated=steps.terminated,
            truncated=steps.truncated,
            finals=steps.finals,
        )
        return as_sequences(batch, self._sequence_length)

    def loss(
        self, params: Params, memory_state: MemoryState, batch: Batch
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Half the mean squared error of the values of what was done.

        Args:
            params: arrays of the network.
            memory_state: the state that entered each sequence, a constant.
            batch: the sequences.

        Returns:
            The loss to minimise, and metrics.
        """
        cut = batch.truncated & ~batch.terminated
        layout = lay_out(cut, jnp.ones_like(cut), self._room)
        finals = None
        if batch.finals is not None:
            row = rows_of_finals(layout, self._room)
            finals = jax.tree.map(lambda x: at_places(x, row), batch.finals)
        inputs = jax.tree.map(
            lambda x, y: jnp.concatenate([x, y[-1:]]), batch.inputs, batch.following
        )
        tape = on_tape(layout, inputs, batch.action, batch.reward, finals)
        state = jax.lax.stop_gradient(memory_state)
        values = self.network(params).sequence(state, tape)[1]

        best = masked(values, self.choices.allowed(tape.action_mask)).max(-1)
        ends = {"terminated": batch.terminated, "truncated": batch.truncated}
        returns = lambda_returns(
            reward=batch.reward,
            next_value=at_places(jax.lax.stop_gradient(best), layout.place + 1),
            gamma=self.gamma,
            trace=self.q_lambda,
            **ends,
        )
        known = rests_on(layout.known, **ends)
        number = self.choices.number(batch.action)
        taken = value_of(at_places(values, layout.place), number)
        error = jnp.where(known, returns - taken, 0)
        count = jnp.maximum(known.sum(), 1).astype(error.dtype)
        loss = 0.5 * jnp.square(error).sum() / count
        return loss, {
            "loss/total": loss,
            "value/mean": jnp.where(known, taken, 0).sum() / count,
            "replay/unknown": 1 - known.mean(),
        }
