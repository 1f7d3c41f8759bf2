"""Evaluation on numpy environments: every episode counts, and each has its own seed."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from agents.base import Agent, Inputs, MemoryState, Params
from agents.evaluate import Episodes
from agents.experience.rollout import next_inputs
from agents.keys import Use, key_for, row_keys
from envs.base import float_dtype
from envs.host import HostTask, HostVector, spread_seeds

EVALUATION = 2
"""Use of the environments' seeds."""


class HostPlayer:
    """Plays episodes of a task, as many at a time as the agent has streams.

    Which episodes are played is settled before any begins: each stream plays one, then
    all begin the next. An episode has a seed and a number of its own, so the result
    does not depend on what it is played beside, as far as the environments keep to
    their seeds.
    """

    def __init__(
        self,
        agent: Agent,
        task: HostTask,
        *,
        seed: int,
        key: jax.Array,
        episodes: int,
        exploration: float | None,
        step_limit: int,
    ):
        """Prepare; environments are made at the first use.

        Args:
            agent: of which only `act` and its inputs are used.
            task: what to play.
            seed: the run's.
            key: of this use alone.
            episodes: how many.
            exploration: passed to `act`.
            step_limit: steps after which episodes are given up as unfinished.
        """
        self._agent, self._task, self._key = agent, task, key
        self._episodes, self._limit = episodes, step_limit
        self._streams = min(agent.num_envs, episodes)
        self._seeds = spread_seeds(EVALUATION, seed, 0, episodes)
        self._vector: HostVector | None = None
        self._told = False

        def act(
            params: Params,
            memory_state: MemoryState,
            inputs: Inputs,
            key: Any,
            time: Any,
            index: Any,
        ) -> tuple[Any, MemoryState]:
            step = jax.random.fold_in(key_for(key, Use.STEPS), time)
            return agent.act(
                params,
                memory_state,
                inputs,
                key=row_keys(key_for(step, Use.ACTION), index),
                exploration=exploration,
            )[:2]

        self._act = jax.jit(act)

    def __call__(
        self, params: Params, stopping: Callable[[], bool] = lambda: False
    ) -> Episodes | None:
        """Play all episodes; None where `stopping` says so before the end."""
        if self._vector is None:
            self._vector = HostVector(self._task, self._streams)
        played = []
        for first in range(0, self._episodes, self._streams):
            # The last time round some streams play what was played, for nobody.
            index = (first + np.arange(self._streams)) % self._episodes
            result = self._play(self._vector, params, index.astype(np.int32), stopping)
            if result is None:
                return None
            played.append(result)
        episodes = jax.tree.map(
            lambda *parts: np.concatenate(parts)[: self._episodes], *played
        )
        return episodes if self._told else episodes._replace(success=None)

    def close(self) -> None:
        """Close the environments."""
        if self._vector is not None:
            self._vector.close()
            self._vector = None

    def _play(
        self,
        vector: HostVector,
        params: Params,
        index: np.ndarray,
        stopping: Callable[[], bool],
    ) -> Episodes | None:
        """One episode per stream, with the numbers in `index`."""
        agent, batch = self._agent, len(index)
        observation = vector.reset([self._seeds[i] for i in index])
        inputs = agent.first_inputs(observation, None, batch)
        memory_state = agent.initial_memory(params, batch)
        returns, lengths = np.zeros(batch), np.zeros(batch, np.int32)
        finished, success = np.zeros(batch, bool), np.zeros(batch, bool)
        for time in range(self._limit):
            if stopping():
                return None
            action, memory_state = self._act(
                params, memory_state, inputs, self._key, np.int32(time), index
            )
            vector.send(np.asarray(action))
            step = vector.receive()
            returns += np.where(finished, 0, step.reward)
            lengths += ~finished
            if step.success is not None:
                self._told = True
                success = np.where(finished, success, step.success)
            finished = finished | step.terminated | step.truncated
            if finished.all():
                break
            inputs = next_inputs(
                inputs,
                observation=step.observation,
                start=step.start,
                action=action,
                reward=step.reward.astype(float_dtype()),
                action_mask=None,
            )
        return Episodes(
            episode_return=returns.astype(float_dtype()),  # type: ignore[arg-type]
            episode_length=lengths,  # type: ignore[arg-type]
            success=success,  # type: ignore[arg-type]
            finished=finished,  # type: ignore[arg-type]
        )
