"""Closed paths to be traced, and how many of them a fixed path would trace."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

POINTS = 64
"""Of a path; a demonstrator goes from each to the next in a step."""
NAMES = ("circle", "square", "triangle")
RADIUS = (0.078, 0.13)
"""Least and most: of a circle, of the circle through a triangle's corners, and half
the side of a square, metres."""
CENTRE = ((-0.15, -0.05), (-0.1, 0.1))
"""Least and most of a path's centre along x and y, metres."""
CHECKPOINTS = np.arange(0, 60, 5)
"""The twelve points that are checked; the last eight are not."""
REACH = 0.035
"""Metres within which a point of a path counts as visited."""


def _polygon(corners: np.ndarray) -> np.ndarray:
    """Points along a polygon's sides, each side as many, [points, 2]."""
    ends = np.concatenate([corners, corners[:1]])
    along = np.arange(POINTS) / POINTS * len(corners)
    side = along.astype(int)
    part = (along - side)[:, None]
    return ends[side] * (1 - part) + ends[side + 1] * part


def _unit() -> np.ndarray:
    turns = 2 * np.pi * np.arange(POINTS) / POINTS
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    square = _polygon(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))
    thirds = 2 * np.pi * np.arange(3) / 3
    triangle = _polygon(np.stack([np.cos(thirds), np.sin(thirds)], axis=1))
    return np.stack([circle, square, triangle])


UNIT = _unit()
"""Paths of radius 1 about 0, as `NAMES` has them, [3, points, 2]."""


def points(
    shape: Int[Array, ""],
    centre: Float[Array, "2"],
    radius: Float[Array, ""],
    turn: Float[Array, ""],
) -> Float[Array, "points 2"]:
    """A path's points, in the order in which they are shown."""
    unit = jnp.asarray(UNIT, centre.dtype)[shape]
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    x = cosine * unit[:, 0] - sine * unit[:, 1]
    y = sine * unit[:, 0] + cosine * unit[:, 1]
    return centre[None] + radius * jnp.stack([x, y], axis=1)


def distances(
    path: Float[Array, "points 2"], place: Float[Array, "2"]
) -> Float[Array, " points"]:
    """From a place to each point of a path, metres."""
    return jnp.sqrt(((path - place[None]) ** 2).sum(1))


EPISODES = 20_000
"""Of `share_of_a_circle`."""


@functools.cache
def share_of_a_circle(shapes: int, least: int, most: int) -> float:
    """Share of episodes that one fixed circle solves, traced over and over.

    It is the circle of the mean radius about the mean centre. Fixed squares and
    triangles of any radius and rotation reach less, also where they are drawn too.

    Args:
        shapes: how many of `NAMES` occur, all as likely.
        least: the fewest paths about one centre that an episode has.
        most: the most.
    """
    random = np.random.default_rng(0)
    centre = np.stack([random.uniform(*ends, EPISODES) for ends in CENTRE], axis=1)
    shares = []
    for _ in range(most):
        shape = random.integers(0, shapes, len(centre))
        radius = random.uniform(*RADIUS, len(centre))
        turn = random.uniform(0, 2 * np.pi, len(centre))
        cosine, sine = np.cos(turn), np.sin(turn)
        turned = np.array([[cosine, sine], [-sine, cosine]]).transpose(2, 0, 1)
        paths = centre[:, None] + radius[:, None, None] * (UNIT[shape] @ turned)
        centre = centre[_solved_by_a_circle(paths)]
        shares.append(len(centre) / EPISODES)
    return float(np.mean(shares[least - 1 :]))


def _solved_by_a_circle(
    paths: Float[np.ndarray, "episodes points 2"],
) -> Bool[np.ndarray, " episodes"]:
    """Which paths the circle visits at all checkpoints, and never leaves."""
    middle = np.array([sum(ends) / 2 for ends in CENTRE])
    radius = sum(RADIUS) / 2
    circle = middle + radius * UNIT[0]
    checked = np.linalg.norm(paths[:, CHECKPOINTS] - middle, axis=2)
    solved = (np.abs(checked - radius) < REACH).all(1)
    for place in circle:
        left = np.flatnonzero(solved)
        x, y = paths[left, :, 0] - place[0], paths[left, :, 1] - place[1]
        away = (x**2 + y**2).min(1)
        solved[left] = away <= REACH**2
    return solved
