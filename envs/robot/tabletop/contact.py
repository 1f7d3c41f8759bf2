"""Where two outlines in the plane touch, or how far they are apart.

A thing's outline is a box, or a disc for a cylinder or a ball. Whether the two are at
the same height is asked elsewhere. A contact has a normal n, which points from the
partner to the thing, and one point or, between two boxes, two: the ends of the stretch
over which an edge of one faces a face of the other.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

TINY = 1e-9


class Outline(NamedTuple):
    """Outlines in the plane, any number of them.

    Attributes:
        x, y: the middle.
        cos, sin: of the yaw.
        length, width: half extents of a box along its own x and y; 0 of a disc.
        radius: of a disc; 0 of a box.
    """

    x: Float[Array, "*many"]
    y: Float[Array, "*many"]
    cos: Float[Array, "*many"]
    sin: Float[Array, "*many"]
    length: Float[Array, "*many"]
    width: Float[Array, "*many"]
    radius: Float[Array, "*many"]


class Point(NamedTuple):
    """One point of each contact.

    With r from a middle to the point, and t the normal turned left by a right angle.

    Attributes:
        gap: distance along the normal, negative where they overlap.
        faces: whether it is one where they can touch.
        lever, their_lever: r x n = -r t of the thing and of the partner, metres.
        span, their_span: r x t = r n.
    """

    gap: Float[Array, "*many"]
    faces: Bool[Array, "*many"]
    lever: Float[Array, "*many"]
    their_lever: Float[Array, "*many"]
    span: Float[Array, "*many"]
    their_span: Float[Array, "*many"]


class Contact(NamedTuple):
    """What stands between two outlines.

    Attributes:
        normal_x, normal_y: unit vector from the partner to the thing.
        apart: distance along the normal, negative where they overlap.
        points: one, or two.
    """

    normal_x: Float[Array, "*many"]
    normal_y: Float[Array, "*many"]
    apart: Float[Array, "*many"]
    points: tuple[Point, ...]


def once(x: Array) -> Array:
    """The same numbers, worked out once.

    XLA on a CPU works out a cheap number anew for everything that reads it, and so on
    upwards; a quotient it keeps. This one is by 1.
    """
    return x / jnp.maximum(1.0, -jnp.abs(x))


def decided(truth: Array) -> Array:
    """The same truths, worked out once."""
    return once(truth.astype(jnp.float32)) > 0.5


def between(thing: Outline, partner: Outline, rounds: np.ndarray) -> Contact:
    """The contact of each thing with its partner.

    Args:
        thing: outlines.
        partner: outlines; the shapes broadcast.
        rounds: whether the thing, and whether the partner, is a disc; one axis more in
            front, the others broadcast.
    """
    disc = rounds[0] | rounds[1]
    if not disc.any():
        return _of_boxes(thing, partner)
    discs = _with_disc(thing, partner, rounds[0])
    if disc.all():
        return discs
    boxes = _of_boxes(thing, partner)

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(disc, a, b)

    first, second = boxes.points
    return Contact(
        *(pick(a, b) for a, b in zip(discs[:3], boxes[:3], strict=True)),
        points=(
            Point(*(pick(a, b) for a, b in zip(discs.points[0], first, strict=True))),
            second._replace(faces=second.faces & ~disc),
        ),
    )


def _with_disc(thing: Outline, partner: Outline, mine: np.ndarray) -> Contact:
    """At least one is a disc: the nearest point of the other to its middle.

    `mine` says where the disc is the thing; elsewhere it is the partner.
    """
    dx, dy = thing.x - partner.x, thing.y - partner.y
    sign = jnp.where(mine, 1.0, -1.0).astype(dx.dtype)
    cos = jnp.where(mine, partner.cos, thing.cos)
    sin = jnp.where(mine, partner.sin, thing.sin)
    length = jnp.where(mine, partner.length, thing.length)
    width = jnp.where(mine, partner.width, thing.width)
    # From the box's middle to the disc's, along the box's own axes.
    along = once(sign * (cos * dx + sin * dy))
    across = once(sign * (cos * dy - sin * dx))
    left = along - jnp.clip(along, -length, length)
    rest = across - jnp.clip(across, -width, width)
    distance = jnp.sqrt(left * left + rest * rest)
    outside = distance > TINY
    # A middle that is inside leaves by the nearest side.
    out_x, out_y = length - jnp.abs(along), width - jnp.abs(across)
    one = jnp.ones_like(along)
    zero = jnp.zeros_like(along)
    by_x = out_x < out_y
    out = jnp.where(by_x, jnp.copysign(one, along), zero)
    aside = jnp.where(by_x, zero, jnp.copysign(one, across))
    scale = 1.0 / jnp.maximum(distance, TINY)
    out = once(jnp.where(outside, left * scale, out))
    aside = once(jnp.where(outside, rest * scale, aside))
    apart = jnp.where(outside, distance, -jnp.minimum(out_x, out_y))
    apart = once(apart - thing.radius - partner.radius)
    # Towards the disc in the world, then towards the thing.
    nx = once(sign * (cos * out - sin * aside))
    ny = once(sign * (sin * out + cos * aside))
    ahead, beside = dx * nx + dy * ny, dx * ny - dy * nx
    point = Point(
        gap=apart,
        faces=jnp.ones_like(outside),
        lever=once(jnp.where(mine, zero, -beside)),
        their_lever=once(jnp.where(mine, beside, zero)),
        span=once(jnp.where(mine, -thing.radius, partner.radius - ahead)),
        their_span=once(jnp.where(mine, ahead - thing.radius, partner.radius)),
    )
    return Contact(nx, ny, apart, (point,))


def _of_boxes(thing: Outline, partner: Outline) -> Contact:
    """Two boxes: the axis that separates them best, and the stretch that faces it."""
    dx, dy = thing.x - partner.x, thing.y - partner.y
    cos = once(thing.cos * partner.cos + thing.sin * partner.sin)
    sin = once(thing.sin * partner.cos - thing.cos * partner.sin)
    flat, tilt = jnp.abs(cos), jnp.abs(sin)

    def seen_by(of: Outline, other: Outline) -> tuple[Array, Array, Array, Array]:
        along = once(of.cos * dx + of.sin * dy)
        across = once(of.cos * dy - of.sin * dx)
        by_x = jnp.abs(along) - of.length - other.length * flat - other.width * tilt
        by_y = jnp.abs(across) - of.width - other.length * tilt - other.width * flat
        return along, across, once(by_x), once(by_y)

    their_x, their_y, their_by_x, their_by_y = seen_by(partner, thing)
    my_x, my_y, my_by_x, my_by_y = seen_by(thing, partner)
    theirs_best = jnp.maximum(their_by_x, their_by_y)
    mine_best = jnp.maximum(my_by_x, my_by_y)
    # The one that owns the best axis has the face, the other the edge that faces it.
    theirs = decided(theirs_best + 1e-6 >= mine_best)
    by_x = jnp.where(theirs, their_by_x >= their_by_y, my_by_x >= my_by_y)
    by_x = decided(by_x)
    flip = jnp.where(theirs, 1.0, -1.0).astype(dx.dtype)
    far_x = flip * jnp.where(theirs, their_x, my_x)
    far_y = flip * jnp.where(theirs, their_y, my_y)
    # From the face's box to the edge's: u along the face's normal, t along the face.
    u, t = jnp.where(by_x, far_x, far_y), jnp.where(by_x, far_y, far_x)
    side = once(jnp.copysign(jnp.ones_like(u), u))
    u = once(jnp.abs(u))
    left = once(jnp.where(by_x, side, -side))
    t = once(left * t)
    face = Outline(
        *(jnp.where(theirs, a, b) for a, b in zip(partner, thing, strict=True))
    )
    edge = Outline(
        *(jnp.where(theirs, a, b) for a, b in zip(thing, partner, strict=True))
    )
    half_u = once(jnp.where(by_x, face.length, face.width))
    half_t = once(jnp.where(by_x, face.width, face.length))
    nx = once(side * jnp.where(by_x, face.cos, -face.sin))
    ny = once(side * jnp.where(by_x, face.sin, face.cos))
    # The edge's box has its own x at the angle (along, over) to the normal, or its y.
    turn = flip * sin
    x_u, x_t = jnp.where(by_x, cos, turn), jnp.where(by_x, turn, cos)
    x_u, x_t = once(side * x_u), once(left * x_t)
    by_own_x = decided(jnp.abs(x_u) > jnp.abs(x_t))
    depth = jnp.where(by_own_x, edge.length, edge.width)
    reach = jnp.where(by_own_x, edge.width, edge.length)
    # Unit vector towards the edge's side that faces back.
    out_u = jnp.where(by_own_x, x_u, -x_t)
    out_t = jnp.where(by_own_x, x_t, x_u)
    back = -jnp.copysign(jnp.ones_like(out_u), out_u)
    middle_u = once(u - jnp.abs(out_u) * depth - half_u)
    middle_t = once(t + back * out_t * depth)
    slope = once(-out_t / out_u)
    reach = once(reach * jnp.abs(out_u))
    ends = [
        once(jnp.clip(end, -half_t, half_t))
        for end in (middle_t - reach, middle_t + reach)
    ]
    faces = ends[1] - ends[0] > 1e-6
    zero = jnp.zeros_like(u)
    points = []
    for end in ends:
        gap = once(middle_u + (end - middle_t) * slope)
        high = gap + half_u
        points.append(
            Point(
                gap=gap,
                faces=faces,
                lever=once(flip * (jnp.where(theirs, t, zero) - end)),
                their_lever=once(flip * (jnp.where(theirs, zero, t) - end)),
                span=once(flip * (high - jnp.where(theirs, u, zero))),
                their_span=once(flip * (high - jnp.where(theirs, zero, u))),
            )
        )
    apart = once(jnp.maximum(theirs_best, mine_best))
    return Contact(once(flip * nx), once(flip * ny), apart, tuple(points))
