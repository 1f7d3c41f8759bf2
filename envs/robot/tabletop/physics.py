"""Everything that things do by themselves and to each other in a control step.

What it leaves out: things stay upright and touch in the plane; the fingers follow the
gripper's path whatever they meet. A finger that comes down on a thing is not stopped:
near the thing's edge it pushes the thing aside, further in it passes through as if it
were not there, until it is out again. So does a finger that presses a thing against
what does not yield.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.contact import Outline
from envs.robot.tabletop.impulses import Motion
from envs.robot.tabletop.meeting import Bodies, Drive
from envs.robot.tabletop.scene import Scene
from envs.robot.tabletop.substep import substep
from envs.robot.tabletop.things import GRAVITY, Thing
from envs.robot.tabletop.world import Gripper, World

SUBSTEPS = 10


def advance(things: tuple[Thing, ...], world: World, gripper: Gripper) -> World:
    """The world after a step in which its gripper moves to where `gripper` is.

    Of the gripper only the opening may end up elsewhere: the fingers close no further
    than a thing between them lets them.
    """
    if not any(thing.moves for thing in things):
        return world._replace(gripper=gripper)
    return _advance_many(things)(world, gripper)


@functools.cache
def _advance_many(things: tuple[Thing, ...]) -> Callable[[World, Gripper], World]:
    """`advance` for arrays whose last axes, any number of them, are a batch.

    Under `jax.vmap` the batch is moved there: see `scene`.
    """
    scene = Scene(things)

    @jax.custom_batching.custom_vmap
    def many(world: World, gripper: Gripper) -> World:
        return _control_step(scene, world, gripper)

    @many.def_vmap
    def _(size: int, batched: Sequence, world: World, gripper: Gripper):
        def last(leaf: Array, has_batch: bool) -> Array:
            if has_batch:
                return jnp.moveaxis(leaf, 0, -1)
            return jnp.broadcast_to(leaf[..., None], (*leaf.shape, size))

        rows = jax.tree.map(last, (world, gripper), tuple(batched))
        after = many(*rows)
        first = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), after)
        return first, jax.tree.map(lambda _: True, after)

    return many


def _control_step(scene: Scene, world: World, gripper: Gripper) -> World:
    """One control step; the arrays of `world` have the batch as their last axes."""
    rows = np.array(scene.moving)
    numbers = rows.astype(np.int32).reshape(-1, *(1,) * world.held.ndim)
    before = world.gripper
    position, velocity = world.position[rows], world.velocity[rows]
    roll = world.roll[rows]
    acceleration = (gripper.velocity - before.velocity)[:, None] / arm.CONTROL_STEP
    drive = Drive(
        velocity=gripper.velocity[:, None],
        spin=gripper.spin[None],
        step=arm.CONTROL_STEP / SUBSTEPS,
        closing=(gripper.opening - before.opening)[None] / SUBSTEPS,
        load=jnp.sqrt(
            acceleration[0] ** 2
            + acceleration[1] ** 2
            + (acceleration[2] + GRAVITY) ** 2
        ),
        there=world.present[rows],
        stays=_stays(scene, world),
    )
    bodies = Bodies(
        x=position[:, 0],
        y=position[:, 1],
        z=position[:, 2],
        yaw=world.yaw[rows],
        motion=Motion(velocity[:, 0], velocity[:, 1], world.spin[rows]),
        climb=velocity[:, 2],
        roll=(roll[:, 0], roll[:, 1]),
        held=world.held[None] == numbers,
        gone=world.fallen[rows],
        hand_x=before.position[0][None],
        hand_y=before.position[1][None],
        hand_z=before.position[2][None],
        hand_yaw=before.yaw[None],
        opening=before.opening[None],
    )
    bodies = jax.lax.fori_loop(
        0, SUBSTEPS, lambda _, now: substep(scene, drive, now), bodies
    )
    wrapped = jnp.mod(bodies.yaw + jnp.pi, 2 * jnp.pi) - jnp.pi
    yaw = jnp.where(drive.there, wrapped, bodies.yaw)
    held = jnp.where(bodies.held, numbers, -1).max(0)
    opening = bodies.opening[0]
    speed = (opening - before.opening) / arm.CONTROL_STEP
    return world._replace(
        gripper=gripper._replace(opening=opening, opening_speed=speed),
        position=world.position.at[rows].set(
            jnp.stack([bodies.x, bodies.y, bodies.z], 1)
        ),
        yaw=world.yaw.at[rows].set(yaw),
        velocity=world.velocity.at[rows].set(
            jnp.stack([bodies.motion.x, bodies.motion.y, bodies.climb], 1)
        ),
        spin=world.spin.at[rows].set(bodies.motion.turn),
        roll=world.roll.at[rows].set(jnp.stack(bodies.roll, 1)),
        held=held,
        fallen=world.fallen.at[rows].set(bodies.gone),
    )


def _stays(scene: Scene, world: World) -> tuple[list, list, list, list]:
    """Outlines, lower and upper ends and presence of the things that stay."""
    outlines, lows, highs, present = [], [], [], []
    for row, thing in zip(scene.fixed, scene.stays, strict=True):
        x, y, z = world.position[row][:, None]
        sizes = (
            [*thing.half[:2], 0.0] if thing.form == "box" else [0.0, 0.0, thing.half[0]]
        )
        yaw = world.yaw[row][None]
        outlines.append(
            Outline(
                x,
                y,
                jnp.cos(yaw),
                jnp.sin(yaw),
                *(jnp.full_like(x, size) for size in sizes),
            )
        )
        lows.append(z - thing.half[2])
        highs.append(z + thing.half[2])
        present.append(world.present[row][None])
    return outlines, lows, highs, present
