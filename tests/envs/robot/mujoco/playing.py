"""One table in MuJoCo, played by commands."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from envs.robot.mujoco.table import MuJoCoTables
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.world import at_rest
from tests.envs.robot.tabletop.playing import FAR, TOYS, commands


@functools.cache
def table(*toys):
    return MuJoCoTables(tuple(TOYS[toy] for toy in toys), 1, 1)


def world(*rows, hand=FAR, opening=arm.WIDEST, **fields):
    """A world of things at these places; other fields by name, each thing's."""
    gripper = arm.resting(jnp.array(hand, jnp.float32), opening)
    place = jnp.array(rows, jnp.float32)
    yaw = jnp.asarray(fields.pop("yaw", np.zeros(len(rows))), jnp.float32)
    made = at_rest(gripper, place, yaw, jnp.ones(len(rows), bool))
    given = {name: jnp.asarray(value, jnp.float32) for name, value in fields.items()}
    return jax.tree.map(lambda x: np.array(x)[None], made._replace(**given))


_advance = jax.jit(jax.vmap(arm.advance))


def play(tables, now, steps=24, acts=()):
    """What becomes of it: the world after each step, without the axis of tables."""
    tables.load(now)
    found = []
    for k in range(steps):
        act = np.asarray(acts[k] if k < len(acts) else np.zeros(5), np.float32)
        gripper = jax.tree.map(np.asarray, _advance(now.gripper, act[None]))
        now = tables.advance(now, gripper)
        found.append(jax.tree.map(lambda x: x[0], now))
    return jax.tree.map(lambda *x: np.stack(x), *found)


__all__ = ["commands", "play", "table", "world"]
