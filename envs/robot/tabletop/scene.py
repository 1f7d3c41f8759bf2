"""The numbers of a scene that never change, as columns over the things that move.

Inside the solver the environments of a batch are the last axes of every array and the
things that move the first: then each operation runs over long rows of numbers.

Each thing that moves meets two kinds of partners. Those that yield to nothing are the
two fingers and the things that stay; the others move themselves: thing i meets thing
i + shift, counted round and round, for every shift up to half their number. Arrays of
meetings are partners x movers x batch.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from envs.robot.tabletop.things import Thing

FINGER = (0.00875, 0.0075, 0.00925)
"""Half extents of a finger pad across the closing direction, along it and upwards."""
FINGERS = 2


@dataclasses.dataclass(frozen=True)
class Scene:
    """Which things take part, and what they are.

    Attributes:
        things: of the table, in the order of `World`'s rows.
    """

    things: tuple[Thing, ...]

    @functools.cached_property
    def moving(self) -> list[int]:
        """Rows of the things that move."""
        return [row for row, thing in enumerate(self.things) if thing.moves]

    @functools.cached_property
    def movers(self) -> list[Thing]:
        """The things that move."""
        return [self.things[row] for row in self.moving]

    @functools.cached_property
    def fixed(self) -> list[int]:
        """Rows of the solid things that stay."""
        rows = enumerate(self.things)
        return [row for row, thing in rows if thing.solid and not thing.moves]

    @functools.cached_property
    def stays(self) -> list[Thing]:
        """The solid things that stay."""
        return [self.things[row] for row in self.fixed]

    @functools.cached_property
    def shifts(self) -> range:
        """By how much partners that move are further on."""
        return range(1, len(self.moving) // 2 + 1)

    @functools.cached_property
    def is_finger(self) -> np.ndarray:
        """Which of the partners that yield to nothing; partners x 1."""
        return (np.arange(FINGERS + len(self.fixed)) < FINGERS)[:, None]

    def of_movers(self, read: Callable[[Thing], float | bool]) -> np.ndarray:
        """A number of each thing that moves."""
        return np.array([read(thing) for thing in self.movers])

    def of_pairs(
        self, read: Callable[[Thing], float | bool], finger: float | bool
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """A number of the partners of each kind, partners x movers, and of the movers.

        Args:
            read: the number.
            finger: of a finger.
        """
        mine = self.of_movers(read)
        stiff = [finger] * FINGERS + [read(thing) for thing in self.stays]
        kinds = [np.stack([np.full_like(mine, value) for value in stiff])]
        if self.shifts:
            kinds.append(np.stack([np.roll(mine, -shift) for shift in self.shifts]))
        return kinds, mine

    @functools.cached_property
    def friction(self) -> list[np.ndarray]:
        """Coefficient of each pair: the mean of both; with a finger, the grip."""
        kinds, mine = self.of_pairs(lambda thing: thing.friction, 0.0)
        pairs = [(mine + theirs) / 2 for theirs in kinds]
        pairs[0][:FINGERS] = self.of_movers(lambda thing: thing.grip)
        return pairs

    @functools.cached_property
    def restitution(self) -> list[np.ndarray]:
        """Of each pair: the larger; with a finger, the thing's own."""
        kinds, mine = self.of_pairs(lambda thing: thing.restitution, 0.0)
        return [np.maximum(mine, theirs) for theirs in kinds]

    @functools.cached_property
    def discs(self) -> list[np.ndarray]:
        """Whether the thing, and whether its partner, is round in the plane."""
        kinds, mine = self.of_pairs(lambda thing: thing.form != "box", False)
        return [
            np.stack([np.broadcast_to(mine, theirs.shape), theirs]) for theirs in kinds
        ]

    @functools.cached_property
    def first_time(self) -> np.ndarray:
        """False where a pair of things that move comes up a second time."""
        count = len(self.moving)
        first = np.ones((len(self.shifts), count), bool)
        if self.shifts and 2 * self.shifts[-1] == count:
            first[-1, count // 2 :] = False
        return first

    def stiff(self, mine: Array, fingers: Sequence, stays: Sequence) -> Array:
        """What belongs to partners that yield to nothing, for each thing that moves."""
        rows = (*fingers, *stays)
        return jnp.stack([jnp.broadcast_to(row, mine.shape) for row in rows])

    def further(self, mine: Array) -> Array:
        """What belongs to the partners that move."""
        return jnp.stack([jnp.roll(mine, -shift, 0) for shift in self.shifts])

    def gathered(self, theirs: Array) -> Array:
        """Sums of what meetings give to the partners that move, by thing."""
        rolled = (
            jnp.roll(row, shift, 0)
            for row, shift in zip(theirs, self.shifts, strict=True)
        )
        return sum(rolled, start=jnp.zeros_like(theirs[0]))


def friction_radius(thing: Thing) -> float:
    """Mean distance from the middle of a thing's foot to its points, metres.

    The friction that resists spinning in place has the torque of all the friction at
    this lever: mu m g radius. A ball stands on a point.
    """
    a, b = 2 * thing.half[0], 2 * thing.half[1]
    if thing.form == "ball":
        return 0.0
    if thing.form == "cylinder":
        return a / 3
    d = math.hypot(a, b)
    logs = a * a / b * math.log((b + d) / a) + b * b / a * math.log((a + d) / b)
    return (2 * d + logs) / 12


def column(values: np.ndarray, like: Array) -> np.ndarray:
    """Constants with as many trailing axes of length one as `like` has more axes."""
    dtype = values.dtype if values.dtype == bool else like.dtype
    values = np.asarray(values, dtype)
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))
