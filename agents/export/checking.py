"""An exported step is played beside the agent before anybody relies on it."""

from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np
from gymnasium.vector.utils import batch_space

from agents.evaluate.policy import Policy
from agents.export.formats import Player
from agents.export.step import BESIDE, Step

STEPS = 200
"""Steps that are played, the second half as a new episode."""

TOLERANCE = 1e-4
"""The largest error of the state that is let through."""

LEAST = 0.99
"""The smallest share of equal actions: rounding decides between equals."""


class Checked(NamedTuple):
    """How an exported step plays beside the agent.

    Attributes:
        steps: that both played.
        same_actions: share of the actions that were equal, to 1e-5 in a Box.
        state_error: largest difference of the state, as a share of the largest number
            in that array where it is above 1.
    """

    steps: int
    same_actions: float
    state_error: float

    @property
    def passed(self) -> bool:
        """Whether that is the same policy."""
        return self.same_actions >= LEAST and self.state_error <= TOLERANCE


def check(policy: Policy, step: Step, player: Player, steps: int = STEPS) -> Checked:
    """Play an exported step beside the agent's own `act`, on random observations.

    Args:
        policy: that was exported; it is left as it is.
        step: as which it was exported.
        player: the file, opened.
        steps: to play; the first and the middle one start an episode.
    """
    streams = step.inputs["start"].shape[0]
    key = jax.random.key(0)  # greedy: nothing is drawn
    reference = Policy(policy.agent, policy.params, exploration=0.0, key=key)
    random = np.random.default_rng(0)
    space = batch_space(policy.agent.env.observation_space, streams)
    space.seed(0)
    names = [name for name in step.inputs if name not in step.state]
    state, same, error = list(step.state.values()), [], 0.0
    action = np.zeros(step.outputs["action"].shape)  # before the first: not looked at
    for time in range(steps):
        observation = space.sample()
        starts = np.full(streams, time in (0, steps // 2))
        reward = random.normal(size=streams)
        mask = _mask(step, policy.agent.env.action_space, random)
        beside = {
            "start": starts,
            "previous_action": action,
            "previous_reward": reward,
            "action_mask": mask,
        }
        seen = [
            *jax.tree.leaves(observation),
            *(beside[x] for x in BESIDE if x in names),
        ]
        given = [
            np.asarray(value).astype(step.inputs[name].dtype)
            for name, value in zip(names, seen, strict=True)
        ]
        action = reference(observation, starts, reward=reward, action_mask=mask)
        played, *state = player(*given, *state)
        same.append(np.isclose(action, played, rtol=1e-5, atol=1e-5))
        kept = zip(jax.tree.leaves(reference.memory_state), state, strict=True)
        error = max([error, *(_error(*pair) for pair in kept)])
    return Checked(steps, float(np.mean(same)), error)


def _error(expected: Any, found: Any) -> float:
    """The largest difference, infinite where one of the two is not a number."""
    expected, found = (np.asarray(x, np.float64) for x in (expected, found))
    if expected.shape != found.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        difference = np.where(expected == found, 0, np.abs(expected - found))
    scale = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0) / scale)


def _mask(
    step: Step, space: gymnasium.Space, random: np.random.Generator
) -> np.ndarray | None:
    """Random flags, in every choice at least one of them true; None without masks."""
    if "action_mask" not in step.inputs:
        return None
    mask = random.random(step.inputs["action_mask"].shape) < 0.5
    sizes = getattr(space, "nvec", None)
    begin = 0
    for size in [mask.shape[-1]] if sizes is None else sizes.tolist():
        chosen = random.integers(begin, begin + size, len(mask))
        mask[np.arange(len(mask)), chosen] = True
        begin += size
    return mask
