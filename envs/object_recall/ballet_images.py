"""What the ballet looks like: 19 colours, 15 shapes of 9 by 9 pixels, and the view.

The view is 11 by 11 squares with the agent in the middle. There is a picture of the
empty room from every square that the agent can stand on, and a small one of every
look; a frame is one of the former with up to eight of the latter set into it.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from envs import draw

ROOM = 9  # squares, without the walls
SIDE = 9  # pixels of a square
VIEW = 11  # squares
WALL_LEVEL = 40
SLOT_ROWS = np.array([1, 1, 1, 4, 4, 7, 7, 7], np.int32)
SLOT_COLUMNS = np.array([1, 4, 7, 1, 7, 1, 4, 7], np.int32)
"""Where the dancers stand, in reading order, within the walls."""

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "purple": (128, 0, 128),
    "orange": (255, 165, 0),
    "yellow": (255, 255, 0),
    "brown": (128, 64, 0),
    "pink": (255, 64, 255),
    "cyan": (0, 255, 255),
    "dark_green": (0, 100, 0),
    "dark_red": (100, 0, 0),
    "dark_blue": (0, 0, 100),
    "olive": (100, 100, 0),
    "teal": (0, 100, 100),
    "lavender": (215, 200, 255),
    "peach": (255, 210, 170),
    "rose": (255, 205, 230),
    "light_green": (200, 255, 200),
    "light_yellow": (255, 255, 200),
}


def _shapes() -> dict[str, np.ndarray]:
    """The shapes as masks, from the coordinates of a square's pixels."""
    y, x = np.mgrid[-4:5, -4:5]
    across, along = np.abs(x), np.abs(y)
    column, row = across <= 1, along <= 1  # bars three wide through the middle
    sides, top, bottom = across >= 2, y <= -2, y >= 2
    cross = np.abs(across - along) <= 1
    distance = x**2 + y**2
    return {
        "triangle": y + 4 >= 2 * across,
        "empty_square": np.maximum(across, along) >= 3,
        "plus": column | row,
        "inverse_plus": ~(column | row),
        "ex": cross,
        "inverse_ex": ~cross,
        "circle": distance <= 16,
        "empty_circle": np.abs(distance - 16) < 6,
        "tee": column | top,
        "upside_down_tee": column | bottom,
        "h": sides | row,
        "u": sides | bottom,
        "upside_down_u": sides | top,
        "vertical_stripes": x % 2 == 0,
        "horizontal_stripes": y % 2 == 0,
    }


SHAPES = _shapes()


@functools.cache
def looks() -> np.ndarray:
    """All looks, number shape * 19 + colour: `[285, 9, 27]`, rows of pixels."""
    masks = np.stack(list(SHAPES.values()))[:, None, :, :, None]
    colours = np.array(list(COLOURS.values()), np.uint8)[None, :, None, None]
    return (masks * colours).astype(np.uint8).reshape(-1, SIDE, SIDE * 3)


@functools.cache
def _rooms() -> np.ndarray:
    """The room without dancers from each square, row by row: `[81, pixels]`."""
    reach = VIEW // 2
    squares = np.zeros((ROOM + 2 * reach, ROOM + 2 * reach), np.uint8)
    squares[reach - 1 : -reach + 1, reach - 1 : -reach + 1] = WALL_LEVEL
    squares[reach:-reach, reach:-reach] = 0
    views = np.lib.stride_tricks.sliding_window_view(squares, (VIEW, VIEW)).copy()
    views[:, :, reach, reach] = 255  # the agent
    views = views.repeat(SIDE, axis=2).repeat(SIDE, axis=3)[..., None].repeat(3, -1)
    return views.reshape(ROOM**2, -1)


def frame(
    row: Int[Array, ""],
    column: Int[Array, ""],
    dancer_rows: Int[Array, " n"],
    dancer_columns: Int[Array, " n"],
    look: Int[Array, " n"],
) -> UInt8[Array, "99 99 3"]:
    """What the agent sees from a square of the room.

    Args:
        row: the agent's, 0 to 8.
        column: the agent's, 0 to 8.
        dancer_rows: of the dancers, all on different squares; those out of view are
            not drawn.
        dancer_columns: likewise.
        look: their numbers in `looks`. One on the agent's square is drawn over it.
    """
    there = [
        at - here + VIEW // 2
        for at, here in ((dancer_rows, row), (dancer_columns, column))
    ]
    # Negative indices would count from the end; beyond the end nothing is drawn.
    there = [jnp.where(index < 0, VIEW, index) for index in there]
    room = jnp.asarray(_rooms()).at[row * ROOM + column].get(mode="promise_in_bounds")
    glyphs = jnp.asarray(looks()).at[look].get(mode="promise_in_bounds")
    squares = room.reshape(VIEW, SIDE, VIEW, SIDE * 3)
    squares = squares.at[there[0], :, there[1]].set(glyphs, mode="drop")
    return squares.reshape(VIEW * SIDE, VIEW * SIDE, 3)


def picture(
    agent: tuple[Int[Array, ""], Int[Array, ""]],
    dancers: tuple[Int[Array, "8"], Int[Array, "8"], Int[Array, "8"]],
    target: Int[Array, ""],
    choosing: Bool[Array, ""],
) -> UInt8[Array, "64 width 3"]:
    """The room for people, lighter when the agent may walk.

    Args:
        agent: its row and column.
        dancers: rows, columns and looks, as in `frame`.
        target: the slot whose place and look are drawn in the strip.
        choosing: whether the agent may walk.
    """
    index = jnp.arange(-1, ROOM + 1, dtype=jnp.int32)
    down, right = jnp.broadcast_arrays(index[:, None], index[None, :])
    inside = (jnp.minimum(down, right) >= 0) & (jnp.maximum(down, right) < ROOM)
    floor = draw.select(choosing, draw.MARK, np.full(3, 100, np.uint8))
    scene = draw.select(inside, floor[None, None], draw.BACKGROUND)
    here = (down == agent[0]) & (right == agent[1])
    scene = draw.select(here, draw.FLOOR, scene)
    rows, columns, look = dancers
    palette = jnp.asarray(np.array(list(COLOURS.values()), np.uint8))
    for slot, colour in enumerate(palette[look % len(COLOURS)]):
        here = (down == rows[slot]) & (right == columns[slot])
        scene = draw.select(here, colour, scene)
    places = np.delete(np.arange(9, dtype=np.int32), 4)
    there = jnp.arange(9, dtype=jnp.int32).reshape(3, 3) == jnp.asarray(places)[target]
    places = draw.tiles(draw.select(there, draw.PLUS, draw.FLOOR), 5, 5)
    glyph = jnp.asarray(looks())[look[target]].reshape(SIDE, SIDE, 3)
    strip = draw.canvas(draw.STRIP, 32).at[:15, :15].set(places)
    strip = strip.at[3 : 3 + SIDE, 20 : 20 + SIDE].set(glyph)
    return draw.frame(draw.tiles(scene, 4, 4), strip)
