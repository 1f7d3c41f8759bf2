"""Collecting experience: the environment and the policy in one compiled scan.

A rollout is cut into sequences, contiguous in time, each stored with the memory state
that entered it. Episodes may start anywhere inside a sequence: start flags carry that,
and nothing is padded.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from agents.base import Gathering, Inputs, MemoryState, Params
from agents.experience.packing import scan_packed
from agents.experience.tape import Finals
from agents.keys import Keys, Use, key_for, step_keys
from envs.rows import update_rows
from envs.vector import Step, VectorEnv, VectorState


class Streams(NamedTuple):
    """Where a batch of streams stands between two steps.

    `discounted_return` is that of each episode so far, None unless rewards are
    normalised.
    """

    env_state: VectorState
    inputs: Inputs
    memory_state: MemoryState
    discounted_return: Float[Array, " batch"] | None = None


class Transition(NamedTuple):
    """One step of a batch of streams; stacked, `[time, batch, ...]`.

    Attributes:
        inputs: what the policy saw.
        action: what the environment received.
        extras: what acting knew beside the action.
        reward: what came of it.
        terminated, truncated: how the episode ended at this step, if it did.
        bootstrap_value: the value of an episode that this step truncated, at its final
            observation and with its own memory; 0 elsewhere.
        finals: what the step led to before any reset; None unless asked for.
    """

    inputs: Inputs
    action: Any
    extras: Any
    reward: Float[Array, "..."]
    terminated: Bool[Array, "..."]
    truncated: Bool[Array, "..."]
    bootstrap_value: Float[Array, "..."]
    finals: Finals | None = None


class EpisodeStatistics(NamedTuple):
    """Sums over the episodes that ended; `success` is 0 where tasks report none."""

    episodes: Int[Array, ""]
    episode_return: Float[Array, ""]
    episode_length: Float[Array, ""]
    success: Float[Array, ""]

    def metrics(self, has_success: bool) -> dict[str, Array]:
        """Means over the episodes, by tag; nan if none ended."""
        count = self.episodes.astype(self.episode_return.dtype)
        metrics = {
            "train/return": self.episode_return / count,
            "train/episode_length": self.episode_length / count,
            "train/episodes": count,
        }
        if has_success:
            metrics["train/success"] = self.success / count
        return metrics


class Rollout(NamedTuple):
    """What `collect` returns.

    Attributes:
        transitions: leaves `[rollout_length, batch, ...]`.
        memory_states: the state that entered each sequence, `[sequences, batch, ...]`.
        statistics: over episodes that ended in this rollout.
    """

    transitions: Transition
    memory_states: MemoryState
    statistics: EpisodeStatistics


Act = Callable[[MemoryState, Inputs, Keys], tuple[Any, MemoryState, Any]]
Value = Callable[[MemoryState, Inputs], Float[Array, " batch"]]


def first_streams(agent: Any, network: Any, *, key: PRNGKeyArray) -> Streams:
    """The streams of an agent at the first observations of their first episodes.

    Args:
        agent: with the settings of `Agent`.
        network: with the memory states that streams begin with.
        key: the seed's.
    """
    observation, env_state = agent.vector_env.reset(key_for(key, Use.ENVIRONMENT))
    mask = agent.vector_env.mask(env_state)
    hidden = agent.vector_env.hidden_variables(env_state)
    inputs = agent.first_inputs(observation, mask, agent.num_envs, hidden)
    streams = Streams(env_state, inputs, network.initial_state(agent.num_envs))
    if not agent.normalize_reward:
        return streams
    zeros = jnp.zeros_like(env_state.episode_return)
    return streams._replace(discounted_return=zeros)


def next_inputs(
    inputs: Inputs,
    *,
    observation: Any,
    start: Any,
    action: Any,
    reward: Any,
    action_mask: Array | None,
    hidden: dict[str, Any] | None = None,
) -> Inputs:
    """What follows `inputs`: the same fields as before, filled with what came of it."""
    return Inputs(
        observation=observation,
        start=start,
        previous_action=None if inputs.previous_action is None else action,
        previous_reward=None if inputs.previous_reward is None else reward,
        action_mask=action_mask,
        hidden=hidden,
    )


def truncation_values(
    value: Value, memory_state: MemoryState, inputs: Inputs, step: Step
) -> Float[Array, " batch"]:
    """Values at the final observations of the rows that `step` truncated, else 0.

    The final observation continues the episode: its start flag is false, and the
    memory is the one from before the reset. Computed for the truncated rows only.
    """
    continued = inputs._replace(
        observation=step.final_observation,
        start=jnp.zeros_like(step.ended),
        hidden=step.final_hidden,
    )
    return update_rows(
        lambda rows: value(*rows),
        step.truncated & ~step.terminated,
        (memory_state, continued),
        jnp.zeros_like(step.reward),
        rows_per_round=8,
    )


def collect(
    act: Act,
    value: Value | None,
    env: VectorEnv,
    streams: Streams,
    *,
    key: PRNGKeyArray,
    num_sequences: int,
    sequence_length: int,
    keep_finals: bool = False,
) -> tuple[Streams, Rollout]:
    """Advance every stream by `num_sequences * sequence_length` steps.

    Args:
        act: the policy, on a batch of streams, with a key per stream.
        value: the critic, on a batch of streams; called for truncated episodes only.
            None leaves the values of those to whoever learns from the rollout.
        env: the vectorised task.
        streams: where the streams stand.
        key: source of the policy's and the task's randomness.
        num_sequences: sequences per stream.
        sequence_length: steps per sequence.
        keep_finals: whether transitions hold what every step led to.

    Returns:
        Where the streams stand afterwards, and the rollout.
    """
    truncates = env.env.card.truncates

    def one_step(streams: Streams, keys: tuple[Keys, Array]) -> tuple[Streams, Any]:
        act_keys, env_key = keys
        action, memory_state, extras = act(
            streams.memory_state, streams.inputs, act_keys
        )
        env_state, step = env.step(env_key, streams.env_state, action)
        inputs = next_inputs(
            streams.inputs,
            observation=step.observation,
            start=jnp.asarray(step.ended),
            action=action,
            reward=step.reward,
            action_mask=step.action_mask,
            hidden=env.hidden_variables(env_state),
        )
        bootstrap = jnp.zeros_like(step.reward)
        if truncates and value is not None:
            bootstrap = truncation_values(value, memory_state, inputs, step)
        transition = Transition(
            inputs=streams.inputs,
            action=action,
            extras=extras,
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            bootstrap_value=bootstrap,
            finals=Finals(step.final_observation, step.final_action_mask)
            if keep_finals
            else None,
        )
        streams = streams._replace(
            env_state=env_state, inputs=inputs, memory_state=memory_state
        )
        return streams, (transition, _episodes(step))

    def one_sequence(
        streams: Streams, keys: tuple[Key[Array, "time batch"], Key[Array, " time"]]
    ) -> tuple[Streams, Any]:
        entering = streams.memory_state
        streams, (transitions, episodes) = scan_packed(
            one_step, streams, keys, rows=streams.env_state.index.shape[0]
        )
        return streams, (transitions, episodes, entering)

    # The keys of all steps at once: in the loop they cost a tenth of a rollout. As in
    # the vectoriser, randomness belongs to the environment's own number.
    keys = jax.vmap(jax.vmap(step_keys, (0, None)), (0, None))(
        jax.random.split(key, (num_sequences, sequence_length)),
        streams.env_state.index,
    )
    streams, (transitions, episodes, memory_states) = jax.lax.scan(
        one_sequence, streams, keys
    )
    transitions = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), transitions)
    statistics = jax.tree.map(lambda x: x.sum(), episodes)
    return streams, Rollout(transitions, memory_states, statistics)


def gather(
    agent: Any, params: Params, streams: Streams, how: Gathering
) -> tuple[Streams, Rollout]:
    """Collect with an agent.

    Args:
        agent: with `act`, and a network with `value` where values are asked for.
        params: it acts with.
        streams: where they stand.
        how: what to collect.
    """
    return collect(
        lambda memory, inputs, key: agent.act(
            params, memory, inputs, key=key, exploration=how.exploration
        ),
        agent.network(params).value if how.values else None,
        agent.vector_env,
        streams,
        key=how.key,
        num_sequences=how.num_sequences,
        sequence_length=how.sequence_length,
        keep_finals=how.keep_finals,
    )


def play(agent: Any, state: Any) -> tuple[Streams, Rollout]:
    """What the next update of an agent learns from, as its `gathering` says."""
    return gather(agent, state.params, state.streams, agent.gathering(state))


def _episodes(step: Step) -> EpisodeStatistics:
    ended = step.ended
    dtype = step.reward.dtype
    success = step.info.get("success", jnp.zeros_like(ended))
    return EpisodeStatistics(
        episodes=ended.sum(dtype=jnp.int32),
        episode_return=jnp.where(ended, step.episode_return, 0).sum(),
        episode_length=jnp.where(ended, step.episode_length, 0).sum().astype(dtype),
        success=(ended & success).sum().astype(dtype),
    )


def as_sequences(tree: Any, sequence_length: int) -> Any:
    """`[time, batch, ...]` cut into sequences: `[sequence_length, sequences, ...]`.

    Sequence `i * batch + b` is the i-th stretch of contiguous steps of stream b.
    """

    def cut(x: Array) -> Array:
        x = x.reshape(-1, sequence_length, *x.shape[1:])
        return jnp.moveaxis(x, 0, 1).reshape(sequence_length, -1, *x.shape[3:])

    return jax.tree.map(cut, tree)
