"""Evaluating every seed of a run, in calls short enough to be interrupted between."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents import evaluate
from agents.evaluate.host import HostPlayer
from agents.keys import Use, key_for
from agents.running.configuration.config import Plan
from agents.running.jobs.signals import StopRequest
from agents.running.updates import over_seeds
from envs import HostTask


class Pace:
    """How much to do per call so that a call lasts about `seconds`, or one unit."""

    def __init__(self, first: int = 1, seconds: float = 3.0):
        self._next, self._seconds = first, seconds

    def units(self, remaining: int) -> int:
        """Units for the next call."""
        return max(1, min(self._next, remaining))

    def took(self, units: int, seconds: float) -> None:
        """Learn from a call; at most eightfold more the next time."""
        fitting = self._seconds * units / max(seconds, 1e-6)
        self._next = int(min(fitting, 8 * units))


class Evaluator:
    """One episode per stream and seed, on keys apart from those of training."""

    def __init__(self, plan: Plan, keys: jax.Array):
        """Prepare for seeds whose keys are given; compiling happens at first use."""
        settings = plan.config["evaluation"]
        env, exploration = plan.evaluation_env, settings["exploration"]
        self.limit = env.card.max_episode_steps or settings["step_limit"]
        agent = plan.agent  # as it was trained, whatever task it plays
        self.keys = jax.vmap(lambda key: key_for(key, Use.EVALUATION))(keys)
        self._hosts: list[HostPlayer] = []
        if isinstance(env, HostTask):
            self._hosts = [
                HostPlayer(
                    agent,
                    env,
                    seed=plan.config["seed"] + index,
                    key=key,
                    episodes=settings["episodes"],
                    exploration=exploration,
                    step_limit=self.limit,
                )
                for index, key in enumerate(self.keys)
            ]

        def start(argument: tuple[Any, Any]) -> evaluate.Playing:
            params, key = argument
            return evaluate.start_episodes(
                agent, params, key=key, episodes=settings["episodes"], env=env
            )

        def play(argument: tuple[Any, Any, Any], until: jax.Array) -> evaluate.Playing:
            params, key, playing = argument
            return evaluate.continue_episodes(
                agent,
                params,
                playing,
                key=key,
                exploration=exploration,
                until=until,
                env=env,
            )

        self._start = jax.jit(over_seeds(start, len(keys)))
        self._play = jax.jit(over_seeds(play, len(keys)))

    def __call__(self, params: Any, stop: StopRequest) -> list[evaluate.Score] | None:
        """Score every seed; None if a stop was requested before the end."""
        if self._hosts:
            return self._on_hosts(params, stop)
        playing = self._start((params, self.keys))
        until, pace = 0, Pace(first=64)
        while until < self.limit:
            if stop.received is not None:
                return None
            steps = pace.units(self.limit - until)
            until += steps
            began = time.perf_counter()
            playing = self._play(
                (params, self.keys, playing), jnp.asarray(until, jnp.int32)
            )
            if np.asarray(playing.episodes.finished).all():
                break
            pace.took(steps, time.perf_counter() - began)
        played = jax.tree.map(np.asarray, jax.device_get(playing.episodes))
        return [
            evaluate.score(jax.tree.map(lambda x, i=index: x[i], played))
            for index in range(len(self.keys))
        ]

    def _on_hosts(self, params: Any, stop: StopRequest) -> list[evaluate.Score] | None:
        """Score every seed on environments of its own, one seed after the other."""
        scores = []
        for index, host in enumerate(self._hosts):
            one = jax.tree.map(lambda x, i=index: x[i], params)
            result = host(one, lambda: stop.received is not None)
            if result is None:
                return None
            scores.append(evaluate.score(result))
        return scores

    def close(self) -> None:
        """Close environments of the host."""
        for host in self._hosts:
            host.close()
