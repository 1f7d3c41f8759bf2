"""How the mazes look: both labyrinths, MiniGrid-Memory and the T-maze."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs import draw
from envs.grids import egocentric
from envs.grids.memory import VIEW, MiniGridMemory, MiniGridMemoryState
from envs.mazes.tmaze import TMaze, TMazeState
from envs.pixels import shapes
from envs.pixels.tiles import (
    INK,
    Picture,
    Sheet,
    blank,
    gauge,
    sheet,
    tile,
    tiled,
)
from envs.popgym.navigation.hunt_and_kill import OBSTACLE
from envs.popgym.navigation.labyrinth import (
    VISITED,
    Labyrinth,
    LabyrinthState,
    square_of,
)

_WALL, _VISITED = (120, 85, 60), (150, 190, 235)
_KEY, _BALL = (235, 200, 40), (60, 190, 90)


def square_side(task: Labyrinth | MiniGridMemory, image_size: int) -> int:
    """Pixels of a square of the whole maze."""
    return image_size // (task.size + int(isinstance(task, Labyrinth)))


@functools.cache
def _labyrinth(side: int) -> Sheet:
    """Free, wall, start, goal; the same visited; the agent."""
    size = (side, side)
    papers = (draw.FLOOR, _WALL, draw.MINUS, draw.PLUS)
    visited = (_VISITED, _WALL, draw.MINUS, draw.PLUS)
    tiles = [tile(size, paper, edge=None) for paper in (*papers, *visited, draw.AGENT)]
    return sheet(*tiles)


@functools.cache
def _steps(side: int) -> Sheet:
    """Left, right, up, down, and no step yet."""
    size = (side, side)
    arrows = [tile(size, draw.MARK, shapes.arrow(way)) for way in (2, 0, 3, 1)]
    return sheet(*arrows, tile(size, draw.MARK))


def labyrinth(
    task: Labyrinth,
    observation: Int[Array, "10"],
    state: LabyrinthState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The window and, below it, the last action; in the full face the whole maze.

    That shows where the agent is and has been. The window does not mark the agent: at
    two of the borders it is not in the middle, as in the observation.
    """
    if not everything:
        side = image_size // 4
        window = observation[:9].reshape(3, 3)
        seen = tiled(window, _labyrinth(side), 3 * side, image_size)
        last = tiled(observation[9:, None], _steps(side), side, image_size)
        return jnp.concatenate([seen, last])
    side = square_side(task, image_size)
    numbers = square_of(state.grid).astype(jnp.int32)
    visited = (state.grid >= VISITED) & (numbers != OBSTACLE)
    numbers = jnp.where(visited, numbers + 4, numbers)
    index = jnp.arange(task.size + 1, dtype=jnp.int32)
    here = (index == state.row)[:, None] & (index == state.column)[None]
    numbers = jnp.where(here, 8, numbers)
    return tiled(numbers, _labyrinth(side), image_size, image_size)


@functools.cache
def _grid(side: int) -> Sheet:
    """By MiniGrid's numbers what is on a square; from 7 on the agent's four ways."""
    size = (side, side)
    edge = draw.BACKGROUND if side >= 6 else None  # small squares need all of it
    dark, wall = (tile(size, paper, edge=None) for paper in (draw.BACKGROUND, _WALL))
    floor, key, ball = (
        tile(size, draw.FLOOR, shape, ink, edge)
        for shape, ink in ((None, INK), (shapes.key, _KEY), (shapes.disc, _BALL))
    )
    agents = [
        tile(size, draw.MARK, shapes.arrow(way), draw.AGENT, edge) for way in range(4)
    ]
    return sheet(dark, floor, wall, dark, dark, key, ball, *agents)


def minigrid_memory(
    task: MiniGridMemory,
    observation: dict[str, Int[Array, "..."]],
    state: MiniGridMemoryState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The view, its way ahead up, and a compass; in the full face the whole grid."""
    direction = observation["direction"]
    if not everything:
        side = image_size // (VIEW + 1)
        view = observation["view"].reshape(VIEW, VIEW).T
        seen = tiled(view, _grid(side), VIEW * side, image_size)
        compass = (egocentric.KINDS + direction)[None, None]
        return jnp.concatenate([seen, tiled(compass, _grid(side), side, image_size)])
    side = square_side(task, image_size)
    index = jnp.arange(task.size, dtype=jnp.int32)
    xs, ys = jnp.broadcast_arrays(index[None, :], index[:, None])
    here = (xs == state.x) & (ys == state.y)
    kinds = task.kind(state, xs, ys)
    numbers = jnp.where(here, egocentric.KINDS + state.direction, kinds)
    return tiled(numbers, _grid(side), image_size, image_size)


_FLOOR, _ROCK, _AGENT, _UP, _DOWN = range(5)


@functools.cache
def _tmaze(side: int) -> Sheet:
    """Floor, rock, the agent, and signs that point up and down."""
    size = (side, side)
    return sheet(
        tile(size, draw.FLOOR),
        tile(size, _WALL, edge=None),
        tile(size, draw.FLOOR, shapes.disc, draw.AGENT),
        tile(size, draw.PLUS, shapes.arrow(3)),
        tile(size, draw.MINUS, shapes.arrow(1)),
    )


def tmaze(
    task: TMaze,
    observation: Float[Array, "2"],
    state: TMazeState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The place and the cue; in the strip the way walked and a sign to the goal.

    In the corridor all places look alike, as in the observation. Time is not drawn:
    whoever sees the sign has no use for it.
    """
    side = image_size // 4
    junction, second = observation[0] > 0, observation[1].astype(jnp.int32)
    index = jnp.arange(3, dtype=jnp.int32)
    row, column = index[:, None], index[None]
    arms = junction & (column == 1)
    open_ = (row == 1) & ((column < 2) | ~junction) | arms
    numbers = jnp.where(open_, _FLOOR, _ROCK)
    agent = 1 - jnp.where(junction, second, 0)
    numbers = jnp.where((row == agent) & (column == 1), _AGENT, numbers)
    cue = ~junction & (second != 0) & (row == 1) & (column == 0)
    numbers = jnp.where(cue, jnp.where(second > 0, _UP, _DOWN), numbers)
    scene = tiled(numbers, _tmaze(side), 3 * side, image_size)
    if not everything:
        return jnp.concatenate([scene, blank(side, image_size)])
    sign = jnp.where(state.goal > 0, _UP, _DOWN)[None, None]
    walked = state.x.astype(jnp.float32) / (task.length + int(task.active))
    way = gauge(walked, side // 2, 2 * side)
    way = draw.centre(way, side, 3 * side)
    strip = jnp.concatenate([tiled(sign, _tmaze(side), side, side), way], axis=1)
    return jnp.concatenate([scene, strip])
