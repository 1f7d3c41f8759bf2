"""Soft actor-critic from replayed stretches of streams, with any memory.

Haarnoja et al. 2018 for Box actions and Christodoulou 2019 for Discrete ones, with the
replay of `DQN`. Policy and critics have a memory each (Ni et al. 2022), or share one:
it then learns from the critics' loss and through the policy, and what the policy is
told about actions comes from critics that are constants there (Ni et al. 2023, 'frozen
critic'). The entropy asked for falls over the run where actions are discrete: a share
that stays caps tasks in which the right action is certain.
"""

import dataclasses
import functools
import math
from collections import OrderedDict
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from agents.algorithms.acting import is_sampled
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
from agents.experience.exploration import annealed
from agents.experience.normalize import split_trainable
from agents.experience.replay import Window
from agents.experience.returns import n_step_returns
from agents.experience.rollout import Rollout, Streams, play
from agents.experience.tape import at_places
from agents.footprint import Part
from agents.networks.build import build_soft_actor_critic
from agents.networks.choices import value_of
from agents.networks.distributions import Categorical, Distribution, PolicySpec
from agents.networks.soft_actor_critic import (
    SoftActorCritic,
    critics_of,
    log_probabilities,
    with_critics,
)


class PolicyExtras(NamedTuple):
    """What acting knows beside the action.

    Attributes:
        raw_action: the action before it was fitted into a Box.
        log_prob: `[batch]`, of the action.
    """

    raw_action: Array
    log_prob: Float[Array, "..."]


@dataclasses.dataclass(frozen=True)
class SAC(Agent):
    """SAC on one task with one memory; fields are settings, beside those of `Agent`.

    Attributes:
        separate_memories: whether policy and critics get encoder and memory each.
        n_step: rewards before the value that ends a return.
        target_period: steps of the optimiser between copies to the target critics; None
            for `target_rate`.
        target_rate: share by which the target critics follow at every step.
        temperature: weight of the entropy; None to tune it.
        entropy_first: with discrete actions, the entropy that is asked for at first, as
            a share of that of the allowed actions taken equally often.
        entropy_last: the same at the end of the run.
        normalize_reward: on by default: the entropy is weighed against rewards.
        others: as in `DQN`. Of the steps of the optimiser it takes more: with 8 in
            place of 64 a pendulum seen in part is not learned in 0.3 M steps, with 64
            it is in 0.2 M.
    """

    stream_fields: ClassVar[tuple[str, ...]] = ("streams", "replay", "marks")
    written_once: ClassVar[tuple[str, ...]] = ("replay",)

    rollout_length: int = 32
    replay_size: int = 200_000
    learning_starts: int = 5_000
    gradient_steps: int = 64
    batch_size: int = 16
    sequence_length: int = 32
    burn_in: int | None = None
    replay_period: int | None = None
    replay_start: Start | None = None
    learning_rate: float = 1e-3
    memory_learning_rate: float = 1.0
    anneal_learning_rate: bool = True
    gamma: float = 0.99
    n_step: int = 1
    target_period: int | None = None
    target_rate: float = 0.01
    temperature: float | None = None
    entropy_first: float = 0.5
    entropy_last: float = 0.05
    priority_exponent: float = 0.0
    priority_correction: float = 0.6
    priority_peak: float = 0.9
    max_gradient_norm: float = 1.0
    normalize_observation: bool = False
    normalize_reward: bool = True
    staggered_starts: bool = False
    separate_memories: bool = True
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

    def share(self, total: int, axis_name: str) -> "SAC":
        """The agent as one of `total` devices runs it."""
        return self.windows.share(self, total, axis_name)

    # Network --------------------------------------------------------------------

    @functools.cached_property
    def policy(self) -> PolicySpec:
        """How head outputs become actions."""
        return PolicySpec(self.env.action_space, "tanh")

    def build_network(self, key: PRNGKeyArray) -> SoftActorCritic:
        """A network with weights of its own."""
        return build_soft_actor_critic(self, self.policy, key=key)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam with clipped gradients, of policy, critics and temperature together."""
        return optimizer_of(self)

    def target_of(self, trainable: Params) -> Params:
        """The part that has a target network: what values actions."""
        return critics_of(trainable)

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
    ) -> tuple[Array, MemoryState, PolicyExtras]:
        """Choose actions; exploration None samples, 0.0 takes the mode.

        Raises:
            ExplorationError: any other, which a stochastic policy does not have.
        """
        memory_state, policy = self.network(params).step(memory_state, inputs)
        raw = policy.sample(key) if is_sampled(self, exploration) else policy.mode()
        extras = PolicyExtras(raw, policy.log_prob(raw))
        return policy.action(raw), memory_state, extras

    def update(self, state: ReplayState) -> tuple[ReplayState, dict[str, Array]]:
        """Play, write it down, and learn from what is written."""
        return self.learn_from(state, *play(self, state))

    def gathering(self, state: ReplayState) -> Gathering:
        """How experience is gathered: by the policy itself."""
        return replay_gathering(self, state)

    def learn_from(
        self, state: ReplayState, streams: Streams, rollout: Rollout
    ) -> tuple[ReplayState, dict[str, Array]]:
        """Write down what was played, and learn from what is written."""
        new_state, losses = write_and_learn(self, state, streams, rollout)
        return new_state, value_metrics(self, streams, rollout, losses)

    def stages(self, state: ReplayState, *collected: Any) -> OrderedDict[str, Any]:
        """What the next update computes, in order."""
        streams, rollout = collected or play(self, state)
        new_state, losses = write_and_learn(self, state, streams, rollout)
        return OrderedDict(
            rollout=rollout.transitions, learning=losses, parameters=new_state.params
        )

    # The stages -----------------------------------------------------------------

    def loss(
        self, params: Params, state: ReplayState, window: Window, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], tuple[tuple[Array, Array], dict[str, Array]]]:
        """Losses of critics, policy and temperature, whose gradients do not mix.

        Args:
            params: arrays of the network.
            state: with the target critics, the replay and the number of updates.
            window: the windows.
            key: source of the policy's actions.

        Returns:
            The loss; the error of every row, and whether its return is known; metrics.
        """
        tape, rows, layout = self.windows.tape(state.replay, window)
        network = self.network(params)
        entering = self.windows.entering(network, window)
        _, remembered, valued = network.sequence(entering, tape)
        policy = network.distribution(remembered, tape.action_mask)
        keys = jax.random.split(key, tape.start.shape)
        temperature = self._temperature(network)

        # CRITICS: what follows is worth what the policy would get, and its entropy.
        fixed = split_trainable(params)[1]
        target = eqx.combine(state.target, critics_of(fixed))
        slow = self.network(with_critics(params, target))
        seen = slow.sequence(self.windows.entering(slow, window), tape)[2]
        value, _ = self._soft_value(slow, seen, policy, keys, temperature)
        returns, known = n_step_returns(
            reward=rows.reward,
            next_value=at_places(jax.lax.stop_gradient(value), layout.place + 1),
            terminated=rows.terminated,
            truncated=rows.truncated,
            known=layout.known,
            gamma=self.gamma,
            steps=self.n_step,
        )
        taken = self._taken(network, at_places(valued, layout.place), rows.action)
        error = jnp.where(known[None], returns[None] - taken, 0)
        count = jnp.maximum(known.sum(), 1).astype(error.dtype)
        weight = self.windows.correction(window)
        critic_loss = 0.5 * (weight * jnp.square(error).sum(0)).sum() / count

        # POLICY: of critics that are constants here.
        frozen = jax.lax.stop_gradient(network)
        promised, entropy = self._soft_value(
            frozen, jax.lax.stop_gradient(valued), policy, keys, temperature
        )
        played = at_places(promised, layout.place), at_places(entropy, layout.place)
        policy_loss = -played[0].mean()

        # TEMPERATURE: up where the entropy is below what is asked for.
        wanted = self._wanted_entropy(state.updates, tape.action_mask, layout.place)
        missing = jax.lax.stop_gradient(played[1] - wanted).mean()
        temperature_loss = network.log_temperature * missing
        loss = critic_loss + policy_loss
        if self.temperature is None:
            loss = loss + temperature_loss
        metrics = {
            "loss/total": loss,
            "loss/value": critic_loss,
            "loss/policy": policy_loss,
            "policy/entropy": played[1].mean(),
            "policy/temperature": temperature,
            "value/mean": jnp.where(known, taken.mean(0), 0).sum() / count,
            "replay/unknown": 1 - known.mean(),
        }
        return loss, ((error.mean(0), known), metrics)

    def _soft_value(
        self,
        network: SoftActorCritic,
        summary: Array,
        policy: Distribution,
        keys: Key[Array, "places windows"],
        temperature: Float[Array, ""],
    ) -> tuple[Float[Array, "places windows"], Float[Array, "places windows"]]:
        """What a policy is worth with its entropy, and the entropy."""
        if isinstance(policy, Categorical):
            log_probability = log_probabilities(policy)
            probability = jnp.exp(log_probability)
            worth = network.values(summary).min(0) - temperature * log_probability
            value = jnp.where(probability > 0, probability * worth, 0).sum(-1)
            return value, policy.entropy()
        raw = policy.sample(keys)
        log_probability = policy.log_prob(raw)
        values = network.values(summary, policy.action(raw)).min(0)
        return values - temperature * log_probability, -log_probability

    def _taken(
        self, network: SoftActorCritic, summary: Array, action: Any
    ) -> Float[Array, "two rows windows"]:
        """What both critics say of what was done."""
        if network.choices is None:
            return network.values(summary, action)
        number = network.choices.number(action)
        first, second = network.values(summary)
        return jnp.stack([value_of(first, number), value_of(second, number)])

    def _temperature(self, network: SoftActorCritic) -> Float[Array, ""]:
        if self.temperature is not None:
            return jnp.asarray(self.temperature, network.log_temperature.dtype)
        return jnp.exp(jax.lax.stop_gradient(network.log_temperature))

    def _wanted_entropy(self, updates: Array, mask: Any, place: Array) -> Array:
        """The entropy that is asked for, in nats."""
        if self.policy.kind == "gaussian":
            radius = 0.5 * (np.asarray(self.policy.high) - np.asarray(self.policy.low))
            return jnp.asarray(float(np.log(radius).sum()) - len(radius))
        share = jnp.asarray(self.entropy_first)
        if self.total_updates is not None:
            ends = self.entropy_first, self.entropy_last
            share = annealed(*ends, updates, self.total_updates)
        if mask is None:
            return share * math.log(math.prod(self.policy.sizes))
        parts = jnp.split(mask, np.cumsum(self.policy.sizes)[:-1].tolist(), axis=-1)
        options = [part.sum(-1).astype(share.dtype) for part in parts]
        most = jnp.log(jnp.maximum(jnp.stack(options), 1)).sum(0)
        return share * at_places(most, place)
