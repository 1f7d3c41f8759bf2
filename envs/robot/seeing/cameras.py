"""What a robot's cameras see: pictures drawn on the device, ray by ray.

Two pinhole cameras without distortion. `base_camera` looks at the table from in front
of the robot, so that the robot's left is right in the picture; `hand_camera` is on the
hand, ahead of the fingers, looks straight down and turns with it: at yaw 0 up in the
picture is away from the robot.

What is not visible is not drawn; of what is, the nearest thing that a ray meets. Tops
have the thing's colour, sides a darker one. There are no shadows and no light.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from envs.robot.seeing.drawing import COLOURS, FINGER_LENGTH, PALM
from envs.robot.seeing.outlines import OUTLINES
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Gripper, Thing, World
from envs.robot.tabletop.gripper import WIDEST
from envs.robot.tabletop.scene import FINGER

NAMES = ("base_camera", "hand_camera")
SIZES = (64, 128)
"""Pixels a side that a picture may have."""
EYE, TARGET = (0.3, 0.0, 0.6), (-0.1, 0.0, 0.1)
"""Where the base camera is and where it looks, metres: MIKASA-Robo's."""
WIDTH = 0.7
"""Half of what it sees to each side, at 1 m. The original's 1 shows things of two
pixels."""
MOUNT = (0.045, 0.0, 0.067)
"""Metres from between the finger tips to the hand's camera, ahead, left and up; it sees
1 to each side at 1 m."""
SHADE = 0.65
"""How dark sides are."""
TABLE = (0.6, 0.75)
"""Half the extent of the table along x and y, metres."""
_WOOD, _FLOOR, _HAND, _FINGERS = (
    (226, 220, 208),
    (120, 120, 120),
    (40, 40, 40),
    (90,) * 3,
)

_NEAREST = 1e-3
_FARTHEST = np.float32(1e6)

Pixels = Float[Array, "rows columns"]


class Camera(NamedTuple):
    """A pinhole: where it is, and where the middle of the picture and its edges lie.

    A point is seen `(p, q)` from the middle, as a share of half the picture's side, if
    `eye + t * (forward + p * up + q * left)` is the point for a t above 0.
    """

    eye: Float[Array, "3"]
    forward: Float[Array, "3"]
    up: Float[Array, "3"]
    left: Float[Array, "3"]


class Rays(NamedTuple):
    """Where rays start, and where each leads: not of unit length."""

    eye: tuple[Array, Array, Array]
    x: Pixels
    y: Pixels
    z: Pixels


class Hit(NamedTuple):
    """How far along the ray something is met, and whether on its top."""

    distance: Pixels
    top: Bool[Array, "rows columns"]


class Seen(NamedTuple):
    """The nearest thing along each ray: how far it is, and its colour, packed."""

    distance: Pixels
    paint: Int[Array, "rows columns"]


def pictures(
    things: tuple[Thing, ...],
    world: World,
    looks: Looks,
    appearance: Appearance,
    size: int,
    view: float = 1.0,
) -> dict[str, UInt8[Array, "size size 3"]]:
    """What the cameras see.

    Args:
        things: of the table.
        world: as it is.
        looks: what things look like.
        appearance: in what they can differ.
        size: pixels a side.
        view: how many times as much of the table the base camera sees as usual.
    """
    world = jax.tree.map(_single, world)
    both = base(view), hand(world.gripper)
    cameras = jax.tree.map(lambda *each: jnp.stack(each), *both)

    def take(camera: Camera) -> Int[Array, "size size"]:
        return _drawn(things, world, looks, appearance, _rays(camera, size))

    # One picture after the other: what a loop has left is read and not worked out anew
    # for each byte of a pixel, which took ninety times as long.
    taken = jax.lax.map(take, cameras)
    bytes_of = jax.lax.bitcast_convert_type(taken, jnp.uint8)[..., :3]
    return dict(zip(NAMES, bytes_of, strict=True))


def base(view: float = 1.0) -> Camera:
    """The camera in front of the robot."""
    forward = np.subtract(TARGET, EYE)
    forward /= np.linalg.norm(forward)
    left = np.cross((0.0, 0.0, 1.0), forward)
    left /= np.linalg.norm(left)
    wide = WIDTH * view
    up = np.cross(forward, left)
    return Camera(
        *(jnp.asarray(x, jnp.float32) for x in (EYE, forward, wide * up, wide * left))
    )


def hand(gripper: Gripper) -> Camera:
    """The camera on the hand."""
    cosine, sine = jnp.cos(gripper.yaw), jnp.sin(gripper.yaw)
    flat = jnp.zeros_like(cosine)
    ahead, left = jnp.stack([cosine, sine, flat]), jnp.stack([-sine, cosine, flat])
    above = jnp.array([0, 0, 1], jnp.float32)
    mount = zip(map(np.float32, MOUNT), (ahead, left, above), strict=True)
    eye = gripper.position + sum(length * way for length, way in mount)
    return Camera(eye, -above, ahead, left)


def _rays(camera: Camera, size: int) -> Rays:
    across = jnp.asarray(np.float32(1 - (2 * np.arange(size) + 1) / size))
    p, q = across[:, None], across[None]
    x, y, z = (
        camera.forward[i] + p * camera.up[i] + q * camera.left[i] for i in range(3)
    )
    return Rays((camera.eye[0], camera.eye[1], camera.eye[2]), x, y, z)


def _drawn(
    things: tuple[Thing, ...],
    world: World,
    looks: Looks,
    appearance: Appearance,
    rays: Rays,
) -> Int[Array, "rows columns"]:
    """Colours, packed."""
    colours, shapes = appearance
    paints = np.array([COLOURS[name] for name in colours or ("",)], np.float32)
    tops, sides = (jnp.asarray(_packed(part * paints)) for part in (1.0, SHADE))
    seen = _ground(rays)
    for i, thing in enumerate(things):
        local = _from(world.position[i], rays)
        if shapes and looks.shape is not None:
            local = _turned(world.yaw[i], local)
            hit = _token(local, thing.half, looks.shape[i], shapes)
        elif thing.form == "box":
            hit = _box(_turned(world.yaw[i], local), thing.half)
        else:
            hit = _ROUND[thing.form](local, thing.half)
        colour = 0 if looks.colour is None else looks.colour[i]
        seen = _before(seen, hit, tops[colour], sides[colour], looks.visible[i])
    for colour, across, half, height in _hand(world.gripper):
        middle = _on_hand(world.gripper, across, height)
        hit = _box(_turned(world.gripper.yaw, _from(middle, rays)), half)
        top, side = (_packed(part * colour) for part in (1.0, SHADE))
        seen = _before(seen, hit, top, side)
    return seen.paint


def _before(
    seen: Seen, hit: Hit, top: Any, side: Any, visible: Array | bool = True
) -> Seen:
    """What is seen with one thing more."""
    closer = visible & (hit.distance < seen.distance)
    paint = jnp.where(hit.top, top, side)
    return Seen(
        jnp.where(closer, hit.distance, seen.distance),
        jnp.where(closer, paint, seen.paint),
    )


def _packed(colours: np.ndarray) -> np.ndarray | np.int32:
    """Red, green and blue of the last axis in one whole number."""
    level = colours.astype(np.int32)
    return level[..., 0] + (level[..., 1] << 8) + (level[..., 2] << 16)


def _single(leaf: Array) -> Array:
    """Pictures are drawn in single precision whatever the table is simulated in."""
    floats = jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(jnp.float32) if floats else leaf


def _ground(rays: Rays) -> Seen:
    """The table, or the floor that is level with it."""
    down = jnp.minimum(rays.z, -_NEAREST)
    distance = -rays.eye[2] / down
    x, y = (eye + distance * ray for eye, ray in zip(rays.eye, rays[1:3], strict=False))
    on_table = (jnp.abs(x) <= TABLE[0]) & (jnp.abs(y) <= TABLE[1])
    wood, floor = (_packed(np.array(colour)) for colour in (_WOOD, _FLOOR))
    return Seen(distance, jnp.where(on_table, wood, floor))


def _hand(hand: Gripper) -> list[tuple]:
    """Colour, metres to the left, half extents and height of fingers and palm."""
    beside = hand.opening / 2 + np.float32(FINGER[1])
    tall, palm = FINGER_LENGTH / 2, PALM / 2
    finger = (*FINGER[:2], tall)
    wide = (0.02, WIDEST / 2 + 2 * FINGER[1], palm)
    fingers, dark = np.array(_FINGERS), np.array(_HAND)
    return [
        (fingers, beside, finger, tall),
        (fingers, -beside, finger, tall),
        (dark, jnp.zeros_like(beside), wide, FINGER_LENGTH + palm),
    ]


def _on_hand(hand: Gripper, left: Float[Array, ""], up: float) -> Float[Array, "3"]:
    turned = jnp.stack([-jnp.sin(hand.yaw) * left, jnp.cos(hand.yaw) * left])
    return hand.position + jnp.append(turned, np.float32(up))


def _from(position: Float[Array, "3"], rays: Rays) -> Rays:
    """The rays as seen from a place."""
    x, y, z = (eye - at for eye, at in zip(rays.eye, position, strict=True))
    return rays._replace(eye=(x, y, z))


def _turned(yaw: Float[Array, ""], rays: Rays) -> Rays:
    """The rays as seen from what is turned."""
    (x, y, z), cosine, sine = rays.eye, jnp.cos(yaw), jnp.sin(yaw)
    return Rays(
        (cosine * x + sine * y, cosine * y - sine * x, z),
        cosine * rays.x + sine * rays.y,
        cosine * rays.y - sine * rays.x,
        rays.z,
    )


def _met(there: Array, distance: Array, top: Array) -> Hit:
    there &= distance > _NEAREST
    return Hit(jnp.where(there, distance, _FARTHEST), top)


def _slab(eye: Array, ray: Pixels, half: float) -> tuple[Pixels, Pixels]:
    """Where rays enter and leave what lies within `half` to each side."""
    per_metre = 1 / jnp.where(jnp.abs(ray) < 1e-6, np.float32(1e-6), ray)
    one, other = (-half - eye) * per_metre, (half - eye) * per_metre
    return jnp.minimum(one, other), jnp.maximum(one, other)


def _box(rays: Rays, half: tuple[float, float, float]) -> Hit:
    x, y, z = rays.eye
    along, beside = _slab(x, rays.x, half[0]), _slab(y, rays.y, half[1])
    above, below = _slab(z, rays.z, half[2])
    side = jnp.maximum(along[0], beside[0])
    enters = jnp.maximum(side, above)
    leaves = jnp.minimum(jnp.minimum(along[1], beside[1]), below)
    return _met(enters <= leaves, enters, above >= side)


def _cylinder(rays: Rays, half: tuple[float, float, float]) -> Hit:
    x, y, z = rays.eye
    flat = jnp.maximum(rays.x**2 + rays.y**2, np.float32(1e-9))
    per_length = 1 / flat
    along = x * rays.x + y * rays.y
    inside = along**2 - flat * (x * x + y * y - half[0] ** 2)
    root = jnp.sqrt(jnp.maximum(inside, 0))
    beside = (-along - root) * per_length
    above, below = _slab(z, rays.z, half[2])
    enters = jnp.maximum(beside, above)
    leaves = jnp.minimum((root - along) * per_length, below)
    return _met((inside > 0) & (enters <= leaves), enters, above >= beside)


def _ball(rays: Rays, half: tuple[float, float, float]) -> Hit:
    """The upper half of a ball is bright."""
    along = sum(eye * ray for eye, ray in zip(rays.eye, rays[1:], strict=True))
    length = rays.x**2 + rays.y**2 + rays.z**2
    from_eye = sum(eye * eye for eye in rays.eye)
    inside = along**2 - length * (from_eye - half[0] ** 2)
    distance = (-along - jnp.sqrt(jnp.maximum(inside, 0))) * (1 / length)
    return _met(inside > 0, distance, rays.eye[2] + distance * rays.z >= 0)


_ROUND = {"cylinder": _cylinder, "ball": _ball}


def _token(
    rays: Rays,
    half: tuple[float, float, float],
    shape: Int[Array, ""],
    shapes: tuple[str, ...],
) -> Hit:
    """A thing that has one of several shapes: flat, as high as its top."""
    down = jnp.minimum(rays.z, -_NEAREST)
    distance = (half[2] - rays.eye[2]) / down
    a = (rays.eye[0] + distance * rays.x) / half[0]
    b = (rays.eye[1] + distance * rays.y) / half[1]
    inside = jnp.zeros(a.shape, bool)
    for number, name in enumerate(shapes):
        inside |= (shape == number) & OUTLINES[name](a, b)
    return _met(inside, distance, jnp.ones_like(inside))
