"""Shell games: which mug hides the ball, after mugs were moved too."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import Card, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock, layout
from envs.robot.episodes.clock import CUE, Clock, Range
from envs.robot.episodes.episode import Outcome, Placement
from envs.robot.hand.touch import (
    closeness,
    distance,
    joint_speed,
    paid,
    reach,
    static,
    touched,
)
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import ball, cylinder
from envs.robot.task import LONG, RobotTask, Tasks

MUGS = 3
SPACING = 0.2
RADIUS, HALF_HEIGHT = 0.06, 0.053
TOUCH = 0.08
"""Metres from the middle of a mug at which a gripper at rest has chosen it."""
COLOURS = ("red", "lime", "blue", "white")
_WHITE = 3
_PAIRS = np.array([[0, 1], [0, 2], [1, 2]], np.int32)


class ShellGameEpisode(NamedTuple):
    """An episode.

    Attributes:
        clock: when balls are covered, and when choices count.
        target: the mug that hides the ball to touch, by where it stood first.
        colours: of the balls, from the robot's left to its right.
        places: the three places.
        moves: the pair of places whose mugs change places, for each swap.
        stands: for each mug, its place before each swap and after the last.
        swaps: how many swaps there are.
        covered: whether the ball's mug is over it, or will be, where hands move mugs.
        answer: the first mug that was moved there, -1 for none yet.
    """

    clock: Clock
    target: Int[Array, ""]
    colours: Int[Array, "3"]
    places: Float[Array, "3 2"]
    moves: Int[Array, "swaps 2"]
    stands: Int[Array, "swaps+1 3"]
    swaps: Int[Array, ""]
    covered: Bool[Array, ""] | None = None
    answer: Int[Array, ""] | None = None


@dataclasses.dataclass(frozen=True)
class ShellGame(RobotTask):
    """Touch the mug that hides the ball (MIKASA-Robo, ShellGameTouch and its kin).

    A ball, or with `lamp` three, lies at one of three places; then mugs cover all
    three. With `swaps` mugs then change places, two at a time, on half circles. In the
    end the gripper touches a mug: it comes to rest within 8 cm of its middle, and that
    is the answer. A lamp behind, white until then, shows the colour of the ball that is
    meant. Mugs are ghosts and look alike; rows of `things` are in the order of y.

    Where the original differs. It goes on after a wrong touch; the gripper moves while
    mugs do in its Long variants; and its coloured balls always lie in the same order,
    so that without swaps the lamp alone tells the place. All three hold here with
    `committed=False`. Its mugs can be pushed, and a touch does not count once one was
    by 5 cm. Its older line has `cue=(5, 5)` and `max_steps=90`.

    Attributes:
        cue: fewest and most steps for which balls are shown.
        lamp: whether three coloured balls are hidden, and a lamp asks for one.
        swaps: fewest and most; (0, 0) for none.
        shuffle: fewest and most steps that all swaps take together.
    """

    cue: Range = (1, 5)
    lamp: bool = False
    swaps: Range = (0, 0)
    shuffle: Range = (0, 0)
    max_steps: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        least, most = self.swaps
        if not 0 <= least <= most or (most > 0) != (self.shuffle[1] > 0):
            raise ValueError(
                f"{name} needs swaps to be the fewest and the most, and shuffle the "
                f"steps that they take, or both (0, 0); not {self.swaps} and "
                f"{self.shuffle}."
            )
        ranges = {"cue": self.cue}
        if most > 0:
            ranges["shuffle"] = self.shuffle
        clock.check_ranges(name, self.max_steps, **ranges)

    @property
    def _value(self) -> float:
        return 3.0

    @property
    def _things(self) -> tuple[Thing, ...]:
        """Mugs, balls, and the lamp."""
        mug = cylinder("mug", RADIUS, HALF_HEIGHT)
        lamp = (ball(0.012, kind="lamp"),) * self.lamp
        return (mug,) * MUGS + (ball(),) * self._balls + lamp

    @property
    def _balls(self) -> int:
        return 3 if self.lamp else 1

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS if self.lamp else ())

    def _deal(self, key: PRNGKeyArray) -> tuple[ShellGameEpisode, Array, Array]:
        clock_key, target_key, colour_key, place_key, key = jax.random.split(key, 5)
        dtype = float_dtype()
        centre = jax.random.uniform(place_key, (2,), dtype, -0.1, 0.1)
        places = jnp.asarray(layout.line(MUGS, SPACING), dtype) + centre[None]
        time = clock.wind(clock_key, self.cue, self.shuffle)
        number_key, pair_key = jax.random.split(key)
        least, most = self.swaps
        pairs = jax.random.randint(pair_key, (most,), 0, 3, jnp.int32)
        moves = jnp.asarray(_PAIRS)[pairs]
        colours = jnp.arange(MUGS, dtype=jnp.int32)
        if self.committed:
            colours = jax.random.permutation(colour_key, colours)
        task = ShellGameEpisode(
            clock=time,
            target=jax.random.randint(target_key, (), 0, MUGS, jnp.int32),
            colours=colours,
            places=places,
            moves=moves,
            stands=_stands(moves),
            swaps=jax.random.randint(number_key, (), least, most + 1, jnp.int32),
        )
        mugs = layout.on_table(places, HALF_HEIGHT)
        balls = layout.on_table(places, 0.02)
        if not self.lamp:
            balls = balls[task.target][None]
        stands = [mugs, balls]
        if self.lamp:
            behind = places[1] + jnp.array([0.25, 0.0], dtype)
            stands.append(layout.on_table(behind[None], 0.06))
        positions = jnp.concatenate(stands)
        return task, positions, jnp.zeros(len(positions), dtype)

    @property
    def _always_moves(self) -> bool:
        return self.max_steps > LONG

    def _script(
        self, task: ShellGameEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        places = _swapped(task, time)
        position = world.position.at[:MUGS, :2].set(places)
        covered = task.clock.phase(time) != CUE
        mugs = jnp.arange(len(self._things), dtype=jnp.int32) < MUGS
        lamp = jnp.zeros(len(self._things), bool)
        if self.lamp:
            lamp = lamp.at[-1].set(True)
        present = jnp.where(mugs, covered, ~covered) | lamp
        return Placement(mugs, position, world.yaw, present)

    def _looks(
        self, task: ShellGameEpisode, world: World, time: Int[Array, ""]
    ) -> Looks:
        count = len(self._things)
        colour = None
        if self.lamp:
            asks = jnp.where(task.clock.acting(time), task.colours[task.target], _WHITE)
            white = jnp.full(MUGS, _WHITE, jnp.int32)
            colour = jnp.concatenate([white, task.colours, asks[None]])
        # Mugs look alike: a row says where one stands, not which it was.
        by_place = jnp.argsort(-world.position[:MUGS, 1]).astype(jnp.int32)
        rest = jnp.arange(MUGS, count, dtype=jnp.int32)
        order = jnp.concatenate([by_place, rest])
        return Looks(world.present, colour, order=order)

    def _judge(
        self, task: ShellGameEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[ShellGameEpisode, Outcome]:
        acting = task.clock.acting(time)
        chosen, mug = touched(world, world.position[:MUGS], TOUCH)
        success = chosen & acting & (mug == task.target)
        failure = chosen & acting & (mug != task.target) & self.committed
        away = distance(world, world.position[task.target])
        placed = away <= TOUCH
        shaped = closeness(away, 5.0)
        shaped += paid(placed, closeness(joint_speed(world), 5.0))
        shaped += paid(placed & static(world), 1.0)
        return task, Outcome(success, failure, paid(acting, shaped))

    def _aim(
        self, task: ShellGameEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        return reach(world, world.position[task.target])

    def choices(self, world: World) -> tuple[Float[Array, "choices 3"], float]:
        """The mugs."""
        return world.position[:MUGS], TOUCH

    def _secret(self, task: ShellGameEpisode) -> Float[Array, " mugs"]:
        stands = task.stands[task.swaps, task.target]
        return jax.nn.one_hot(stands, MUGS, dtype=jnp.float32)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """Where the ball is: the place of its mug when all have been moved.

        With the steps since balls were last seen.
        """
        task = state.task
        place = task.stands[task.swaps, task.target]
        return {"place": (place, task.clock.unseen(state.time))}

    @property
    def _deed(self) -> str:
        """What is done to the mug that is meant."""
        return "touch"

    @property
    def card(self) -> Card:
        """A place, or a place that moves."""
        moving = self.swaps[1] > 0
        phases = ("cue", "shuffle", "act") if moving else ("cue", "cover", "act")
        return returns.card(
            self,
            memory="tracking" if moving else "spatial",
            horizon=(1 + self.shuffle[0], self.max_steps - self.cue[0]),
            ways=MUGS,
            note=f"the first {self._deed} counts, and mugs look alike",
            phases=phases,
        )


def _stands(moves: Int[Array, "swaps 2"]) -> Int[Array, "swaps+1 3"]:
    """The place of each mug, before each swap and after the last."""

    def swap(stands: Array, pair: Array) -> tuple[Array, Array]:
        first, second = stands == pair[0], stands == pair[1]
        after = jnp.where(first, pair[1], jnp.where(second, pair[0], stands))
        return after, after

    start = jnp.arange(MUGS, dtype=jnp.int32)
    return jnp.concatenate([start[None], jax.lax.scan(swap, start, moves)[1]])


def _swapped(task: ShellGameEpisode, time: Int[Array, ""]) -> Float[Array, "3 2"]:
    """Where the mugs are at a time: swaps are half circles, begun and ended slowly."""
    most = len(task.moves)
    if most == 0:
        return task.places
    length = jnp.maximum(task.clock.asks - task.clock.hides, 1)
    dtype = task.places.dtype
    share = jnp.clip((time - task.clock.hides) / length, 0.0, 1.0).astype(dtype)
    progress = share * task.swaps.astype(dtype)
    done = jnp.clip(jnp.floor(progress).astype(jnp.int32), 0, task.swaps)
    stands = task.stands[done]
    pair = task.moves[jnp.minimum(done, most - 1)]
    part = progress - done.astype(dtype)
    turn = np.pi * part * part * (3.0 - 2.0 * part)
    here = task.places[stands]
    middle = task.places[pair].mean(0)
    offset = here - middle[None]
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    turned = jnp.stack(
        [
            cosine * offset[:, 0] - sine * offset[:, 1],
            sine * offset[:, 0] + cosine * offset[:, 1],
        ],
        axis=1,
    )
    moving = (stands == pair[0]) | (stands == pair[1])
    moving &= done < task.swaps
    return jnp.where(moving[:, None], middle[None] + turned, here)


def _ids() -> Tasks:
    """ShellGame Touch, ColorLamp, Shuffle and both, and the long ones."""
    short = {"swaps": (2, 4), "shuffle": (20, 35), "max_steps": 60}
    slow = {"swaps": (5, 15), "shuffle": (100, 400), "cue": (10, 100), "max_steps": 600}
    found: Tasks = {
        "ShellGameTouch-v0": (ShellGame, {}),
        "ShellGameColorLampTouch-v0": (ShellGame, {"lamp": True}),
    }
    for name, lamp in (("Shuffle", {}), ("ShuffleColorLamp", {"lamp": True})):
        found[f"ShellGame{name}Touch-v0"] = (ShellGame, {**short, **lamp})
        found[f"ShellGame{name}TouchLong-v0"] = (ShellGame, {**slow, **lamp})
    return found


TASKS = _ids()
