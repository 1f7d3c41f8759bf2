"""Updates where environments are on the host: collected in Python, learned compiled."""

import contextlib
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from agents.base import FINITE
from agents.experience.host import HostSource
from agents.running.updates import compile_updates, where_finite
from envs import HostTask

LOST = (
    "the agent is as it was, but environments on the host are not saved: episodes that "
    "were under way begin anew"
)
"""What a resumed run says of them."""


class HostUpdates:
    """Updates of one seed; called like what `compile_updates` returns.

    Attributes:
        collected: streams and rollout of the newest update, or of the first one that
            was not finite.
    """

    def __init__(self, agent: Any, *, seed: int, begun: int):
        """Make the environments.

        Args:
            agent: on a `HostTask`.
            seed: the run's.
            begun: updates made before, by another process.
        """
        self._source = HostSource(agent, seed=seed, begun=begun)
        self._finite = True
        self._first: tuple[Any, ...] | None = None
        self.collected: tuple[Any, ...] = ()

        def look(state: Any) -> Any:
            one = jax.tree.map(lambda x: x[0], state)
            return one.params, one.streams, agent.gathering(one)

        def learn(state: Any, streams: Any, rollout: Any) -> Any:
            one = jax.tree.map(lambda x: x[0], state)
            learned = agent.learn_from(one, streams, rollout)
            state, metrics = where_finite(agent, one, *learned)
            return jax.tree.map(lambda x: x[None], state), metrics

        self._look = jax.jit(look)
        self._learn: Any = jax.jit(learn, donate_argnums=0)

    def compile(self, state: Any) -> None:
        """Make the programs; what is collected meanwhile is for the first update."""
        params, streams, how = self._look(state)
        streams = self._source.begin(streams)
        self._first = self._source.collect(params, how, streams)
        self._learn = self._learn.lower(state, *self._first).compile()

    def __call__(self, state: Any, count: Any) -> tuple[Any, dict[str, Any]]:
        """`count` updates: the state, and metrics `[1, count]`."""
        log = []
        for _ in range(int(count)):
            collected, self._first = self._first, None
            if collected is None:
                params, streams, how = self._look(state)
                collected = self._source.collect(params, how, streams)
            if self._finite:
                self.collected = collected
            state, metrics = self._learn(state, *collected)
            metrics = jax.device_get(metrics)
            self._finite &= bool(metrics[FINITE])
            log.append(metrics)
        return state, {name: np.stack([x[name] for x in log])[None] for name in log[0]}

    def close(self) -> None:
        """Close the environments."""
        self._source.close()


def make_updates(
    agent: Any,
    seeds: list[int],
    capacity: int,
    state: Any,
    mesh: Mesh | None,
    begun: int,
    opened: contextlib.ExitStack,
) -> tuple[Any, float]:
    """Updates of an agent, wherever its environments are; see `compile_updates`.

    Args:
        agent: the whole agent.
        seeds: that are trained together.
        capacity: most updates per call.
        state: placed on the devices of `mesh`.
        mesh: from `devices.choose_devices`.
        begun: updates made before.
        opened: closes what is opened here.
    """
    if not isinstance(agent.env, HostTask):
        return compile_updates(agent, len(seeds), capacity, state, mesh)
    began = time.perf_counter()
    update = HostUpdates(agent, seed=seeds[0], begun=begun)
    opened.callback(update.close)
    update.compile(state)
    return update, time.perf_counter() - began
