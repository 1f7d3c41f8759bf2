"""A table on which one thing at a time is moved by physics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.robot.one_at_a_time import OneAtATime
from envs.robot.tabletop import Tabletop
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import ball, cube
from tests.conftest import as_x64

CUBE = cube(moves=True)
PAIR = OneAtATime((CUBE, CUBE, ball(kind="lamp")))
REST = np.zeros(5, np.float32)


@functools.cache
def advance(table):
    return jax.jit(table.advance)


def world(table, *places, hand=(0.3, 0.3, 0.3)):
    places = jnp.asarray([*places, (0.4, 0.4, 0.06)], jnp.float32)
    things = len(table.things)
    yaw, there = jnp.zeros(things, jnp.float32), jnp.ones(things, bool)
    gripper = arm.resting(jnp.asarray(hand, jnp.float32))
    return table.start(gripper, places[:things], yaw, there)


def play(table, now, actions):
    for action in actions:
        now = advance(table)(now, jnp.asarray(action, jnp.float32))
    return now


def test_one_thing_moves_as_on_any_table(x64):
    """In double precision: each push adds to how the two programs round."""
    rng = np.random.default_rng(0)
    alone, many = Tabletop((CUBE,)), OneAtATime((CUBE,))
    one = other = as_x64(world(alone, (0.0, 0.0, 0.02), hand=(0.0, 0.09, 0.02)))
    for action in rng.uniform(-0.2, 0.2, (40, 5)) - np.array([0, 0.3, 0, 0, 0]):
        one, other = play(alone, one, [action]), play(many, other, [action])
    assert one.position.dtype == other.position.dtype == jnp.float64
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    assert all(np.allclose(a, b, rtol=0, atol=1e-10) for a, b in pairs)
    assert not np.allclose(one.position[0], [0, 0, 0.02], atol=1e-3)


def test_all_others_keep_their_pose():
    rng = np.random.default_rng(1)
    now = world(PAIR, (0, 0.03, 0.02), (0, -0.03, 0.02), hand=(0, 0, 0.03))
    moved = set()
    for _ in range(150):
        before = now
        action = rng.uniform(-0.6, 0.6, 5)
        action[2] = 4 * (0.03 - float(now.gripper.position[2]))
        action[:2] -= 4 * np.asarray(now.gripper.position[:2])
        now = play(PAIR, now, [action])
        changed = (np.asarray(now.position) != np.asarray(before.position)).any(1)
        assert changed.sum() <= 1 and not changed[2]
        moved |= set(np.flatnonzero(changed))
    assert moved == {0, 1}


def test_the_nearest_moves_and_what_is_held_before_it():
    now = world(PAIR, (0, 0, 0.02), (0.1, 0, 0.02), hand=(0.08, 0, 0.05))
    assert int(PAIR.chosen(now, now.gripper)) == 1
    held = now._replace(held=jnp.int32(0))
    assert int(PAIR.chosen(held, now.gripper)) == 0
    gone = now._replace(present=jnp.array([True, False, True]))
    assert int(PAIR.chosen(gone, now.gripper)) == 0


def test_what_moves_or_hangs_comes_to_rest_before_another_moves():
    now = world(PAIR, (0, 0, 0.15), (0.1, 0, 0.02), hand=(0.1, 0, 0.05))
    assert int(PAIR.chosen(now, now.gripper)) == 0
    now = play(PAIR, now, [REST] * 6)
    np.testing.assert_allclose(now.position[0], [0, 0, 0.02], atol=1e-6)
    assert int(PAIR.chosen(now, now.gripper)) == 1
    slides = now._replace(velocity=now.velocity.at[0, 0].set(-0.3))
    assert int(PAIR.chosen(slides, now.gripper)) == 0


def test_what_comes_down_on_another_stands_on_it():
    now = world(PAIR, (0.01, 0.01, 0.12), (0, 0, 0.02))
    now = play(PAIR, now, [REST] * 8)
    np.testing.assert_allclose(now.position[0], [0.01, 0.01, 0.06], atol=1e-6)
    np.testing.assert_allclose(now.position[1], [0, 0, 0.02], atol=1e-7)
    assert not np.asarray(now.velocity).any()
    # And falls when it loses what it stands on.
    now = now._replace(position=now.position.at[1].set(jnp.array([0.2, 0.2, 0.02])))
    now = play(PAIR, now, [REST] * 6)
    np.testing.assert_allclose(now.position[0], [0.01, 0.01, 0.02], atol=1e-6)


def test_what_slides_into_another_stops_there():
    now = world(PAIR, (0, 0, 0.02), (0.07, 0.005, 0.02))
    now = now._replace(velocity=now.velocity.at[0, 0].set(0.8))
    free = now._replace(position=now.position.at[1, 1].set(0.3))
    free = play(PAIR, free, [REST] * 8)
    now = play(PAIR, now, [REST] * 8)
    apart = np.linalg.norm(np.asarray(now.position[0] - now.position[1]))
    assert 0.04 <= apart < 0.0401 and not np.asarray(now.velocity).any()
    assert float(now.position[0, 1]) == 0
    np.testing.assert_allclose(now.position[1], [0.07, 0.005, 0.02], atol=1e-7)
    assert float(free.position[0, 0]) > 0.08  # 0.109 by v^2 / (2 mu g)


def test_what_is_let_go_inside_another_is_put_on_top():
    now = world(PAIR, (0.01, 0, 0.02), (0, 0, 0.02), hand=(0.01, 0, 0.02))
    closed = now.gripper._replace(opening=jnp.float32(0.0395))
    now = now._replace(gripper=closed, held=jnp.int32(0))
    held = play(PAIR, now, [REST])
    assert int(held.held) == 0 and float(held.position[0, 2]) == pytest.approx(0.02)
    freed = play(PAIR, held, [np.array([0, 0, 0, 0, 1.0])] * 2)
    assert int(freed.held) == -1
    assert float(freed.position[0, 2]) == pytest.approx(0.06, abs=1e-6)


def test_things_must_be_alike_and_first():
    for things in ((CUBE, cube(0.03, moves=True)), (ball(), CUBE), (ball(),)):
        with pytest.raises(ValueError, match="moves one thing at a time needs equal"):
            OneAtATime(things)


def test_what_stands_on_another_leaves_the_hand_to_others():
    table = OneAtATime((CUBE, CUBE, CUBE))
    places = (0, 0, 0.06), (0, 0, 0.02), (0.2, 0, 0.02)
    position = jnp.asarray(places, jnp.float32)
    gripper = arm.resting(jnp.array([0.2, 0, 0.05], jnp.float32))
    now = table.start(gripper, position, jnp.zeros(3, jnp.float32), jnp.ones(3, bool))
    assert int(table.chosen(now, now.gripper)) == 2
