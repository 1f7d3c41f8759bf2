"""Episodes of trained policies, played and then differentiated."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from agents.base import Agent, Inputs
from agents.keys import Use, key_for
from agents.running.configuration.config import Plan
from agents.running.trained import Trained
from analysis.probe.playing import Player, Steps, View
from analysis.saliency.gradients import Dependence, dependence, summed

LONGEST = 512
"""Steps of each episode that are played."""

BUDGET = 2**25
"""Numbers of inputs, over steps and episodes, that one program differentiates."""


def play(
    plan: Plan, trained: Trained, episodes: int, exploration: float | None
) -> list[Steps]:
    """The episodes of every seed, all padded to the same number of steps.

    What is told of each step: `inputs` of the policy, `ages` of hidden variables (by
    name, `[time, episodes, parts]`), and the `state` of the first episode.

    Raises:
        ConfigError: a task that runs on the host.
        ExplorationError: an exploration that the agent does not have.
    """
    env, agent = plan.evaluation_env, plan.agent
    longest = env.card.max_episode_steps or plan.config["evaluation"]["step_limit"]

    def choose(params: Any, memory: Any, view: View, extra: Any) -> Any:
        del extra
        action, memory, _ = agent.act(
            params[0], memory, view.inputs, key=view.keys, exploration=exploration
        )
        hidden = {} if env.hidden is None else jax.vmap(env.hidden)(view.env_state)
        ages = {name: x.reshape(x.shape[0], -1) for name, (_, x) in hidden.items()}
        first = jax.tree.map(lambda x: x[0], view.env_state)
        return action, memory, {"inputs": view.inputs, "ages": ages, "state": first}

    player = Player(
        plan,
        choose,
        lambda params, streams: agent.initial_memory(params[0], streams),
        episodes=episodes,
        limit=min(longest, LONGEST),
    )
    played = []
    for index, key in enumerate(trained.keys):
        params = jax.tree.map(lambda x, i=index: x[i], trained.params)
        key = key_for(key, Use.EVALUATION)
        played.append(player((params,), key=key, extra=None)[0])
    time = max(len(steps.playing) for steps in played)
    return [jax.tree.map(lambda x: _longer(x, time), steps) for steps in played]


def _longer(x: np.ndarray, time: int) -> np.ndarray:
    """`[time, ...]`, the last row repeated; of flags, that nothing happens any more."""
    rest = np.repeat(x[-1:], time - len(x), axis=0)
    return np.concatenate([x, np.zeros_like(rest) if x.dtype == bool else rest])


class Differentiator:
    """What the decisions of episodes depend on, a group of episodes at a time."""

    def __init__(self, agent: Agent):
        """Prepare; compiling happens at first use."""

        def of(params: Any, inputs: Inputs, *rest: Any) -> Dependence:
            return dependence(agent, params, inputs, *rest)

        self._of = jax.jit(of)
        self._summed = jax.jit(lambda *given: summed(agent, *given))

    def __call__(
        self, params: Any, steps: Steps, moments: Int[np.ndarray, "moments episodes"]
    ) -> Dependence:
        """Of every moment of the episodes, `[moments, episodes, time]`.

        Args:
            params: of one seed.
            steps: from `play`.
            moments: the steps that decide.
        """
        usual, found = self._usual(steps), []
        for group in _groups(steps):
            inputs = _streams(steps.told["inputs"], group)
            given = steps.action[:, group], moments[:, group], usual
            found.append(jax.device_get(self._of(params, inputs, *given)))
        episodes = steps.playing.shape[1]
        return jax.tree.map(lambda *x: np.concatenate(x, 1)[:, :episodes], *found)

    def _usual(self, steps: Steps) -> Any:
        """The mean of what is seen at each step, of the episodes that go on there."""
        sums, left = [], steps.playing.copy()
        for group in _groups(steps):
            inputs = _streams(steps.told["inputs"], group)
            sums.append(jax.device_get(self._summed(inputs, left[:, group])))
            left[:, group] = False  # no episode counts twice
        count = np.maximum(steps.playing.sum(1), 1)

        def mean(*parts: np.ndarray) -> np.ndarray:
            total = np.sum(parts, axis=0)
            counts = count.reshape(-1, *[1] * (total.ndim - 1))
            return (total / counts).astype(total.dtype)

        return jax.tree.map(mean, *sums)


def _groups(steps: Steps) -> Iterator[Int[np.ndarray, " group"]]:
    """Groups of episodes of equal size; the last one begins again with the first."""
    time, episodes = steps.playing.shape
    numbers = sum(x[0, 0].size for x in jax.tree.leaves(steps.told["inputs"]))
    size = int(np.clip(BUDGET // (time * numbers), 1, episodes))
    for begin in range(0, episodes, size):
        yield np.arange(begin, begin + size) % episodes


def _streams(inputs: Inputs, group: Int[np.ndarray, " group"]) -> Inputs:
    return jax.tree.map(lambda x: x[:, group], inputs)
