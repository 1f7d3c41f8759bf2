"""Impulses between what touches: rigid along the normal, Coulomb across it.

At a point of contact with normal n the approach is undone by an impulse J n with

    J = -(1 + e) v_n / (1/m1 + 1/m2 + (r1 x n)^2 / I1 + (r2 x n)^2 / I2)

and what slides across is held back by an impulse of at most mu J. Each is given to one
and taken from the other at the same point, so that momentum and angular momentum stay.

All contacts of a thing act at once. For that its mass is shared out among those that
press on it, in each round anew, which converges however many they are (mass splitting,
Tonge et al. 2012).
"""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.robot.tabletop.contact import Contact, once
from envs.robot.tabletop.scene import Scene

NEVER = -1e6
TINY = 1e-6


class Motion(NamedTuple):
    """Velocities, or displacements, in the plane: along x and y and of the yaw."""

    x: Float[Array, "*many"]
    y: Float[Array, "*many"]
    turn: Float[Array, "*many"]


class Aim(NamedTuple):
    """What a point of contact is to reach.

    Attributes:
        least: speed along the normal at which the thing leaves the partner; `NEVER`
            where they do not meet.
        drift: speed of a partner that yields to nothing, along the tangent.
    """

    least: Float[Array, "*many"]
    drift: Float[Array, "*many"]


class Lightness(NamedTuple):
    """Inverse masses and inertias; 0 of what yields to nothing."""

    mass: Float[Array, "*many"]
    inertia: Float[Array, "*many"]


def along(contact: Contact, lever: Array, motion: Motion) -> Array:
    """Speed of a point along the normal."""
    plane = motion.x * contact.normal_x + motion.y * contact.normal_y
    return plane + motion.turn * lever


def across(contact: Contact, span: Array, motion: Motion) -> Array:
    """Speed of a point along the tangent, the normal turned left."""
    plane = motion.y * contact.normal_x - motion.x * contact.normal_y
    return plane + motion.turn * span


def row(motion: Motion) -> Motion:
    """The motion of things, to be read for each partner."""
    return Motion(*(each[None] for each in motion))


def settled(
    scene: Scene,
    contacts: list[Contact],
    aims: list[list[Aim]],
    motion: Motion,
    light: Lightness,
    friction: list[np.ndarray] | None,
    rounds: int,
) -> Motion:
    """The motion after the impulses.

    Args:
        scene: what there is.
        contacts: with partners that yield to nothing; and, if there are any, with those
            that move.
        aims: for each of them, and each of its points.
        motion: of the things.
        light: of the things.
        friction: coefficient of each pair, by kind of partner; None for none at all.
        rounds: how often to go through the points.
    """
    mass, inertia = light.mass[None], light.inertia[None]
    their_mass = scene.further(light.mass) if scene.shifts else mass
    their_inertia = scene.further(light.inertia) if scene.shifts else inertia

    def one_round(_: Array, carried: tuple) -> tuple:
        motion, pushes = carried
        done = []
        for number, given in enumerate(pushes):
            theirs = _further(scene, motion)
            short, presses = [], []
            for kind, contact in enumerate(contacts):
                point, aim = contact.points[number], aims[kind][number]
                speed = along(contact, point.lever, row(motion))
                if kind:
                    speed -= along(contact, point.their_lever, theirs)
                short.append(once(aim.least - speed))
                presses.append((short[-1] > 0) | (given[kind][0] > 0))
            share = added(presses[0].astype(motion.x.dtype))
            if scene.shifts:
                both = presses[1].astype(motion.x.dtype)
                share += added(both) + scene.gathered(both)
            share = once(jnp.maximum(share, 1.0))
            x, y, turn = motion
            now = []
            for kind, contact in enumerate(contacts):
                point, aim = contact.points[number], aims[kind][number]
                push, rub = given[kind]
                resists = share[None] * (mass + inertia * point.lever**2)
                if kind:
                    their_share = once(scene.further(share))
                    resists += their_share * (
                        their_mass + their_inertia * point.their_lever**2
                    )
                change = jnp.where(
                    presses[kind], short[kind] / jnp.maximum(resists, TINY), 0.0
                )
                new = once(jnp.maximum(push + change, 0.0))
                change, push = once(new - push), new
                fx, fy = change * contact.normal_x, change * contact.normal_y
                torque, their_torque = change * point.lever, change * point.their_lever
                if friction is not None:
                    slides = across(contact, point.span, row(motion)) - aim.drift
                    resists = share[None] * (mass + inertia * point.span**2)
                    if kind:
                        slides -= across(contact, point.their_span, theirs)
                        resists += their_share * (
                            their_mass + their_inertia * point.their_span**2
                        )
                    most = friction[kind] * push
                    held = rub - slides / jnp.maximum(resists, TINY)
                    held = once(jnp.clip(held, -most, most))
                    change, rub = once(held - rub), held
                    fx -= change * contact.normal_y
                    fy += change * contact.normal_x
                    torque += change * point.span
                    their_torque += change * point.their_span
                total = [added(fx), added(fy), added(torque)]
                if kind:
                    back = [scene.gathered(each) for each in (fx, fy, their_torque)]
                    total = [a - b for a, b in zip(total, back, strict=True)]
                x += light.mass * total[0]
                y += light.mass * total[1]
                turn += light.inertia * total[2]
                now.append((push, rub))
            motion = Motion(once(x), once(y), once(turn))
            done.append(tuple(now))
        return motion, tuple(done)

    nothing = [jnp.zeros_like(contact.apart) for contact in contacts]
    pushes = tuple(tuple((none, none) for none in nothing) for _ in aims[0])
    return jax.lax.fori_loop(0, rounds, one_round, (motion, pushes))[0]


def added(rows: Array) -> Array:
    """The sum over the first axis: of few rows, which a CPU adds up one by one."""
    return functools.reduce(operator.add, rows)


def _further(scene: Scene, motion: Motion) -> Motion:
    if not scene.shifts:
        return motion
    return Motion(*(once(scene.further(each)) for each in motion))
