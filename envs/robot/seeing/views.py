"""The table as people want to see it: large, from above and from the front.

Of any size, for films, figures and playing; `drawing` is the small picture that can be
drawn inside a compiled rollout. What is not visible is drawn by neither.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from envs.robot.seeing.drawing import COLOURS, FINGER_LENGTH, PALM
from envs.robot.seeing.outlines import OUTLINES
from envs.robot.seeing.seen import Looks
from envs.robot.tabletop import Gripper, Thing, World
from envs.robot.tabletop.gripper import WIDEST
from envs.robot.tabletop.scene import FINGER

ACROSS = 0.84
"""Metres from side to side; its middle is the middle of the table."""
HIGH = 0.3
"""Metres from the table to the top of the view from the front."""
_TABLE, _WALL, _LINE = (226, 220, 208), (196, 204, 212), (20, 20, 20)
_HAND, _HELD = (30, 60, 200), (230, 90, 30)
_SMALL = 0.014
"""Half the extent that everything is drawn with at least, metres."""

Plane = Float[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]
Picture = UInt8[np.ndarray, "rows columns 3"]


def views(task: Any, state: Any, size: int) -> Picture:
    """A robot task's table, `size` pixels wide, and below it its front.

    From above the robot is at the bottom, and things have their outlines; from the
    front, as the robot sees it, their height. The hand is blue, orange while it holds.

    Args:
        task: a `RobotTask`.
        state: of it.
        size: columns; the rows are `height(size)`.
    """
    world, looks = jax.tree.map(np.asarray, _now(task)(state))
    things, paints = task._things, _paints(task, looks, len(task._things))
    shapes = [_shape(task, looks, i, thing) for i, thing in enumerate(things)]
    pixel = ACROSS * task._view / size
    over = above(things, world, looks, paints, shapes, size, pixel)
    front = from_front(things, world, looks, paints, shapes, size, pixel)
    line = np.full((max(1, size // 100), size, 3), _LINE, np.uint8)
    return np.concatenate([over, line, front])


def named(task: Any, state: Any) -> list[str]:
    """What is visible, in words, from the robot's left to its right."""
    world, looks = jax.tree.map(np.asarray, _now(task)(state))
    colours = task._appearance.colours
    found = []
    for i in np.argsort(-world.position[:, 1], kind="stable").tolist():
        if not looks.visible[i]:
            continue
        thing = task._things[i]
        words = [colours[int(looks.colour[i])]] if colours else []
        shaped = looks.shape is not None and task._appearance.shapes
        words.append(_shape(task, looks, i, thing) if shaped else thing.kind)
        found.append(" ".join(words))
    return found


def height(size: int) -> int:
    """Rows of a picture of `views`."""
    return size + max(1, size // 100) + _front_rows(size)


def _front_rows(size: int) -> int:
    return round(size * HIGH / ACROSS)


@functools.lru_cache(maxsize=8)
def _now(task: Any) -> Callable[[Any], tuple[World, Looks]]:
    """The world of a state and what it looks like, compiled."""
    return jax.jit(
        lambda state: (state.world, task._looks(state.task, state.world, state.time))
    )


def _paints(task: Any, looks: Looks, count: int) -> UInt8[np.ndarray, "things 3"]:
    names = task._appearance.colours or ("",)
    table = np.array([COLOURS[name] for name in names], np.uint8)
    return table[np.zeros(count, int) if looks.colour is None else looks.colour]


def _shape(task: Any, looks: Looks, row: int, thing: Thing) -> str:
    """The outline of a thing: the name of its shape, where the task has any."""
    if looks.shape is not None and task._appearance.shapes:
        return task._appearance.shapes[int(looks.shape[row])]
    return {"box": "cube", "cylinder": "disc"}.get(thing.form, thing.form)


def above(
    things: tuple[Thing, ...],
    world: World,
    looks: Looks,
    paints: UInt8[np.ndarray, "things 3"],
    shapes: list[str],
    size: int,
    pixel: float,
) -> Picture:
    """From above; what is higher covers what is lower. A pixel is so many metres."""
    centre = ((size - 1) / 2 - np.arange(size)) * pixel
    x, y = np.meshgrid(centre, centre, indexing="ij")
    image = np.broadcast_to(np.array(_TABLE, np.uint8), (size, size, 3)).copy()
    tops = [world.position[i, 2] + thing.half[2] for i, thing in enumerate(things)]
    for i in np.argsort(tops, kind="stable").tolist():
        if not looks.visible[i]:
            continue
        along, beside = _turned(x, y, world.position[i], world.yaw[i])
        half = [max(length, _SMALL, pixel) for length in things[i].half[:2]]
        _paint(image, OUTLINES[shapes[i]](along / half[0], beside / half[1]), paints[i])
    hand = world.gripper
    along, beside = _turned(x, y, hand.position, hand.yaw)
    apart = hand.opening / 2 + FINGER[1]
    half = (max(FINGER[0], 1.2 * pixel), max(FINGER[1], 1.2 * pixel))
    far = np.abs(beside) - apart
    palm = (np.abs(along) <= max(0.003, pixel / 2)) & (far <= 0)
    fingers = (np.abs(along) <= half[0]) & (np.abs(far) <= half[1])
    _paint(image, palm | fingers, _colour_of_hand(world))
    return image


def from_front(
    things: tuple[Thing, ...],
    world: World,
    looks: Looks,
    paints: UInt8[np.ndarray, "things 3"],
    shapes: list[str],
    size: int,
    pixel: float,
) -> Picture:
    """From the robot's side: its left is left, and what is nearer covers the rest."""
    rows = _front_rows(size)
    y = ((size - 1) / 2 - np.arange(size))[None, :] * pixel
    z = (rows - 0.5 - np.arange(rows))[:, None] * pixel
    y, z = np.broadcast_arrays(y, z)
    image = np.broadcast_to(np.array(_WALL, np.uint8), (rows, size, 3)).copy()
    for i in np.argsort(-world.position[:, 0], kind="stable").tolist():
        if not looks.visible[i]:
            continue
        half = _seen_from_front(things[i], world, i)
        wide, tall = (max(length, _SMALL, pixel) for length in half)
        right, up = y - world.position[i, 1], z - world.position[i, 2]
        outline = _STANDING.get(shapes[i], _upright)
        _paint(image, outline(right / wide, up / tall), paints[i])
    _paint(image, _hand_from_front(world.gripper, y, z, pixel), _colour_of_hand(world))
    return image


def _hand_from_front(hand: Gripper, y: Plane, z: Plane, pixel: float) -> Mask:
    """Two fingers below a palm; a hand above the picture is seen at its upper edge."""
    tip = min(float(hand.position[2]), HIGH - FINGER_LENGTH - PALM)
    up, beside = z - tip, np.abs(y - hand.position[1])
    turn = abs(float(np.cos(hand.yaw)))
    apart = turn * (hand.opening / 2 + FINGER[1])
    thick = max(turn * FINGER[1] + (1 - turn) * FINGER[0], 1.2 * pixel)
    wide = turn * (WIDEST / 2 + 2 * FINGER[1]) + (1 - turn) * 0.02
    fingers = (np.abs(beside - apart) <= thick) & (up >= 0) & (up <= FINGER_LENGTH)
    palm = (beside <= wide) & (up > FINGER_LENGTH) & (up <= FINGER_LENGTH + PALM)
    return fingers | palm


def _seen_from_front(thing: Thing, world: World, row: int) -> tuple[float, float]:
    x, y, z = thing.half
    if thing.form != "box":
        return x, z
    yaw = world.yaw[row]
    return float(abs(np.sin(yaw)) * x + abs(np.cos(yaw)) * y), z


def _colour_of_hand(world: World) -> tuple[int, int, int]:
    return _HAND if int(world.held) < 0 else _HELD


def _turned(x: Plane, y: Plane, place: Any, yaw: Any) -> tuple[Plane, Plane]:
    """Coordinates along and beside something that is turned."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x, y = x - place[0], y - place[1]
    return cosine * x + sine * y, cosine * y - sine * x


def _paint(image: Picture, inside: Mask, colour: Any) -> None:
    """Fill, with a dark rim where there is room for one."""
    image[inside] = colour
    core = inside.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            core &= np.roll(inside, shift, axis)
    if 4 * core.sum() >= inside.sum() > 24:
        image[inside & ~core] = _LINE


def _upright(right: Plane, up: Plane) -> Mask:
    return np.maximum(np.abs(right), np.abs(up)) <= 1


_STANDING: dict[str, Callable[[Plane, Plane], Mask]] = {
    "ball": lambda right, up: np.hypot(right, up) <= 1,
    "pyramid": lambda right, up: (up >= -1) & (np.abs(right) <= (1 - up) / 2),
}
"""Outlines from the front; others fill their box."""
