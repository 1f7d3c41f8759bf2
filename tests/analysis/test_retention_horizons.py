"""Which parameter moves the cue, and where a curve has fallen to half."""

import math

import numpy as np
import pytest

import envs
from agents.convert import ConfigError
from analysis.interval import Interval
from analysis.retention.half_life import HalfLife, crossings, half_life
from analysis.retention.horizons import find_dial
from envs.bandits.switching_bernoulli import SwitchingBernoulli
from envs.chains.n_back import NBack
from envs.chains.sequence_order import SequenceOrder
from envs.chains.umbrella_chain import UmbrellaChain
from envs.grids.memory import MiniGridMemory
from envs.mazes.bakker_tmaze import BakkerTMaze
from envs.mazes.tmaze import TMaze
from envs.mazes.tmaze_places import TMazePlaces
from envs.object_recall.object_permanence import ObjectPermanence
from envs.object_recall.room_recall import RoomRecall
from envs.popgym.diagnostic.repeat_first import RepeatFirst
from envs.popgym.diagnostic.repeat_previous import RepeatPrevious

# Which parameter moves the cue ------------------------------------------------


@pytest.mark.parametrize(
    ("env", "field", "end", "slope", "limits", "lengthens"),
    [
        (TMaze(), "length", 0, 1, (), ()),
        (BakkerTMaze(), "length", 0, 1, ("steps",), ()),
        (NBack(), "n", 0, 1, ("length",), ()),
        (RepeatPrevious(), "k", 0, 1, (), ("decks",)),
        (RepeatFirst(), "decks", 1, 52, (), ()),
        (ObjectPermanence(), "delay", 0, 1, (), ()),
        (RoomRecall(), "stay", 0, 1, (), ()),
        (SequenceOrder(), "delay", 0, 1, (), ()),
        (MiniGridMemory(size=13), "size", 0, 1, (), ()),
        (envs.make_partial(TMaze(), flicker=0.1), "length", 0, 1, (), ()),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, envs.Environment) else None,
)
def test_the_parameter_that_moves_the_cue(env, field, end, slope, limits, lengthens):
    dial = find_dial(env)
    assert (dial.field, dial.end, dial.slope) == (field, end, slope)
    assert (dial.limits, dial.lengthens) == (limits, lengthens)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        (TMazePlaces(), "length changes the spaces"),
        (UmbrellaChain(), "demands no memory"),
        (SwitchingBernoulli(), "length lengthens episodes"),
        (envs.make("InterceptFast-v0"), "is a robot task"),
        (envs.HostTask("CartPole-v1"), "numpy environment"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, envs.Environment) else None,
)
def test_why_no_parameter_does(env, told):
    with pytest.raises(ConfigError, match=told):
        find_dial(env)


def test_a_parameter_that_is_named():
    assert find_dial(RoomRecall(), "visits").end == 1
    assert find_dial(SwitchingBernoulli(), "length").field == "length"
    with pytest.raises(ConfigError, match="does not move it"):
        find_dial(NBack(), "length")
    with pytest.raises(ConfigError, match="Did you mean 'length'"):
        find_dial(TMaze(), "lenght")


@pytest.mark.parametrize(
    ("env", "times", "settings"),
    [
        (TMaze(4), 100, {"length": 400}),
        (BakkerTMaze(), 3, {"length": 30, "steps": 3000}),
        (NBack(), 50, {"n": 100, "length": 1100}),
        (RepeatPrevious(k=4), 3, {"k": 10, "decks": 1}),
        (RepeatPrevious(k=4), 100, {"k": 301, "decks": 100}),
        (MiniGridMemory(size=13), 1.5, {"size": 17}),
        (RepeatFirst(), 2.5, {"decks": 3}),
    ],
)
def test_the_task_at_a_longer_horizon(env, times, settings):
    dial = find_dial(env)
    longer = dial.at(math.ceil(dial.horizon * times))
    assert settings.items() <= longer.settings().items()
    assert dial.horizon_of(longer) >= dial.horizon * times
    assert longer.card.max_episode_steps > longer.card.horizon[0]


def test_the_task_at_a_shorter_horizon():
    assert find_dial(BakkerTMaze()).at(4) == BakkerTMaze(length=4)
    assert find_dial(RepeatFirst(decks=3)).at(100) == RepeatFirst(decks=1)


def test_less_of_a_task_is_seen_at_longer_horizons_too():
    env = envs.make_partial(TMaze(4), flicker=0.1)
    assert find_dial(env).at(8) == envs.make_partial(TMaze(8), flicker=0.1)


def test_what_a_task_refuses_is_told():
    pixels = envs.make("AutoencodeEasyPixels-v0")
    with pytest.raises(ConfigError, match=r"needs decks=10, which the task .* tile"):
        find_dial(pixels).at(1020)


# Half-lives -------------------------------------------------------------------


def slow_crossing(horizons, kept):
    """The same by walking along the curve in small steps of log horizon."""
    if kept[0] <= 0:
        return math.nan
    logs = [math.log(x) for x in horizons]
    places = np.linspace(logs[0], logs[-1], 200_001)
    for x, value in zip(places, np.interp(places, logs, kept), strict=True):
        if value <= kept[0] / 2:
            return math.exp(x)
    return math.inf


def test_half_lives_as_by_walking_along_the_curve():
    random = np.random.default_rng(1)
    horizons = np.array([4.0, 8, 16, 50, 100])
    kept = random.normal(0.4, 0.4, (20, 5))
    kept[0] = [1, 0.9, 0.8, 0.7, 0.6]  # never
    kept[1] = [1, 0.5, 0.5, 0.9, 0]  # at a point; it rises again
    kept[2] = [0, 0.5, 0.5, 0.9, 0]  # nothing to halve
    slow = [slow_crossing(horizons, row) for row in kept]
    found = crossings(horizons, kept)
    assert found[:3] == pytest.approx([math.inf, 8, math.nan], nan_ok=True)
    assert found == pytest.approx(slow, rel=1e-4, nan_ok=True)


def life(means, errors=0.0, lines=(0.0, 1.0), horizons=(4, 8, 16)):
    means = np.array(means, np.float64)
    return half_life(
        horizons,
        means,
        np.full_like(means, errors),
        np.array([lines] * len(means), np.float64),
        repeats=400,
    )


def test_a_half_life_between_the_lines_of_the_card():
    found = life([[3.0], [2.5], [1.0]], lines=(1.0, 3.0))  # 1, 0.75, 0 of the gain
    assert found.interval.value == pytest.approx(2 ** (3 + 1 / 3))
    assert found.between == (8, 16)
    assert (
        str(found) == "10.1 steps (95 % interval 10.1 to 10.1; a line between 8 and 16)"
    )


def test_below_the_memoryless_line_counts_as_nothing_kept():
    worse, nothing = life([[1.0], [-3.0], [-3.0]]), life([[1.0], [0.0], [0.0]])
    assert worse == nothing


def test_a_seed_that_fails_does_not_take_from_the_others():
    worse = life([[1.0] * 4, [0.9, 0.9, 0.9, -3.0], [0.0, 0.0, 0.0, -3.0]])
    assert worse == life([[1.0] * 4, [0.9, 0.9, 0.9, 0.0], [0.0] * 4])
    assert worse.between == (8, 16)


@pytest.mark.parametrize("last", [10, 40, 100])
def test_half_at_a_horizon_that_was_played(last):
    """Of two seeds one has lost all: exp(log(10)) is more than 10."""
    found = life([[1.0, 1.0], [1.0, 0.0]], horizons=(4, last))
    assert (found.interval.value, found.between) == (last, (4, last))
    found = life([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]], horizons=(4, last, 200))
    assert (found.interval.value, found.between) == (last, (4, last))


def test_never_down_to_half():
    found = life([[1.0], [0.9], [0.6]])
    assert math.isinf(found.interval.value)
    assert found.between is None
    assert str(found).startswith("beyond 16 steps (95 % interval beyond 16 to")


@pytest.mark.parametrize("means", [[[0.05], [0], [0]], [[1.0, 0.0], [0, 0], [0, 0]]])
def test_nothing_was_retained(means):
    found = life(means)
    assert found.interval is None
    assert str(found).startswith("none: nothing was retained")


def test_the_interval_holds_what_the_seeds_differ_in():
    means = np.array([[1.0] * 6, [1, 1, 1, 0, 0, 0], [0.0] * 6])
    one, all_six = life(means[:, :1]), life(means)
    assert one.interval == pytest.approx([2**3.5] * 3)
    assert all_six.interval.lower < 7 < 10 < all_six.interval.upper


def test_the_interval_holds_what_the_episodes_leave_open():
    narrow, wide = life([[1.0], [0.6], [0.0]], 0.01), life([[1.0], [0.6], [0.0]], 0.1)
    widths = [x.interval.upper - x.interval.lower for x in (narrow, wide)]
    assert 0 < 4 * widths[0] < widths[1]


def test_words_for_a_half_life():
    found = HalfLife(Interval(1234.5, 99.5, math.inf), 2000, between=(1000, 2000))
    told = "1,234 steps (95 % interval 99.5 to beyond 2,000; a line between 1,000 and "
    assert str(found) == told + "2,000)"
