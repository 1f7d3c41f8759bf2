"""The outlines of things from above, for pictures of every kind.

Each tells of points whether they are inside: the first number points away from the
robot, the second to its left, both as shares of half the extent of the thing. Of numpy
arrays and of JAX's.
"""

import math
from collections.abc import Callable
from typing import Any


def _cube(a: Any, b: Any) -> Any:
    return (abs(a) <= 1) & (abs(b) <= 1)


def _disc(a: Any, b: Any) -> Any:
    return a * a + b * b <= 1


def _ring(a: Any, b: Any, inner: float, outer: float) -> Any:
    far = a * a + b * b
    return (far >= inner * inner) & (far <= outer * outer)


def _cylinder(a: Any, b: Any) -> Any:
    """With a line around its top."""
    return _disc(a, b) & ~_ring(a, b, 0.45, 0.75)


def _cross(a: Any, b: Any) -> Any:
    thin = (abs(a) <= 0.36) | (abs(b) <= 0.36)
    return thin & (abs(a) <= 1.1) & (abs(b) <= 1.1)


def _torus(a: Any, b: Any) -> Any:
    return _ring(a, b, 0.45, 1.15)


def _star(a: Any, b: Any) -> Any:
    """A pentagram: what at least four of five lines have on their inner side."""
    inner = 0
    for point in range(5):
        turn = 2 * math.pi * point / 5
        side = math.cos(turn) * a + math.sin(turn) * b <= 0.386
        inner = inner + side.astype("int8")
    return inner >= 4


def _pyramid(a: Any, b: Any) -> Any:
    return (a >= -0.9) & (2 * abs(b) <= 1.1 - a)


def _tee(a: Any, b: Any) -> Any:
    bar = (abs(a - 0.7) <= 0.35) & (abs(b) <= 1.1)
    return bar | ((abs(b) <= 0.35) & (abs(a) <= 1.05))


def _crescent(a: Any, b: Any) -> Any:
    left = b + 0.6
    return (a * a + b * b <= 1.21) & (a * a + left * left > 0.7225)


OUTLINES: dict[str, Callable[[Any, Any], Any]] = {
    **{"cube": _cube, "ball": _disc, "disc": _disc, "cylinder": _cylinder},
    **{"cross": _cross, "torus": _torus, "star": _star, "pyramid": _pyramid},
    **{"T": _tee, "crescent": _crescent},
}
"""By name."""
