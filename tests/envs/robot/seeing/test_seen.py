"""What robots see and do, as docs/robots.md says."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.robot import TASKS
from envs.robot.groups.remember import Remember
from envs.robot.hand.actions import DISCRETE
from envs.robot.seeing import seen
from envs.robot.tabletop import gripper as arm
from tests.envs.robot.playing import observed, start, step, until_acting

PAGE = (pathlib.Path(__file__).parents[4] / "docs" / "robots.md").read_text()
ENV = Remember(cue=(1, 1), empty=(1, 1), max_steps=60)


def test_the_page_names_every_number():
    row = re.search(r"^\| `gripper` \| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    names = re.sub(r" \(.*?\)", "", row[2]).split(", ")
    assert tuple(names) == seen.GRIPPER and int(row[1]) == len(names)
    row = re.search(r"^\| `things` \| .* of each: (.*?);", PAGE, re.MULTILINE)
    assert tuple(row[1].split(", ")) == seen.THING
    assert f"has {len(DISCRETE)} actions" in PAGE
    assert f" {len(TASKS)} ids are here" in PAGE.replace("\n", " ")


def test_the_gripper_is_told_by_its_names():
    state = until_acting(ENV, start(ENV, 1)[1])[1]
    for action in ([0.5, -0.25, 0.1, 1, -1], [0.5, -0.25, 0.1, 1, 0]):
        observation, state, *_ = step(ENV, state, action)
    hand = state.world.gripper
    told = dict(zip(seen.GRIPPER, np.asarray(observation["gripper"]), strict=True))
    for axis, name in enumerate("xyz"):
        assert told[name] == hand.position[axis]
        assert told[f"v{name}"] == hand.velocity[axis] != 0
    assert told["sin yaw"] == pytest.approx(np.sin(float(hand.yaw)), abs=1e-6)
    assert told["cos yaw"] == pytest.approx(np.cos(float(hand.yaw)), abs=1e-6)
    assert told["spin"] == hand.spin != 0
    assert told["opening"] == pytest.approx(float(hand.opening) / arm.WIDEST)
    assert 0 < told["opening"] < 1


def test_a_thing_is_told_by_its_names():
    state = until_acting(ENV, start(ENV, 1)[1])[1]
    world = state.world
    velocity = world.velocity.at[1, :2].set(jnp.array([0.3, -0.2]))
    world = world._replace(velocity=velocity, yaw=world.yaw.at[1].set(0.5))
    row = np.asarray(observed(ENV, state._replace(world=world))["things"])[1]
    told = dict(zip(seen.THING, row, strict=False))
    assert told["visible"] == 1
    for axis, name in enumerate("xyz"):
        assert told[name] == world.position[1, axis]
    assert told["vx"] == np.float32(0.3) and told["vy"] == np.float32(-0.2)
    assert told["sin yaw"] == pytest.approx(np.sin(0.5), abs=1e-6)
    assert told["cos yaw"] == pytest.approx(np.cos(0.5), abs=1e-6)
    colour = row[len(seen.THING) :]
    assert colour.sum() == 1 and colour.argmax() == int(state.task.items[1])


def test_what_is_not_visible_is_not_there():
    observation, _ = start(ENV, 1)
    rows = np.asarray(observation["things"])
    assert not rows[:3].any() and rows[3, 0] == 1


def test_zeros_move_nothing_and_plus_opens():
    state = until_acting(ENV, start(ENV, 1)[1])[1]
    still = step(ENV, state)[1].world.gripper
    for before, after in zip(state.world.gripper, still, strict=True):
        assert np.array_equal(before, after)
    closed = step(ENV, state, [0, 0, 0, 0, -1])[1]
    assert float(closed.world.gripper.opening) < float(state.world.gripper.opening)
    opened = step(ENV, closed, [0, 0, 0, 0, 0.5])[1]
    assert float(opened.world.gripper.opening) > float(closed.world.gripper.opening)


def test_discrete_actions():
    assert len({tuple(row) for row in DISCRETE}) == len(DISCRETE) == 37
    moves = DISCRETE[:27, :3]
    assert set(map(tuple, moves)) == {
        (x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)
    }
    env = Remember(cue=(1, 1), empty=(1, 1), action_mode="discrete")
    state = until_acting_discretely(env)
    for number in (0, 5, 30, 33, 36):
        one = jax.jit(env.step)(jax.random.key(0), state, jnp.int32(number))[1]
        other = step(ENV, state, DISCRETE[number])[1]
        for a, b in zip(one.world.gripper, other.world.gripper, strict=True):
            assert np.array_equal(a, b)


def until_acting_discretely(env):
    state = jax.jit(env.reset)(jax.random.key(1))[1]
    for _ in range(2):
        state = jax.jit(env.step)(jax.random.key(0), state, jnp.int32(3))[1]
    assert bool(env.acts(state))
    return state
