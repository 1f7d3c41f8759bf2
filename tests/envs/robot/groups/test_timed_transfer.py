"""Timed transfers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.groups.timed_transfer import TASKS, TimedTransfer, by_chance
from tests.envs.robot.playing import compiled, observed, same, start, step, with_task

TIMED = TimedTransfer(delay=20, preparation=(40, 45), max_steps=80, reward_mode="dense")
ORIGINAL = TimedTransfer(committed=False, reward_mode="dense")
FIRST, LAST = 19, 21
RELEASE = np.array([0, 0, 0, 0, 1], np.float32)


@functools.cache
def at_signal(moving=False):
    """The state when the lamp turns green, the cube being held over the disc."""
    state = start(TIMED, 3)[1]
    while not bool(TIMED.acts(state)):
        action = compiled(TIMED)[2](jax.random.key(0), state)
        if moving and int(state.time) >= int(state.task.asks) - 3:
            action = np.array([1, -1, 1, 1, 0], np.float32)
        state = step(TIMED, state, action)[1]
    return state


def let_go(state, number):
    """Hold, and let go with this step after the signal; the last step's results."""
    for _ in range(number - 1):
        _, state, _, ended, *_ = step(TIMED, state)
        assert not ended
    return step(TIMED, state, RELEASE)


@pytest.mark.parametrize("number", [1, FIRST - 1, FIRST, LAST])
def test_letting_go_is_right_in_the_window_only(number):
    *_, ended, _, info = let_go(at_signal(), number)
    assert ended and bool(info["success"]) == (number >= FIRST)
    assert bool(info["fail"]) == (number < FIRST)
    assert info["phase"] == 1 + (number >= FIRST)


def test_holding_too_long_fails():
    state = at_signal()
    for number in range(1, LAST + 2):
        _, state, reward, ended, _, info = step(TIMED, state)
        assert bool(ended) == bool(info["fail"]) == (number > LAST)
    assert float(reward) == -25 and not info["success"]


@pytest.mark.parametrize("offset", [(0.0, 0.06, 0.0), (0.0, 0.0, 0.05)])
def test_letting_go_beside_the_disc_or_above_it_fails(offset):
    """In the window; the hand and the cube are shifted together."""
    state = at_signal()
    world, shift = state.world, jnp.array(offset, jnp.float32)
    hand = world.gripper._replace(position=world.gripper.position + shift)
    position = world.position.at[0].add(shift)
    state = state._replace(world=world._replace(gripper=hand, position=position))
    state = with_task(state, place=position[0])
    *_, ended, _, info = let_go(state, FIRST)
    assert ended and info["fail"] and not info["success"]


def test_no_cube_at_the_signal_fails():
    state = start(TIMED, 1)[1]
    ended = False
    while not ended:
        decided = bool(TIMED.acts(state))
        _, state, _, ended, _, info = step(TIMED, state)
    assert decided and info["fail"] and int(state.time) == int(state.task.asks) + 1


def test_nothing_seen_changes_from_the_signal_on():
    """Though the hand was under way, and whatever is asked of it but to let go."""
    state = at_signal(moving=True)
    asked = np.array([1, 1, -1, -1, 0.5], np.float32)
    first, commands = observed(TIMED, state), []
    assert int(state.world.held) == 0 and not state.world.gripper.velocity.any()
    for number in range(1, FIRST):
        action = asked if number % 2 else -asked
        seen, state, _, ended, *_ = step(TIMED, state, action)
        assert same(seen, first) and not ended
        commands.append(np.asarray(state.action))
    assert not np.any(commands)
    assert np.array_equal(step(TIMED, state, asked + 0.01)[1].action, RELEASE)


def test_the_lamp_tells_when_and_the_time_is_drawn():
    state = start(TIMED, 3)[1]
    asks = int(state.task.asks)
    for time, colour in ((0, 3), (asks - 1, 3), (asks, 2), (asks + 30, 2)):
        there = observed(TIMED, state._replace(time=jnp.int32(time)))
        assert int(np.asarray(there["things"])[3, 8:].argmax()) == colour
    keys = jax.random.split(jax.random.key(0), 400)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: TIMED._deal(key)[0].asks))(keys))
    assert set(drawn) == set(range(40, 46))
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: ORIGINAL._deal(key)[0].asks))(keys))
    assert set(drawn) == {1, 2, 3}


def test_what_is_hidden():
    state = at_signal()
    for number in range(4):
        assert [int(x) for x in TIMED.hidden(state)["elapsed"]] == [number, number]
        assert TIMED._secret(state.task).tolist() == [number, FIRST, LAST]
        state = step(TIMED, state)[1]


def test_dense_reward_by_the_formula():
    state, ended = start(TIMED, 7)[1], False
    while not ended:
        acting = bool(TIMED.acts(state))
        elapsed = int(state.time) + 1 - int(state.task.asks)
        action = compiled(TIMED)[2](jax.random.key(0), state)
        _, after, reward, ended, _, info = step(TIMED, state, action)
        tool, speed = after.world.gripper.position, after.world.gripper.velocity
        cube, disc = np.asarray(after.world.position)[:2]
        speed = np.linalg.norm(speed) / 0.75
        holds, due = int(after.world.held) == 0, acting and FIRST <= elapsed <= LAST
        on = np.linalg.norm((cube - disc)[:2]) < 0.05 and cube[2] < 0.066
        expected = 2 * (1 - np.tanh(10 * np.linalg.norm(cube - tool))) + 3 * holds
        near = 20 * (1 - np.tanh(5 * np.linalg.norm(cube - disc)))
        expected += near * holds * (due or not acting)
        expected += (5 + 3 * (1 - np.tanh(5 * speed))) * (on and due)
        now, was = np.asarray(after.action), np.asarray(state.action)
        expected -= 0.01 * np.tanh(2 * np.linalg.norm(now))
        expected -= 0.03 * np.tanh(5 * np.linalg.norm(now - was))
        expected -= 0.01 * np.tanh(2 * speed)
        if info["success"]:
            expected = 30.0 * (TIMED.max_steps - int(state.time))
        assert float(reward) == pytest.approx(expected, abs=1e-4)
        state = after
    assert info["success"]


@pytest.mark.parametrize("id", TASKS)
def test_no_constant_chance_does_better(id):
    """The card's share, by trying chances and adding up the window's steps."""
    env = envs.make(id)
    first, last = int(0.95 * env.delay), int(1.05 * env.delay)
    chances = np.linspace(0.5, 2, 3001)[:, None] / env.delay
    steps = np.arange(first, last + 1)[None]
    sums = (chances * (1 - chances) ** (steps - 1)).sum(1)
    share = by_chance(env._window).value
    assert share == pytest.approx(sums.max(), abs=1e-7)
    assert 0.0365 <= share <= 0.041


def test_the_card():
    card = envs.make("TimedTransferEasy-v0").card
    assert card.memoryless.value == by_chance((95, 105)).value
    assert card.horizon == (95, 105) and not card.outside_memory
    assert envs.make("TimedTransferEasy-v0", committed=False).card.outside_memory


def test_by_the_originals_rules_a_cube_on_the_disc_counts_though_held():
    """In the window; before it fails, and so does nothing until after it."""
    state = start(ORIGINAL, 0)[1]
    on = state.world.position.at[0, :2].set(state.world.position[1, :2])
    placed = state.world._replace(position=on, held=jnp.int32(0))
    task = state.task._replace(asks=jnp.int32(2))
    judge = jax.jit(ORIGINAL._judge)
    for elapsed in (1, 94, 95, 105, 106):
        told = []
        for world in (placed, state.world):
            outcome = judge(task, world, jnp.int32(elapsed + 1))[1]
            told.append((bool(outcome.success), bool(outcome.failure)))
        due, late = 95 <= elapsed <= 105, elapsed > 105
        assert told == [(due, not due), (False, late)]


def test_by_the_originals_rules_the_hand_stays_free():
    state = start(ORIGINAL, 0)[1]
    command = jnp.array([0.5, -0.2, 1.0, 0.3, 0.4])
    obeyed = ORIGINAL._obeyed(state.task, state.world, jnp.int32(50), command)
    assert np.array_equal(obeyed, command)
    later = state._replace(time=jnp.int32(50))
    moved = later._replace(
        world=later.world._replace(
            gripper=later.world.gripper._replace(velocity=jnp.ones(3))
        )
    )
    world = ORIGINAL._scripted(moved.task, moved.world, jnp.int32(50))
    assert world.gripper.velocity.all()


def test_the_strip_runs_out():
    told = []
    for elapsed in (0, 9, 18):
        task = with_task(at_signal(), elapsed=jnp.int32(elapsed)).task
        told.append(len(np.unique(np.asarray(TIMED._strip(task)), axis=0)))
    assert told == [1, 2, 2]


def test_bad_parameters():
    with pytest.raises(ValueError, match="a delay of 2 steps or more"):
        TimedTransfer(delay=1)
    with pytest.raises(ValueError, match="asks for an answer up to step 280"):
        TimedTransfer(delay=200)
    with pytest.raises(ValueError, match="preparation to be the fewest"):
        TimedTransfer(preparation=(0, 5))


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("id", TASKS)
def test_the_script_solves(id, committed):
    env = envs.make(id, committed=committed, reward_mode="sparse")
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99
