"""Shell games whose mugs are pushed and picked up."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.groups.shell_game import HALF_HEIGHT, MUGS
from envs.robot.groups.shell_game_moves import TASKS, ShellGamePick, ShellGamePush
from tests.envs.robot.playing import (
    observed,
    same,
    start,
    step,
    until_acting,
    with_task,
)

PUSH = ShellGamePush(cue=(2, 2), reward_mode="dense")
PICK = ShellGamePick(cue=(2, 2), reward_mode="dense")
BOTH = pytest.mark.parametrize("env", [PUSH, PICK])


@functools.cache
def handling(env):
    return jax.jit(env._handle)


@functools.cache
def played(env, right, seed=3):
    """States and steps of an episode in which a mug is brought to its goal."""
    state, ended, found = until_acting(env, start(env, seed)[1])[1], False, []
    mug = jnp.int32((int(state.task.target) + (not right)) % MUGS)
    while not ended:
        action = env._action(handling(env)(state.task, state.world, mug))
        result = step(env, state, action)
        found.append((state, result))
        state, ended = result[1], result[3]
    return found


def acting(env, seed=3):
    return until_acting(env, start(env, seed)[1])[1]


def with_mug(state, mug, shift, **world):
    """A mug elsewhere than where it stood, and other changes of the world."""
    place = jnp.concatenate([state.task.places[mug], jnp.full(1, HALF_HEIGHT)])
    position = state.world.position.at[mug].set(place + jnp.asarray(shift, jnp.float32))
    world = state.world._replace(position=position.astype(jnp.float32), **world)
    return state._replace(world=world)


def judged(env, state):
    return env._judge(state.task, state.world, state.time)


@BOTH
@pytest.mark.parametrize("right", [True, False])
def test_first_mug_that_is_moved_is_the_answer(env, right):
    for state, (_, after, _, ended, _, info) in played(env, right):
        gap = np.asarray(after.world.position[:MUGS, :2] - state.task.places)
        away = np.linalg.norm(gap, axis=1)
        up = np.asarray(after.world.position[:MUGS, 2]) - HALF_HEIGHT
        held = np.arange(MUGS) == int(after.world.held)
        moved = away > 0.02 if env is PUSH else held & (up > 0.01)
        assert (int(after.task.answer) >= 0) == moved.any()
        assert bool(info["fail"]) == (moved.any() and not right)
        assert bool(ended) == bool(info["fail"] | info["success"])
    assert bool(info["success"]) == right
    last, (_, _, reward, *_) = played(env, right)[-1]
    paid = env._value * (env.max_steps - int(last.time)) if right else 0.0
    assert float(reward) == pytest.approx(paid)


@pytest.mark.parametrize("away, answers", [(0.0199, False), (0.0201, True)])
def test_pushed_by_two_centimetres(away, answers):
    state = acting(PUSH)
    mug = (int(state.task.target) + 1) % MUGS
    moved = with_mug(state, mug, [0.6 * away, 0.8 * away, 0.0])
    task, outcome = judged(PUSH, moved)
    assert bool(outcome.failure) == answers
    assert int(task.answer) == (mug if answers else -1)
    original = dataclasses.replace(PUSH, committed=False)
    assert not judged(original, moved)[1].failure


@pytest.mark.parametrize("up, held", [(0.0099, True), (0.0101, True), (0.02, False)])
def test_held_a_centimetre_higher(up, held):
    state = acting(PICK)
    mug = (int(state.task.target) + 1) % MUGS
    number = jnp.int32(mug if held else -1)
    moved = with_mug(state, mug, [0.0, 0.0, up], held=number)
    assert bool(judged(PICK, moved)[1].failure) == (up == 0.0101)
    original = dataclasses.replace(PICK, committed=False)
    assert not judged(original, moved)[1].failure


@BOTH
def test_the_answer_stays_the_first(env):
    state = acting(env)
    target = int(state.task.target)
    state = with_task(state, answer=jnp.int32(target))
    moved = with_mug(state, (target + 1) % MUGS, [0.0, 0.05, 0.05])
    moved = moved._replace(world=moved.world._replace(held=jnp.int32((target + 1) % 3)))
    task, outcome = judged(env, moved)
    assert int(task.answer) == target and not outcome.failure


@BOTH
@pytest.mark.parametrize("committed", [True, False])
def test_how_near_is_there_and_how_slow(env, committed):
    """Gaps from the goal, whose height is 5 cm, and 14.5 cm where it is above."""
    env = dataclasses.replace(env, committed=committed)
    state = acting(PUSH if env._value == 4.0 else PICK)
    mug, push = int(state.task.target), env._value == 4.0
    radius = (0.06 if push else 0.05) * (1 if committed else 1.6)
    slow = 0.225 if push else 0.15
    ahead, up = (0.1, 0.05 - HALF_HEIGHT) if push else (0.0, 0.145 - HALF_HEIGHT)
    for gap, speed, right in (
        (radius - 1e-4, slow - 1e-3, True),
        (radius + 1e-4, slow - 1e-3, False),
        (radius - 1e-4, slow + 1e-3, False),
    ):
        velocity = jnp.array([0.0, speed, 0.0], jnp.float32)
        hand = state.world.gripper._replace(velocity=velocity)
        moved = with_mug(state, mug, [ahead, gap, up], gripper=hand)
        assert bool(judged(env, moved)[1].success) == right
        early = moved._replace(time=moved.task.clock.asks - 1)
        assert not judged(env, early)[1].success


@BOTH
def test_the_ball_goes_with_its_mug_and_does_not_show(env):
    for state, (observation, after, *_) in played(env, True):
        mug = int(state.task.target)
        if bool(after.task.covered):
            under = np.asarray(after.world.position)[[mug, MUGS], :2]
            np.testing.assert_array_equal(under[0], under[1])
            assert not np.asarray(observation["things"])[MUGS].any()
        np.testing.assert_array_equal(after.world.velocity[MUGS], 0.0)
    moved = after.world.position[mug] - state.world.position[mug]
    assert np.linalg.norm(moved) > 1e-3


def scripted(env, state):
    """The state after the task has looked at it and put things in their places."""
    task = judged(env, state)[0]
    world = env._scripted(task, state.world, state.time)
    return state._replace(task=task, world=world)


def test_a_lifted_mug_uncovers_the_ball_until_it_stands_over_it_again():
    state = acting(PICK)
    mug = int(state.task.target)
    ball = np.asarray(state.world.position[mug, :2])
    for shift, shows in (
        ([0.0, 0.0, 0.0499], False),
        ([0.0, 0.0, 0.0501], True),
        ([0.1, 0.0, 0.06], True),
        ([0.1, 0.0, 0.0], True),
        ([0.011, 0.0, 0.06], True),
        ([0.011, 0.0, 0.0], True),
        ([0.009, 0.0, 0.06], True),
        ([0.009, 0.0, 0.0], False),
        ([0.1, 0.0, 0.0], False),
    ):
        state = scripted(PICK, with_mug(state, mug, shift))
        assert bool(observed(PICK, state)["things"][MUGS, 0] == 1) == shows, shift
        if shows:
            np.testing.assert_allclose(state.world.position[MUGS, :2], ball, atol=1e-6)
    np.testing.assert_array_equal(
        state.world.position[MUGS, :2], state.world.position[mug, :2]
    )


@BOTH
def test_what_is_seen_of_the_ball_and_of_the_mugs(env):
    observation, state = start(env, 1)
    shown = []
    for _ in range(3):
        rows = np.asarray(observation["things"])
        shown.append(rows[:, 0].tolist())
        still, state = state, step(env, state, np.ones(5))[1]
        observation = observed(env, state)
        np.testing.assert_array_equal(
            state.world.gripper.position != still.world.gripper.position,
            bool(env.acts(still)),
        )
    assert shown == [[0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 0]]


@BOTH
def test_covered_balls_leave_no_trace(env):
    """Not while the hand pushes at the mugs, either; nor does how they are turned."""
    state = acting(env, 2)
    others = [scripted(env, with_task(state, target=jnp.int32(t))) for t in range(3)]
    for _ in range(8):
        seen = [observed(env, other) for other in others]
        assert same(seen[0], seen[1]) and same(seen[0], seen[2])
        place = state.world.position[0].at[2].set(0.05)
        action = env.go(others[0].world, place)
        others = [step(env, other, action)[1] for other in others]
    pushed = others[0].world.position[0, :2] - state.task.places[0]
    assert np.linalg.norm(pushed) > 1e-3
    for seed in range(6):
        np.testing.assert_array_equal(start(env, seed)[1].world.yaw, 0.0)


def test_dense_reward_of_pushing_by_the_formula():
    for state, (_, after, reward, *_) in played(PUSH, True)[:-1]:
        mug = np.asarray(after.world.position, np.float64)[int(state.task.target)]
        x, y = np.asarray(state.task.places)[int(state.task.target)]
        goal = np.array([x + 0.1, y, 0.05])
        hand = after.world.gripper
        away = np.linalg.norm(mug - np.asarray(hand.position))
        left, speed = np.linalg.norm(mug - goal), np.linalg.norm(hand.velocity)
        placed = left <= 0.06
        expected = 1 - np.tanh(10 * away) + 2 * (1 - np.tanh(5 * left)) * (away <= 0.08)
        expected += 0.2 * placed * (1 - np.tanh(5 * speed / 0.75))
        assert float(reward) == pytest.approx(expected, rel=2e-5, abs=2e-5)


def test_dense_reward_of_picking_up_by_the_formula():
    terms = np.zeros(3, bool)
    for state, (_, after, reward, *_) in played(PICK, True)[:-1]:
        mug = np.asarray(after.world.position, np.float64)[int(state.task.target)]
        goal = np.append(np.asarray(state.task.places)[int(state.task.target)], 0.145)
        hand = after.world.gripper
        away = np.linalg.norm(mug - np.asarray(hand.position))
        left, speed = np.linalg.norm(mug - goal), np.linalg.norm(hand.velocity)
        placed, reached = left <= 0.05, away <= 0.04
        held = int(after.world.held) == int(state.task.target)
        expected = 3 * (1 - np.tanh(10 * away)) + 2 * reached + 10 * reached * held
        expected += 1.5 * (1 - reached) * float(hand.opening) / 0.08
        expected += 30 * held * (1 - np.tanh(5 * left))
        expected += 5 * placed * held * (1 - np.tanh(5 * speed / 0.75))
        assert float(reward) == pytest.approx(expected, rel=2e-5, abs=2e-5)
        terms |= [reached, held, placed]
    assert terms.all()


def test_a_fast_hand_at_the_goal_is_paid_less_for_it():
    state = acting(PUSH)
    there = with_mug(state, int(state.task.target), [0.1, 0.0, 0.05 - HALF_HEIGHT])
    paid = []
    for speed in (0.3, 3.0):
        velocity = jnp.array([speed, 0.0, 0.0], jnp.float32)
        hand = there.world.gripper._replace(velocity=velocity)
        moved = there._replace(world=there.world._replace(gripper=hand))
        paid.append(float(judged(PUSH, moved)[1].shaped))
    less = 0.2 * (np.tanh(5 * 3.0 / 0.75) - np.tanh(5 * 0.3 / 0.75))
    assert paid[0] - paid[1] == pytest.approx(less, rel=1e-4)


@BOTH
def test_nothing_is_paid_before_choices_count(env):
    state = start(env, 0)[1]
    assert float(step(env, state)[2]) == 0.0


@BOTH
def test_a_sweep_goes_on_to_the_next_mug(env):
    original = dataclasses.replace(env, committed=False)
    state = acting(env)
    none = jnp.int32(0)
    assert original.sweep(jax.random.key(0), state, none)[0] == 0
    goal = original._goal_of(state.task, none)
    position = state.world.position.at[0].set(goal)
    there = state._replace(world=state.world._replace(position=position))
    assert original.sweep(jax.random.key(0), there, none)[0] == 1
    assert (
        original.sweep(jax.random.key(0), there._replace(time=jnp.int32(0)), none)[0]
        == 0
    )
    before = jax.jit(original._handle)(state.task, there.world, jnp.int32(1))
    np.testing.assert_allclose(
        original.sweep(jax.random.key(0), there, none)[1], before, atol=1e-6
    )


def test_cards():
    for id in TASKS:
        card = envs.make(id).card
        assert card.memoryless.value == pytest.approx(1 / 3) and not card.outside_memory
        assert card.memoryless.note.startswith(
            "the first " + id[9:].lower()[:4].replace("pick", "lift")
        )


@pytest.mark.slow
@pytest.mark.parametrize("id", TASKS)
@pytest.mark.parametrize("committed", [True, False])
def test_the_script_solves_every_id(id, committed):
    env = envs.make(id, reward_mode="sparse", committed=committed)
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99


@pytest.mark.parametrize("given", [{"lamp": True}, {"swaps": (2, 4)}])
def test_neither_lamp_nor_swaps(given):
    with pytest.raises(ValueError, match="lamp=False and swaps"):
        ShellGamePush(shuffle=(9, 9) if "swaps" in given else (0, 0), **given)
