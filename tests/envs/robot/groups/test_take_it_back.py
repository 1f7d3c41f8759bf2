"""Bringing a cube to a goal and back to where it was."""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.robot import returns
from envs.robot.groups.take_it_back import (
    _ALONG,
    BACK,
    RADIUS,
    THERE,
    WAIT,
    TakeItBack,
    _blind,
)
from envs.robot.seeing import drawing
from envs.robot.task import HOME
from tests.envs.robot.playing import observed, oracle, same, start, step, with_task

TASK = TakeItBack(reward_mode="dense")
ORIGINAL = TakeItBack(committed=False)


@functools.cache
def _judging(env):
    return jax.jit(env._judge)


def judge(env, state):
    outcome = _judging(env)(state.task, state.world, state.time)[1]
    return bool(outcome.success), bool(outcome.failure)


@functools.cache
def played(seed=3, away=False):
    """By the script, or away from the start: states, actions and what came of them."""
    state, ended = start(TASK, seed)[1], False
    steps = []
    while not ended:
        told = state
        if away:  # the script brings the cube 10 cm further along x
            told = with_task(state, start=state.task.start + jnp.array([0.1, 0.0]))
        action = oracle(TASK, told)
        if int(TASK._phase(state.task, state.time)) == WAIT:
            action = jnp.ones(5)
        observation, after, reward, ended, _, info = step(TASK, state, action)
        steps.append((state, action, after, float(reward), observation, info))
        state = after
    return steps


def back(x=0.0, y=0.0, height=0.15, **changes):
    """The way back, the hand having risen: the cube's offset from its start."""
    state = start(TASK, 0)[1]
    state = with_task(state, moved_at=jnp.int32(1), reached_at=jnp.int32(2))
    world = state.world
    place = world.position.at[1, :2].set(state.task.start + jnp.array([x, y]))
    tool = world.gripper.position.at[2].set(height)
    gripper = world.gripper._replace(position=tool)
    world = world._replace(position=place, gripper=gripper, **changes)
    return state._replace(world=world, time=jnp.int32(30))


def test_the_first_rise_outside_of_the_goal_is_the_answer():
    right, wrong = played(), played(away=True)
    assert right[-1][-1]["success"] and not right[-1][-1]["fail"]
    assert wrong[-1][-1]["fail"] and not wrong[-1][-1]["success"]
    for steps in (right, wrong):
        assert len(steps) < TASK.max_steps
        height = [float(s[2].world.gripper.position[2]) for s in steps]
        assert height[-1] >= 0.1 > height[-2]


def test_phases_and_waiting():
    steps = played()
    phases = [int(s[-1]["phase"]) for s in steps]
    wait = int(steps[0][0].task.wait)
    assert Counter(phases)[WAIT] == wait and phases == sorted(phases)
    assert {THERE, BACK} < set(phases)
    for state, _, after, _, _, info in steps:
        assert bool(info["decision"]) == (info["phase"] == BACK)
        if info["phase"] == WAIT:  # although the hand is told to go at full speed
            assert same(state.world, after.world)


def test_nothing_keeps_the_start_once_the_goal_is_reached():
    """Whatever the start, the world and what is seen are then the same."""
    other = start(TASK, 4)[1]
    first = played()
    goal = first[0][0].task.goal
    world = other.world
    world = world._replace(position=world.position.at[0, :2].set(goal))
    other = with_task(other._replace(world=world), goal=goal)
    assert not np.allclose(other.task.start, first[0][0].task.start)
    while int(other.task.reached_at) < 0:
        other = step(TASK, other, oracle(TASK, other))[1]
    reached = next(s[2] for s in first if int(s[2].task.reached_at) >= 0)
    assert same(other.world, reached.world)
    assert same(observed(TASK, other), observed(TASK, reached))
    np.testing.assert_allclose(reached.world.gripper.position, HOME)
    assert float(reached.world.gripper.opening) == pytest.approx(0.08)
    assert int(reached.world.held) == -1 and float(reached.world.yaw[1]) == 0
    np.testing.assert_allclose(reached.world.position[1], [*goal, 0.02], atol=1e-6)


def test_the_start_leaves_no_trace():
    for index in (0, 10, -1):
        state = played()[index][2]
        other = with_task(state, start=-state.task.start, area=2 - state.task.area)
        assert same(observed(TASK, state), observed(TASK, other))


def test_within_eight_centimetres_of_the_start():
    for x, y in ((0.07, 0), (0, 0.079), (-0.09, 0), (0.06, 0.06), (0.05, 0.05)):
        right = bool(np.hypot(x, y) < RADIUS)
        assert judge(TASK, back(x, y)) == (right, not right)


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0.09},
        {"held": jnp.int32(1)},
        {"spin": jnp.array([0, 0.1], jnp.float32)},
        {"velocity": jnp.array([[0, 0, 0], [0.02, 0, 0]], jnp.float32)},
    ],
)
def test_what_is_not_yet_an_answer(changes):
    for x in (0.0, -0.2):
        assert judge(TASK, back(x, **changes)) == (False, False)
        # The original takes what comes by.
        assert judge(ORIGINAL, back(x, **changes)) == (x == 0, False)


def test_a_cube_in_the_goal_or_never_there_is_no_answer():
    state = back()
    goal = state.world.position.at[1, :2].set(state.task.goal)
    there = state._replace(world=state.world._replace(position=goal))
    assert judge(TASK, there) == (False, False)
    for env in (TASK, ORIGINAL):
        before = with_task(back(-0.2), reached_at=jnp.int32(-1))
        assert judge(env, before) == (False, False)
        before = with_task(back(), reached_at=jnp.int32(-1))
        assert judge(env, before) == (False, False)


def test_the_original_puts_nothing_anywhere():
    state = back()._replace(time=jnp.int32(2))
    for env, puts in ((TASK, True), (ORIGINAL, False)):
        put = env._script(state.task, state.world, state.time)
        assert put.which.tolist() == [False, puts] and bool(put.home) == puts
        phase = int(env._phase(state.task, state.time))
        assert phase == (WAIT if puts else BACK)


def test_the_disc_changes_its_colour():
    for _, _, after, _, observation, _ in played():
        colours = np.asarray(observation["things"])[:, 8:]
        reached = int(after.task.reached_at) >= 0
        assert colours.argmax(1).tolist() == [2 if reached else 1, 0]
        assert np.asarray(observation["things"])[:, 0].all()


def test_the_cube_is_drawn_on_the_disc():
    state = next(s[2] for s in played() if int(s[2].task.reached_at) >= 0)
    image = np.asarray(jax.jit(TASK.render)(state))
    assert (image == drawing.COLOURS["lime"]).all(-1).sum() > 4
    assert (image == drawing.COLOURS["magenta"]).all(-1).sum() > 30


def test_what_is_hidden_is_the_start():
    steps = played()
    since = []
    for state, *_ in steps:
        place, steps_since = TASK.hidden(state)["start"]
        np.testing.assert_allclose(place, steps[0][0].world.position[1, :2])
        since.append(int(steps_since))
    stood = since.count(0)
    moved = steps[stood][0].world.position[1, :2] - steps[0][0].task.start
    assert np.linalg.norm(moved) > 1e-3 and since[stood:][:3] == [1, 2, 3]


def test_starts_goals_and_waits():
    keys = jax.random.split(jax.random.key(5), 3000)
    task = jax.tree.map(
        np.asarray, jax.jit(jax.vmap(lambda key: TASK._deal(key)[0]))(keys)
    )
    x, y = task.start.T
    assert np.abs(x).max() <= 0.05 and np.abs(x).max() > 0.049
    inside = y - 0.1 * (task.area - 1)
    assert 0 <= inside.min() < 0.001 and 0.049 < inside.max() <= 0.05 + 1e-6
    shares = np.bincount(task.area, minlength=3) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    low, high = task.goal.min(0), task.goal.max(0)
    np.testing.assert_allclose(low, [0.2, -0.025], atol=1e-3)
    np.testing.assert_allclose(high, [0.25, 0.025], atol=1e-3)
    shares = np.bincount(task.wait, minlength=6)[1:] / 3000
    np.testing.assert_allclose(shares, 0.2, atol=0.03)


def test_the_blind_share_by_brute_force():
    """Every place in turn, against starts on a grid."""
    middle = (np.arange(100) + 0.5) / 100
    x, y = np.meshgrid(0.1 * middle - 0.05, 0.05 * middle)
    starts = [np.stack([x, y + 0.1 * area], -1).reshape(-1, 2) for area in (-1, 0, 1)]
    starts = np.concatenate(starts).astype(np.float32)
    best = 0.0
    for across in np.linspace(-0.02, 0.02, 5):
        for side in np.linspace(-0.1, 0.15, 101):
            offset = starts - np.array([across, side], np.float32)
            best = max(best, ((offset**2).sum(1) < RADIUS**2).mean())
    assert _blind().value == pytest.approx(best, abs=2e-3)
    assert _blind().value == pytest.approx(0.634, abs=1e-3)


def test_a_sweep_comes_by_every_start():
    along = np.linspace(0, 1, 50)[:, None]
    way = np.array(_ALONG[0]) * (1 - along) + np.array(_ALONG[1]) * along
    for x in (-0.05, 0, 0.05):
        for y in (-0.1, -0.05, 0, 0.05, 0.1, 0.15):
            distance = np.linalg.norm(way - [x, y], axis=1).min()
            assert distance < RADIUS - 0.005


def formula(before, after):
    """The dense reward of the original, but for a cube that is back and let go."""
    world, task = after.world, after.task
    cube = np.asarray(world.position[1], np.float64)
    tool = np.asarray(world.gripper.position, np.float64)
    goal = np.linalg.norm(cube[:2] - np.asarray(task.goal))
    begin = np.linalg.norm(cube[:2] - np.asarray(task.start))
    push = np.linalg.norm(cube - tool + np.array([-0.025, 0, 0]))
    pull = np.linalg.norm(cube - tool + np.array([0.03, 0, 0]))
    if int(task.reached_at) < 0:
        reward = 2 * (1 - np.tanh(5 * push)) + 1.5 * (1 - np.tanh(5 * goal))
        reward += (push < 0.03) * 5 * (1 - np.tanh(5 * goal))
    else:
        contact = 1 - np.tanh(6 * np.linalg.norm(cube - tool))
        reward = 10 * (1 - np.tanh(5 * pull)) + 4 * contact
        reward += (pull < 0.03) * 15 * (1 - np.tanh(5 * begin))
        if begin < RADIUS and int(world.held) != 1:  # ours, where that is no answer yet
            reward = 14 + 15 * (1 - np.tanh(5 * begin)) + 15 * min(tool[2] / 0.1, 1)
    action, last = np.asarray(after.action), np.asarray(before.action)
    speed = np.linalg.norm(np.asarray(world.gripper.velocity)) / 0.75
    rough = 0.01 * np.tanh(2 * np.linalg.norm(action)) + 0.01 * np.tanh(2 * speed)
    return reward - rough - 0.08 * np.tanh(5 * np.linalg.norm(action - last))


def test_dense_reward_by_the_formula():
    steps = played()
    for before, _, after, reward, _, _ in steps[:-1]:
        if int(after.task.reached_at) == int(after.time):
            continue  # judged before the cube is put in the middle
        assert reward == pytest.approx(formula(before, after), abs=1e-4)
    left = TASK.max_steps - int(steps[-1][0].time)
    assert steps[-1][3] == pytest.approx(60 * left)
    assert played(away=True)[-1][3] == 0


def test_staying_with_the_cube_is_worth_less_than_the_answer():
    """By half, with the cube where it was, held or not; and to rise pays at once."""

    def paid(env=TASK, **changes):
        state = back(**changes)
        state = with_task(state, goal=state.task.start + 0.2)
        tool = state.world.position[1] + jnp.array([0.03, 0.0, 0.0])
        tool = tool.at[2].set(state.world.gripper.position[2])
        gripper = state.world.gripper._replace(position=tool)
        world = state.world._replace(gripper=gripper)
        return float(env._shaped(state.task, world))

    held, ours, original = jnp.int32(1), TASK._value, ORIGINAL._value
    assert paid(height=0.02, held=held) == pytest.approx(28.5, abs=0.5)
    assert paid(height=0.02, held=held) < 0.5 * ours
    assert paid(height=0.02) < paid(height=0.05) < paid(height=0.09) < 0.75 * ours
    assert paid(height=0.09, held=held) < paid(height=0.02, held=held)
    assert paid(ORIGINAL, height=0.02) == paid(height=0.02, held=held) < original


def test_bad_parameters():
    with pytest.raises(ValueError, match="wait to be the fewest and the most"):
        TakeItBack(wait=(0, 5))
    with pytest.raises(ValueError, match="hides for up to 70 steps"):
        TakeItBack(wait=(1, 70))


def test_the_script_succeeds():
    """In 64 episodes; the slow test plays more, by both rules."""
    env = TakeItBack(reward_mode="sparse")
    assert returns.success(env, returns._by_script(env), 64) == 1


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False])
def test_script_and_sweep(committed):
    env = TakeItBack(committed=committed, reward_mode="sparse")
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99
    swept = returns.success(env, returns._by_sweep(env), 1000)
    assert swept == 0 if committed else swept >= 0.99
