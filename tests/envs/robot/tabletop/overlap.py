"""How deep two things are in each other, in numpy, apart from the solver's geometry."""

import numpy as np


def depth(one, place, turn, other, there, turned):
    """Metres of overlap, negative when apart; the lesser of plane and height.

    Args:
        one, other: things.
        place, there: positions, [..., 3].
        turn, turned: yaws, [...].
    """
    low = np.maximum(place[..., 2] - one.half[2], there[..., 2] - other.half[2])
    high = np.minimum(place[..., 2] + one.half[2], there[..., 2] + other.half[2])
    if one.form == other.form == "box":
        plane = _boxes(one, place, turn, other, there, turned)
    else:
        if one.form != "box":
            one, place, turn, other, there = other, there, turned, one, place
        plane = _disc(one, place, turn, other, there)
    return np.minimum(plane, high - low)


def _boxes(one, place, turn, other, there, turned):
    corners = [_corners(one, place, turn), _corners(other, there, turned)]
    least = np.full(np.shape(turn), np.inf)
    for angle in (turn, turn + np.pi / 2, turned, turned + np.pi / 2):
        axis = np.stack([np.cos(angle), np.sin(angle)], -1)[..., None, :]
        a, b = ((points * axis).sum(-1) for points in corners)
        least = np.minimum(least, a.max(-1) - b.min(-1))
        least = np.minimum(least, b.max(-1) - a.min(-1))
    return least


def _corners(thing, place, turn):
    x = np.array([1, 1, -1, -1]) * thing.half[0]
    y = np.array([1, -1, 1, -1]) * thing.half[1]
    cos, sin = np.cos(turn)[..., None], np.sin(turn)[..., None]
    at_x, at_y = cos * x - sin * y, sin * x + cos * y
    return np.stack([place[..., 0, None] + at_x, place[..., 1, None] + at_y], -1)


def _disc(one, place, turn, disc, there):
    x, y = (there - place)[..., 0], (there - place)[..., 1]
    x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    if one.form != "box":
        return one.half[0] + disc.half[0] - np.hypot(x, y)
    out_x, out_y = np.abs(x) - one.half[0], np.abs(y) - one.half[1]
    outside = np.hypot(np.maximum(out_x, 0), np.maximum(out_y, 0))
    return disc.half[0] - outside - np.minimum(np.maximum(out_x, out_y), 0)
