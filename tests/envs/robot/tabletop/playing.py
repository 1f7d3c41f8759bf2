"""A table of toys on which the laws are tried, and ways to run it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from envs.robot.tabletop import Tabletop, Thing
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import ball, cube, cylinder

STEPS = 24
FAR = (-0.4, -0.5, 0.4)
"""A place for the hand where it meets nothing."""

TOYS = {
    "cube": cube(moves=True),
    "ball": ball(moves=True),
    "slowing": ball(moves=True, rolling=0.02),
    "disc": cylinder("disc", 0.03, 0.02, moves=True),
    "peg": Thing("peg", "box", (0.12, 0.025, 0.025), moves=True),
    "soft": cylinder("disc", 0.03, 0.02, moves=True, friction=0.0),
    "softer": cylinder("disc", 0.03, 0.02, moves=True, friction=0.0),
    "hard": cylinder("disc", 0.03, 0.02, moves=True, friction=0.0, restitution=1.0),
    "slick": Thing(
        "peg", "box", (0.12, 0.025, 0.025), moves=True, friction=0.0, grip=0.0
    ),
    "wall": Thing("wall", "box", (0.02, 0.1, 0.03), solid=True),
    "ghost": cube(),
}
NAMES = list(TOYS)
TABLE = Tabletop(tuple(TOYS.values()))


@jax.jit
def _run(world, commands):
    def step(world, command):
        world = TABLE.advance(world, command)
        return world, world

    return jax.lax.scan(step, world, commands)[1]


def play(toys, hand=FAR, hand_yaw=0.0, opening=arm.WIDEST, commands=()):
    """What becomes of some toys within `STEPS` control steps.

    Args:
        toys: by name, each a dict of position, yaw, velocity, spin and roll.
        hand, hand_yaw, opening: of the gripper, at rest.
        commands: the first ones; then it rests.

    Returns:
        The worlds after each step, and for each toy what it did by name of the field.
    """
    count = len(NAMES)
    given = {
        "position": np.zeros((count, 3)),
        "yaw": np.zeros(count),
        "velocity": np.zeros((count, 3)),
        "spin": np.zeros(count),
        "roll": np.zeros((count, 2)),
    }
    for name, values in toys.items():
        for field, value in values.items():
            given[field][NAMES.index(name)] = value
    present = jnp.array([name in toys for name in NAMES])
    fields = {name: jnp.asarray(value, jnp.float32) for name, value in given.items()}
    gripper = arm.resting(jnp.array(hand, jnp.float32), opening)
    gripper = gripper._replace(yaw=jnp.float32(hand_yaw))
    world = TABLE.start(gripper, fields["position"], fields["yaw"], present)
    del fields["position"], fields["yaw"]
    rows = np.zeros((STEPS, 5), np.float32)
    if len(commands):
        rows[: len(commands)] = commands
    worlds = jax.tree.map(np.asarray, _run(world._replace(**fields), rows))
    return worlds, {
        name: {field: getattr(worlds, field)[:, NAMES.index(name)] for field in given}
        for name in toys
    }


def commands(*parts):
    """Rows of commands: each part is how many steps, and what is not zero."""
    rows = []
    for count, values in parts:
        row = [values.get(axis, 0.0) for axis in ("x", "y", "z", "yaw", "gripper")]
        rows += [row] * count
    return rows


@functools.cache
def times():
    """Seconds at the end of each step."""
    return arm.CONTROL_STEP * np.arange(1, STEPS + 1)
