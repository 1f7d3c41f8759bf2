"""What happens in a substep.

In this order: what touches is found, what stands is slowed, the fingers hold or let go,
impulses settle the speeds, everything moves, what falls lands. What is apart may come
as near as touching within the substep and no nearer, so that overlaps are left to
rounding, to turning and to what has no way out; those are undone without speed.
"""

import jax.numpy as jnp
from jaxtyping import Array

from envs.robot.tabletop import falling, friction, grasp, impulses
from envs.robot.tabletop.contact import decided, once
from envs.robot.tabletop.grasp import Grasp
from envs.robot.tabletop.impulses import Aim, Lightness, Motion
from envs.robot.tabletop.meeting import Bodies, Drive, Meeting, met
from envs.robot.tabletop.scene import FINGERS, Scene, column
from envs.robot.tabletop.things import GRAVITY

REACH = 0.02
"""What is further apart does not meet within a substep, metres."""
DEEP = 0.003
"""A finger that is further inside a thing passes through it."""
SLOP = 1e-4
"""Overlap that is left alone."""
EASES, EASING = 20.0, 0.2
"""A finger leaves a thing that it is in at so many times the depth a second, and at no
more than this, m/s."""
ROUNDS = 3
"""How often the impulses of a substep are gone through."""
PUSHES = 4
"""How often its overlaps are."""
BOUNCES = 0.02
"""m/s: what approaches more slowly does not bounce."""
FASTEST = 4.0
"""m/s; nothing moves faster along x or y."""
FASTEST_SPIN = 100.0
"""rad/s"""


def substep(scene: Scene, drive: Drive, now: Bodies) -> Bodies:
    """`drive.step` seconds later."""
    moves = decided(drive.there & (now.z > falling.DEEPEST))
    meeting = met(scene, drive, now, moves)
    motion, roll = _slowed(scene, drive, now, meeting)
    grip = grasp.grasped(
        scene,
        meeting.contacts[0],
        meeting.beside[0][:FINGERS],
        now.held,
        meeting.axis,
        (now.opening, now.opening + drive.closing),
        drive.load,
    )
    before = _carried(drive, now, grip.held, motion)
    motion, push = _settled(scene, drive, now, meeting, grip, before, moves)
    after = _moved(scene, drive, now, meeting, grip, before, motion, push)
    return _kept(drive, now, after._replace(roll=roll), moves)


def _slowed(
    scene: Scene, drive: Drive, now: Bodies, meeting: Meeting
) -> tuple[Motion, tuple[Array, Array]]:
    """Motion after friction with what a thing stands on."""
    rise = column(scene.of_movers(lambda thing: thing.half[2]), now.x)
    surface, *ride = falling.level(
        scene, meeting.under, now.z + rise, meeting.tops, now.motion
    )
    stands = decided(now.z - rise <= surface + SLOP)
    relative = Motion(*(a - b for a, b in zip(now.motion, ride, strict=True)))
    slowed, roll = friction.slowed(scene, relative, now.roll, stands, drive.step)
    return Motion(*(once(a + b) for a, b in zip(slowed, ride, strict=True))), roll


def _carried(drive: Drive, now: Bodies, held: Array, motion: Motion) -> Motion:
    """What is held moves with the hand."""
    velocity, spin = drive.velocity, drive.spin
    return Motion(
        once(jnp.where(held, velocity[0] - spin * (now.y - now.hand_y), motion.x)),
        once(jnp.where(held, velocity[1] + spin * (now.x - now.hand_x), motion.y)),
        once(jnp.where(held, spin, motion.turn)),
    )


def _settled(
    scene: Scene,
    drive: Drive,
    now: Bodies,
    meeting: Meeting,
    grip: Grasp,
    before: Motion,
    moves: Array,
) -> tuple[Motion, Motion]:
    """Motion after impulses, and the displacement that undoes what still overlaps."""
    contacts, step, held = meeting.contacts, drive.step, grip.held
    passes = held[None] | (contacts[0].apart[:FINGERS] < -DEEP)
    fingers, stays = meeting.beside[0][:FINGERS], meeting.beside[0][FINGERS:]
    solid = [jnp.concatenate([fingers & ~passes, stays])]
    if scene.shifts:
        solid.append(meeting.beside[1] & column(scene.first_time, now.x[None]))
    theirs = _partners(scene, drive, now, meeting, grip, before)
    aims = []
    for kind, contact in enumerate(contacts):
        bounce = scene.restitution[kind]
        aims.append([])
        for point in contact.points:
            away = impulses.along(contact, point.their_lever, theirs[kind])
            speed = impulses.along(contact, point.lever, impulses.row(before)) - away
            least = -jnp.maximum(point.gap, 0.0) / step
            if not kind:
                out = jnp.minimum(EASES * jnp.maximum(-point.gap - SLOP, 0.0), EASING)
                least += jnp.where(column(scene.is_finger, least), out, 0.0)
            if bounce.any():
                hits = (speed * step + point.gap < 0) & (speed < -BOUNCES)
                hits &= column(bounce > 0, speed)
                back = -column(bounce, speed) * speed
                least = jnp.maximum(least, jnp.where(hits, back, -jnp.inf))
            drift = impulses.across(contact, point.their_span, theirs[kind])
            if kind:
                drift, away = jnp.zeros_like(drift), jnp.zeros_like(away)
            on = point.faces & solid[kind] & (point.gap < REACH)
            least = jnp.where(on, least + away, impulses.NEVER)
            aims[-1].append(Aim(once(least), once(drift)))
    yields = moves & ~held
    mass = column(scene.of_movers(lambda thing: 1 / thing.mass), now.x)
    inertia = column(scene.of_movers(lambda thing: 1 / thing.inertia), now.x)
    light = Lightness(jnp.where(yields, mass, 0.0), jnp.where(yields, inertia, 0.0))
    rubs = [column(each, now.x[None]) for each in scene.friction]
    motion = impulses.settled(scene, contacts, aims, before, light, rubs, ROUNDS)
    motion = Motion(
        once(jnp.clip(motion.x, -FASTEST, FASTEST)),
        once(jnp.clip(motion.y, -FASTEST, FASTEST)),
        once(jnp.clip(motion.turn, -FASTEST_SPIN, FASTEST_SPIN)),
    )
    if not scene.shifts and not scene.fixed:
        return motion, Motion(*(jnp.zeros_like(each) for each in motion))
    # Here all are of one mass, which is settled soonest where a light thing is wedged.
    # What is held slides in the fingers.
    light = Lightness(
        jnp.where(moves, jnp.ones_like(mass), 0.0),
        jnp.where(yields, inertia / mass, 0.0),
    )
    theirs = _partners(scene, drive, now, meeting, grip, motion)
    for kind, contact in enumerate(contacts):
        for number, point in enumerate(contact.points):
            speed = impulses.along(contact, point.lever, impulses.row(motion))
            speed -= impulses.along(contact, point.their_lever, theirs[kind])
            aim = aims[kind][number]
            least = -(point.gap + step * speed) - SLOP
            solid = aim.least > impulses.NEVER
            if not kind:
                solid &= column(~scene.is_finger, least)
            least = jnp.where(solid, least, impulses.NEVER)
            aims[kind][number] = aim._replace(least=once(least))
    still = Motion(*(jnp.zeros_like(each) for each in motion))
    return motion, impulses.settled(scene, contacts, aims, still, light, None, PUSHES)


def _partners(
    scene: Scene,
    drive: Drive,
    now: Bodies,
    meeting: Meeting,
    grip: Grasp,
    motion: Motion,
) -> list[Motion]:
    """How the partners of each kind move."""
    velocity, spin = drive.velocity, drive.spin
    opens = (grip.opening - now.opening) / drive.step / 2
    axis, away = meeting.axis, meeting.away
    hands = [
        Motion(
            velocity[0] + side * (opens * axis[0] - spin * away * axis[1]),
            velocity[1] + side * (opens * axis[1] + spin * away * axis[0]),
            spin,
        )
        for side in (1, -1)
    ]
    none = [jnp.zeros_like(now.hand_x)] * len(scene.fixed)
    stiff = (
        scene.stiff(mine, of_hands, none)
        for mine, of_hands in zip(motion, zip(*hands, strict=True), strict=True)
    )
    partners = [Motion(*stiff)]
    if scene.shifts:
        partners.append(Motion(*(scene.further(each) for each in motion)))
    return partners


def _moved(
    scene: Scene,
    drive: Drive,
    now: Bodies,
    meeting: Meeting,
    grip: Grasp,
    before: Motion,
    motion: Motion,
    push: Motion,
) -> Bodies:
    """Everything where its speed takes it."""
    step, held = drive.step, grip.held
    velocity, spin = drive.velocity, drive.spin
    # Of what is slowed by friction alone the mean of both speeds counts.
    alone = ~held
    for after, first in zip(motion, before, strict=True):
        alone &= after == first
    alone = decided(alone)
    mean = Motion(
        *(
            after + jnp.where(alone, (first - after) / 2, 0.0)
            for first, after in zip(now.motion, motion, strict=True)
        )
    )
    from_x, from_y = now.x - now.hand_x, now.y - now.hand_y
    cos, sin = jnp.cos(step * spin), jnp.sin(step * spin)
    carry_x = step * velocity[0] + (cos * from_x - sin * from_y - from_x)
    carry_y = step * velocity[1] + (sin * from_x + cos * from_y - from_y)
    carry_x += grip.shift * meeting.axis[0]
    carry_y += grip.shift * meeting.axis[1]
    x = now.x + push.x + jnp.where(held, carry_x, step * mean.x)
    y = now.y + push.y + jnp.where(held, carry_y, step * mean.y)
    if scene.shifts:  # where each thing reads the places of others
        x, y = once(x), once(y)
    climb = jnp.where(held, velocity[2], now.climb - GRAVITY * step)
    rise = step * jnp.where(held, velocity[2], (now.climb + climb) / 2)
    z, climb, gone = falling.landed(
        scene, meeting.under, meeting.tops, (x, y), now.z + rise, climb, held
    )
    return now._replace(
        x=x,
        y=y,
        z=z,
        yaw=now.yaw + push.turn + step * mean.turn,
        motion=motion,
        climb=climb,
        held=held,
        gone=now.gone | gone,
        hand_x=now.hand_x + step * velocity[0],
        hand_y=now.hand_y + step * velocity[1],
        hand_z=now.hand_z + step * velocity[2],
        hand_yaw=now.hand_yaw + step * spin,
        opening=grip.opening,
    )


def _kept(drive: Drive, now: Bodies, after: Bodies, moves: Array) -> Bodies:
    """`after`, but as it was for what is not there and for what has stopped falling."""
    stops = after.z <= falling.DEEPEST

    def pick(new: Array, old: Array) -> Array:
        return once(jnp.where(moves, new, old))

    def speed(new: Array, old: Array) -> Array:
        return once(jnp.where(moves, jnp.where(stops, 0.0, new), old))

    return after._replace(
        x=pick(after.x, now.x),
        y=pick(after.y, now.y),
        z=pick(jnp.maximum(after.z, falling.DEEPEST), now.z),
        yaw=pick(after.yaw, now.yaw),
        motion=Motion(*map(speed, after.motion, now.motion)),
        climb=speed(after.climb, now.climb),
        roll=(speed(after.roll[0], now.roll[0]), speed(after.roll[1], now.roll[1])),
        held=after.held & moves,
        gone=jnp.where(moves, after.gone, now.gone),
    )
