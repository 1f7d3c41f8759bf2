"""Let a cube go a given time after a lamp's signal: the delay must be counted."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Return, exact, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock, layout
from envs.robot.episodes.clock import Range
from envs.robot.episodes.episode import Outcome, Placement, RobotState, left_alone
from envs.robot.hand import handling
from envs.robot.hand.touch import apart, closeness, distance, joint_speed, paid
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import ball, cube, cylinder
from envs.robot.task import RobotTask, Tasks

PHASES = ("prepare", "wait", "due")
COLOURS = ("blue", "red", "green", "white")
_BLUE, _RED, _GREEN, _WHITE = range(4)
_CUBE, _GOAL, _STORE, _LAMP = range(4)
APART = 0.22
"""Metres between the two discs, along y."""
ZONE, LOW = 0.05, 0.066
"""The cube is on the disc within so many metres beside its middle and below so many."""
_HOLD, _ABOVE = 0.045, 0.12
"""Heights of the cube, metres: on the disc while it is held, and not yet on it."""
OPENS = 0.5
"""Finger command above which the cube is let go once the hand is locked."""


class TimedTransferEpisode(NamedTuple):
    """An episode.

    Attributes:
        asks: the time at which the lamp has turned green.
        elapsed: steps taken since.
        place, yaw: the cube's, as they were then.
    """

    asks: Int[Array, ""]
    elapsed: Int[Array, ""]
    place: Float[Array, "3"]
    yaw: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class TimedTransfer(RobotTask):
    """Let a cube go `delay` steps after a signal (MIKASA-Robo, TimedTransfer).

    A blue cube stands on a green disc, 22 cm from a red one. While a lamp is white the
    cube is fetched and held over the red disc, within 5 cm of its middle and with its
    own below 6.6 cm. Then the lamp turns green and stays so, and the hand stops where
    it is. All that it still obeys is a finger command above 0.5, which opens it wide.
    That is the answer: right if the cube is let go over the disc and as many steps
    after the signal as `delay` says, give or take a twentieth. Any other letting go is
    a failure, and so is holding no cube at the signal, or holding it too long.

    Where the original differs (`committed=False`): it gives the signal after 1 to 3
    steps and the hand moves freely to the end, so that a cube carried slowly enough
    arrives in time: the hand's place is the clock, and no memory is needed. Here
    nothing that is seen changes between the signal and the answer. There a cube on the
    disc counts though it is held. Its dense reward shapes after the signal; here while
    the lamp is white as well, holding the cube near the disc then paying what it pays
    there in the window, and being on the disc early costs nothing, for that is where
    the cube waits. Its limit is shorter by the longest preparation, 70 steps; the
    window ends before either. What its classes say of their delays is not what they
    do; theirs are done here. It has no older line of this task.

    Attributes:
        delay: steps from the signal to the middle of the window.
        preparation: fewest and most steps of a white lamp.
        signal: the same by the original's rules.
    """

    delay: int = 100
    preparation: Range = (50, 70)
    signal: Range = (1, 3)
    max_steps: int = 270

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        clock.check_range(name, "preparation", self.preparation)
        clock.check_range(name, "signal", self.signal)
        if self.delay < 2:
            raise ValueError(
                f"{name} needs a delay of 2 steps or more, or the first answer is "
                f"right; not {self.delay}."
            )
        longest = self._white[1] + self._window[1]
        if longest > self.max_steps:
            raise ValueError(
                f"{name} asks for an answer up to step {longest}, and max_steps="
                f"{self.max_steps} ends the episode before; raise max_steps."
            )

    @property
    def _white(self) -> Range:
        return self.preparation if self.committed else self.signal

    @property
    def _window(self) -> Range:
        """Steps after the signal: the first and the last that are right."""
        return int(0.95 * self.delay), int(1.05 * self.delay)

    @property
    def _value(self) -> float:
        return 30.0

    @property
    def _price(self) -> float:
        return -25.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.01, 0.03, 0.01)

    @property
    def _things(self) -> tuple[Thing, ...]:
        """The cube, the red disc, the green one, and the lamp."""
        disc = cylinder("disc", 0.07, 0.003)
        return (cube(moves=True), disc, disc, ball(0.012, kind="lamp"))

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[TimedTransferEpisode, Array, Array]:
        white_key, x_key, y_key = jax.random.split(key, 3)
        dtype = float_dtype()
        least, most = self._white
        x = jax.random.uniform(x_key, (), dtype, -0.15, -0.05)
        y = jax.random.uniform(y_key, (), dtype, -0.05, 0.05)
        aside = APART / 2
        offsets = [[0, -aside], [0, aside], [0, -aside], [0.25, 0]]
        places = jnp.array(offsets, dtype) + jnp.stack([x, y])[None]
        heights = jnp.array([0.02, 0.003, 0.003, 0.06], dtype)
        position = layout.on_table(places, 0.0).at[:, 2].set(heights)
        task = TimedTransferEpisode(
            asks=jax.random.randint(white_key, (), least, most + 1, jnp.int32),
            elapsed=jnp.zeros((), jnp.int32),
            place=position[_CUBE],
            yaw=jnp.zeros((), dtype),
        )
        return task, position, jnp.zeros(4, dtype)

    def _phase(
        self, task: TimedTransferEpisode, time: Int[Array, ""]
    ) -> Int[Array, ""]:
        acting = self._acting(task, time)
        due = acting & self._due(time + 1 - task.asks)
        return acting.astype(jnp.int32) + due.astype(jnp.int32)

    def _acting(
        self, task: TimedTransferEpisode, time: Int[Array, ""]
    ) -> Bool[Array, ""]:
        return time >= task.asks

    def _due(self, elapsed: Int[Array, ""]) -> Bool[Array, ""]:
        return (elapsed >= self._window[0]) & (elapsed <= self._window[1])

    def _obeyed(
        self,
        task: TimedTransferEpisode,
        world: World,
        time: Int[Array, ""],
        command: Float[Array, "5"],
    ) -> Float[Array, "5"]:
        if not self.committed:
            return command
        # Fingers that open bit by bit would count the steps.
        opened = jnp.zeros_like(command).at[4].set(1.0)
        locked = jnp.where(command[4] > OPENS, opened, jnp.zeros_like(command))
        return jnp.where(self._acting(task, time), locked, command)

    def _scripted(
        self, task: TimedTransferEpisode, world: World, time: Int[Array, ""]
    ) -> World:
        world = super()._scripted(task, world, time)
        if not self.committed:
            return world
        # Nothing stirs in the locked hand: neither a speed that dies away nor a cube
        # that is settled between the fingers may count the steps.
        still = self._acting(task, time)
        holds = still & (world.held == _CUBE)
        hand = world.gripper
        hand = hand._replace(
            velocity=jnp.where(still, jnp.zeros_like(hand.velocity), hand.velocity),
            spin=jnp.where(still, jnp.zeros_like(hand.spin), hand.spin),
        )
        there = world.position.at[_CUBE].set(task.place)
        return world._replace(
            gripper=hand,
            position=jnp.where(holds, there, world.position),
            yaw=jnp.where(holds, world.yaw.at[_CUBE].set(task.yaw), world.yaw),
            velocity=jnp.where(holds, jnp.zeros_like(there), world.velocity),
            spin=jnp.where(holds, jnp.zeros_like(world.spin), world.spin),
        )

    def _script(
        self, task: TimedTransferEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        return left_alone(world, jnp.ones(4, bool))

    def _looks(
        self, task: TimedTransferEpisode, world: World, time: Int[Array, ""]
    ) -> Looks:
        lamp = jnp.where(self._acting(task, time), _GREEN, _WHITE)
        colours = jnp.array([_BLUE, _RED, _GREEN], jnp.int32)
        colour = jnp.concatenate([colours, lamp[None].astype(jnp.int32)])
        return Looks(world.present, colour)

    def _judge(
        self, task: TimedTransferEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[TimedTransferEpisode, Outcome]:
        acting = self._acting(task, time)
        elapsed = time + 1 - task.asks
        due = self._due(elapsed)
        placed = self._placed(world)
        early = acting & (elapsed < self._window[0])
        late = elapsed > self._window[1]
        if self.committed:
            answered = acting & (world.held != _CUBE)
            success = answered & placed & due
            failure = (answered & ~success) | late
        else:
            success = placed & due
            failure = (placed & early) | late
        shaped = self._shaped(world, acting, due)
        if not self.committed:
            shaped -= paid(placed & early, 5.0)
        place, yaw = world.position[_CUBE], world.yaw[_CUBE]
        task = task._replace(
            elapsed=jnp.maximum(elapsed, 0),
            place=jnp.where(acting, task.place, place),
            yaw=jnp.where(acting, task.yaw, yaw),
        )
        return task, Outcome(success, failure, shaped)

    def _placed(self, world: World) -> Bool[Array, ""]:
        """Whether the cube is on the red disc, held or not."""
        offset = (world.position[_CUBE] - world.position[_GOAL])[:2]
        near = (offset**2).sum() < ZONE**2
        return near & (world.position[_CUBE, 2] < LOW)

    def _shaped(
        self, world: World, acting: Bool[Array, ""], due: Bool[Array, ""]
    ) -> Float[Array, ""]:
        """The original's terms but for being early."""
        there = world.position[_CUBE]
        away = apart(there, world.position[_GOAL])
        holds = world.held == _CUBE
        due &= acting
        on = due & self._placed(world)
        brings, counts = due, acting
        if self.committed:
            brings, counts = due | ~acting, jnp.ones_like(acting)
        shaped = 2.0 * closeness(distance(world, there), 10.0) + paid(holds, 3.0)
        shaped += paid(holds & brings, 20.0 * closeness(away, 5.0))
        shaped += paid(on, 5.0 + 3.0 * closeness(joint_speed(world), 5.0))
        return paid(counts, shaped)

    def _aim(
        self, task: TimedTransferEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        elapsed = time + 1 - task.asks
        goal = world.position[_GOAL]
        if self.committed:
            carry = handling.carry(world, _CUBE, goal.at[2].set(_HOLD))
            ripe = elapsed >= self.delay
            carry = jnp.where(ripe, handling.release(world), carry)
        else:
            ripe = elapsed >= self._window[0]
            height = jnp.where(ripe, _HOLD, _ABOVE).astype(goal.dtype)
            carry = handling.carry(world, _CUBE, goal.at[2].set(height))
        return jnp.where(world.held == _CUBE, carry, handling.pick(world, _CUBE))

    def sweep(
        self, key: PRNGKeyArray, state: RobotState, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Array]:
        """Fetch the cube and carry it so slowly that it arrives in the window."""
        del key
        world = state.world
        there, goal = world.position[_CUBE], world.position[_GOAL]
        steps = self.delay + sum(self.signal) / 2 - _FETCHED
        speed = (APART - ZONE) / steps / (arm.FASTEST * arm.CONTROL_STEP)
        held = world.held == _CUBE
        # Across at one speed, and otherwise to where the cube is on the disc.
        level = goal.at[1].set(there[1]).at[2].set(_HOLD)
        drift = handling.carry(world, _CUBE, level).at[1].set(speed)
        command = jnp.where(held, drift, handling.pick(world, _CUBE))
        return kept, self._action(command)

    def _secret(self, task: TimedTransferEpisode) -> Float[Array, "3"]:
        told = (task.elapsed, *map(jnp.int32, self._window))
        return jnp.stack(told).astype(jnp.float32)

    def _strip(self, task: TimedTransferEpisode) -> UInt8[Array, "tiles 3"]:
        """A tile for each tenth of the delay that is left."""
        index = jnp.arange(10, dtype=jnp.int32)
        left = index * self.delay >= task.elapsed * 10
        return draw.select(left, draw.PLUS, draw.MARK)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """Steps since the signal, which was last seen to be given as long ago."""
        elapsed = jnp.maximum(state.time - state.task.asks, 0)
        return {"elapsed": (elapsed, elapsed)}

    @property
    def card(self) -> Card:
        """A length of time."""
        return returns.card(
            self,
            memory="temporal",
            horizon=self._window,
            blind=by_chance(self._window),
            note="letting go with the best constant chance at each step",
            phases=PHASES,
        )


_FETCHED = 14
"""Steps, about, after which the scripted policy holds the cube."""


def by_chance(window: Range) -> Return:
    """The best share of episodes in which a constant chance p per step falls inside.

    That is the largest (1 - p)^a - (1 - p)^b, with a one less than the first step of
    the window and b the last: it is where (1 - p)^(b - a) = a / b.
    """
    before, last = window[0] - 1, window[1]
    stays = (before / last) ** (1 / (last - before))
    return exact(stays**before - stays**last)


def _ids() -> Tasks:
    """TimedTransfer Easy, Medium and Hard, and the long ones."""
    levels = {
        "Easy": ((100, 200), (300, 600)),
        "Medium": ((150, 250), (500, 900)),
        "Hard": ((200, 300), (1000, 1200)),
    }
    found = {}
    for level, both in levels.items():
        for name, (delay, steps) in zip(("", "Long"), both, strict=True):
            given = {"delay": delay, "max_steps": steps + 70}
            found[f"TimedTransfer{level}{name}-v0"] = (TimedTransfer, given)
    return found


TASKS = _ids()
