"""A ball that rolls by."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.groups.intercept import TASKS, Intercept
from envs.robot.hand import handling
from envs.robot.tabletop import gripper as arm
from tests.envs.robot.playing import observed, same, start, step

GOAL = Intercept(reward_mode="dense")
GRAB = Intercept(grab=True, reward_mode="dense")
FRICTION = 0.3 * 9.81


def with_ball(env, state, **changes):
    """The ball's row of the world, changed."""
    row = len(env._things) - 1
    world = state.world
    for name, value in changes.items():
        found = getattr(world, name).at[row].set(jnp.asarray(value, jnp.float32))
        world = world._replace(**{name: found})
    return state._replace(world=world)


@pytest.mark.parametrize("id", TASKS)
def test_what_is_drawn(id):
    env = envs.make(id)
    keys = jax.random.split(jax.random.key(0), 2000)
    task, position, _ = jax.vmap(env._deal)(keys)
    ball, velocity = position[:, -1], task.velocity

    def spread(numbers, least, most):
        width = most - least
        assert least <= numbers.min() < least + 0.02 * width
        assert most - 0.02 * width < numbers.max() <= most

    spread(ball[:, 0], -0.35, -0.05)
    spread(ball[:, 1], -0.9, -0.65)
    spread(velocity[:, 0], 0.0, 0.05)
    spread(velocity[:, 1], *env.speed)
    if not env.grab:
        np.testing.assert_allclose(position[:, 0, 0], ball[:, 0] + 0.2, atol=1e-6)
        spread(position[:, 0, 1], -0.2, 0.2)


def travelled(speed, time):
    """How far a ball has come that slides until it rolls, metres."""
    slides = 2 * speed / (7 * FRICTION)
    sliding = np.minimum(time, slides)
    slid = speed * sliding - FRICTION * sliding**2 / 2
    return slid + 5 / 7 * speed * np.maximum(time - slides, 0)


def test_the_ball_slides_and_then_rolls():
    state = start(GOAL, 3)[1]
    first = np.asarray(state.world.position[1])
    sent = np.asarray(state.task.velocity, np.float64)
    speed = np.linalg.norm(sent)
    for time in range(1, 21):
        state = step(GOAL, state)[1]
        way = np.asarray(state.world.position[1]) - first
        expected = travelled(speed, time / 20) * sent / speed
        np.testing.assert_allclose(way[:2], expected, atol=0.02 * speed / 20 + 1e-3)
        np.testing.assert_allclose(state.task.velocity, state.world.velocity[1, :2])
    rolls = np.linalg.norm(np.asarray(state.task.velocity))
    assert rolls == pytest.approx(5 / 7 * speed, rel=0.01)


@pytest.mark.parametrize("env", [GOAL, GRAB])
def test_two_frames_tell_the_velocity_and_one_does_not(env):
    observation, state = start(env, 1)
    faster = with_ball(env, state, velocity=[0.3, 0.9, 0.0])
    assert same(observation, observed(env, faster))
    assert not np.asarray(observation["things"])[:, 4:6].any()
    seen = [np.asarray(observation["things"])[-1, 1:3]]
    for _ in range(10):
        observation, state, *_ = step(env, state)
        seen.append(np.asarray(observation["things"])[-1, 1:3])
    told = (seen[-1] - seen[-2]) * 20
    np.testing.assert_allclose(told, state.world.velocity[-1, :2], atol=1e-4)
    original = dataclasses.replace(env, committed=False)
    shown = np.asarray(observed(original, state)["things"])[-1, 4:6]
    np.testing.assert_allclose(shown, state.world.velocity[-1, :2])
    privileged = dataclasses.replace(env, observation="state")
    shown = observed(privileged, state)["secret"]
    np.testing.assert_allclose(shown, state.world.velocity[-1, :2])
    value, age = env.hidden(state)["velocity"]
    np.testing.assert_array_equal(value, state.task.velocity)
    assert age == 10


@pytest.mark.parametrize("env", [GOAL, GRAB])
def test_the_script_reads_only_what_is_on_show(env):
    state = start(env, 1)[1]
    other = with_ball(env, state, velocity=[0.3, 0.9, 0.0], position=[-0.1, -0.5, 0.02])
    nearer = with_ball(env, state, position=[-0.1, -0.5, 0.02])
    key = jax.random.key(0)
    np.testing.assert_array_equal(env.oracle(key, other), env.oracle(key, nearer))
    assert env.card.memory == "none" and env.card.memoryless == env.card.recall


@pytest.mark.parametrize("away, inside", [(0.0999, True), (0.1001, False)])
def test_in_the_goal(away, inside):
    state = start(GOAL, 0)[1]
    goal = state.world.position[0]
    place = jnp.stack([goal[0] - 0.6 * away, goal[1] + 0.8 * away, jnp.float32(0.02)])
    state = with_ball(GOAL, state, position=place, velocity=[0.0, 0.0, 0.0])
    *_, ended, _, info = step(GOAL, state)
    assert bool(info["success"]) == inside == bool(ended)


def played(env, seed):
    """The states, actions and what the steps of an episode of the script return."""
    state, ended, found = start(env, seed)[1], False, []
    oracle = jax.jit(env.oracle)
    while not ended:
        action = np.asarray(oracle(jax.random.key(0), state))
        result = step(env, state, action)
        found.append((state, result))
        state, ended = result[1], result[3]
    return found


def test_dense_reward_of_the_goal_by_the_formula():
    reached = False
    episode = played(GOAL, 5)
    for state, (_, after, reward, _, _, info) in episode:
        goal, ball = np.asarray(after.world.position, np.float64)
        tool = np.asarray(after.world.gripper.position, np.float64)
        back = (ball - goal) / np.linalg.norm(ball - goal)
        away = np.linalg.norm(ball + 0.07 * back - tool)
        reached |= away < 0.04
        left = np.linalg.norm((ball - goal)[:2])
        near = 5 * (1 - np.tanh(left)) if reached else 2 * (1 - np.tanh(2 * away))
        expected = 30.0 * (60 - int(state.time)) if info["success"] else near
        assert float(reward) == pytest.approx(expected, rel=1e-4)
        assert bool(after.task.reached) == reached
    assert info["success"]


def test_hitting_place_once_reached_stays_reached():
    state = start(GOAL, 2)[1]
    goal, ball = np.asarray(state.world.position)
    behind = ball + 0.07 * (ball - goal) / np.linalg.norm(ball - goal)
    there = state.world.gripper._replace(position=jnp.asarray(behind, jnp.float32))
    near = state.world._replace(gripper=there)
    task = GOAL._judge(state.task, near, state.time)[0]
    assert task.reached and not GOAL._judge(state.task, state.world, state.time)[0][1]
    assert GOAL._judge(task, state.world, state.time)[0].reached


def test_grabbing_pays_by_the_formula_and_needs_a_hand_at_rest():
    rested = []
    for state, (_, after, reward, ended, _, info) in played(GRAB, 4):
        ball = np.asarray(after.world.position[0], np.float64)
        hand = after.world.gripper
        gap = ball - np.asarray(hand.position, np.float64)
        away, width = np.linalg.norm(gap), float(hand.opening)
        held = int(after.world.held) == 0
        rests = np.linalg.norm(np.asarray(hand.velocity)) <= 0.15
        between = (np.abs(gap)[:2] <= 0.04).all() and abs(gap[2]) <= 0.03
        between &= away <= 0.04 and width >= 0.04
        wide = max(abs(width - 0.04) - 0.02, 0.0)
        expected = 10 * (1 - np.tanh(3 * away)) + 200 * held
        expected += 30 * (1 - away / 0.06) * (away <= 0.025)
        expected += between * (10 + 90 * np.exp(-5 * wide) + 90 * (width <= 0.06))
        if held and rests:
            expected = 300.0 * (60 - int(state.time))
        assert float(reward) == pytest.approx(expected, rel=1e-4)
        assert bool(info["success"]) == (held and rests) == bool(ended)
        rested.append((held, rests))
    assert (True, False) in rested


def untouched(low, high, steps=60, nodes=60):
    """The chance that a ball left alone is in the goal at the end of a step."""
    middles = (np.arange(nodes) + 0.5) / nodes
    drift, speed = np.meshgrid(0.05 * middles, low + (high - low) * middles)
    first = np.hypot(drift, speed)
    way = travelled(first, np.arange(1, steps + 1)[:, None, None] / 20)
    aside, ahead = 0.2 - way * drift / first, way * speed / first
    half = np.sqrt(np.maximum(0.01 - aside**2, 0.0))
    # The goal is further along y by -.2..+.2 less -.9..-.65: a trapezium of chances.
    further = 0.45 + 0.65 * middles
    density = np.minimum(np.minimum(further - 0.45, 1.1 - further), 0.25) / 0.1
    inside = [(np.abs(ahead - y) < half).any(0).mean() for y in further]
    return (density * inside).mean() * 0.65


def test_a_ball_left_alone():
    assert untouched(0.25, 0.5) == pytest.approx(0.007, abs=0.0005)
    assert 0 < untouched(0.5, 0.75) < 0.001
    assert untouched(0.75, 1.0) == 0


def test_a_ball_left_alone_as_played():
    env, episodes = Intercept(reward_mode="sparse"), 4096
    rest = lambda key, state, kept: (kept, jnp.zeros(5, jnp.float32))  # noqa: E731
    share = returns.success(env, rest, episodes)
    expected = untouched(0.25, 0.5)
    assert abs(share - expected) < 4 * np.sqrt(expected / episodes)


def test_the_script_solves_it():
    for env in (GOAL, GRAB):
        assert played(env, 7)[-1][1][-1]["success"]


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_the_hand_comes_alongside_what_moves(wrong):
    """Where the speed is not quite right, it stays two steps of that behind."""
    world = start(GOAL)[1].world
    velocity = jnp.array([0.0, 0.4, 0.0], jnp.float32)
    place = jnp.array([-0.2, -0.6, 0.1], jnp.float32)
    told = velocity - jnp.array([0.0, wrong, 0.0], jnp.float32)
    for _ in range(30):
        move = handling.alongside(world, place, told)
        hand = arm.advance(world.gripper, handling.command(move))
        world, place = world._replace(gripper=hand), place + velocity / 20
    behind = np.asarray(place - world.gripper.position)
    np.testing.assert_allclose(behind, [0.0, 2 * wrong / 20, 0.0], atol=1e-4)
    np.testing.assert_allclose(world.gripper.velocity, velocity, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("id", TASKS)
@pytest.mark.parametrize("committed", [True, False])
def test_the_script_solves_every_id(id, committed):
    env = envs.make(id, reward_mode="sparse", committed=committed)
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99


@pytest.mark.parametrize("speed", [(0.0, 0.5), (0.5, 0.25), (1.0, 2.5)])
def test_bad_speeds(speed):
    with pytest.raises(ValueError, match="speed to be the slowest and the fastest"):
        Intercept(speed=speed)
