"""What the T-mazes share: moving in a corridor with two arms, chance, and a picture.

Cells are (x, y): the corridor (0, 0) to (junction, 0) and the two goal cells
(junction, +-1). Walls block. Actions: 0 right, 1 up, 2 left, 3 down (Ni et al. 2023,
appendix D; RATE uses the same).
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Return, computed, unknown

RIGHT, UP, LEFT, DOWN = range(4)
ACTIONS = ("right", "up", "left", "down")
_CELL = (draw.SCENE // 3, 8)  # rows, columns
_CELLS_SHOWN = 40
LONGEST = 2_000_000_000
"""Longest corridor: positions and times are int32."""
LONGEST_COMPUTED = 10_000
"""Longest corridor whose random return is computed, in about half a second."""


def check_length(name: str, length: int) -> None:
    """Refuse a corridor without a cell to walk, or one that nothing can count.

    Raises:
        ValueError: `length` is below 1 or above `LONGEST`.
    """
    if not 1 <= length <= LONGEST:
        raise ValueError(
            f"{name} needs a corridor with length of at least 1 and at most "
            f"{LONGEST:,}, where time still fits into 32 bits, not {length}."
        )


def floor(length: int, random_return: Callable[[], float]) -> Return:
    """The return of the uniformly random policy, unless computing it takes too long."""
    if length > LONGEST_COMPUTED:
        return unknown("to compute it takes time quadratic in the length")
    return computed(random_return())


def draw_goal(key: PRNGKeyArray) -> Int[Array, ""]:
    """The side of the goal: +1 (up) or -1 (down), equally likely."""
    return 2 * jax.random.bernoulli(key).astype(jnp.int32) - 1


def move(
    x: Int[Array, ""], y: Int[Array, ""], action: Int[Array, ""], junction: int
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The cell that `action` leads to from (x, y)."""
    right = (action == RIGHT).astype(jnp.int32) - (action == LEFT).astype(jnp.int32)
    up = (action == UP).astype(jnp.int32) - (action == DOWN).astype(jnp.int32)
    right = jnp.where(y == 0, right, 0)
    up = jnp.where(x == junction, up, 0)
    return jnp.clip(x + right, 0, junction), jnp.clip(y + up, -1, 1)


def random_walk(
    junction: int, start: int, steps: int, *, arms_end: bool
) -> Iterator[tuple[Float[np.ndarray, " cells"], float]]:
    """Follow uniformly random actions forwards in time.

    Args:
        junction: the last cell of the corridor, at least 1.
        start: the cell in which the walk starts.
        steps: how many actions.
        arms_end: whether the walk ends in a goal cell, or may come back.

    Yields:
        After each action, the probability of every corridor cell, and of the two goal
        cells together. Each of them holds half, whichever is the goal.
    """
    corridor = np.zeros(junction + 1)
    corridor[start] = 1.0
    arms = 0.0
    for _ in range(steps):
        back = 0.0 if arms_end else arms / 4
        moved = corridor / 2  # up and down are walls ...
        moved[-1] = corridor[-1] / 4 + back  # ... but right is one at the end
        moved[1:] += corridor[:-1] / 4
        moved[:-1] += corridor[1:] / 4
        moved[0] += corridor[0] / 4
        arms += corridor[-1] / 2 - back
        corridor = moved
        yield corridor, arms


def picture(
    x: Int[Array, ""],
    y: Int[Array, ""],
    goal: Int[Array, ""],
    cue_shown: Bool[Array, ""],
    junction: int,
) -> UInt8[Array, "64 width 3"]:
    """The maze with the agent; the goal's side as a coloured half of the strip.

    The cell of the cue takes the colour of the goal's side while the cue is on show
    and is grey otherwise. At most 40 cells are drawn, those around the agent.
    """
    height, width = _CELL
    shown = min(junction + 1, _CELLS_SHOWN)
    first = jnp.clip(x - shown // 2, 0, junction + 1 - shown)
    column = first + jnp.arange(shown, dtype=jnp.int32)
    side = draw.sign(goal > 0)
    cue = draw.select(cue_shown, side, draw.MARK)[None]
    middle = draw.select(column == 0, cue, draw.FLOOR)
    arm = draw.select(column == junction, draw.FLOOR, draw.BACKGROUND)
    scene = draw.tiles(jnp.stack([arm, middle, arm]), height, width)
    corner = (height * (1 - y) + 4, width * (x - first) + 1)
    scene = draw.rectangle(scene, corner, (height - 8, width - 2), draw.AGENT)
    half = draw.STRIP // 2
    strip = draw.canvas(draw.STRIP, 2 * half)
    top = jnp.where(goal > 0, 0, half)
    return draw.frame(scene, draw.rectangle(strip, (top, 0), (half, 2 * half), side))
