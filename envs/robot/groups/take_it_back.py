"""Bring a cube to a goal that is shown, and then back to where it was."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Return, exact, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock
from envs.robot.episodes.clock import Range
from envs.robot.episodes.episode import Outcome, Placement
from envs.robot.hand import handling
from envs.robot.hand.touch import RISEN, closeness, distance, let_go, paid
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import cube, cylinder
from envs.robot.task import RobotTask, Tasks

PHASES = ("there", "wait", "back")
THERE, WAIT, BACK = range(3)
COLOURS = ("lime", "red", "magenta")
_LIME, _RED, _MAGENTA = range(3)
RADIUS = 0.08
"""Of goal and start: the cube's middle is within, metres."""
_HALF = 0.02
STARTS = 3
SPACING = 0.1
LENGTH, WIDTH = 0.1, 0.05
"""Of each of the three areas in which the cube starts, along x and along y."""
_ALONG = ((0.0, 0.1), (0.0, -0.05))
"""A way back on which the cube comes by every start."""
_CUBE = 1
"""Its row: what lies under it is drawn first."""


class TakeItBackEpisode(NamedTuple):
    """An episode.

    Attributes:
        start, goal: where the cube is first, and where it goes.
        area: which of the three areas the start is in.
        wait: steps for which nothing moves once the cube has reached the goal.
        moved_at: the time from which the cube is no longer at its start; -1 until then.
        reached_at: the time from which it has been at the goal; -1 until then.
    """

    start: Float[Array, "2"]
    goal: Float[Array, "2"]
    area: Int[Array, ""]
    wait: Int[Array, ""]
    moved_at: Int[Array, ""]
    reached_at: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class TakeItBack(RobotTask):
    """Bring a cube to a goal and back to where it was (MIKASA-Robo, TakeItBack).

    A cube stands in one of three areas, 10 by 5 cm, beside each other. Its middle is to
    come within 8 cm of that of a red disc, which then turns violet (magenta here). Then
    the cube is put in the middle of the disc and the hand goes home, both by
    themselves, and rest for `wait` steps, so that neither keeps the start. The answer
    is where the cube lies, still, when the hand has first risen from it, above 10 cm,
    outside of the disc: within 8 cm of where it was at first. That is wide: the best
    single place between two areas is right for .635 of all starts.

    Where the original differs: nothing is put anywhere and nothing waits; and the cube
    need only come by its start, in motion or in the hand, so that a way along all three
    areas succeeds. Both hold here with `committed=False`. There, goal and start overlap
    for a few, and coming into one may be coming into both. It pays 29 of the 30 of a
    success for staying with the cube at its start, which is one there; here that is no
    answer, and who is paid for it never rises. So with `committed` a success is worth
    60, and a cube that is back and let go pays the rest as long as it lies there, and
    up to 15 for the hand's height. Its older line has `max_steps=180`, and pays being
    at the right side of the cube within 1 cm, not 3.

    Attributes:
        wait: fewest and most steps.
    """

    wait: Range = (1, 5)
    max_steps: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        clock.check_ranges(type(self).__name__, self.max_steps, wait=self.wait)

    @property
    def _value(self) -> float:
        return 60.0 if self.committed else 30.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.01, 0.08, 0.01)

    @property
    def _things(self) -> tuple[Thing, ...]:
        return (cylinder("disc", RADIUS, 0.001), cube(_HALF, moves=True))

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[TakeItBackEpisode, Array, Array]:
        area_key, start_key, goal_key, wait_key = jax.random.split(key, 4)
        dtype = float_dtype()
        area = jax.random.randint(area_key, (), 0, STARTS, jnp.int32)
        corner = jnp.stack(
            [
                jnp.full((), -LENGTH / 2, dtype),
                SPACING * (area - 1).astype(dtype),
            ]
        )
        size = jnp.array([LENGTH, WIDTH], dtype)
        start = corner + size * jax.random.uniform(start_key, (2,), dtype)
        shift = jax.random.uniform(goal_key, (2,), dtype, -0.025, 0.025)
        goal = jnp.array([0.225, 0.0], dtype) + shift
        wait = jax.random.randint(
            wait_key, (), self.wait[0], self.wait[1] + 1, jnp.int32
        )
        never = jnp.full((), -1, jnp.int32)
        task = TakeItBackEpisode(start, goal, area, wait, never, never)
        heights = jnp.array([0.001, _HALF], dtype)
        position = jnp.concatenate([jnp.stack([goal, start]), heights[:, None]], axis=1)
        return task, position, jnp.zeros(2, dtype)

    def _phase(self, task: TakeItBackEpisode, time: Int[Array, ""]) -> Int[Array, ""]:
        over = time - task.reached_at >= task.wait
        after = jnp.where(over | (not self.committed), BACK, WAIT)
        return jnp.where(task.reached_at >= 0, after, THERE).astype(jnp.int32)

    def _acting(self, task: TakeItBackEpisode, time: Int[Array, ""]) -> Bool[Array, ""]:
        return self._phase(task, time) == BACK

    def _moves(self, task: TakeItBackEpisode, time: Int[Array, ""]) -> Bool[Array, ""]:
        return self._phase(task, time) != WAIT

    def _script(
        self, task: TakeItBackEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        """Cube and hand are put where they keep nothing, once the goal is reached."""
        put = (time == task.reached_at) & self.committed
        which = jnp.stack([jnp.zeros_like(put), put])
        height = jnp.full((1,), _HALF, task.goal.dtype)
        middle = jnp.concatenate([task.goal, height])
        position = world.position.at[_CUBE].set(middle)
        present = jnp.ones(2, bool)
        return Placement(which, position, jnp.zeros_like(world.yaw), present, put)

    def _looks(
        self, task: TakeItBackEpisode, world: World, time: Int[Array, ""]
    ) -> Looks:
        disc = jnp.where(task.reached_at >= 0, _MAGENTA, _RED)
        colour = jnp.stack([disc, jnp.asarray(_LIME)]).astype(jnp.int32)
        return Looks(world.present, colour)

    def _judge(
        self, task: TakeItBackEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[TakeItBackEpisode, Outcome]:
        from_start, from_goal = _apart(task, world)
        acting = self._acting(task, time)
        moved = (from_start > 1e-3) & (task.moved_at < 0)
        reached = (from_goal < RADIUS) & (task.reached_at < 0)
        task = task._replace(
            moved_at=jnp.where(moved, time + 1, task.moved_at),
            reached_at=jnp.where(reached, time + 1, task.reached_at),
        )
        back = from_start < RADIUS
        outside = from_goal >= RADIUS
        answered = acting & outside & let_go(world, _CUBE) & self.committed
        success = answered & back
        if not self.committed:
            success = back & (task.reached_at >= 0)
        return task, Outcome(success, answered & ~back, self._shaped(task, world))

    def _shaped(self, task: TakeItBackEpisode, world: World) -> Float[Array, ""]:
        """The original's terms: to the goal from behind, back from before it.

        And with `committed` for rising from a cube that is back.
        """
        place = world.position[_CUBE]
        from_start, from_goal = _apart(task, world)
        behind = place.at[0].add(-_HALF - 0.005)
        before = place.at[0].add(_HALF + 0.01)
        pushing, pulling = distance(world, behind), distance(world, before)
        near, nearer = closeness(from_goal, 5.0), closeness(from_start, 5.0)
        there = 2.0 * closeness(pushing, 5.0) + 1.5 * near
        there += paid(pushing < 0.03, 5.0 * near)
        back = 10.0 * closeness(pulling, 5.0)
        back += 4.0 * closeness(distance(world, place), 6.0)
        back += paid(pulling < 0.03, 15.0 * nearer)
        if self.committed:
            left = (from_start < RADIUS) & (world.held != _CUBE)
            risen = jnp.minimum(world.gripper.position[2] / RISEN, 1.0)
            back = jnp.where(left, 14.0 + 15.0 * nearer + 15.0 * risen, back)
        return jnp.where(task.reached_at >= 0, back, there)

    def _aim(
        self, task: TakeItBackEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """Take the cube and drag it to the goal, and back; let go, rise."""
        held = world.held == _CUBE
        back = task.reached_at >= 0
        place = jnp.where(back, task.start, task.goal)
        from_start, _ = _apart(task, world)
        there = back & (from_start < 0.02)
        slow = arm.speed(world.gripper) < 0.25
        ends = jnp.where(held, handling.release(world), handling.lift(world, 0.15))
        takes = _drag(world, place)
        return jnp.where(there & (slow | ~held), ends, takes)

    def sweep(
        self, key: PRNGKeyArray, state: Any, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Float[Array, "5"]]:
        """Drag the cube to the goal, and then by all places where it may have been."""
        del key
        task, world = state.task, state.world
        along = jnp.asarray(_ALONG, world.position.dtype)[kept]
        back = task.reached_at >= 0
        place = jnp.where(back, along, task.goal)
        there = ((world.position[_CUBE, :2] - along) ** 2).sum() < 0.02**2
        kept = jnp.where(back & there, 1, kept).astype(jnp.int32)
        return kept, self._action(_drag(world, place))

    def _secret(self, task: TakeItBackEpisode) -> Float[Array, "2"]:
        return task.start

    def _strip(self, task: TakeItBackEpisode) -> UInt8[Array, "tiles 3"]:
        """The area of the start, from the robot's left to its right."""
        tiles = jnp.arange(STARTS, dtype=jnp.int32)
        return draw.select(STARTS - 1 - task.area == tiles, draw.PLUS, draw.MARK)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """Where the cube was first; with the steps since it was there."""
        task = state.task
        since = jnp.where(task.moved_at < 0, 0, state.time - task.moved_at + 1)
        return {"start": (task.start, since)}

    @property
    def card(self) -> Card:
        """A place."""
        return returns.card(
            self,
            memory="spatial",
            horizon=(1, self.max_steps),
            blind=_blind(),
            note="the cube is left midway between two of the three areas",
            phases=PHASES,
        )


def _apart(
    task: TakeItBackEpisode, world: World
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far the cube is from start and goal, metres."""
    offset = world.position[_CUBE, :2][None] - jnp.stack([task.start, task.goal])
    apart = jnp.sqrt((offset**2).sum(1))
    return apart[0], apart[1]


def _drag(world: World, place: Float[Array, "2"]) -> Float[Array, "5"]:
    """Take the cube and move it along the table."""
    height = jnp.full((1,), _HALF, place.dtype)
    goal = jnp.concatenate([place, height])
    held = world.held == _CUBE
    carried = handling.carry(world, _CUBE, goal, _HALF)
    return jnp.where(held, carried, handling.pick(world, _CUBE))


def _blind() -> Return:
    """The share of starts near the best single place.

    That is midway between two areas: then within `RADIUS` is, of each, what a circle
    cuts off, from `first` to `last` along y, and of the third nothing.
    """
    first, last = (SPACING - WIDTH) / 2, (SPACING + WIDTH) / 2

    def under(y: float) -> float:
        """The area beside the circle's diameter, up to y."""
        return (y * math.sqrt(RADIUS**2 - y**2) + RADIUS**2 * math.asin(y / RADIUS)) / 2

    whole = math.sqrt(RADIUS**2 - (LENGTH / 2) ** 2)
    half = (whole - first) * LENGTH / 2 + under(last) - under(whole)
    return exact(2 / STARTS * 2 * half / (LENGTH * WIDTH))


def _ids() -> Tasks:
    """TakeItBack."""
    return {"TakeItBack-v0": (TakeItBack, {})}


TASKS = _ids()
