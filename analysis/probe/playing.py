"""One episode per stream with a trained policy, and a look at every step of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from agents import evaluate
from agents.base import Inputs, MemoryState
from agents.convert import ConfigError
from agents.experience.rollout import next_inputs
from agents.keys import Use, key_for, row_keys, step_keys
from agents.running.configuration.config import Plan
from envs import HostTask
from envs.base import float_dtype

CHUNK = 64
"""Steps per call of the compiled program; it is called until all episodes ended."""


class View(NamedTuple):
    """What there is to see before a step.

    Attributes:
        time: steps since the episodes began.
        env_state: of every stream.
        inputs: what the policy sees.
        playing: whether the stream's episode goes on, `[streams]`.
        keys: to act with, one per stream.
    """

    time: Int[Array, ""]
    env_state: Any
    inputs: Inputs
    playing: Bool[Array, " streams"]
    keys: Any


class Steps(NamedTuple):
    """What happened, `[time, streams, ...]`.

    Attributes:
        playing: whether the step belongs to the stream's episode.
        action: what was done.
        reward: what it earned.
        ended: whether the episode ended with it.
        success: the task's own word at this step; None where it has none.
        decision: whether the action is one that uses memory; None where untold.
        told: what `choose` told beside.
    """

    playing: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    ended: np.ndarray
    success: np.ndarray | None
    decision: np.ndarray | None
    told: Any

    @property
    def returns(self) -> Float[np.ndarray, " streams"]:
        """Undiscounted return of each episode."""
        return np.where(self.playing, self.reward, 0).sum(0, dtype=np.float64)

    @property
    def successes(self) -> Float[np.ndarray, " streams"] | None:
        """Whether each episode succeeded at its last step; None where untold."""
        if self.success is None:
            return None
        last = np.maximum(self.playing.sum(0) - 1, 0)
        return self.success[last, np.arange(len(last))].astype(np.float64)

    def measured(self, measure: str) -> Float[np.ndarray, " streams"]:
        """Success or return of each episode, as the task's card measures."""
        told = self.successes if measure == "success" else None
        return self.returns if told is None else told


Choose = Callable[[Any, Any, View, Any], tuple[Array, Any, Any]]
"""`(params, carried, view, extra) -> (action, carried, told)`, `[streams, ...]`."""


class Player:
    """Plays one episode per stream; compiled once, for whatever parameters."""

    def __init__(
        self,
        plan: Plan,
        choose: Choose,
        first: Callable[[Any, int], Any],
        *,
        episodes: int,
        limit: int,
    ):
        """Prepare; compiling happens at first use.

        Args:
            plan: of the run.
            choose: acts, and tells what is wanted of each step.
            first: what `choose` carries, before the first step, of some parameters
                and a number of streams.
            episodes: streams, which play one episode each.
            limit: steps after which episodes are given up.

        Raises:
            ConfigError: a task that runs on the host.
        """
        if isinstance(plan.evaluation_env, HostTask):
            raise ConfigError(
                f"{plan.env_name} runs on the host, where its state cannot be looked "
                "into or played again from the same keys; probe a run of a task of "
                "this repository."
            )
        self._env, self._agent = plan.evaluation_env, plan.agent
        self._act, self._first = choose, first
        self._episodes, self._limit = episodes, limit
        self._start, self._chunk = jax.jit(self._starting), jax.jit(self._playing)

    def _starting(self, params: tuple[Any, ...], key: Any) -> Any:
        playing = evaluate.start_episodes(
            self._agent, params[0], key=key, episodes=self._episodes, env=self._env
        )
        carried = self._first(params, self._episodes)
        on = jnp.ones(self._episodes, bool)
        return playing.env_state, playing.inputs, carried, on

    def _playing(self, params: Any, key: Any, extra: Any, state: Any, times: Any):
        def step(state: Any, time: Any) -> Any:
            return self._step(params, key, extra, state, time)

        return jax.lax.scan(step, state, times)

    def _step(self, params: Any, key: Any, extra: Any, state: Any, time: Any) -> Any:
        """One step of all streams, with the keys that an evaluation would use."""
        env_state, inputs, carried, playing = state
        playing &= time < self._limit
        index = jnp.arange(self._episodes, dtype=jnp.int32)
        steps_key = jax.random.fold_in(key_for(key, Use.STEPS), time)
        act_keys, env_key = step_keys(steps_key, index)
        view = View(time, env_state, inputs, playing, act_keys)
        action, carried, told = self._act(params, carried, view, extra)
        observation, env_state, reward, terminated, truncated, info = jax.vmap(
            self._env.step
        )(row_keys(env_key, index), env_state, action)
        ended = terminated | truncated
        inputs = next_inputs(
            inputs,
            observation=observation,
            start=jnp.zeros_like(ended),
            action=action,
            reward=reward.astype(float_dtype()),
            action_mask=evaluate.mask_of(self._env, env_state),
        )
        row = (playing, action, reward, ended)
        row += (info.get("success"), info.get("decision"), told)
        return (env_state, inputs, carried, playing & ~ended), row

    def __call__(
        self, params: tuple[Any, ...], *, key: Any, extra: Any
    ) -> tuple[Steps, Any]:
        """Play; what happened, and what `choose` carries at the end.

        Args:
            params: what `choose` and `first` are given; the policy's are the first.
            key: where episodes come from.
            extra: whatever else `choose` is given.
        """
        state = self._start(params, key)
        rows = []
        length = min(CHUNK, self._limit)
        for begin in range(0, self._limit, length):
            times = np.arange(begin, begin + length, dtype=np.int32)
            state, row = self._chunk(params, key, extra, state, times)
            rows.append(jax.device_get(row))
            if not np.asarray(state[3]).any():
                break
        joined = jax.tree.map(lambda *x: np.concatenate(x), *rows)
        played = int(joined[0].any(1).sum())
        steps = Steps(*jax.tree.map(lambda x: x[:played], joined))
        return steps, jax.device_get(state[2])


def memory_of(state: MemoryState) -> Any:
    """The part of a memory state that the policy acts with: not a critic's own."""
    is_parts = isinstance(state, dict) and "actor" in state
    return state["actor"] if is_parts else state


def where_streams(mask: Bool[Array, " streams"], new: Any, old: Any) -> Any:
    """`new` for the streams of a mask, `old` for the others, leaf by leaf."""

    def select(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(select, new, old)
