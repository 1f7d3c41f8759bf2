"""The same guarantees for every registered task.

Of ids that differ in a number only, such as MemoryLength30-v0, the lowest and the
highest number stand for all; the task's own tests check every setting's parameters.
"""

import itertools
import re
import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

import envs

TWO_PER_FAMILY = [
    "TMaze-v0",
    "TMazeActive-v0",
    "TMazeNoisy-v0",
    "TMazePlaces-v0",
    "MemoryLength3-v0",
    "MemorySize10-v0",
    "RepeatFirstEasy-v0",
    "RepeatFirstMedium-v0",
    "RepeatPreviousEasy-v0",
    "RepeatPreviousMedium-v0",
    "PositionOnlyCartPoleEasy-v0",
    "VelocityOnlyCartPoleEasy-v0",
    "NoisyPositionOnlyCartPoleEasy-v0",
    "PositionOnlyPendulumEasy-v0",
    "NoisyPositionOnlyPendulumEasy-v0",
    "MultiarmedBanditEasy-v0",
    "BattleshipEasy-v0",
    "MineSweeperEasy-v0",
    "ProbeCopyBit-v0",
    "ProbeContinuousAction-v0",
]
CLOSED_LIST: tuple[str, ...] = (
    # Velocities are unbounded (VelocityOnlyCartPole).
    "observation space minimum value is -infinity",
    "observation space maximum value is infinity",
    # Torques reach 2, as in the original (Pendulum).
    "symmetric and normalized",
)


def representatives():
    """Every id, but of a numbered family only two."""

    def family(id):
        return re.sub(r"\d+-v", "-v", id)

    def number(id):
        return int("".join(re.findall(r"(\d+)-v", id)) or 0)

    chosen = []
    ids = sorted(envs.names(), key=lambda id: (family(id), number(id)))
    for _, members in itertools.groupby(ids, family):
        first, *rest = members
        chosen += [first, *rest[-1:]]
    return chosen


def test_representatives():
    chosen = representatives()
    numbered = [id for id in chosen if re.search(r"\d-v", id)]
    assert numbered == [
        *("MemoryLength1-v0", "MemoryLength100-v0", "MemorySize1-v0", "MemorySize40-v0")
    ]
    left_out = set(envs.names()) - set(chosen)
    assert all(re.search(r"\d-v", id) for id in left_out)


@pytest.mark.parametrize("id", representatives())
def test_contract(id):
    envs.check_env(envs.make(id))


def assert_on_list(caught):
    messages = [str(warning.message) for warning in caught]
    unexpected = [
        text for text in messages if not any(known in text for known in CLOSED_LIST)
    ]
    assert not unexpected


@pytest.mark.parametrize("id", TWO_PER_FAMILY)
def test_gymnasium_checker(id):
    env = gymnasium.make(f"engram/{id}").unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gymnasium_check(env)
    assert_on_list(caught)


@pytest.mark.parametrize("id", TWO_PER_FAMILY)
def test_stable_baselines3_checker(id):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(gymnasium.make(f"engram/{id}"))
    assert_on_list(caught)
