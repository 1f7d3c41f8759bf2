"""How scripted policies handle things: batches of cases, each in one compiled scan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.robot.hand import handling
from envs.robot.tabletop import Tabletop
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import cube, cylinder

CASES = 64
CUBE = cube(moves=True)
BATTERY = cylinder("battery", 0.01, 0.03, moves=True)
MUG = cylinder("mug", 0.06, 0.053, moves=True)


@functools.cache
def handled(thing, policy, steps, seed=0):
    """Start, goal and, step by step, the worlds in which a policy handles a thing.

    Start and goal are anywhere within 15 cm, 1 cm apart at least; any yaw. Half of the
    hands are at home, half low before the thing, on the side of its goal.
    """
    table = Tabletop((thing,))

    def case(key):
        place_key, yaw_key, hand_key = jax.random.split(key, 3)
        start, goal = jax.random.uniform(place_key, (2, 2), jnp.float32, -0.15, 0.15)
        far = jnp.sqrt(((goal - start) ** 2).sum()) >= 0.01
        goal = jnp.where(far, goal, -start)
        yaw = jax.random.uniform(yaw_key, (1,), jnp.float32, -np.pi, np.pi)
        position = jnp.stack([start[0], start[1], jnp.float32(thing.half[2])])[None]
        ahead = (goal - start) / jnp.sqrt(((goal - start) ** 2).sum())
        before = start + ahead * (1.5 * thing.half[0] + 0.03)
        low = jnp.stack([before[0], before[1], jnp.float32(0.03)])
        home = jnp.array([-0.07, 0.0, 0.25], jnp.float32)
        hand = jnp.where(jax.random.bernoulli(hand_key), home, low)
        world = table.start(arm.resting(hand), position, yaw, jnp.ones(1, bool))

        def step(world, _):
            world = table.advance(world, policy(world, goal))
            return world, world

        return start, goal, jax.lax.scan(step, world, length=steps)[1]

    keys = jax.random.split(jax.random.key(seed), CASES)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(case))(keys))


def brings(thing, symmetry):
    def policy(world, goal):
        place = jnp.stack([goal[0], goal[1], jnp.float32(thing.half[2])])
        return handling.bring(world, 0, place, symmetry=symmetry)

    return policy


def pushes(thing, height):
    return lambda world, goal: handling.push(world, 0, goal, thing.half[0], height)


BROUGHT = {
    "cube": (CUBE, brings(CUBE, np.pi / 2), 60),
    "battery": (BATTERY, brings(BATTERY, 0.0), 60),
}
PUSHED = {
    "cube": (CUBE, pushes(CUBE, 0.02), 100),
    "mug": (MUG, pushes(MUG, 0.03), 100),
}


def away(worlds, goal):
    """Metres from the goal, case by case and step by step."""
    return np.linalg.norm(worlds.position[:, :, 0, :2] - goal[:, None], axis=-1)


@pytest.mark.parametrize("name", BROUGHT)
def test_what_is_brought_stands_at_its_place(name):
    thing = BROUGHT[name][0]
    _, goal, worlds = handled(*BROUGHT[name])
    carried = (worlds.held == 0).any(1)
    stands = (worlds.held == -1) & (worlds.position[:, :, 0, 2] < thing.half[2] + 1e-3)
    there = stands & (away(worlds, goal) < 0.006)
    assert carried.all() and there.any(1).all()
    first = there.argmax(1)
    assert np.median(first) <= 36 and first.max() <= 55
    assert not worlds.fallen.any()


@pytest.mark.parametrize("name", BROUGHT)
def test_what_is_brought_does_not_touch_the_table_on_the_way(name):
    start, goal, worlds = handled(*BROUGHT[name])
    off = np.linalg.norm(worlds.position[:, :, 0, :2] - start[:, None], axis=-1)
    between = (worlds.held == 0) & (off > 0.02) & (away(worlds, goal) > 0.02)
    height = worlds.position[:, :, 0, 2]
    assert (height[between] > handling.CARRY - 0.03).all()
    assert between.any(1).mean() > 0.9


@pytest.mark.parametrize("name", PUSHED)
def test_what_is_pushed_ends_at_its_goal(name):
    _, goal, worlds = handled(*PUSHED[name])
    distance = away(worlds, goal)
    assert (distance[:, -1] < 0.0035).all()
    there = distance < 0.01
    first = there.argmax(1)
    assert there.any(1).all() and np.median(first) <= 38 and first.max() <= 80


@pytest.mark.parametrize("name", PUSHED)
def test_what_is_pushed_goes_straight_and_stays_on_the_table(name):
    start, goal, worlds = handled(*PUSHED[name])
    along = (goal - start) / np.linalg.norm(goal - start, axis=1)[:, None]
    offset = worlds.position[:, :, 0, :2] - start[:, None]
    aside = offset[..., 1] * along[:, None, 0] - offset[..., 0] * along[:, None, 1]
    assert np.abs(aside).max() < 0.02
    assert (worlds.held == -1).all()
    assert (worlds.position[:, :, 0, 2] < PUSHED[name][0].half[2] + 1e-3).all()


@pytest.mark.parametrize("name", PUSHED)
def test_what_is_pushed_is_not_passed_by(name):
    """The hand brakes so that friction stops the thing with it."""
    start, goal, worlds = handled(*PUSHED[name])
    along = (goal - start) / np.linalg.norm(goal - start, axis=1)[:, None]
    past = ((worlds.position[:, :, 0, :2] - goal[:, None]) * along[:, None]).sum(-1)
    assert past.max() < 0.004
