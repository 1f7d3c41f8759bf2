"""Trace with a cube the path that another one was shown to take."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, float_dtype, simulated
from envs.robot import returns
from envs.robot.episodes import clock, layout, paths
from envs.robot.episodes.clock import Clock, Range
from envs.robot.episodes.episode import Outcome, Placement, RobotState
from envs.robot.episodes.paths import CENTRE, CHECKPOINTS, POINTS, REACH
from envs.robot.hand import button, handling
from envs.robot.hand.touch import apart, closeness, distance, paid, reach
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import ball, cube
from envs.robot.task import RobotTask, Tasks

PHASES = ("wait", "watch", "trace")
COLOURS = ("green", "red", "white", "black")
_GREEN, _RED, _WHITE, _BLACK = range(4)
_CUBE, _SHOWN, _LAMP, _BUTTON = range(4)
_LAMP_ASIDE, _CUBE_ASIDE = 0.25, -0.16
"""Metres from the centre along x, by the original's rules."""
_FAR = ((-0.46, -0.42), (-0.1, 0.1))
"""Where the cube starts along x and y: no path reaches there."""
_NEAR = 0.05
"""Metres from the hand within which the dense reward takes the cube for held."""
_AHEAD = 2


class TraceShapeEpisode(NamedTuple):
    """An episode.

    Attributes:
        clock: when the shown cube is hidden, and the other one to be moved.
        begins: the time at which the shown cube starts to move.
        number: how many paths there are.
        shapes: of each path, as `paths.NAMES` has them.
        centre: of them all.
        radius, turn: of each.
        closed: how many have been traced.
        visited: which checkpoints of the path to trace now have been.
    """

    clock: Clock
    begins: Int[Array, ""]
    number: Int[Array, ""]
    shapes: Int[Array, " most"]
    centre: Float[Array, "2"]
    radius: Float[Array, " most"]
    turn: Float[Array, " most"]
    closed: Int[Array, ""]
    visited: Bool[Array, "12"]


@dataclasses.dataclass(frozen=True)
class TraceShape(RobotTask):
    """Move a cube along the path that was shown (MIKASA-Robo, TraceShape, -Seq).

    A red cube waits, then runs along a closed path of 64 points, one per step, while
    the hand is still; of several paths about one centre it runs along one after the
    other. Then it is hidden, a lamp turns green, and a green cube is to be moved so
    that its middle comes within 3.5 cm of twelve points of the path, seen from above
    and in any order, and then again of the first. Several paths are traced in the
    order shown, and at the end a button is pressed.

    A path begins at the first of its twelve points that is visited, and from then on
    being further than 3.5 cm from all of its 64 points is a failure. It is as much as
    a visit allows: with more, a cube that goes to and fro across its way would visit
    more paths than it may take.

    Where the original differs (`committed=False`): leaving the path costs nothing, so
    that a sweep over the table visits all of it; the hand moves while the path is
    shown; and lamp, button and green cube stand at fixed distances from the path's
    centre, so that one circle about it is near enough to every circle that can be
    drawn. Here lamp and button are placed as about another centre, and the green cube
    further back than any path reaches. In both, a press before all is traced is a
    failure, nothing hidden is in the way, and no cue beside the picture tells the list
    of shapes, as the original's does. The last eight points are not checked, nor are
    they there. Leaving the path has the price of its early press, 2. It has no older
    line of this task.

    Attributes:
        shapes: how many kinds of path occur: circles; squares too; triangles too.
        sequence: fewest and most paths.
        confirm: whether a button ends it.
        wait: fewest and most steps before the red cube moves.
    """

    shapes: int = 1
    sequence: Range = (1, 1)
    confirm: bool = False
    wait: Range = (3, 8)
    max_steps: int = 250

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not 1 <= self.shapes <= len(paths.NAMES):
            raise ValueError(
                f"{name} needs shapes to be how many of {', '.join(paths.NAMES)} "
                f"occur, from 1 to {len(paths.NAMES)}; not {self.shapes}."
            )
        clock.check_range(name, "sequence", self.sequence)
        cue = self.wait[0], self.wait[1] + POINTS * self.sequence[1]
        clock.check_ranges(name, self.max_steps, wait=cue)

    @property
    def _view(self) -> float:
        """The cube stands behind all paths."""
        return 1.2

    @property
    def _value(self) -> float:
        return 40.0 if self.confirm else 30.0

    @property
    def _price(self) -> float:
        return -2.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.01, 0.03, 0.01)

    @property
    def _things(self) -> tuple[Thing, ...]:
        """The cube to move, the one that shows, the lamp, and the button."""
        lamp = ball(0.012, kind="lamp")
        return (cube(moves=True), cube(), lamp) + (button.button(),) * self.confirm

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[TraceShapeEpisode, Array, Array]:
        keys = jax.random.split(key, 8)
        dtype, most = float_dtype(), self.sequence[1]
        least = jnp.array([self.wait[0], self.sequence[0]], jnp.int32)
        ends = jnp.array([self.wait[1], most], jnp.int32)
        wait, number = jax.random.randint(keys[0], (2,), least, ends + 1, jnp.int32)
        asks = wait + POINTS * number
        centre = _within(keys[1], CENTRE)
        radius = jax.random.uniform(keys[2], (most,), dtype, *paths.RADIUS)
        turn = jax.random.uniform(keys[3], (most,), dtype, 0.0, 2 * np.pi)
        task = TraceShapeEpisode(
            clock=Clock(hides=asks, asks=asks),
            begins=wait,
            number=number,
            shapes=jax.random.randint(keys[4], (most,), 0, self.shapes, jnp.int32),
            centre=centre,
            radius=radius,
            turn=turn,
            closed=jnp.zeros((), jnp.int32),
            visited=jnp.zeros(len(CHECKPOINTS), bool),
        )
        apart = jnp.array([[_CUBE_ASIDE, 0], [_LAMP_ASIDE, 0]], dtype)
        start, lamp = centre[None] + apart
        if self.committed:
            start = _within(keys[5], _FAR)
            lamp = _within(keys[6], CENTRE) + apart[1]
        end = lamp + jnp.array([0.02, 0.16], dtype)
        flat = jnp.stack([start, centre, lamp, end][: len(self._things)])
        heights = jnp.array([0.02, 0.02, 0.06, 0.03], dtype)[: len(flat)]
        position = layout.on_table(flat, 0.0).at[:, 2].set(heights)
        return task, position, jnp.zeros(len(flat), dtype)

    def _phase(self, task: TraceShapeEpisode, time: Int[Array, ""]) -> Int[Array, ""]:
        moves = (time >= task.begins).astype(jnp.int32)
        return moves + self._acting(task, time).astype(jnp.int32)

    def _script(
        self, task: TraceShapeEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        since = jnp.maximum(time - task.begins, 0)
        index = jnp.minimum(since // POINTS, task.number - 1)
        place = _path(task, index)[since % POINTS]
        things = jnp.arange(len(self._things), dtype=jnp.int32)
        shown = things == _SHOWN
        position = world.position.at[_SHOWN, :2].set(place)
        present = ~shown | ~self._acting(task, time)
        return Placement(shown, position, world.yaw, present)

    def _looks(
        self, task: TraceShapeEpisode, world: World, time: Int[Array, ""]
    ) -> Looks:
        lamp = jnp.array([_WHITE, _RED, _GREEN], jnp.int32)[self._phase(task, time)]
        ends = jnp.full(int(self.confirm), _BLACK, jnp.int32)
        cubes = jnp.array([_GREEN, _RED], jnp.int32)
        return Looks(world.present, jnp.concatenate([cubes, lamp[None], ends]))

    def _judge(
        self, task: TraceShapeEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[TraceShapeEpisode, Outcome]:
        acting = self._acting(task, time)
        active = jnp.minimum(task.closed, task.number - 1)
        there = paths.distances(_path(task, active), world.position[_CUBE, :2])
        near = there[CHECKPOINTS] < REACH
        open_still = acting & (task.closed < task.number)
        visited = task.visited | (near & open_still)
        closes = open_still & visited.all() & near[0]
        left = open_still & ~closes & visited.any() & (there.min() > REACH)
        closed = task.closed + closes.astype(jnp.int32)
        done = closed >= task.number
        fresh = closes & ~done
        task = task._replace(
            closed=closed, visited=jnp.where(fresh, jnp.zeros_like(visited), visited)
        )
        success, failure = acting & done, left & self.committed
        if self.confirm:
            # Any press ends the episode, so that no button need know of another.
            tool, place = world.gripper.position, world.position[_BUTTON]
            pressed = acting & button.fresh().advance(tool, place)[1]
            success = pressed & done
            failure |= pressed & ~done
        shaped = self._shaped(task, world, acting)
        return task, Outcome(success, failure, shaped)

    def _shaped(
        self, task: TraceShapeEpisode, world: World, acting: Bool[Array, ""]
    ) -> Float[Array, ""]:
        """The original's terms; they are not the same for one path and for several."""
        there = world.position[_CUBE]
        away = distance(world, there)
        near = away < _NEAR
        active = jnp.minimum(task.closed, task.number - 1)
        checked = _path(task, active)[CHECKPOINTS]
        apart = paths.distances(checked, there[:2])
        share = task.visited.astype(away.dtype).mean()
        shaped = paid(task.visited.all(), 2.0 * closeness(apart[0], 5.0))
        if self.confirm:
            shaped += paid(near, 1.8) + 2.5 * share
            closed = task.closed.astype(away.dtype) / task.number.astype(away.dtype)
            shaped += 3.0 * closed
            place = world.position[_BUTTON]
            depth = button.press_depth(world.gripper.position, place) / button.TRAVEL
            top = place.at[2].set(2 * button.button().half[2] + 0.005)
            pressing = 1.5 * closeness(distance(world, top), 8.0) + 2.5 * depth
            shaped += paid(task.closed >= task.number, pressing)
        else:
            nearest = jnp.where(task.visited, 1000.0, apart).min()
            shaped += paid(near, 2.0 + 2.0 * closeness(nearest, 5.0)) + 3.0 * share
        reached = closeness(away, 5.0)
        return jnp.where(acting, reached + shaped, 0.5 * reached)

    def _aim(
        self, task: TraceShapeEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        there = world.position[_CUBE, :2]
        path = _path(task, jnp.minimum(task.closed, task.number - 1))
        away = paths.distances(path, there)
        here = jnp.argmin(away)
        # Along the path where the cube is on it, else to its nearest point.
        ahead = jnp.where(away[here] <= REACH / 2, here + _AHEAD, here)
        goal = path[ahead % POINTS]
        command = _moved(world, goal)
        if self.confirm:
            done = task.closed >= task.number
            command = jnp.where(done, _press(world), command)
        return command

    def sweep(
        self, key: PRNGKeyArray, state: RobotState, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Array]:
        """Carry the cube to and fro over all that a path about the centre can reach."""
        del key
        task, world = state.task, state.world
        half = paths.RADIUS[1] * (np.sqrt(2) if self.shapes > 1 else 1.0)
        rows = int(np.ceil(2 * half / _ROW)) + 1
        turn = np.arange(2 * rows)
        row = turn // 2
        side = np.where((turn + row) % 2 == 0, -1.0, 1.0)
        places = np.stack([np.linspace(-half, half, rows)[row], half * side], axis=1)
        both = np.concatenate([places, places[::-1]])
        centre = world.position[_LAMP, :2].at[0].add(-_LAMP_ASIDE)
        goal = centre + jnp.asarray(both, centre.dtype)[kept % len(both)]
        away = apart(goal, world.position[_CUBE, :2])
        arrived = (away < 0.02) & (world.held == _CUBE) & self._acting(task, state.time)
        command = _moved(world, goal)
        if self.confirm:
            done = kept >= _SWEEPS * len(places)
            command = jnp.where(done, _press(world), command)
        return kept + arrived.astype(jnp.int32), self._action(command)

    def _secret(self, task: TraceShapeEpisode) -> Float[Array, " numbers"]:
        shapes = jax.nn.one_hot(task.shapes, len(paths.NAMES), dtype=jnp.float32)
        told = (
            *(shapes.ravel(), task.centre, task.radius),
            *(jnp.sin(task.turn), jnp.cos(task.turn), task.visited),
            *(task.number[None], task.closed[None]),
        )
        return jnp.concatenate([x.astype(jnp.float32) for x in told])

    def _strip(self, task: TraceShapeEpisode) -> UInt8[Array, "tiles 3"]:
        """The points that are checked of the path to trace, less those visited."""
        return draw.select(task.visited, draw.MARK, draw.PLUS)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """The shapes in their order, and how many; with the steps since the last."""
        task, since = state.task, state.task.clock.unseen(state.time)
        return {"shapes": (task.shapes, since), "number": (task.number, since)}

    @property
    def card(self) -> Card:
        """A movement."""
        least, most = self.sequence
        share = paths.share_of_a_circle(self.shapes, least, most)
        half = 1.96 * np.sqrt(share * (1 - share) / paths.EPISODES)
        return returns.card(
            self,
            memory="procedural",
            horizon=(1, self.max_steps - self.wait[0]),
            blind=simulated(share, paths.EPISODES, float(half)),
            note=(
                "one fixed circle, traced over and over, the best of fixed circles, "
                "squares and triangles; that no other path does better is not shown"
            ),
            phases=PHASES,
        )


_ROW = 0.05
"""Metres between the ways to and fro of a sweep."""
_SWEEPS = 8
"""After so many the button is pressed."""


def _within(key: PRNGKeyArray, ends: tuple) -> Float[Array, "2"]:
    """A place drawn between these ends."""
    dtype = float_dtype()
    least, most = jnp.array(ends, dtype).T
    return least + (most - least) * jax.random.uniform(key, (2,), dtype)


def _path(task: TraceShapeEpisode, index: Int[Array, ""]) -> Float[Array, "points 2"]:
    return paths.points(
        task.shapes[index], task.centre, task.radius[index], task.turn[index]
    )


def _moved(world: World, goal: Float[Array, "2"]) -> Float[Array, "5"]:
    """The command that brings the cube above a place, picking it up before."""
    height = jnp.full((1,), handling.CARRY, goal.dtype)
    carry = handling.carry(world, _CUBE, jnp.concatenate([goal, height]))
    return jnp.where(world.held == _CUBE, carry, handling.pick(world, _CUBE))


def _press(world: World) -> Float[Array, "5"]:
    """The command of a hand on its way to press the button."""
    tool, place = world.gripper.position, world.position[_BUTTON]
    return reach(world, button.stroke(tool, place, jnp.zeros((), bool)))


def _ids() -> Tasks:
    """TraceShape and TraceShapeSeq, Easy, Medium and Hard."""
    found = {}
    levels = {"Easy": 250, "Medium": 300, "Hard": 350}
    for shapes, (level, steps) in enumerate(levels.items(), start=1):
        given = {"shapes": shapes, "max_steps": steps}
        found[f"TraceShape{level}-v0"] = (TraceShape, given)
    for shapes, level in enumerate(levels, start=1):
        given = {"shapes": shapes, "sequence": (2, 5), "max_steps": 1500}
        found[f"TraceShapeSeq{level}-v0"] = (TraceShape, {**given, "confirm": True})
    return found


TASKS = _ids()
