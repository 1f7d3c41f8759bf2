"""Shell games whose mugs are moved: push the one that hides the ball, or pick it up."""

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.robot.episodes.clock import CUE
from envs.robot.episodes.episode import Outcome, Placement
from envs.robot.groups.shell_game import HALF_HEIGHT, MUGS, RADIUS, ShellGame
from envs.robot.hand import handling
from envs.robot.hand.touch import (
    SLOW,
    apart,
    closeness,
    distance,
    joint_speed,
    paid,
    static,
)
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import cylinder
from envs.robot.task import Tasks

BALL = 0.02
"""Radius of the ball, metres."""
REVEALS = 0.05
"""Metres that its mug must be off the table for the ball to show."""
PUSHED, LIFTED = 0.02, 0.01
"""Metres by which a mug is pushed, or held and lifted, to be the answer."""
LENIENT = 1.6
"""The original takes a goal as reached from so many times its radius."""
NARROW = 0.03
"""Radius of mugs that fit between the fingers, metres."""
_GRIP, _OVER = 0.02, 0.085
"""Metres above a mug's middle at which it is gripped, and passed over."""
_FITS = 0.008
"""Metres from the middle of the open fingers at which such a mug fits between them."""


@dataclasses.dataclass(frozen=True)
class MovingMugs(ShellGame):
    """What pushing and picking up share: mugs that physics moves, a ball under one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lamp or self.swaps != (0, 0):
            raise ValueError(
                f"{type(self).__name__} has one ball, and the hand alone moves mugs: "
                f"it needs lamp=False and swaps=(0, 0); not {self.lamp} and "
                f"{self.swaps}. ShellGame has both."
            )

    @property
    @abc.abstractmethod
    def _radius(self) -> float:
        """Of a mug, metres."""

    @property
    @abc.abstractmethod
    def _goal(self) -> tuple[tuple[float, float, float], float]:
        """From where the ball lay to where its mug is to go, and how near, metres."""

    @property
    def _things(self) -> tuple[Thing, ...]:
        """Mugs and the ball."""
        mug = cylinder("mug", self._radius, HALF_HEIGHT, moves=True)
        return (mug,) * MUGS + super()._things[MUGS:]

    def _deal(self, key: PRNGKeyArray) -> tuple[Any, Array, Array]:
        task, position, yaw = super()._deal(key)
        covered, answer = jnp.ones((), bool), jnp.full((), -1, jnp.int32)
        return task._replace(covered=covered, answer=answer), position, yaw

    def _script(self, task: Any, world: World, time: Int[Array, ""]) -> Placement:
        """While it is covered the ball is where its mug is; nothing else is put."""
        put = super()._script(task, world, time)
        hidden = task.covered & (task.clock.phase(time) != CUE)
        middle = world.position[task.target, :2]
        position = world.position.at[MUGS, :2].set(middle)
        which = jnp.zeros_like(put.which).at[MUGS].set(hidden)
        return Placement(which, position, put.yaw, put.present.at[MUGS].set(~hidden))

    def _judge(
        self, task: Any, world: World, time: Int[Array, ""]
    ) -> tuple[Any, Outcome]:
        acting = task.clock.acting(time)
        moved, counts = self._moved(task, world)
        mug = jnp.argmax(jnp.where(counts, moved, -1.0)).astype(jnp.int32)
        first = counts.any() & (task.answer < 0)
        task = task._replace(
            covered=self._covers(task, world),
            answer=jnp.where(first, mug, task.answer),
        )
        left, within = self._left(task, world, task.target)
        placed = left <= within
        success = placed & self._rests(world) & acting
        failure = (task.answer >= 0) & (task.answer != task.target) & self.committed
        shaped = self._shaped(world, task.target, placed, left)
        return task, Outcome(success, failure, paid(acting, shaped))

    def _covers(self, task: Any, world: World) -> Bool[Array, ""]:
        """Whether the mug is over its ball: still, or put over it again."""
        mug, ball = world.position[task.target], world.position[MUGS]
        down = mug[2] - HALF_HEIGHT <= REVEALS
        aside = apart(mug[:2], ball[:2])
        return down & (task.covered | (aside <= self._radius - BALL))

    def _left(
        self, task: Any, world: World, mug: Int[Array, ""]
    ) -> tuple[Float[Array, ""], float]:
        """How far a mug is from its goal, and how near is there, metres."""
        left = apart(world.position[mug], self._goal_of(task, mug))
        _, radius = self._goal
        within = radius * (1.0 if self.committed else LENIENT)
        return left, within

    def _goal_of(self, task: Any, mug: Int[Array, ""]) -> Float[Array, "3"]:
        way, _ = self._goal
        place = task.places[mug]
        ball = jnp.concatenate([place, jnp.full_like(place[:1], BALL)])
        return ball + jnp.array(way, place.dtype)

    @abc.abstractmethod
    def _moved(
        self, task: Any, world: World
    ) -> tuple[Float[Array, " mugs"], Bool[Array, " mugs"]]:
        """How far each mug was moved, and whether that makes it the answer."""

    def _rests(self, world: World) -> Bool[Array, ""]:
        """Whether the hand is slow enough for a success."""
        return static(world)

    @abc.abstractmethod
    def _shaped(
        self,
        world: World,
        mug: Int[Array, ""],
        placed: Bool[Array, ""],
        left: Float[Array, ""],
    ) -> Float[Array, ""]:
        """The original's dense reward of a step.

        Less what it pays for resting at the goal, which is a success.
        """

    @abc.abstractmethod
    def _handle(
        self, task: Any, world: World, mug: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """The command that brings a mug to its goal."""

    def _aim(self, task: Any, world: World, time: Int[Array, ""]) -> Float[Array, "5"]:
        return self._handle(task, world, task.target)

    def sweep(
        self, key: PRNGKeyArray, state: Any, kept: Int[Array, ""]
    ) -> tuple[Array, Array]:
        """Brings one mug after the other to its goal: `kept` of them so far."""
        del key
        mug = jnp.minimum(kept, MUGS - 1)
        left, within = self._left(state.task, state.world, mug)
        there = (left <= within) & self._rests(state.world) & self.acts(state)
        kept = kept + there.astype(jnp.int32)
        command = self._handle(state.task, state.world, jnp.minimum(kept, MUGS - 1))
        return kept, self._action(command)


@dataclasses.dataclass(frozen=True)
class ShellGamePush(MovingMugs):
    """Push the mug that hides the ball (MIKASA-Robo, ShellGamePush).

    A ball lies at one of three places; then mugs cover all three. The gripper pushes a
    mug away from the robot, and the first that it has pushed by 2 cm is the answer. The
    task is solved when the right one is within 6 cm of a point 10 cm ahead of where it
    stood, and the hand slow. The ball goes with its mug; no goal is shown, for it would
    tell the answer.

    Where the original differs: it counts 9.6 cm, so that a push of 4 mm will do, and
    goes on after a wrong push (`committed=False`). Its hidden mugs and balls stay in
    the way of what moves. Its older line has `cue=(5, 5)`, `max_steps=90`, 8 cm and a
    slower hand.
    """

    @property
    def _value(self) -> float:
        return 4.0

    @property
    def _radius(self) -> float:
        return RADIUS

    @property
    def _goal(self) -> tuple[tuple[float, float, float], float]:
        return (0.1, 0.0, 0.03), 0.06

    @property
    def _deed(self) -> str:
        return "push"

    def _moved(
        self, task: Any, world: World
    ) -> tuple[Float[Array, " mugs"], Bool[Array, " mugs"]]:
        away = apart(world.position[:MUGS, :2], task.places)
        return away, away > PUSHED

    def _rests(self, world: World) -> Bool[Array, ""]:
        """The original allows .3 rad/s of a joint here, elsewhere .2."""
        return arm.speed(world.gripper) <= 1.5 * SLOW

    def _shaped(
        self,
        world: World,
        mug: Int[Array, ""],
        placed: Bool[Array, ""],
        left: Float[Array, ""],
    ) -> Float[Array, ""]:
        away = distance(world, world.position[mug])
        shaped = closeness(away, 10.0) + paid(away <= 0.08, 2.0 * closeness(left, 5.0))
        return shaped + paid(placed, 0.2 * closeness(joint_speed(world), 5.0))

    def _handle(
        self, task: Any, world: World, mug: Int[Array, ""]
    ) -> Float[Array, "5"]:
        goal = self._goal_of(task, mug)[:2]
        return handling.push(world, mug, goal, RADIUS, HALF_HEIGHT)


@dataclasses.dataclass(frozen=True)
class ShellGamePick(MovingMugs):
    """Pick up the mug that hides the ball (MIKASA-Robo, ShellGamePick).

    A ball lies at one of three places; then mugs cover all three. The gripper lifts a
    mug, and the first that it has held 1 cm higher is the answer. The task is solved
    when the right one is within 5 cm of a point 12.5 cm above where the ball lay, and
    the hand rests. From 5 cm on a lifted mug uncovers the ball, which stays.

    Where the original differs. **Its mugs are wider than the fingers open, and have a
    handle to grasp; here they are upright cylinders 6 cm wide, gripped from the
    sides**: what it pays for nearness to the handle is paid for nearness to the mug. It
    counts 8 cm, so that a lift of 12 mm will do, and goes on after a wrong one
    (`committed=False`). In its older line all mugs are turned by an angle that is
    another for each answer, so that nobody need remember; here none is turned. A mug
    set down elsewhere takes its ball along there; here only one set down over it. The
    older line has `cue=(5, 5)`, `max_steps=90` and pays for no grasp.
    """

    @property
    def _value(self) -> float:
        return 75.0

    @property
    def _radius(self) -> float:
        return NARROW

    @property
    def _goal(self) -> tuple[tuple[float, float, float], float]:
        return (0.0, 0.0, 0.125), 0.05

    @property
    def _deed(self) -> str:
        return "lift"

    def _moved(
        self, task: Any, world: World
    ) -> tuple[Float[Array, " mugs"], Bool[Array, " mugs"]]:
        up = world.position[:MUGS, 2] - HALF_HEIGHT
        held = jnp.arange(MUGS, dtype=jnp.int32) == world.held
        return up, held & (up > LIFTED)

    def _shaped(
        self,
        world: World,
        mug: Int[Array, ""],
        placed: Bool[Array, ""],
        left: Float[Array, ""],
    ) -> Float[Array, ""]:
        away = distance(world, world.position[mug])
        reached, held = away <= 0.04, world.held == mug
        shaped = 3.0 * closeness(away, 10.0)
        shaped += paid(~reached, 1.5 * world.gripper.opening / arm.WIDEST)
        shaped += paid(reached, 2.0) + paid(reached & held, 10.0)
        shaped += paid(held, 30.0 * closeness(left, 5.0))
        return shaped + paid(placed & held, 5.0 * closeness(joint_speed(world), 5.0))

    def _handle(
        self, task: Any, world: World, mug: Int[Array, ""]
    ) -> Float[Array, "5"]:
        hand = world.gripper
        up = hand.position + self._goal_of(task, mug) - world.position[mug]
        lift = handling.command(arm.towards(hand, up))
        still = jnp.zeros_like(hand.position)
        grip = handling.catch(world, mug, still, _FITS, _OVER, _GRIP)
        return jnp.where(world.held == mug, lift, grip)


def _ids() -> Tasks:
    """ShellGamePush and ShellGamePick."""
    return {
        "ShellGamePush-v0": (ShellGamePush, {}),
        "ShellGamePick-v0": (ShellGamePick, {}),
    }


TASKS = _ids()
