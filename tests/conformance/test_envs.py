"""The same guarantees for every registered task.

Of ids that differ in a number or level only, such as MemoryLength30-v0, the lowest and
the highest stand for all, and of tasks as pictures and of robot tasks the first of each
class; the others are slow. Of these some are looked at briefly, and only as slow tests
in full: mazes as pictures, and robot tasks but one of each kind (a choice, something
that is moved, that moves by itself, a button). Where another class is played the same
way (`ALIKE`), that one stands for it.
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
    "RememberColor3-v0",
    "ShellGameShuffleColorLampTouch-v0",
    "ChainOfColors3-v0",
    "BlinkCountButtonPressEasy-v0",
    "GatherAndRecall3-v0",
    "BatteriesCheckerEasy3-v0",
    "TMazePixels-v0",
    "ProbeCopyBit-v0",
    "ProbeContinuousAction-v0",
    "ProbeActionMask-v0",
]
CLOSED_LIST: tuple[str, ...] = (
    # Velocities are unbounded (VelocityOnlyCartPole).
    "observation space minimum value is -infinity",
    "observation space maximum value is infinity",
    # Torques reach 2, as in the original (Pendulum).
    "symmetric and normalized",
    # Windows of 5 by 5 squares, for our encoder (the three-phase tasks).
    "The minimal resolution for an image is 36x36",
    # A row for each thing (the robot tasks).
    "Your observation things has an unconventional shape",
)


LEVELS = ("Easy", "Medium", "Hard")
# Two mazes of 1,023 steps each; of each kind the other end is checked. And ballets as
# images, of which a small setting stands for all; BalletSymbolic is the first of its
# levels. And settings of one class that others stand for.
COSTLY = (
    "LabyrinthEscapeHard-v0",
    "LabyrinthExploreEasy-v0",
    "Ballet-v0",
    "BalletSymbolic-v0",
    "Ballet2Delay16-v0",
    "Ballet8Delay48-v0",
    "RapidWordLearning-v0",
    "RapidWordLearningD0-v0",
    "RapidWordLearningD20-v0",
    "RoomRecallFirst-v0",
    "RoomRecallLast-v0",
    "MiniGridMemory-v0",
)
PICTURES = [id for id in envs.names() if "Pixels-v" in id]
PICTURED = {type(envs.make(id)): id for id in reversed(PICTURES)}
"""The first id of each class, which is the easiest."""
ROBOTS = list(envs.robot.TASKS)
FIRST_ROBOTS = {envs.robot.TASKS[id][0]: id for id in reversed(ROBOTS)}
WHOLE_ROBOTS = {
    *("RememberColor3-v0", "ShellGamePush-v0", "InterceptSlow-v0"),
    "BlinkCountButtonPressEasy-v0",
}
ALIKE = [
    "LabyrinthExploreEasyPixels-v0",
    *("ShellGamePick-v0", "ShellGameTouch-v0"),
    *("RotateLenientPos-v0", "BunchOfColors3-v0"),
]
BRIEFLY = [
    *("LabyrinthEscapeEasyPixels-v0", "MiniGridMemoryPixels-v0"),
    "NoisyPositionOnlyCartPoleEasyPixels-v0",
    *sorted({*FIRST_ROBOTS.values()} - {*WHOLE_ROBOTS, *ALIKE}),
]
SETTING = re.compile(rf"\d+(?=.*-v)|(?:{'|'.join(LEVELS)})(?=-v)")


def representatives():
    """Every id, but of a family of numbers or levels only the ends."""

    def family(id):
        return SETTING.sub("", id)

    def setting(id):
        found = SETTING.findall(id)
        return [LEVELS.index(x) if x in LEVELS else int(x) for x in found]

    chosen = []
    ids = set(envs.names()) - {*PICTURES, *ROBOTS}
    ids = sorted(ids, key=lambda id: (family(id), setting(id)))
    for _, members in itertools.groupby(ids, family):
        first, *rest = members
        chosen += [first, *rest[-1:]]
    chosen += [*PICTURED.values(), *FIRST_ROBOTS.values()]
    return [id for id in chosen if id not in COSTLY]


LEFT_OUT = sorted(set(envs.names()) - set(representatives()))


def test_representatives():
    numbered = [id for id in representatives() if re.search(r"\d-v", id)]
    assert sorted(numbered) == sorted(
        [
            *("RememberColor3-v0", "BunchOfColors3-v0"),
            *("GatherAndRecall1-v0", "BatteriesCheckerEasy3-v0"),
            *("BalletSymbolic2Delay16-v0", "BalletSymbolic8Delay48-v0"),
            *("MemoryLength1-v0", "MemoryLength100-v0"),
            *("MemorySize1-v0", "MemorySize40-v0"),
            *("MiniGridMemoryS7-v0", "MiniGridMemoryS17-v0"),
            *("RapidWordLearningE2D5-v0", "RapidWordLearningE4D1-v0"),
            *("UmbrellaDistract1-v0", "UmbrellaDistract100-v0"),
            *("UmbrellaLength1-v0", "UmbrellaLength100-v0"),
        ]
    )
    assert {*BRIEFLY, *ALIKE, *WHOLE_ROBOTS} < {*representatives()}
    apart = (*COSTLY, *PICTURES, *ROBOTS)
    between = [id for id in LEFT_OUT if id not in apart]
    assert all(re.search(r"\d-v|Medium-v", id) for id in between)


def check(id):
    """Fewer episodes of pictures, which are large, and of tasks with long ones."""
    env = envs.make(id)
    pictures = id in PICTURES or getattr(env, "pixels", False)
    longest = env.card.max_episode_steps or 500
    envs.check_env(env, episodes=16 if pictures else 64 if longest > 400 else 256)


@pytest.mark.parametrize(
    "id",
    [
        pytest.param(id, marks=pytest.mark.slow if id in (*BRIEFLY, *ALIKE) else ())
        for id in representatives()
    ],
)
def test_contract(id):
    check(id)


@pytest.mark.parametrize("id", BRIEFLY)
def test_contract_briefly(id):
    envs.check_env(envs.make(id), fast=True)


def test_contract_of_a_small_ballet_as_images():
    env = envs.make("Ballet-v0", dancers=1, delay=1, max_steps=24)
    envs.check_env(env, episodes=16)


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
