"""The tabletop's laws in MuJoCo, to 5 %: what is trained on one runs on the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.robot.tabletop import grasp
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.scene import friction_radius
from envs.robot.tabletop.things import GRAVITY
from tests.envs.robot.mujoco.playing import commands, play, table, world
from tests.envs.robot.tabletop.playing import TOYS

SLOWS = 0.3 * GRAVITY
close = pytest.approx


@pytest.mark.parametrize("toy", ["cube", "disc", "peg"])
def test_what_slides_stops_where_friction_stops_it(toy):
    """M2."""
    start = world((0, 0, TOYS[toy].half[2]), velocity=[(0.3, 0.4, 0)], yaw=[0.7])
    seen = play(table(toy), start)
    way = np.hypot(*seen.position[:, 0, :2].T)
    assert way[-1] == close(0.5**2 / (2 * SLOWS), rel=0.05)
    assert way[0] == close(0.5 * 0.05 - SLOWS * 0.05**2 / 2, rel=0.05)
    assert np.abs(seen.velocity[4:, 0]).max() < 1e-3  # stopped after .17 s


@pytest.mark.parametrize("toy", ["cube", "disc", "peg"])
def test_what_spins_stops_where_friction_stops_it(toy):
    """M3: at four corners a cube would stop 1.85 times sooner."""
    thing = TOYS[toy]
    slows = SLOWS * friction_radius(thing) * thing.mass / thing.inertia
    seen = play(table(toy), world((0, 0, thing.half[2]), spin=[10.0], yaw=[-1.0]))
    assert seen.yaw[-1, 0] + 1 == close(10.0**2 / (2 * slows), rel=0.05)
    assert np.abs(seen.position[-1, 0, :2]).max() < 1e-3


def test_a_cube_is_pushed_at_the_hands_speed():
    """M5: and stops by friction when the hand does."""
    start = world((-0.2, 0, 0.02), hand=(-0.26, 0, 0.02), opening=0.0)
    seen = play(table("cube"), start, acts=commands((12, {"x": 0.25, "gripper": -1})))
    hand, cube = seen.gripper.position[:, 0], seen.position[:, 0, 0]
    pushed = cube[11] - cube[8], hand[11] - hand[8]
    assert pushed[0] == close(pushed[1], rel=0.05)
    ahead = cube[4:12] - hand[4:12]  # of pads that are 8.75 mm thick, and a cube
    assert ahead == close(0.02 + 0.00875, rel=0.05)
    assert cube[-1] == close(cube[13], abs=0.005)


def test_a_ball_slides_until_it_rolls():
    """M7: at 5/7 of its speed; then it slows by its rolling friction alone."""
    seen = play(table("ball"), world((0, 0, 0.02), velocity=[(0.5, 0, 0)]))
    assert seen.velocity[-1, 0, 0] == close(0.5 * 5 / 7, rel=0.05)
    assert seen.roll[-1, 0, 1] * 0.02 == close(0.5 * 5 / 7, rel=0.05)
    assert seen.position[0, 0, 0] == close(0.0208, rel=0.05)  # rolls after .0485 s
    rolling = world((0, 0, 0.02), velocity=[(0.3, 0, 0)], roll=[(0, 15.0)])
    seen = play(table("slowing"), rolling)
    lost = seen.velocity[3, 0, 0] - seen.velocity[23, 0, 0]
    assert lost == close(0.02 * GRAVITY * 1.0, rel=0.05)


def _slipped(force, load):
    """How far a cube slips within .2 s that weighs `load` a kilogram, metres.

    Picked up with 10 N, then held by fingers that are eased to `force`.
    """
    tables = table("cube")
    acts = commands((6, {"gripper": -1}), (4, {"z": 0.5}), (4, {}))
    seen = play(tables, world((0, 0, 0.02), hand=(0, 0, 0.02)), steps=14, acts=acts)
    assert seen.held[-1] == 0
    height = tables._qpos[0, 8] - tables._qpos[0, 2]
    gravity = tables.batch.expand("opt.gravity")
    gravity[:, 2] = -load
    for pressing in np.append(np.geomspace(10.0, force, 160), np.full(80, force)):
        tables._ctrl[:] = tables._qpos[:, 4:6] - pressing / (2 * grasp.STIFFNESS)
        tables._qvel[:, :4] = 0.0
        tables.batch.step(nstep=1)
    gravity[:, 2] = -GRAVITY
    return height - (tables._qpos[0, 8] - tables._qpos[0, 2])


@pytest.mark.parametrize("rises", [0.0, 10.0])
def test_a_squeeze_carries_so_much_and_no_more(rises):
    """M8: m (a + g) <= 2 mu F, .273 N at rest; going up ever faster weighs the same."""
    cube = TOYS["cube"]
    force = cube.mass * (rises + GRAVITY) / (2 * cube.grip)
    assert _slipped(1.05 * force, rises + GRAVITY) < 0.001
    assert _slipped(0.95 * force, rises + GRAVITY) > 0.005


def test_what_is_held_goes_with_the_hand_and_falls_when_it_opens():
    """M8, and M9: free fall from where it was let go."""
    acts = commands(
        (8, {"gripper": -0.5}), (5, {"z": 0.5}), (6, {"x": 0.4, "yaw": 0.5}), (8, {})
    )
    start = world((0, 0, 0.02), hand=(0, 0, 0.02))
    seen = play(
        table("cube"), start, steps=29, acts=acts + commands((2, {"gripper": 1}))
    )
    assert (seen.held[8:27] == 0).all() and (seen.held[:4] == -1).all()
    away = seen.position[8:27, 0] - seen.gripper.position[8:27]
    assert np.abs(away).max() < 5e-4
    assert seen.yaw[26, 0] == close(seen.gripper.yaw[26], rel=0.05)
    assert seen.held[-1] == -1 and seen.position[-1, 0, 2] < seen.position[26, 0, 2]


def test_what_falls_falls_freely():
    """M9: .1 m in .1428 s, 1.40 m/s."""
    seen = play(table("cube"), world((0, 0, 0.12)))
    time = 0.05 * np.arange(1, 3)
    fallen = 0.12 - seen.position[:2, 0, 2]
    assert fallen == close(GRAVITY * time**2 / 2, rel=0.06)  # a substep of .0025 s
    assert seen.velocity[:2, 0, 2] == close(-GRAVITY * time, rel=0.05)
    assert seen.position[-1, 0, 2] == close(0.02, abs=1e-4)


def test_the_hand_goes_where_the_tabletops_goes():
    """M1, and so M11: a button reads the hand's height alone."""
    acts = np.random.default_rng(0).uniform(-1, 1, (24, 5))
    start = world((0.4, 0.5, 0.02), hand=(-0.1, -0.1, 0.3))
    seen = play(table("cube"), start, acts=acts)
    now = jax.tree.map(lambda x: jnp.asarray(x[0]), start.gripper)
    for k in range(24):
        now = arm.advance(now, jnp.asarray(acts[k], jnp.float32))
        for name in ("position", "yaw", "velocity", "spin"):
            told = getattr(seen.gripper, name)[k]
            assert told == close(np.asarray(getattr(now, name)), abs=2e-5)
        assert seen.gripper.opening[k] == close(float(now.opening), abs=0.008)


def test_what_leaves_the_table_has_fallen():
    seen = play(table("cube"), world((0.47, 0, 0.02), velocity=[(1.0, 0, 0)]))
    assert seen.fallen[-1, 0] and not seen.fallen[0, 0]
