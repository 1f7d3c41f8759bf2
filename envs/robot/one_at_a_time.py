"""A table on which one thing at a time is moved by physics, and all others stand.

Things that touch each other cost most of a tabletop's time. Where tasks have many that
are carried one by one, this table does instead: in each step physics has one of them,
which is the one that is held, or else one that is not at rest yet, or else the one
nearest to the hand. All others keep their pose.

What it leaves out: things do not push each other, and two of them never move together.
To each other they are upright discs as wide as they are long, so that corners of cubes
may overlap. What meets another in the plane stops there, as at a wall. What comes down
on another stands on it, and so does what is let go inside another: it is put on top.
What is held passes through the others. What has lost what it stood on falls once the
hand is empty and nothing else moves.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.robot.tabletop import Gripper, Tabletop, Thing, World, physics
from envs.robot.tabletop import gripper as arm

LEDGE = 0.001
"""Metres by which things may overlap in height, or stand above what carries them."""
_CLOSE = 1e-5
"""Metres that are left between things that meet."""
_FAR = 1e3
"""Further than anything is away, metres."""


@dataclasses.dataclass(frozen=True)
class OneAtATime(Tabletop):
    """A table whose first things move, all of one kind, one at a time."""

    def __post_init__(self) -> None:
        first = self.things[: self._count]
        if len(set(first)) != 1 or not first[0].moves:
            kinds = [(thing.kind, thing.moves) for thing in self.things]
            raise ValueError(
                "a table that moves one thing at a time needs equal things that move, "
                f"and those that do not after them; not {kinds}."
            )

    @property
    def _count(self) -> int:
        return sum(thing.moves for thing in self.things)

    @property
    def _thing(self) -> Thing:
        return self.things[0]

    def advance(self, world: World, command: Float[Array, "5"]) -> World:
        """One control step, `gripper.CONTROL_STEP` seconds, under a command."""
        gripper = arm.advance(world.gripper, command)
        row = self.chosen(world, gripper)
        number = jnp.arange(self._count, dtype=jnp.int32)
        which = number == row
        alone = _one(world, which, world.held == row)
        moved = physics.advance((self._thing,), alone, gripper)
        moved = self._among(world, which, alone, moved)
        return _back(world, which, moved, jnp.where(moved.held >= 0, row, -1))

    def chosen(self, world: World, gripper: Gripper) -> Int[Array, ""]:
        """The thing that physics has in a step that ends with this gripper."""
        count = self._count
        there = world.present[:count]
        middle = (world.gripper.position + gripper.position) / 2
        away = jnp.sqrt(((world.position[:count] - middle[None]) ** 2).sum(1))
        speed = jnp.abs(world.velocity[:count]).sum(1) + jnp.abs(world.spin[:count])
        restless = ((speed > 0) | self._floats(world)) & there
        away = jnp.where(there, away, 2 * _FAR) - jnp.where(restless, _FAR, 0.0)
        nearest = jnp.argmin(away).astype(jnp.int32)
        return jnp.where(world.held >= 0, world.held, nearest)

    def _floats(self, world: World) -> Bool[Array, " count"]:
        """Which things stand on nothing."""
        count, half = self._count, self._thing.half[2]
        place, z = world.position[:count, :2], world.position[:count, 2]
        away = ((place[:, None] - place[None]) ** 2).sum(2)
        over = (away < self._across**2) & ~jnp.eye(count, dtype=bool)
        over &= world.present[None, :count]
        below = over & (z[None, :] + half <= z[:, None] - half + LEDGE)
        surface = jnp.where(below, z[None, :] + half, 0.0).max(1)
        return z - half > surface + LEDGE

    @property
    def _across(self) -> float:
        """Metres between the middles of two things that touch."""
        return 2 * self._thing.half[0]

    def _among(
        self, world: World, which: Bool[Array, " count"], before: World, moved: World
    ) -> World:
        """What has moved, after it has met the others."""
        half = self._thing.half[2]
        others = world.position[: self._count]
        apart = ~which & world.present[: self._count] & (moved.held < 0)

        def over(place: Float[Array, "1 3"]) -> Bool[Array, " count"]:
            away = ((others[:, :2] - place[:, :2]) ** 2).sum(1)
            return apart & (away < self._across**2)

        z = moved.position[0, 2]
        level = jnp.abs(others[:, 2] - z) < 2 * half - LEDGE
        beside = apart & level & ~over(before.position)
        step = moved.position[:, :2] - before.position[:, :2]
        offset = before.position[:, :2] - others[:, :2]
        share = jnp.where(beside, _until(offset, step, self._across), 2.0).min()
        stopped = share <= 1.0
        flat = before.position[:, :2] + jnp.minimum(share, 1.0) * step
        flat = jnp.where(stopped, flat, moved.position[:, :2])
        place = jnp.concatenate([flat, moved.position[:, 2:]], axis=1)
        top = jnp.where(over(place) & level, others[:, 2] + 2 * half, -_FAR).max()
        stands = top > z
        place = place.at[0, 2].set(jnp.maximum(z, top))
        halted = jnp.stack([stopped | stands, stopped | stands, stands])
        return moved._replace(
            position=place,
            yaw=jnp.where(stopped, before.yaw, moved.yaw),
            velocity=jnp.where(halted[None], 0.0, moved.velocity),
            spin=jnp.where(stopped | stands, 0.0, moved.spin),
            roll=jnp.where(stopped | stands, 0.0, moved.roll),
        )


def _until(
    offset: Float[Array, "count 2"], step: Float[Array, "1 2"], across: float
) -> Float[Array, " count"]:
    """The share of a step after which discs touch; 2 where they do not."""
    length, ahead = (step**2).sum(1), (offset * step).sum(1)
    room = (offset**2).sum(1) - (across + _CLOSE) ** 2
    inside = ahead**2 - length * room
    share = (-ahead - jnp.sqrt(jnp.maximum(inside, 0.0))) / jnp.maximum(length, 1e-12)
    meets = (ahead < 0) & (inside >= 0) & (share <= 1.0)
    return jnp.where(meets, jnp.maximum(share, 0.0), 2.0)


_ROWS = ("position", "yaw", "velocity", "spin", "roll", "present", "fallen")


def _one(world: World, which: Bool[Array, " count"], held: Bool[Array, ""]) -> World:
    """A world of one thing alone."""

    def read(rows: Array) -> Array:
        rows = rows[: len(which)]
        mask = which.reshape(-1, *(1,) * (rows.ndim - 1))
        if rows.dtype == bool:
            return (rows & mask).any(0, keepdims=True)
        return jnp.where(mask, rows, 0.0).sum(0, keepdims=True)

    rows = {name: read(getattr(world, name)) for name in _ROWS}
    number = jnp.where(held, 0, -1).astype(jnp.int32)
    return World(gripper=world.gripper, held=number, **rows)


def _back(
    world: World, which: Bool[Array, " count"], moved: World, held: Int[Array, ""]
) -> World:
    """The world with the one thing as it has moved."""
    rest = len(world.present) - len(which)
    which = jnp.concatenate([which, jnp.zeros(rest, bool)])

    def write(old: Array, new: Array) -> Array:
        mask = which.reshape(-1, *(1,) * (old.ndim - 1))
        return jnp.where(mask, new, old)

    rows = {name: write(getattr(world, name), getattr(moved, name)) for name in _ROWS}
    return World(gripper=moved.gripper, held=held.astype(jnp.int32), **rows)
