"""Turn a peg by an angle that is told: from how it lay at first."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Return, computed, float_dtype
from envs.robot import returns
from envs.robot.episodes.episode import Outcome, Placement, left_alone
from envs.robot.hand import handling
from envs.robot.hand.touch import distance, let_go, paid, static
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop import gripper as arm
from envs.robot.task import RobotTask, Tasks

PHASES = ("act",)
HALF = (0.12, 0.025, 0.025)
"""Of the peg, metres."""
NEAR = 0.1
"""Radians by which the angle may be missed; the smallest angle, too."""
MOST = np.pi / 2
MOST_EITHER_WAY = np.pi / 4
"""Largest angles: where all are positive, and else."""
APART = 0.05
"""Metres that a strict peg may be moved along each axis, and no more."""
_TURNS = 0.2
"""rad/s up to which a hand that turns is at rest, as the original's last joint."""
_TURNED = 0.02
"""Radians within which the script lets go."""
_STROKE = np.array([1.0, 1.0, 0.25, -0.5], np.float32)
"""Commands about the vertical that turn a hand at rest by .175 rad, to rest again."""
_TILES = 8


class RotateEpisode(NamedTuple):
    """An episode.

    Attributes:
        angle: by which the peg is to be turned, radians, counterclockwise.
        place, yaw: where and how the peg lay at first.
        moved_at: the time from which it no longer lay so; -1 until then.
    """

    angle: Float[Array, ""]
    place: Float[Array, "2"]
    yaw: Float[Array, ""]
    moved_at: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Rotate(RobotTask):
    """Turn a peg by an angle that is told (MIKASA-Robo, RotateLenient, RotateStrict).

    A peg of 24 cm lies anywhere within 10 cm, at any yaw. The observation's `prompt` is
    the angle by which to turn it, radians counterclockwise, at every step. How far it
    has been turned is not shown: one must remember how it lay. The answer is how it
    lies, still, when the hand has first risen from it, above 10 cm: within .1 rad of
    the angle, and if `strict` within 5 cm of its place along x and along y.

    **The hand can keep the answer.** It may turn as the peg lies and push it without
    turning, and what is held turns with the hand; where it took hold tells nothing, but
    how it is turned beside the peg, and how fast, does. The card says so
    (`outside_memory`); its memoryless share is without that.

    Where the original differs: any moment counts at which the angle is right and the
    robot at rest, so that turning slowly through all angles succeeds; and of both ways
    the larger half of the angles is positive and the smaller negative, so that the sign
    tells the size. Both hold here with `committed=False`; here the sign is drawn by
    itself. Its angle is a half precision number, and in words whole degrees. Its older
    line has 90 steps in all tasks, `_value` 25 if not strict, and judges from the sixth
    step on in dense rewards only.

    Attributes:
        both_ways: whether the angle may be negative, and is at most a right angle's
            half.
        strict: whether the peg must stay at its place.
    """

    both_ways: bool = False
    strict: bool = False
    max_steps: int = 60

    @property
    def _value(self) -> float:
        return 100.0 if self.strict else 60.0

    @property
    def _things(self) -> tuple[Thing, ...]:
        return (Thing("peg", "box", HALF, moves=True),)

    @property
    def _appearance(self) -> Appearance:
        return Appearance()

    @property
    def _most(self) -> float:
        return MOST_EITHER_WAY if self.both_ways else MOST

    def _deal(self, key: PRNGKeyArray) -> tuple[RotateEpisode, Array, Array]:
        size_key, sign_key, place_key, yaw_key = jax.random.split(key, 4)
        dtype = float_dtype()
        share = jax.random.uniform(size_key, (), dtype)
        angle = NEAR + share * (self._most - NEAR)
        if self.both_ways:
            positive = share > 0.5
            if self.committed:
                positive = jax.random.bernoulli(sign_key)
            angle = jnp.where(positive, angle, -angle)
        place = jax.random.uniform(place_key, (2,), dtype, -0.1, 0.1)
        yaw = jax.random.uniform(yaw_key, (), dtype, -np.pi, np.pi)
        task = RotateEpisode(angle, place, yaw, jnp.full((), -1, jnp.int32))
        position = jnp.concatenate([place, jnp.full((1,), HALF[2], dtype)])
        return task, position[None], yaw[None]

    def _phase(self, task: RotateEpisode, time: Int[Array, ""]) -> Int[Array, ""]:
        return jnp.zeros((), jnp.int32)

    def _acting(self, task: RotateEpisode, time: Int[Array, ""]) -> Bool[Array, ""]:
        return jnp.ones((), bool)

    def _script(
        self, task: RotateEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        return left_alone(world, jnp.ones(1, bool))

    def _looks(self, task: RotateEpisode, world: World, time: Int[Array, ""]) -> Looks:
        return Looks(world.present)

    def _prompt(self, task: RotateEpisode) -> Float[Array, "1"]:
        return task.angle[None]

    def _judge(
        self, task: RotateEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[RotateEpisode, Outcome]:
        off, beside = _left(task, world), _beside(task, world)
        moved = (jnp.abs(off - task.angle) > 1e-3) | (beside > 1e-3).any()
        moved |= world.held == 0
        first = moved & (task.moved_at < 0)
        task = task._replace(moved_at=jnp.where(first, time + 1, task.moved_at))
        right = jnp.abs(off) < NEAR
        if self.strict:
            right &= (beside < APART).all()
        answered = (task.moved_at >= 0) & let_go(world, 0)
        success = right & (answered if self.committed else _rests(world))
        failure = answered & ~right & self.committed
        shaped = self._strictly(task, world) if self.strict else _leniently(task, world)
        return task, Outcome(success, failure, shaped)

    def _strictly(self, task: RotateEpisode, world: World) -> Float[Array, ""]:
        """The original's dense reward of a strict task."""
        off, beside = jnp.abs(_left(task, world)), _beside(task, world)
        away = distance(world, world.position[0])
        reached = away < 0.04
        placed = reached & (beside < APART).all()
        right = placed & (off < NEAR)
        reward = 0.5 * jnp.exp(-3.0 * away)
        reward += paid(reached, 5.0 * jnp.exp(-5.0 * beside).sum())
        reward += paid(placed, 35.0 * jnp.exp(-off)) + paid(right, 10.0)
        return reward + paid(right & _rests(world), 5.0)

    def _aim(
        self, task: RotateEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """Take hold of the middle, turn, let go, rise."""
        held, off = world.held == 0, _left(task, world)
        turned = (jnp.abs(off) < _TURNED) & (jnp.abs(world.gripper.spin) < 0.1)
        hold = arm.towards(world.gripper, world.gripper.position)
        turn = handling.turning(world, world.gripper.yaw + off, 2 * np.pi)
        turns = handling.command(hold, turn, -1.0)
        ends = jnp.where(held, handling.release(world), handling.lift(world, 0.15))
        takes = jnp.where(held, turns, handling.pick(world, 0, np.pi))
        return jnp.where(turned, ends, takes)

    def sweep(
        self, key: PRNGKeyArray, state: Any, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Float[Array, "5"]]:
        """Turn the way that the prompt says, resting every .175 rad."""
        del key
        world = state.world
        hold = jnp.zeros_like(world.gripper.position)
        turn = jnp.asarray(_STROKE)[kept % len(_STROKE)].astype(hold.dtype)
        turns = handling.command(hold, turn * jnp.sign(state.task.angle), -1.0)
        held = world.held == 0
        action = jnp.where(held, turns, handling.pick(world, 0, np.pi))
        return kept + held.astype(jnp.int32), self._action(action)

    def _secret(self, task: RotateEpisode) -> Float[Array, "4"]:
        """Sine and cosine of the yaw asked for, and the place."""
        asked = task.yaw + task.angle
        return jnp.stack([jnp.sin(asked), jnp.cos(asked), *task.place])

    def _strip(self, task: RotateEpisode) -> UInt8[Array, "tiles 3"]:
        """The angle's size: all tiles for the largest."""
        share = jnp.abs(task.angle) / self._most
        index = jnp.arange(_TILES, dtype=share.dtype)
        return draw.select(index < _TILES * share, draw.PLUS, draw.MARK)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """How the peg lay, sine and cosine, and where; with the steps since it did."""
        task = state.task
        since = jnp.where(task.moved_at < 0, 0, state.time - task.moved_at + 1)
        yaw = jnp.stack([jnp.sin(task.yaw), jnp.cos(task.yaw)])
        return {"yaw": (yaw, since), "place": (task.place, since)}

    @property
    def card(self) -> Card:
        """A yaw, and if strict a place."""
        return returns.card(
            self,
            memory="spatial",
            horizon=(1, self.max_steps),
            blind=self._blind(),
            note="no more is known of the turn than its sense; the hand may know more",
            outside_memory=True,
            phases=PHASES,
        )

    def _blind(self) -> Return:
        """The best of two ways to turn a peg without knowing how far it has been.

        A turn of one size, which is right for a width 2 * NEAR of all angles; or to
        stop at random, so that the turn is exponential with a mean m that depends on
        the angle a: exp(-(a - NEAR) / m) - exp(-(a + NEAR) / m), largest at
        m = 2 * NEAR / log((a + NEAR) / (a - NEAR)).
        """
        width = self._most - NEAR
        count = 10_000
        angle = NEAR + width * (np.arange(count) + 0.5) / count
        over, under = angle + NEAR, angle - NEAR
        stops = 2 * NEAR / over * (under / over) ** (under / (2 * NEAR))
        return computed(max(2 * NEAR / width, float(stops.mean())))


def _left(task: RotateEpisode, world: World) -> Float[Array, ""]:
    """By how much the peg is still to be turned, from -pi to pi."""
    left = task.yaw + task.angle - world.yaw[0]
    return jnp.mod(left + np.pi, 2 * np.pi) - np.pi


def _beside(task: RotateEpisode, world: World) -> Float[Array, "2"]:
    """How far the peg is from where it lay, along x and along y, metres."""
    return jnp.abs(world.position[0, :2] - task.place)


def _rests(world: World) -> Bool[Array, ""]:
    """Whether the hand neither moves nor turns."""
    return static(world) & (jnp.abs(world.gripper.spin) <= _TURNS)


def _leniently(task: RotateEpisode, world: World) -> Float[Array, ""]:
    """The original's dense reward of a task that is not strict."""
    off = jnp.abs(_left(task, world))
    away = distance(world, world.position[0])
    right = off < NEAR
    reward = jnp.exp(-5.0 * away) + paid(away < 0.1, 15.0 * jnp.exp(-1.5 * off))
    return reward + paid(right, 5.0) + paid(right & _rests(world), 2.0)


def _ids() -> Tasks:
    """RotateLenient and RotateStrict, Pos and PosNeg."""
    found: Tasks = {}
    for name, strict, steps in (("Lenient", False, 60), ("Strict", True, 90)):
        for ways, both in (("Pos", False), ("PosNeg", True)):
            given = {"both_ways": both, "strict": strict, "max_steps": steps}
            found[f"Rotate{name}{ways}-v0"] = (Rotate, given)
    return found


TASKS = _ids()
