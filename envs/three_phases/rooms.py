"""The rooms of the three-phase tasks as text, and the pixels of what is in them.

Every board has 7 rows and 11 columns. In the text `#` is a wall; letters and digits
mark places on the floor (`s` where the agent starts, one of them where there are
several), and `c` the pieces of wall of which one carries the colour. All else is
floor, also outside the walls.
"""

import numpy as np

ROWS, COLUMNS = 7, 11
REACH = 2
"""Rows and columns that are seen to each side of the agent."""
NORTH, SOUTH, WEST, EAST = range(4)
ACTIONS = ("north", "south", "west", "east")
MOVES = np.array([[-1, 1, 0, 0], [0, 0, -1, 1]], np.int32)  # rows, columns

# What a square shows. The three colours of the match task come last.
FLOOR, WALL, AGENT, APPLE, KEY, DOOR, SIGN, COLOUR = range(8)
COLOURS = 3
PIXELS = np.array(
    [
        (204, 204, 204),
        (25, 25, 25),
        (228, 148, 109),
        (140, 178, 0),
        (159, 81, 44),
        (134, 206, 235),
        (255, 255, 255),
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    ],
    np.uint8,
)

LOOK_AROUND = (
    "  ccccccc  ",
    "  c     c  ",
    "  c     c  ",
    "  cc   cc  ",
    "  csssssc  ",
    "  csssssc  ",
    "  ccccccc  ",
)
CLOSET = (
    "           ",
    "    ccc    ",
    "    csc    ",
    "    ccc    ",
    "           ",
    "           ",
    "           ",
)
PADS = (
    "###########",
    "# 1  2  3 #",
    "#         #",
    "#         #",
    "####   ####",
    "   # s #   ",
    "   #####   ",
)
KEY_ROOM = (
    "  #######  ",
    "  #kkkkk#  ",
    "  #kkkkk#  ",
    "  ##   ##  ",
    "  #sssss#  ",
    "  #sssss#  ",
    "  #######  ",
)
DOOR_ROOM = (
    "           ",
    "   ##d##   ",
    "   #   #   ",
    "   # s #   ",
    "   #   #   ",
    "   #####   ",
    "           ",
)
ORCHARD = (
    "###########",
    "#a a a a a#",
    "# a a a a #",
    "#a a a a a#",
    "# a a a a #",
    "#a a s a a#",
    "###########",
)

Room = tuple[str, ...]


def places(room: Room, mark: str) -> np.ndarray:
    """Rows and columns `[places, 2]` of a mark, in reading order."""
    letters = np.array([list(line) for line in room])
    return np.argwhere(letters == mark).astype(np.int32)


def walls(room: Room) -> np.ndarray:
    """Where the agent cannot go: walls and the closed door."""
    letters = np.array([list(line) for line in room])
    return np.isin(letters, ["#", "c", "d"])


def symbols(room: Room) -> np.ndarray:
    """What the squares show while nothing but walls is there."""
    bare = walls(room)
    bare[tuple(places(room, "d").T)] = False
    return np.where(bare, WALL, FLOOR).astype(np.int32)
