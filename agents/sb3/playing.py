"""Evaluation of a model of Stable-Baselines3: one episode per stream, all counted."""

from collections.abc import Callable
from typing import Any

import numpy as np


def play(
    model: Any,
    env: Any,
    *,
    step_limit: int,
    deterministic: bool,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Let every stream play one episode; None where `stopping` says so before the end.

    Random numbers of torch and numpy are afterwards where they were, so that training
    does not depend on how often it is interrupted.

    Args:
        model: whose `predict` chooses actions.
        env: a `JaxVecEnv`, a stream per episode.
        step_limit: steps after which episodes are given up as unfinished.
        deterministic: passed to `predict`.
        stopping: asked at every step.

    Returns:
        `[episodes]` each: episode_return, episode_length, success (None where the task
        does not tell) and finished.
    """
    import torch

    streams = env.num_envs
    returns, lengths = np.zeros(streams), np.zeros(streams, np.int32)
    successes, tells = np.zeros(streams, bool), False
    finished = np.zeros(streams, bool)
    numbers = np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            observation, state = env.reset(), None
            start = np.ones(streams, bool)
            for _ in range(step_limit):
                if stopping():
                    return None
                actions, state = model.predict(observation, state, start, deterministic)
                observation, rewards, start, infos = env.step(actions)
                playing = ~finished
                returns += np.where(playing, rewards, 0)
                lengths += playing
                for row in np.flatnonzero(playing & start):
                    tells = "is_success" in infos[row]
                    successes[row] = tells and infos[row]["is_success"]
                finished |= start
                if finished.all():
                    break
    finally:
        np.random.set_state(numbers)
    return {
        "episode_return": returns,
        "episode_length": lengths,
        "success": successes if tells else None,
        "finished": finished,
    }
