"""The tabletop: the one interface between a task and whatever moves its things.

A task says what stands where and reads `World`; it never looks behind `Tabletop`. So
the same tasks run on this tabletop in JAX and in a physics engine.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop import physics
from envs.robot.tabletop.things import Thing
from envs.robot.tabletop.world import Gripper, World, at_rest


@dataclasses.dataclass(frozen=True)
class Tabletop:
    """A table of things and a gripper above it. All functions are pure, of one stream.

    Attributes:
        things: what there is, in the order of `World`'s rows.
    """

    things: tuple[Thing, ...]

    def start(
        self,
        gripper: Gripper,
        position: Float[Array, "things 3"],
        yaw: Float[Array, " things"],
        present: Bool[Array, " things"],
    ) -> World:
        """Everything at rest at its place."""
        return at_rest(gripper, position, yaw, present)

    def advance(self, world: World, command: Float[Array, "5"]) -> World:
        """One control step, `gripper.CONTROL_STEP` seconds, under a command."""
        gripper = arm.advance(world.gripper, command)
        return physics.advance(self.things, world, gripper)

    def place(
        self,
        world: World,
        which: Bool[Array, " things"],
        position: Float[Array, "things 3"],
        yaw: Float[Array, " things"],
        present: Bool[Array, " things"],
        velocity: Float[Array, "things 3"] | None = None,
    ) -> World:
        """Put some things somewhere, and say which are there at all.

        What is put, or is not there, is no longer held.

        Args:
            world: as it is.
            which: those to put.
            position: where their middles go; read for those only.
            yaw: how they are turned there.
            present: for all things, whether they are there from now on.
            velocity: of those to put, which neither roll nor spin; None for at rest.
        """
        column = which[:, None]
        held = world.held
        row = jnp.maximum(held, 0)
        lost = (held >= 0) & (which[row] | ~present[row])
        return world._replace(
            position=jnp.where(column, position, world.position),
            yaw=jnp.where(which, yaw, world.yaw),
            velocity=jnp.where(
                column, 0.0 if velocity is None else velocity, world.velocity
            ),
            spin=jnp.where(which, 0.0, world.spin),
            roll=jnp.where(column, 0.0, world.roll),
            present=present,
            held=jnp.where(lost, -1, held),
            fallen=world.fallen & ~which,
        )
