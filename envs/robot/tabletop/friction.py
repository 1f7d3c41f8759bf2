"""Friction of what stands on something: it slides and spins to a stop.

The friction of a foot that moves with velocity v and turns at w lies on an ellipsoid, a
usual approximation of the true limit surface (Howe & Cutkosky 1996):

    force  = -mu m g v / s,   torque = -mu m g r^2 w / s,   s = sqrt(v^2 + r^2 w^2)

with r the mean friction radius of the foot (`scene.friction_radius`). Sliding without
spin loses mu g per second, spinning in place mu m g r / I. A ball slides until it rolls
(its contact is one point, at which friction is mu m g) and then loses `rolling` g.
"""

import jax.numpy as jnp
from jaxtyping import Array

from envs.robot.tabletop.impulses import Motion
from envs.robot.tabletop.scene import Scene, column, friction_radius
from envs.robot.tabletop.things import GRAVITY

Roll = tuple[Array, Array]


def slowed(
    scene: Scene, motion: Motion, roll: Roll, stands: Array, time: float
) -> tuple[Motion, Roll]:
    """Motion, relative to what it stands on, after some time of friction.

    Args:
        scene: what there is.
        motion: of the things.
        roll: of balls, about x and y.
        stands: whether a thing stands on something.
        time: seconds.
    """
    balls = scene.of_movers(lambda thing: thing.form == "ball")
    if not balls.any():
        return _slid(scene, motion, stands, time), roll
    rolled, turning = _rolled(scene, motion, roll, stands, time)
    if balls.all():
        return rolled, turning
    is_ball = column(balls, motion.x)
    slid = _slid(scene, motion, stands, time)
    picked = (jnp.where(is_ball, a, b) for a, b in zip(rolled, slid, strict=True))
    about_x, about_y = (
        jnp.where(is_ball, a, b) for a, b in zip(turning, roll, strict=True)
    )
    return Motion(*picked), (about_x, about_y)


def _slid(scene: Scene, motion: Motion, stands: Array, time: float) -> Motion:
    like = motion.x
    radii = scene.of_movers(friction_radius)
    radius = column(radii, like)
    lost = column(GRAVITY * time * scene.of_movers(lambda thing: thing.friction), like)
    # How much faster spin is lost than speed: m r^2 / I.
    heavy = scene.of_movers(lambda thing: thing.mass / thing.inertia)
    ratio = column(radii**2 * heavy, like)
    slip = jnp.sqrt(motion.x**2 + motion.y**2 + (radius * motion.turn) ** 2)
    part = jnp.where(stands, lost / jnp.maximum(slip, 1e-9), 0.0)
    keeps = jnp.maximum(1.0 - part, 0.0)
    spins = jnp.maximum(1.0 - ratio * part, 0.0)
    return Motion(motion.x * keeps, motion.y * keeps, motion.turn * spins)


def _rolled(
    scene: Scene, motion: Motion, roll: Roll, stands: Array, time: float
) -> tuple[Motion, Roll]:
    """A ball: friction F at its foot changes its speed by F/m, the foot's by 7/2 F/m.

    For the roll about its middle changes by the torque over 2/5 m R^2.
    """
    like = motion.x
    radius = column(scene.of_movers(lambda thing: thing.half[0]), like)
    most = column(GRAVITY * time * scene.of_movers(lambda thing: thing.friction), like)
    lost = column(GRAVITY * time * scene.of_movers(lambda thing: thing.rolling), like)
    foot_x, foot_y = motion.x - radius * roll[1], motion.y + radius * roll[0]
    slip = jnp.sqrt(foot_x**2 + foot_y**2)
    # Share of the foot's speed that is given up: 2/7 of it make it rest.
    part = jnp.minimum(2.0 / 7.0, most / jnp.maximum(slip, 1e-9))
    part = jnp.where(stands, part, 0.0)
    x, y = motion.x - part * foot_x, motion.y - part * foot_y
    about_x = roll[0] - 2.5 * part * foot_y / radius
    about_y = roll[1] + 2.5 * part * foot_x / radius
    speed = jnp.sqrt(x**2 + y**2)
    keeps = jnp.maximum(1.0 - lost / jnp.maximum(speed, 1e-9), 0.0)
    keeps = jnp.where(stands, keeps, 1.0)
    rolled = (keeps * about_x, keeps * about_y)
    return Motion(keeps * x, keeps * y, motion.turn), rolled
