"""Pictures of tasks for people: flat colours, tiles and rectangles, in jax.numpy.

A picture has `HEIGHT` rows. The scene above shows where things stand, with a cue drawn
only while the agent observes it. The strip below the line shows what the agent must
remember, at all times: it is there for the viewer and no part of any observation.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

SCENE, LINE, STRIP = 45, 3, 16  # rows
HEIGHT = SCENE + LINE + STRIP

_BACKGROUND_LEVEL = 40


def _colour(red: int, green: int, blue: int) -> np.ndarray:
    return np.array([red, green, blue], np.uint8)  # numpy: no device on import


BACKGROUND = _colour(_BACKGROUND_LEVEL, _BACKGROUND_LEVEL, _BACKGROUND_LEVEL)
FLOOR = _colour(245, 245, 245)
MARK = _colour(170, 170, 170)
AGENT = _colour(30, 60, 200)
PLUS = _colour(230, 150, 30)
MINUS = _colour(30, 150, 140)


def canvas(height: int, width: int) -> UInt8[Array, "height width 3"]:
    """An empty picture."""
    return jnp.full((height, width, 3), _BACKGROUND_LEVEL, jnp.uint8)


def sign(positive: Bool[Array, "*shape"]) -> UInt8[Array, "*shape 3"]:
    """One colour where `positive`, another elsewhere: a two-valued cue."""
    return select(positive, PLUS, MINUS)


def select(
    where: Bool[Array, "*shape"],
    yes: np.ndarray | UInt8[Array, "*#shape 3"],
    no: np.ndarray | UInt8[Array, "*#shape 3"],
) -> UInt8[Array, "*shape 3"]:
    """Colours `yes` where `where` holds and `no` elsewhere; each one or many."""
    shape = (*where.shape, 3)
    colours = [jnp.broadcast_to(jnp.asarray(colour), shape) for colour in (yes, no)]
    return jnp.where(where[..., None], *colours)


def hues(count: int) -> UInt8[np.ndarray, "count 3"]:
    """`count` colours from around the colour wheel, dark and light in turn."""
    turn = np.arange(count)[:, None] / count
    wave = np.cos(2 * np.pi * (turn - np.array([[0, 1, 2]]) / 3))
    level = np.where(np.arange(count)[:, None] % 2 == 0, 115, 155)
    return (level + 95 * wave).round().astype(np.uint8)


def tiles(
    colours: UInt8[Array, "rows columns 3"], height: int, width: int
) -> UInt8[Array, "image_height image_width 3"]:
    """A grid of tiles, each `height` by `width`."""
    return colours.repeat(height, axis=0).repeat(width, axis=1)


def row(
    colours: UInt8[Array, "columns 3"], height: int, width: int
) -> UInt8[Array, "height image_width 3"]:
    """A row of tiles, each `height` by `width`, with a gap at the left of each."""
    image = tiles(colours[None], height, width)
    column = jnp.arange(image.shape[1], dtype=jnp.int32) % width
    gap = jnp.broadcast_to((column == 0)[None], image.shape[:2])
    return select(gap, BACKGROUND, image)


def board(
    colours: UInt8[Array, "rows columns 3"], height: int
) -> UInt8[Array, "image_height image_width 3"]:
    """Square tiles, as large as `height` allows, with gaps where there is room."""
    side = max(1, height // colours.shape[0])
    image = tiles(colours, side, side)
    if side < 3:
        return image
    row, column = (jnp.arange(n, dtype=jnp.int32) % side for n in image.shape[:2])
    gap = (row == side - 1)[:, None] | (column == side - 1)[None, :]
    return select(gap, BACKGROUND, image)


def rectangle(
    image: UInt8[Array, "height width 3"],
    corner: tuple[Int[Array, ""] | int, Int[Array, ""] | int],
    size: tuple[Int[Array, ""] | int, Int[Array, ""] | int],
    colour: np.ndarray | UInt8[Array, "3"],
) -> UInt8[Array, "height width 3"]:
    """Draw a filled rectangle; corner (row, column) and size may be traced.

    What lies outside the picture is cut off.
    """
    inside = []
    for axis in (0, 1):
        index = jnp.arange(image.shape[axis], dtype=jnp.int32)
        inside.append((index >= corner[axis]) & (index < corner[axis] + size[axis]))
    return select(inside[0][:, None] & inside[1][None, :], colour, image)


def rod(
    image: UInt8[Array, "height width 3"],
    ends: Float[Array, "2 2"],
    thickness: float,
    colour: np.ndarray,
) -> UInt8[Array, "height width 3"]:
    """Draw a straight rod between two points (row, column), which may be traced."""
    rows = jnp.arange(image.shape[0], dtype=ends.dtype)[:, None] - ends[0, 0]
    columns = jnp.arange(image.shape[1], dtype=ends.dtype)[None, :] - ends[0, 1]
    down, right = ends[1] - ends[0]
    # The nearest point of the rod, as a fraction of its length.
    along = (rows * down + columns * right) / jnp.maximum(down**2 + right**2, 1e-6)
    along = jnp.clip(along, 0.0, 1.0)
    distance = (rows - along * down) ** 2 + (columns - along * right) ** 2
    return select(distance <= (thickness / 2) ** 2, colour, image)


def bars(values: Float[Array, " n"], width: int) -> UInt8[Array, "16 width 3"]:
    """Numbers from -1 to 1 for the strip, as bars to the left or right of its middle.

    One below the other, with a gap; what lies outside that range fills its half.
    """
    count = values.shape[0]
    height, middle = STRIP // count, width // 2
    reach = (jnp.clip(values, -1.0, 1.0) * middle).round().astype(jnp.int32)
    image = canvas(STRIP, width)
    for i in range(count):
        corner = (i * height, middle + jnp.minimum(reach[i], 0))
        size = (height - 1, jnp.abs(reach[i]))
        image = rectangle(image, corner, size, sign(reach[i] > 0))
    return image


def frame(
    scene: UInt8[Array, "scene_height scene_width 3"],
    hidden: UInt8[Array, "hidden_height hidden_width 3"],
) -> UInt8[Array, "64 width 3"]:
    """A whole picture: `scene` above the line and `hidden` in the strip, centred."""
    width = max(scene.shape[1], hidden.shape[1])
    line = tiles(jnp.asarray(MARK)[None, None], LINE, width)
    return jnp.concatenate(
        [centre(scene, SCENE, width), line, centre(hidden, STRIP, width)]
    )


def centre(
    image: UInt8[Array, "height width 3"], height: int, width: int
) -> UInt8[Array, "new_height new_width 3"]:
    """A larger picture with `image` in its middle."""
    down, right = height - image.shape[0], width - image.shape[1]
    around = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
    return jnp.pad(image, around, constant_values=_BACKGROUND_LEVEL)
