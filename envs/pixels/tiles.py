"""A small tile renderer: maps of small numbers to pictures.

A sheet is a numpy table of tiles, `[kinds, height, width, 3]`, made once for a size of
picture; `tiled` looks a map up in it. Numbers that no tile could show are drawn by
`gauge`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from envs import draw
from envs.pixels.shapes import Shape

Colour = np.ndarray | tuple[int, int, int]
Sheet = UInt8[np.ndarray, "kinds _ _ 3"]
Picture = UInt8[Array, "_ _ 3"]

INK = (20, 20, 30)
MARKS = ((255, 225, 60), (230, 60, 230))
"""Edges of the tiles that an action has just been about."""
_LEAST_MARKED_ALL_AROUND = 5
_TRACK, _BAR = 80, 245  # grey levels of a gauge


def tile(
    size: tuple[int, int],
    paper: Colour,
    shape: Shape | None = None,
    ink: Colour = INK,
    edge: Colour | None = draw.BACKGROUND,
) -> UInt8[np.ndarray, "_ _ 3"]:
    """One tile.

    Args:
        size: rows and columns.
        paper: the colour of the ground.
        shape: what is drawn on it.
        ink: in which colour.
        edge: of the last row and column. A tile large enough that is marked, with any
            colour but the background's, has it on all sides. None leaves it out.
    """
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = paper
    inner = image if edge is None else image[: height - 1, : width - 1]
    if shape is not None:
        inner[shape(*inner.shape[:2])] = ink
    if edge is None or min(size) < 2:
        return image
    image[-1] = image[:, -1] = edge
    marked = not np.array_equal(edge, draw.BACKGROUND)
    if marked and min(size) >= _LEAST_MARKED_ALL_AROUND:
        image[0] = image[:, 0] = edge
    return image


def sheet(*tiles: UInt8[np.ndarray, "_ _ 3"]) -> Sheet:
    """Tiles by number."""
    return np.stack(tiles)


def tiled(
    numbers: Int[Array, "rows columns"], sheet: Sheet, height: int, width: int
) -> Picture:
    """The map `numbers` drawn with the tiles of `sheet`, centred in a picture.

    Numbers beyond the sheet show the nearest tile. A CPU writes the tiles of a map one
    after the other in place, which moves whole rows of pixels; what is one tile only,
    and other devices, gather.
    """
    numbers = jnp.clip(numbers, 0, len(sheet) - 1)
    one_by_one, at_once = (
        functools.partial(way, sheet=sheet, height=height, width=width)
        for way in (placed, gathered)
    )
    if numbers.size == 1:
        return at_once(numbers)
    return jax.lax.platform_dependent(numbers, cpu=one_by_one, default=at_once)


def placed(
    numbers: Int[Array, "rows columns"], sheet: Sheet, height: int, width: int
) -> Picture:
    """`tiled` as a loop over the tiles of the map."""
    rows, columns = numbers.shape
    kinds, tile_height, tile_width, channels = sheet.shape
    top = (height - rows * tile_height) // 2
    left = (width - columns * tile_width) // 2
    # Lines of bytes, not of pixels of 3, are what is copied fast.
    tiles = jnp.asarray(sheet.reshape(kinds, tile_height, -1))

    def place(cell: Int[Array, ""], lines: UInt8[Array, "_ _"]) -> UInt8[Array, "_ _"]:
        row, column = cell // columns, cell % columns
        tile = tiles.at[numbers[row, column]].get(mode="promise_in_bounds")
        corner = (top + row * tile_height, (left + column * tile_width) * channels)
        return jax.lax.dynamic_update_slice(lines, tile, corner)

    lines = draw.canvas(height, width).reshape(height, -1)
    lines = jax.lax.fori_loop(0, numbers.size, place, lines)
    return lines.reshape(height, width, channels)


def gathered(
    numbers: Int[Array, "rows columns"], sheet: Sheet, height: int, width: int
) -> Picture:
    """`tiled` as one gather."""
    rows, columns = numbers.shape
    _, tile_height, tile_width, _ = sheet.shape
    found = jnp.asarray(sheet).at[numbers].get(mode="promise_in_bounds")
    image = found.transpose(0, 2, 1, 3, 4)
    image = image.reshape(rows * tile_height, columns * tile_width, 3)
    return draw.centre(image, height, width)


def gauge(value: Float[Array, ""], height: int, width: int) -> Picture:
    """A bar from the middle to `value`, from -1 at the left to 1 at the right.

    The shade of the last pixel says which part of it the bar covers, in 165 steps.
    """
    column = jnp.arange(width, dtype=value.dtype) - width / 2
    reach = jnp.clip(value, -1, 1) * (width / 2)
    right, left = reach - column, column + 1 - reach
    share = jnp.clip(jnp.where(column >= 0, right, left), 0, 1)
    level = (_TRACK + share * (_BAR - _TRACK)).round().astype(jnp.uint8)
    row = jnp.arange(height, dtype=jnp.int32)[:, None]
    bar = jnp.where(row < height - 1, level[None], jnp.uint8(draw.BACKGROUND[0]))
    return jnp.broadcast_to(bar[..., None], (height, width, 3))


def blank(height: int, width: int) -> Picture:
    """Where nothing is drawn."""
    return draw.canvas(height, width)
