"""Shapes on tiles: which pixels of so many rows and columns they cover."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from envs.popgym.cards import LETTERS

Mask = Bool[np.ndarray, "_ _"]
Shape = Callable[[int, int], Mask]
_DIGITS = ("75557", "26227", *LETTERS[1:9])


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each pixel, from -1 to 1 along the shorter side."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    half = min(height, width) / 2
    return (y + 0.5 - height / 2) / half, (x + 0.5 - width / 2) / half


def disc(height: int, width: int) -> Mask:
    """A filled circle."""
    y, x = _grid(height, width)
    return x**2 + y**2 <= 0.5


def square(height: int, width: int) -> Mask:
    """The middle of the tile."""
    y, x = _grid(height, width)
    return np.maximum(abs(x), abs(y)) <= 0.6


def cross(height: int, width: int) -> Mask:
    """Two diagonals."""
    y, x = _grid(height, width)
    return (abs(abs(x) - abs(y)) <= 0.35) & (np.maximum(abs(x), abs(y)) <= 0.8)


def key(height: int, width: int) -> Mask:
    """A bow to the left and a stem with two teeth."""
    y, x = _grid(height, width)
    stem = (abs(y) <= 0.2) & (abs(x) <= 0.8)
    teeth = (y > 0) & (y <= 0.7) & (x > 0.2) & (abs(x - 0.5) > 0.12) & (x < 0.8)
    return stem | teeth | ((x + 0.5) ** 2 + y**2 <= 0.2)


def arrow(direction: int) -> Shape:
    """A triangle that points right (0), down (1), left (2) or up (3)."""

    def shape(height: int, width: int) -> Mask:
        y, x = _grid(height, width)
        along = (x, y, -x, -y)[direction]
        across = (y, x, y, x)[direction]
        return (abs(along) <= 0.85) & (abs(across) <= (0.85 - along) / 2)

    return shape


def suit(number: int) -> Shape:
    """The symbol of spades, diamonds, clubs or hearts."""

    def shape(height: int, width: int) -> Mask:
        y, x = _grid(height, width)
        if number == 1:
            return abs(x) + abs(y) <= 0.8
        up = y if number != 3 else -y
        stem = (abs(x) <= 0.15) & (y > 0) & (y <= 0.85) & (number != 3)
        if number == 2:
            leaves = [(0.0, -0.45), (-0.42, 0.15), (0.42, 0.15)]
            round_ = [(x - a) ** 2 + (y - b) ** 2 <= 0.14 for a, b in leaves]
            return np.logical_or.reduce(round_) | stem
        humps = (abs(x) - 0.36) ** 2 + (up - 0.2) ** 2 <= 0.15
        tip = (up <= 0.25) & (abs(x) <= 0.72 * (up + 0.85) / 1.1)
        return humps | tip | stem

    return shape


def rank(number: int) -> Shape:
    """The letter of a rank, ace (0) to king (12)."""
    return _letter(LETTERS[number])


def digit(number: int) -> Shape:
    """A figure from 0 to 9."""
    return _letter(_DIGITS[number])


def _letter(rows: str) -> Shape:
    """Three by five dots, as large as the tile allows; nothing if it does not."""
    dots = np.array([[bit == "1" for bit in f"{int(row):03b}"] for row in rows])

    def shape(height: int, width: int) -> Mask:
        mask = np.zeros((height, width), bool)
        scale = min(height // 6, width // 4) or min(height // 5, width // 3)
        if scale:
            top, left = (height - 5 * scale) // 2, (width - 3 * scale) // 2
            large = np.kron(dots, np.ones((scale, scale), bool))
            mask[top : top + 5 * scale, left : left + 3 * scale] = large
        return mask

    return shape
