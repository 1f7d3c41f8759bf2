"""Deep Q-learning from replayed stretches of streams, with any memory.

Recurrent replay in the line of DRQN (Hausknecht and Stone 2015) and R2D2 (Kapturowski
et al. 2019), with double Q-learning (van Hasselt et al. 2016), n-step returns, and
where wanted dueling heads, rescaled values and priorities. With `memory=none` it is DQN
(Mnih et al. 2015).

One update is one compiled program: a rollout by epsilon-greedy streams, written into
the replay, then several steps of the optimiser on sampled windows. A window crosses
ends of episodes without padding: the final observation of an episode that a time limit
cut off has a place of its own on the tape (`agents/experience/tape.py`), so one pass of
each network values everything with the memory it belongs to.
"""

import dataclasses
import functools
from collections import OrderedDict
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from agents.algorithms.acting import QExtras, act_on_values
from agents.algorithms.losses import rescaled, unscaled
from agents.algorithms.metrics import value_metrics
from agents.algorithms.optimizer import optimizer_of
from agents.algorithms.replaying import (
    ReplayState,
    first_replay_state,
    replay_footprint,
    replay_gathering,
    write_and_learn,
)
from agents.algorithms.settings import check_ranges, check_replay
from agents.algorithms.windows import Start, Windows, memory_context
from agents.base import Agent, Gathering, Inputs, MemoryState, Params
from agents.devices import mean_over
from agents.experience.exploration import epsilon_of
from agents.experience.normalize import split_trainable
from agents.experience.replay import Window
from agents.experience.returns import n_step_returns
from agents.experience.rollout import Rollout, Streams, play
from agents.experience.tape import at_places
from agents.footprint import Part
from agents.networks.action_values import ActionValues
from agents.networks.build import build_action_values
from agents.networks.choices import Choices, masked, value_of


@dataclasses.dataclass(frozen=True)
class DQN(Agent):
    """DQN on one task with one memory; fields are settings, beside those of `Agent`.

    Attributes:
        rollout_length: steps per stream and update.
        replay_size: steps kept, over all streams; rounded down to whole rollouts.
        learning_starts: steps, over all streams, before the first gradient.
        gradient_steps: steps of the optimiser per update.
        batch_size: windows per step of the optimiser.
        sequence_length: steps of a window that are learned from.
        burn_in: steps before them that only bring the memory up to date. None is what a
            memory of finite context needs, else a quarter of `sequence_length`.
        replay_period: steps between the starts of windows; divides rollout_length. None
            is a half of `sequence_length`, or as much of it as divides.
        replay_start: what the memory holds where a window starts: the `stored` state of
            when it was played, `zero` (the state before a first step), or windows begin
            at starts of episodes alone (`episode`). None is `zero` where the memory's
            context is finite, because it is then exact, else `stored`.
        learning_rate: of Adam, at the start.
        memory_learning_rate: factor on it for the memory's weights; 0 freezes them.
        anneal_learning_rate: whether it falls linearly to 0 over `total_updates`.
        gamma: discount per step.
        n_step: rewards before the value that ends a return.
        double: whether the network itself chooses what the target network values.
        dueling: whether values are a mean and what actions are better than that.
        value_rescaling: whether returns are learned as `rescaled` ones.
        target_period: steps of the optimiser between copies to the target network; None
            for `target_rate`.
        target_rate: share by which the target network follows at every step.
        priority_exponent: of priorities in sampling; 0 samples uniformly.
        priority_correction: exponent of the weights that correct for it.
        priority_peak: share of the largest error in a window's priority; the rest is
            the mean.
        max_gradient_norm: global norm to which gradients are clipped.
        exploration_share: of the run, over which epsilon falls from 1.
        exploration_last: epsilon afterwards; None for a ladder over the streams.
        normalize_observation: whether float observations are standardised.
        normalize_reward: whether rewards are divided by the standard deviation of
            the discounted return; what is reported stays raw.
        staggered_starts: whether streams begin training spread over their episodes.
        layer_norm: whether the encoder standardises features.
        encoder_size: features per observation key.
        head_size: hidden units of each head; 0 for linear heads.
    """

    stream_fields: ClassVar[tuple[str, ...]] = ("streams", "replay", "marks")
    written_once: ClassVar[tuple[str, ...]] = ("replay",)

    rollout_length: int = 32
    replay_size: int = 200_000
    learning_starts: int = 5_000
    gradient_steps: int = 8
    batch_size: int = 32
    sequence_length: int = 32
    burn_in: int | None = None
    replay_period: int | None = None
    replay_start: Start | None = None
    learning_rate: float = 1e-3
    memory_learning_rate: float = 1.0
    anneal_learning_rate: bool = True
    gamma: float = 0.99
    n_step: int = 3
    double: bool = True
    dueling: bool = False
    value_rescaling: bool = False
    target_period: int | None = None
    target_rate: float = 0.01
    priority_exponent: float = 0.0
    priority_correction: float = 0.6
    priority_peak: float = 0.9
    max_gradient_norm: float = 1.0
    exploration_share: float = 0.2
    exploration_last: float | None = None
    normalize_observation: bool = False
    normalize_reward: bool = False
    staggered_starts: bool = False
    layer_norm: bool = True
    encoder_size: int = 64
    head_size: int = 128

    def __post_init__(self) -> None:
        check_ranges(self)
        check_replay(self)

    # Sizes ----------------------------------------------------------------------

    @property
    def steps_per_update(self) -> int:
        """Environment steps, over all streams, per update."""
        return self.num_envs * self.rollout_length

    @property
    def gradient_steps_back(self) -> int:
        """Steps over which gradients flow."""
        return self.sequence_length

    @property
    def optimizer_steps(self) -> int:
        """Steps of the optimiser per update."""
        return self.gradient_steps

    @property
    def counted(self) -> tuple[str, ...]:
        """Settings whose product is `steps_per_update`."""
        return ("agent.num_envs", "agent.rollout_length")

    def describe(self) -> str:
        """How an update is made."""
        return self.windows.describe(self)

    def footprint(self) -> dict[str, Part]:
        """What one seed needs in memory."""
        return replay_footprint(self)

    @functools.cached_property
    def windows(self) -> Windows:
        """How stretches of streams are kept and drawn."""
        return Windows.of(self, memory_context(self))

    def share(self, total: int, axis_name: str) -> "DQN":
        """The agent as one of `total` devices runs it."""
        return self.windows.share(self, total, axis_name)

    # Network --------------------------------------------------------------------

    @functools.cached_property
    def choices(self) -> Choices:
        """The actions."""
        return Choices.of(self.env.action_space, "dqn")

    def build_network(self, key: PRNGKeyArray) -> ActionValues:
        """A network with weights of its own."""
        return build_action_values(self, self.choices, key=key)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        return optimizer_of(self)

    def target_of(self, trainable: Params) -> Params:
        """The part that has a target network: all of it."""
        return trainable

    # The agent contract ---------------------------------------------------------

    def init(self, key: PRNGKeyArray, params: Params | None = None) -> ReplayState:
        """A state before any experience."""
        return first_replay_state(self, key, params)

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

    def update(self, state: ReplayState) -> tuple[ReplayState, dict[str, Array]]:
        """Play, write it down, and learn from what is written."""
        return self.learn_from(state, *play(self, state))

    def gathering(self, state: ReplayState) -> Gathering:
        """How experience is gathered: a little at random, each stream its own share."""
        return replay_gathering(self, state)

    def learn_from(
        self, state: ReplayState, streams: Streams, rollout: Rollout
    ) -> tuple[ReplayState, dict[str, Array]]:
        """Write down what was played, and learn from what is written."""
        new_state, losses = write_and_learn(self, state, streams, rollout)
        index = state.streams.env_state.index
        epsilon = self.exploration(index, state.updates).mean()
        return new_state, {
            **value_metrics(self, streams, rollout, losses),
            "exploration/epsilon": mean_over(self.axis_name, epsilon),
        }

    def stages(self, state: ReplayState, *collected: Any) -> OrderedDict[str, Any]:
        """What the next update computes, in order."""
        streams, rollout = collected or play(self, state)
        new_state, losses = write_and_learn(self, state, streams, rollout)
        return OrderedDict(
            rollout=rollout.transitions, learning=losses, parameters=new_state.params
        )

    def exploration(
        self, index: Int[Array, " batch"], updates: Int[Array, ""]
    ) -> Float[Array, " batch"]:
        """How likely each stream is to try any action."""
        return epsilon_of(self, index, updates)

    # The stages -----------------------------------------------------------------

    def loss(
        self, params: Params, state: ReplayState, window: Window, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], tuple[tuple[Array, Array], dict[str, Array]]]:
        """Half the mean squared error of the values of what was done.

        Args:
            params: arrays of the network.
            state: with the target network and what the windows were drawn from.
            window: the windows.
            key: not used.

        Returns:
            The loss; the error of every row, and whether its return is known; metrics.
        """
        del key
        tape, rows, layout = self.windows.tape(state.replay, window)
        values = self._values(params, window, tape)
        others = eqx.combine(state.target, split_trainable(params)[1])
        others = jax.lax.stop_gradient(self._values(others, window, tape))

        # What follows every row, as the target network sees it.
        allowed = self.choices.allowed(tape.action_mask)
        chooser = jax.lax.stop_gradient(values) if self.double else others
        best = masked(chooser, allowed).argmax(-1)
        value = value_of(others, best)
        if self.value_rescaling:
            value = unscaled(value)
        returns, known = n_step_returns(
            reward=rows.reward,
            next_value=at_places(value, layout.place + 1),
            terminated=rows.terminated,
            truncated=rows.truncated,
            known=layout.known,
            gamma=self.gamma,
            steps=self.n_step,
        )
        if self.value_rescaling:
            returns = rescaled(returns)

        number = self.choices.number(rows.action)
        taken = value_of(at_places(values, layout.place), number)
        error = jnp.where(known, returns - taken, 0)
        weight = self.windows.correction(window)
        count = jnp.maximum(known.sum(), 1).astype(error.dtype)
        loss = 0.5 * (weight * jnp.square(error)).sum() / count
        metrics = {
            "loss/total": loss,
            "value/mean": jnp.where(known, taken, 0).sum() / count,
            "replay/unknown": 1 - known.mean(),
        }
        return loss, ((error, known), metrics)

    def _values(self, params: Params, window: Window, tape: Inputs) -> Array:
        """Values of all actions at every place of the learned part of windows."""
        network = self.network(params)
        return network.sequence(self.windows.entering(network, window), tape)[1]
