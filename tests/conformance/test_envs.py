"""The same guarantees for every registered task.

Of the numbered settings of one task, such as MemoryLength30-v0, and of levels, the
lowest and the highest stand for all, and of tasks as pictures one does; the others are
slow.
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
    "BakkerTMaze-v0",
    "MemoryLength3-v0",
    "MemorySize10-v0",
    "NBack-v0",
    "SequenceOrder-v0",
    "UmbrellaLength5-v0",
    "DiscountingChain-v0",
    "RepeatFirstEasy-v0",
    "RepeatPreviousEasy-v0",
    "AutoencodeEasy-v0",
    "ConcentrationEasy-v0",
    "ConcentrationHard-v0",
    "CountRecallEasy-v0",
    "CountRecallHard-v0",
    "HigherLowerEasy-v0",
    "PositionOnlyCartPoleEasy-v0",
    "VelocityOnlyCartPoleEasy-v0",
    "NoisyPositionOnlyCartPoleEasy-v0",
    "PositionOnlyPendulumEasy-v0",
    "NoisyPositionOnlyPendulumEasy-v0",
    "MultiarmedBanditEasy-v0",
    "BattleshipEasy-v0",
    "MineSweeperEasy-v0",
    "LabyrinthEscapeEasy-v0",
    "LabyrinthExploreEasy-v0",
    "MiniGridMemoryS7-v0",
    "SwitchingBernoulli-v0",
    "SwitchingBandit-v0",
    "MemoryCardsEasy-v0",
    "MemoryPlanningGame-v0",
    "Numpad-v0",
    "ActiveVisualMatch-v0",
    "KeyToDoor-v0",
    "Ballet2Delay16-v0",
    "BalletSymbolic2Delay16-v0",
    "RapidWordLearningE2D5-v0",
    "ObjectPermanence-v0",
    "RoomRecall-v0",
    "TMazePixels-v0",
    "ProbeCopyBit-v0",
    "ProbeContinuousAction-v0",
]
CLOSED_LIST: tuple[str, ...] = (
    # Velocities are unbounded (VelocityOnlyCartPole).
    "observation space minimum value is -infinity",
    "observation space maximum value is infinity",
    # Torques reach 2, as in the original (Pendulum).
    "symmetric and normalized",
    # Windows of 5 by 5 squares, for our encoder (the three-phase tasks).
    "The minimal resolution for an image is 36x36",
)


LEVELS = ("Easy", "Medium", "Hard")
# Mazes of 1,023 steps: of each kind the other end is checked.
COSTLY = ("LabyrinthEscapeHard-v0", "LabyrinthExploreEasy-v0")
TASKS = {id: envs.make(id) for id in envs.names()}
PICTURES = [
    id for id, env in TASKS.items() if "Pixels-v" in id or getattr(env, "pixels", False)
]
NUMBER = re.compile(r"\d.*-v")
LEVEL = re.compile(rf"(?:{'|'.join(LEVELS)})(?=-v)")


def representatives():
    """Every id, but only the ends of a task's numbers or levels."""
    numbered = {type(env) for id, env in TASKS.items() if NUMBER.search(id)}

    def family(id):
        task = type(TASKS[id])
        return task.__name__ if task in numbered else LEVEL.sub("", id)

    def setting(id):
        levels = [LEVELS.index(x) for x in LEVEL.findall(id)]
        return levels + [int(x) for x in re.findall(r"\d+(?=.*-v)", id)]

    chosen = []
    ids = [id for id in TASKS if id not in PICTURES]
    ids.sort(key=lambda id: (family(id), setting(id), id))
    for _, members in itertools.groupby(ids, family):
        first, *rest = members
        chosen += [first, *rest[-1:]]
    return [id for id in (*chosen, "TMazePixels-v0") if id not in COSTLY]


LEFT_OUT = sorted(set(TASKS) - set(representatives()))


def test_representatives():
    numbered = {type(env) for id, env in TASKS.items() if NUMBER.search(id)}
    assert sorted(
        id
        for id in representatives()
        if type(TASKS[id]) in numbered and id not in PICTURES
    ) == [
        *("BalletSymbolic-v0", "BalletSymbolic8Delay48-v0"),
        *("MemoryChain-v0", "MemoryLength100-v0"),
        *("MiniGridMemory-v0", "MiniGridMemoryS17-v0"),
        *("RapidWordLearning-v0", "RapidWordLearningD20-v0"),
        *("UmbrellaChain-v0", "UmbrellaLength100-v0"),
    ]
    between = [id for id in LEFT_OUT if id not in (*COSTLY, *PICTURES)]
    assert all(re.search(r"\d-v|Medium-v", id) for id in between)
    # No kind of task is without one.
    chosen = {type(TASKS[id]) for id in representatives()}
    assert chosen >= {type(env) for id, env in TASKS.items() if id not in PICTURES}


def check(id):
    """Fewer episodes of pictures, which are large, and of tasks with long ones."""
    env = TASKS[id]
    longest = env.card.max_episode_steps or 500
    envs.check_env(env, episodes=16 if id in PICTURES else 64 if longest > 400 else 256)


@pytest.mark.parametrize("id", representatives())
def test_contract(id):
    check(id)


@pytest.mark.slow
@pytest.mark.parametrize("id", LEFT_OUT)
def test_contract_in_between(id):
    check(id)


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
