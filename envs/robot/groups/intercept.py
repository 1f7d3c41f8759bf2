"""A ball that rolls by: bring it into a goal, or catch it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, float_dtype
from envs.robot import returns
from envs.robot.episodes.episode import Outcome, Placement
from envs.robot.hand import handling
from envs.robot.hand.touch import apart, closeness, distance, paid, static
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import ball, cylinder
from envs.robot.task import RobotTask, Tasks

RADIUS = 0.02
GOAL = 0.1
"""Metres from the middle of the goal within which the ball is in it."""
AHEAD = 0.2
"""Metres from where the ball starts to the goal, along x."""
BALL_X, BALL_Y = (-0.35, -0.05), (-0.9, -0.65)
GOAL_Y = (-0.2, 0.2)
DRIFT = 0.05
"""Fastest first speed along x, m/s."""
ROLLS = 5 / 7
"""What is left of the speed of a ball that has begun to roll."""
BEHIND, REACHED = RADIUS + 0.05, 0.04
"""Metres behind the ball of the place to hit it from, and how near is there."""
COLOURS = ("red", "green")
_FASTEST = 2.0
"""m/s"""
_FITS = 0.018
"""Metres from the middle of the open fingers at which the ball fits between them."""


class InterceptEpisode(NamedTuple):
    """An episode.

    Attributes:
        velocity: of the ball, as it is now, along x and y.
        reached: whether the hand has been where the ball can be hit from.
    """

    velocity: Float[Array, "2"]
    reached: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class Intercept(RobotTask):
    """Bring a rolling ball into a goal, or catch it (MIKASA-Robo, Intercept, ...Grab).

    A ball is sent along y; it slides, and soon rolls at 5/7 of its first speed. With
    `grab` the task is solved when the fingers hold it and the hand rests. Otherwise it
    is to come within 10 cm of the middle of a goal, 20 cm further along x; a ball that
    is carried there counts, as in the original. No choice is wrong.

    How fast the ball is does not show: `vx` and `vy` of `things` are 0, and two frames
    tell it. **But nobody needs to know.** Within an id speeds differ from the middle
    one by a third at most; a policy without memory that takes the middle one, and goes
    where the ball is, comes near enough. The scripted policy is that one, and the card
    says `none` for the memory needed. What is more, the hand of one that follows the
    ball is as fast as the ball, and its speed shows. A ball that nobody touches ends in
    the goal in 0.7 % of Slow, less than 1 in 1,000 of Medium, never of Fast.

    Where the original differs: it shows the velocity among its privileged numbers
    (`committed=False`), and lets a ball for the goal fall from 2 cm. A success does not
    end it. Its older line has `max_steps=90`, and pays 45 for closing the fingers and
    100 for a grasp, where 90 and 200 are paid here.

    Attributes:
        speed: slowest and fastest first speed along y, m/s.
        grab: whether the ball is to be caught.
    """

    max_steps: int = 60
    speed: tuple[float, float] = (0.25, 0.5)
    grab: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.speed[0] <= self.speed[1] <= _FASTEST:
            raise ValueError(
                f"{type(self).__name__} needs speed to be the slowest and the fastest, "
                f"above 0 and up to {_FASTEST} m/s; not {self.speed}."
            )

    @property
    def _view(self) -> float:
        """The ball comes from far to the right."""
        return 2.4

    @property
    def _value(self) -> float:
        return 300.0 if self.grab else 30.0

    @property
    def _things(self) -> tuple[Thing, ...]:
        """The ball, and before it the goal, if there is one."""
        goal = () if self.grab else (cylinder("goal", GOAL, 0.001),)
        return (*goal, ball(RADIUS, moves=True))

    @property
    def _ball(self) -> int:
        """The row of the ball."""
        return len(self._things) - 1

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[InterceptEpisode, Array, Array]:
        x_key, y_key, goal_key, drift_key, speed_key = jax.random.split(key, 5)
        dtype = float_dtype()

        def drawn(key: PRNGKeyArray, least: float, most: float) -> Array:
            return jax.random.uniform(key, (), dtype, least, most)

        x = drawn(x_key, *BALL_X)
        places = [jnp.stack([x, drawn(y_key, *BALL_Y), jnp.full_like(x, RADIUS)])]
        if not self.grab:
            y = drawn(goal_key, *GOAL_Y)
            places.insert(0, jnp.stack([x + AHEAD, y, jnp.full_like(x, 0.001)]))
        speeds = [drawn(drift_key, 0.0, DRIFT), drawn(speed_key, *self.speed)]
        task = InterceptEpisode(jnp.stack(speeds), jnp.zeros((), bool))
        return task, jnp.stack(places), jnp.zeros(len(places), dtype)

    def _phase(self, task: InterceptEpisode, time: Int[Array, ""]) -> Int[Array, ""]:
        return jnp.zeros((), jnp.int32)

    def _acting(self, task: InterceptEpisode, time: Int[Array, ""]) -> Bool[Array, ""]:
        return jnp.ones((), bool)

    def _script(
        self, task: InterceptEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        """The ball is sent once."""
        sent = jnp.arange(len(self._things), dtype=jnp.int32) == self._ball
        velocity = jnp.zeros_like(world.velocity).at[self._ball, :2].set(task.velocity)
        put = world.position, world.yaw, jnp.ones_like(sent)
        return Placement(sent & (time == 0), *put, velocity=velocity)

    def _looks(
        self, task: InterceptEpisode, world: World, time: Int[Array, ""]
    ) -> Looks:
        """The ball is red, the goal green."""
        colour = self._ball - jnp.arange(len(self._things), dtype=jnp.int32)
        return Looks(world.present, colour)

    def _observe(self, state: Any) -> Any:
        world = state.world
        if self.committed:
            world = world._replace(velocity=jnp.zeros_like(world.velocity))
        return super()._observe(state._replace(world=world))

    def _judge(
        self, task: InterceptEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[InterceptEpisode, Outcome]:
        task = task._replace(velocity=world.velocity[self._ball, :2])
        never = jnp.zeros((), bool)
        if self.grab:
            held = world.held == self._ball
            shaped = _grasping(world, world.position[self._ball], held)
            return task, Outcome(held & static(world), never, shaped)
        place, goal = world.position[self._ball], world.position[0]
        left = apart(place[:2], goal[:2])
        away = distance(world, _hit_from(place, goal))
        task = task._replace(reached=task.reached | (away < REACHED))
        placing, reaching = 5.0 * closeness(left, 1.0), 2.0 * closeness(away, 2.0)
        shaped = jnp.where(task.reached, placing, reaching)
        return task, Outcome(left < GOAL, never, shaped)

    def _aim(
        self, task: InterceptEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """Catch the ball, as fast as half of them are, and carry it into the goal."""
        hand = world.gripper
        middle = (DRIFT / 2, sum(self.speed) / 2, 0.0)
        velocity = ROLLS * jnp.array(middle, hand.position.dtype)
        move = jnp.zeros_like(hand.position)
        if not self.grab:
            move = arm.towards(hand, hand.position.at[:2].set(world.position[0, :2]))
        catch = handling.catch(world, self._ball, velocity, _FITS)
        return jnp.where(world.held == self._ball, handling.command(move), catch)

    def _secret(self, task: InterceptEpisode) -> Float[Array, "2"]:
        return task.velocity.astype(jnp.float32)

    def _strip(self, task: InterceptEpisode) -> UInt8[Array, "tiles 3"]:
        """A bar: the ball's speed, as a share of the fastest it can be at first."""
        speed = jnp.sqrt((task.velocity**2).sum()).astype(jnp.float32)
        steps = jnp.arange(1, 9, dtype=jnp.float32) / 8
        return draw.select(speed >= steps * self.speed[1], draw.PLUS, draw.MARK)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """How fast the ball is along x and y; with the steps so far."""
        return {"velocity": (state.task.velocity, state.time)}

    @property
    def card(self) -> Card:
        """No memory is needed: the scripted policy reads what is on show."""
        told = {"memory": "none", "horizon": (0, 0), "phases": ("act",)}
        card = returns.card(self, ways=1, note="", **told)
        note = "the scripted policy takes the middle speed, and needs no memory"
        reached = card.oracle._replace(note=note)
        return dataclasses.replace(
            card, memoryless=reached, recall=reached, outside_memory=True
        )


def _hit_from(place: Float[Array, "3"], goal: Float[Array, "3"]) -> Float[Array, "3"]:
    """Where to hit the ball from: behind it, seen from the goal."""
    back = place - goal
    return place + BEHIND * back / jnp.maximum(jnp.sqrt((back**2).sum()), 1e-6)


def _grasping(
    world: World, place: Float[Array, "3"], held: Bool[Array, ""]
) -> Float[Array, ""]:
    """The original's terms of grasping the ball."""
    away, width = distance(world, place), world.gripper.opening
    deep = jnp.abs(place - world.gripper.position)[2] <= 1.5 * RADIUS
    between = (away <= 2 * RADIUS) & deep & (width >= 2 * RADIUS)
    wide = jnp.maximum(jnp.abs(width - 2 * RADIUS) - 0.02, 0.0)
    shaped = 10.0 * closeness(away, 3.0) + paid(held, 200.0)
    shaped += paid(away <= 1.25 * RADIUS, 30.0 * (1.0 - away / (3 * RADIUS)))
    shaped += paid(between, 10.0 + 90.0 * jnp.exp(-5.0 * wide))
    return shaped + paid(between & (width <= 2 * RADIUS + 0.02), 90.0)


def _ids() -> Tasks:
    """Intercept and InterceptGrab, Slow, Medium and Fast."""
    speeds = {"Slow": (0.25, 0.5), "Medium": (0.5, 0.75), "Fast": (0.75, 1.0)}
    return {
        f"{name}{level}-v0": (Intercept, {"speed": speed, **grab})
        for name, grab in (("Intercept", {}), ("InterceptGrab", {"grab": True}))
        for level, speed in speeds.items()
    }


TASKS = _ids()
