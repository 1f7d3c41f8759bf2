"""The same guarantees for every registered task."""

import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

import envs

TWO_PER_FAMILY = [
    "TMaze-v0",
    "TMazeActive-v0",
    "RepeatFirstEasy-v0",
    "RepeatFirstMedium-v0",
    "RepeatPreviousEasy-v0",
    "RepeatPreviousMedium-v0",
    "ProbeCopyBit-v0",
    "ProbeContinuousAction-v0",
]
CLOSED_LIST: tuple[str, ...] = ()


@pytest.mark.parametrize("id", envs.names())
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
