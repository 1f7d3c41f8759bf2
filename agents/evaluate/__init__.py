"""Evaluation: every stream plays exactly one episode, and all of them count.

Counting the first episodes to finish would favour short ones. The verdict compares the
mean return with the task's card: what can be had without memory, and with any.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from agents.base import Agent, Inputs, MemoryState, Params
from agents.experience.rollout import next_inputs
from agents.keys import Use, key_for, row_keys, step_keys
from envs.base import Card, Environment, float_dtype

MINIMUM_EPISODES = 200
"""Fewest evaluation episodes on which a verdict is given."""

MARGIN = 0.1
"""Share of (recall - memoryless) by which the lower bound must beat memoryless."""

_Z95 = 1.959964


class Episodes(NamedTuple):
    """One episode per stream, `[episodes]` each.

    Attributes:
        episode_return: undiscounted sum of rewards.
        episode_length: number of steps.
        success: the task's own `info["success"]` at the last step; None without one.
        finished: whether the episode ended before the step limit.
    """

    episode_return: Float[Array, " episodes"]
    episode_length: Int[Array, " episodes"]
    success: Bool[Array, " episodes"] | None
    finished: Bool[Array, " episodes"]


class Playing(NamedTuple):
    """Episodes under way: one per stream."""

    time: Int[Array, ""]
    env_state: Any
    inputs: Inputs
    memory_state: MemoryState
    episodes: Episodes


def play_episodes(
    agent: Agent,
    params: Params,
    *,
    key: PRNGKeyArray,
    episodes: int,
    exploration: float | None,
    step_limit: int,
    env: Environment | None = None,
) -> Episodes:
    """Let `episodes` streams play one episode each, under jit or outside.

    Args:
        agent: the agent, of which only `act` and its inputs are used.
        params: what it acts with.
        key: of this use alone: `key_for(seed's key, Use.EVALUATION)`.
        episodes: number of streams.
        exploration: passed to `act`: None for the policy itself, 0.0 for greedy.
        step_limit: steps after which episodes are given up as unfinished.
        env: the task to play, of the same spaces; by default the agent's.
    """
    playing = start_episodes(agent, params, key=key, episodes=episodes, env=env)
    until = jnp.asarray(step_limit, jnp.int32)
    return continue_episodes(
        agent, params, playing, key=key, exploration=exploration, until=until, env=env
    ).episodes


def start_episodes(
    agent: Agent,
    params: Params,
    *,
    key: PRNGKeyArray,
    episodes: int,
    env: Environment | None = None,
) -> Playing:
    """Let `episodes` streams start one episode each, of `env` or the agent's task."""
    env = env or agent.env
    reset_key = key_for(key, Use.FIRST_STATES)
    observation, env_state = jax.vmap(env.reset)(row_keys(reset_key, _rows(episodes)))
    return Playing(
        time=jnp.zeros((), jnp.int32),
        env_state=env_state,
        inputs=agent.first_inputs(observation, mask_of(env, env_state), episodes),
        memory_state=agent.initial_memory(params, episodes),
        episodes=_none_yet(episodes, "success" in agent.info_keys),
    )


def continue_episodes(
    agent: Agent,
    params: Params,
    playing: Playing,
    *,
    key: PRNGKeyArray,
    exploration: float | None,
    until: Int[Array, ""],
    env: Environment | None = None,
) -> Playing:
    """Play on until all episodes ended or have taken `until` steps.

    The result does not depend on where the playing was cut.
    """
    env, index = env or agent.env, _rows(playing.inputs.start.shape[0])
    steps_key = key_for(key, Use.STEPS)

    def step(playing: Playing) -> Playing:
        act_keys, env_key = step_keys(
            jax.random.fold_in(steps_key, playing.time), index
        )
        action, memory_state, _ = agent.act(
            params,
            playing.memory_state,
            playing.inputs,
            key=act_keys,
            exploration=exploration,
        )
        observation, env_state, reward, terminated, truncated, info = jax.vmap(
            env.step
        )(row_keys(env_key, index), playing.env_state, action)
        inputs = next_inputs(
            playing.inputs,
            observation=observation,
            start=jnp.zeros_like(terminated),
            action=action,
            reward=reward.astype(float_dtype()),
            action_mask=mask_of(env, env_state),
        )
        ended = terminated | truncated
        result = _count(playing.episodes, reward, ended, info)
        return Playing(playing.time + 1, env_state, inputs, memory_state, result)

    def unfinished(playing: Playing) -> Bool[Array, ""]:
        return (playing.time < until) & ~playing.episodes.finished.all()

    return jax.lax.while_loop(unfinished, step, playing)


def _rows(episodes: int) -> Int[Array, " episodes"]:
    return jnp.arange(episodes, dtype=jnp.int32)


def _none_yet(episodes: int, has_success: bool) -> Episodes:
    return Episodes(
        episode_return=jnp.zeros(episodes, float_dtype()),
        episode_length=jnp.zeros(episodes, jnp.int32),
        success=jnp.zeros(episodes, bool) if has_success else None,
        finished=jnp.zeros(episodes, bool),
    )


def _count(result: Episodes, reward: Array, ended: Array, info: Any) -> Episodes:
    """Add a step to the episodes that are still playing."""
    playing = ~result.finished
    success = result.success
    if success is not None:
        success = jnp.where(playing, info["success"], success)
    earned = jnp.where(playing, reward, 0).astype(result.episode_return.dtype)
    return Episodes(
        episode_return=result.episode_return + earned,
        episode_length=result.episode_length + playing.astype(jnp.int32),
        success=success,
        finished=result.finished | ended,
    )


def mask_of(env: Any, env_state: Any) -> Bool[Array, "batch actions"] | None:
    """Action masks of a batch of states, None for tasks without."""
    if env.action_mask is None:
        return None
    return jax.vmap(env.action_mask)(env_state)


@dataclasses.dataclass(frozen=True)
class Score:
    """Mean return with its 95 % interval (normal approximation over episodes).

    Attributes:
        success: share of episodes that succeeded, None where the task does not say.
        success_lower, success_upper: its interval.
    """

    mean: float
    lower: float
    upper: float
    episodes: int
    length: float
    success: float | None
    unfinished: int
    success_lower: float | None = None
    success_upper: float | None = None

    def measured(self, measure: str) -> tuple[float, float] | None:
        """What a card's numbers are of, and the lower end of its interval."""
        if measure == "return":
            return self.mean, self.lower
        if self.success is None or self.success_lower is None:
            return None
        return self.success, self.success_lower


def score(result: Episodes) -> Score:
    """Summarise episodes of one seed."""
    returns = np.asarray(result.episode_return, np.float64)
    mean, half = _interval(returns)
    success, success_half = None, 0.0
    if result.success is not None:
        success, success_half = _interval(np.asarray(result.success, np.float64))
    return Score(
        mean=mean,
        lower=mean - half,
        upper=mean + half,
        episodes=len(returns),
        length=float(np.mean(result.episode_length)),
        success=success,
        unfinished=int((~np.asarray(result.finished)).sum()),
        success_lower=None if success is None else success - success_half,
        success_upper=None if success is None else success + success_half,
    )


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval."""
    count = len(values)
    spread = values.std(ddof=1) if count > 1 else math.inf
    return float(values.mean()), float(_Z95 * spread / math.sqrt(count))


def verdict(result: Score, card: Card) -> str:
    """'memory used', 'memory not shown', or 'no verdict (reason)'.

    Memory counts as used when the lower bound exceeds memoryless by a tenth of the
    distance from there to recall, in returns or, where the card's numbers are of it, in
    success. No trained policy enters the comparison.
    """
    reached = result.measured(card.measure)
    memoryless, recall = card.memoryless.value, card.recall.value
    if result.episodes < MINIMUM_EPISODES:
        return (
            f"no verdict ({result.episodes} evaluation episodes are fewer than the "
            f"{MINIMUM_EPISODES} that one needs)"
        )
    if result.unfinished:
        return f"no verdict ({result.unfinished} episodes hit the step limit)"
    if memoryless is None:
        return f"no verdict (memoryless {card.measure} unknown: {card.memoryless.note})"
    if recall is None:
        return f"no verdict (recall {card.measure} unknown: {card.recall.note})"
    if recall - memoryless <= 1e-6:
        return "no verdict (memory cannot help here: memoryless equals recall)"
    if reached is None:
        return "no verdict (the card speaks of success, and no success was told)"
    threshold = memoryless + MARGIN * (recall - memoryless)
    return "memory used" if reached[1] > threshold else "memory not shown"


def describe(result: Score, card: Card, ending: str) -> str:
    """The closing line of a run: what it reached, the card's numbers, how it ends."""

    def show(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.2f}"

    reached = result.measured(card.measure)
    return (
        f"{card.measure} {show(reached and reached[0])} ("
        f"floor {show(card.floor.value)}, "
        f"memoryless {show(card.memoryless.value)}, "
        f"recall {show(card.recall.value)}): {ending}"
    )
