"""Reading pictures back: numpy alone, from colours at places, at any size."""

import math

import numpy as np

SUITS = [(245, 245, 245), (90, 150, 255), (60, 190, 90), (235, 80, 80)]
COLOURS = [SUITS[0], SUITS[3]]
YELLOW = (255, 225, 60)
FACE_DOWN, SHIP = (85, 85, 105), (215, 215, 215)


def is_colour(pixels, colour):
    return (pixels == np.array(colour, np.uint8)).all(-1)


def which(pixel, colours):
    """Index of a colour."""
    found = [i for i, colour in enumerate(colours) if is_colour(pixel, colour)]
    assert len(found) == 1, pixel
    return found[0]


def cells(picture, side, count):
    """Square tiles, `count` in a row, [row, column, y, x, 3]; the picture's middle."""
    height, width = (n // side * side for n in (count[0] * side, count[1] * side))
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    image = picture[top : top + height, left : left + width]
    image = image.reshape(height // side, side, width // side, side, 3)
    return image.swapaxes(1, 2)


def autoencode(picture):
    """Whether to say a suit, and the suit marked in the list; of one deck."""
    size = len(picture)
    strip = picture[size - size * 28 // 64 :]
    side, columns = {64: (5, 12), 128: (11, 11)}[size]
    tiles = cells(strip, side, (-(-52 // columns), columns)).reshape(-1, side, side, 3)
    marked = np.nonzero(is_colour(tiles[:, -1, -1], YELLOW))[0]
    plays = is_colour(picture[: size // 2, : size * 24 // 64], (230, 150, 30)).any()
    assert len(marked) <= 1
    due = which(tiles[marked[0], side // 2, side // 2], SUITS) if len(marked) else None
    return plays, due


def count_recall(picture):
    """The count of the colour asked for, by the pips of its row."""
    size = len(picture)
    right = picture[: size // 2, size // 2 :]
    query = int(is_colour(right, COLOURS[1]).sum() > 20)
    strip = picture[size - size * 28 // 64 :]
    row = strip[len(strip) // 4 if query == 0 else len(strip) * 3 // 4]
    pips = is_colour(row, COLOURS[query])
    return int((pips & ~np.roll(pips, 1)).sum())


def board(picture, count):
    side = len(picture) // count
    return cells(picture, side, (count, count))


def first_ship(picture, count):
    """The first cell with a ship and no shot, (row, column)."""
    tiles = board(picture, count)
    side = tiles.shape[2]
    inner = tiles[:, :, 1 : side - 2, 1 : side - 2]
    whole = is_colour(inner, SHIP).all((2, 3))
    return np.argwhere(whole)[0]


def first_clear(picture, count):
    """The first cell neither viewed nor mined, (row, column)."""
    tiles = board(picture, count)
    side = tiles.shape[2]
    inner = tiles[:, :, 1 : side - 2, 1 : side - 2]
    return np.argwhere(is_colour(inner, (170, 170, 170)).all((2, 3)))[0]


def concentration(picture):
    """The card to turn, of 52 in two colours: the first down, then one like it."""
    side = len(picture) // 8
    tiles = cells(picture, side, (7, 8)).reshape(56, side, side, 3)[:52]
    inner = tiles[:, 1 : side - 2, 1 : side - 2].reshape(52, -1, 3)
    colour = [int(is_colour(tile, COLOURS[1]).any()) for tile in inner]
    first = np.nonzero(is_colour(tiles[:, -1, -1], YELLOW))[0]
    # Up for good: dark in the middle and no mark. All others can be turned.
    up = is_colour(tiles[:, side // 2 - 1, side // 2 - 1], (20, 20, 30))
    up &= is_colour(tiles[:, -1, -1], (40, 40, 40))
    for place in np.nonzero(~up)[0]:
        if len(first) == 0 or (place != first[0] and colour[place] == colour[first[0]]):
            return place
    raise AssertionError


def read_gauge(strip):
    """A number from -1 to 1, from grey levels of one row."""
    levels = strip[len(strip) // 2, :, 0].astype(float)
    filled = (levels - 80) / (245 - 80)
    half = len(levels) // 2
    return (filled[half:].sum() - filled[:half].sum()) / half


def cartpole(picture):
    """Position, angle, speed and turning; nan where nothing is drawn."""
    size = len(picture)
    height = size * 7 // 64
    numbers = []
    for i, scale in enumerate((0.5, 0.05, 0.5, 0.5)):
        strip = picture[size - (4 - i) * height :][:height]
        if is_colour(strip, (40, 40, 40)).all():
            numbers.append(math.nan)
            continue
        value = read_gauge(strip)
        numbers.append(scale * value / (1 - abs(value)))
    return np.array(numbers)
