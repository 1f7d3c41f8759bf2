"""Remember several colours, then touch them all: together, or one after another."""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock, layout
from envs.robot.episodes.clock import CUE, Clock, Range
from envs.robot.episodes.episode import Outcome, Placement, left_alone
from envs.robot.hand import button
from envs.robot.hand.button import Button
from envs.robot.hand.touch import approach, paid, reach, static, touched
from envs.robot.seeing import drawing
from envs.robot.seeing.seen import COLOURS, Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import cube
from envs.robot.task import RobotTask, Tasks

CUBES = len(COLOURS)
_ABOVE = 0.025
"""Metres above the middle of a cube: the point to touch."""
_TOUCH = 0.02


class Recalled(NamedTuple):
    """An episode.

    Attributes:
        clock: when phases end.
        each: steps for which each colour is shown; all of them for a bunch.
        sequence: the colours shown, in their order.
        items: the colour of the cube in each slot.
        touched: whether the cube of each colour has been.
        count: how many have, of those shown.
        spoiled: whether another has been, or one out of order.
        button: the one that ends.
        confirmed: whether it was pressed when all was done.
    """

    clock: Clock
    each: Int[Array, ""]
    sequence: Int[Array, " number"]
    items: Int[Array, "9"]
    touched: Bool[Array, "9"]
    count: Int[Array, ""]
    spoiled: Bool[Array, ""]
    button: Button
    confirmed: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class RecallColours(RobotTask):
    """Touch the cubes of the colours shown (MIKASA-Robo, Bunch, Seq, ChainOfColors).

    `number` of nine colours are shown, together or each by itself, then nothing, then
    all nine cubes in random slots. Those shown are to be touched (the gripper at rest
    within 2 cm of a point above the cube), and then the button is to be pressed and
    the gripper lifted. The first wrong touch ends the episode. Cubes are ghosts, on an
    arc of 30 cm, each displaced by up to 1 cm.

    Where the original differs. It goes on after a wrong touch, though nothing can be
    won any more, and the gripper moves while colours are shown: `committed=False`. Its
    cubes can be pushed, which costs reward, and a press does not count if one was by
    6 cm; they stand a little elsewhere. Its newer Seq
    asks for the order, which its words do not; here Chain does. Its older line has no
    button: `confirm=False, max_steps=120, each=(5, 5), empty=(5, 5)`.

    Attributes:
        kind: `bunch` shows all together, `seq` one by one; `chain` also asks for their
            order.
        number: how many colours are shown.
        each: fewest and most steps for which each is shown; all of them for a bunch.
        empty: fewest and most steps of an empty table.
        confirm: whether a button ends it.
    """

    kind: Literal["bunch", "seq", "chain"] = "bunch"
    number: int = 3
    each: Range = (1, 5)
    empty: Range = (1, 5)
    confirm: bool = True
    max_steps: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if self.kind not in ("bunch", "seq", "chain"):
            raise ValueError(
                f"{name} needs kind to be 'bunch', 'seq' or 'chain'; not {self.kind!r}."
            )
        if not 1 <= self.number < CUBES:
            raise ValueError(
                f"{name} shows some of {CUBES} colours, from 1 to {CUBES - 1}; not "
                f"{self.number}."
            )
        least, most = self.each
        cue = least * self._shows, most * self._shows
        clock.check_ranges(name, self.max_steps, each=cue, empty=self.empty)

    @property
    def _shows(self) -> int:
        """How many times something is shown."""
        return 1 if self.kind == "bunch" else self.number

    @property
    def _cues(self) -> int:
        """How many cubes are shown at a time."""
        return self.number if self.kind == "bunch" else 1

    @property
    def _value(self) -> float:
        return 400.0 if self.confirm else 100.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.02, 0.05, 0.01) if self.confirm else (0.0, 0.0, 0.0)

    @property
    def _things(self) -> tuple[Thing, ...]:
        """The nine, those shown, and the button."""
        ends = (button.button(),) * self.confirm
        return (cube(),) * (CUBES + self._cues) + ends

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[Recalled, Array, Array]:
        clock_key, shown_key, items_key, place_key = jax.random.split(key, 4)
        dtype = float_dtype()
        arc = layout.arc(CUBES, angle=1.15 * np.pi)
        places = layout.jitter(place_key, arc, 0.01, 0.01, dtype)
        cues = layout.arc(self._cues, 0.22) if self._cues > 1 else np.zeros((1, 2))
        end = np.array([layout.CENTRE]) - (0.04, 0.0)
        others = np.concatenate([cues, end[: int(self.confirm)]])
        drawn = clock.wind(clock_key, self.each, self.empty)
        steps = drawn.hides * self._shows
        none = jnp.zeros((), bool)
        order = jax.random.permutation(shown_key, CUBES).astype(jnp.int32)
        task = Recalled(
            clock=Clock(steps, steps + drawn.asks - drawn.hides),
            each=drawn.hides,
            sequence=order[: self.number],
            items=jax.random.permutation(items_key, CUBES).astype(jnp.int32),
            touched=jnp.zeros(CUBES, bool),
            count=jnp.zeros((), jnp.int32),
            spoiled=none,
            button=button.fresh(),
            confirmed=none,
        )
        both = jnp.concatenate([places, jnp.asarray(others, dtype)])
        positions = layout.on_table(both, 0.02)
        return task, positions, jnp.zeros(len(both), dtype)

    def _script(self, task: Recalled, world: World, time: Int[Array, ""]) -> Placement:
        cubes = jnp.full(CUBES, task.clock.acting(time))
        cues = jnp.full(self._cues, task.clock.phase(time) == CUE)
        ends = jnp.full(int(self.confirm), task.clock.acting(time))
        present = jnp.concatenate([cubes, cues, ends])
        return left_alone(world, present)

    def _looks(self, task: Recalled, world: World, time: Int[Array, ""]) -> Looks:
        if self.kind == "bunch":
            shown = task.sequence
        else:
            turn = jnp.minimum(time // task.each, self.number - 1)
            shown = task.sequence[turn][None]
        ends = jnp.zeros(int(self.confirm), jnp.int32)
        return Looks(world.present, jnp.concatenate([task.items, shown, ends]))

    def _judge(
        self, task: Recalled, world: World, time: Int[Array, ""]
    ) -> tuple[Recalled, Outcome]:
        acting = task.clock.acting(time)
        points = world.position[:CUBES].at[:, 2].add(_ABOVE)
        at_one, slot = touched(world, points, _TOUCH)
        item = task.items[slot]
        new = acting & at_one & ~task.touched[item]
        wanted = (task.sequence == item).any()
        if self.kind == "chain":
            turn = jnp.minimum(task.count, self.number - 1)
            wanted = task.sequence[turn] == item
            wanted &= task.count < self.number
        task = task._replace(
            touched=task.touched.at[item].set(task.touched[item] | new),
            count=task.count + (new & wanted).astype(jnp.int32),
            spoiled=task.spoiled | (new & ~wanted),
        )
        done = (task.count == self.number) & ~task.spoiled
        if self.confirm:
            pressed_button, pressed, _ = task.button.advance(
                world.gripper.position, world.position[-1]
            )
            task = task._replace(
                button=pressed_button,
                confirmed=task.confirmed | (acting & pressed & done),
            )
            done &= task.confirmed & ~task.button.down & static(world)
        failure = task.spoiled & self.committed
        return task, Outcome(acting & done, failure, self._shaped(task, world, acting))

    def _shaped(self, task: Recalled, world: World, acting: Array) -> Array:
        shaped = approach(world, self._goal(task, world), _TOUCH)
        wrong = task.touched.sum(dtype=jnp.int32) - task.count
        share = task.count.astype(shaped.dtype) / self.number
        shaped += 90.0 * share - 10.0 * wrong.astype(shaped.dtype)
        return paid(acting, shaped)

    def _goal(self, task: Recalled, world: World) -> Float[Array, "3"]:
        """The point to touch next, or then to press."""
        left = ~task.touched[task.sequence]
        colour = task.sequence[jnp.argmax(left)]
        slot = jnp.argmax(task.items == colour)
        point = world.position[slot].at[2].add(_ABOVE)
        if not self.confirm:
            return point
        lift = task.button.down | task.confirmed
        press = button.stroke(world.gripper.position, world.position[-1], lift)
        return jnp.where(left.any(), point, press)

    def _aim(
        self, task: Recalled, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        return reach(world, self._goal(task, world))

    def _secret(self, task: Recalled) -> Float[Array, " numbers"]:
        shown = jax.nn.one_hot(task.sequence, CUBES, dtype=jnp.float32)
        done = jnp.concatenate([task.touched, task.confirmed[None]])
        return jnp.concatenate([shown.ravel(), done.astype(jnp.float32)])

    def _strip(self, task: Recalled) -> UInt8[Array, "tiles 3"]:
        """The colours shown, in their order; less those that have been touched."""
        table = jnp.asarray([drawing.COLOURS[name] for name in COLOURS], jnp.uint8)
        left = ~task.touched[task.sequence]
        return draw.select(left, table[task.sequence], draw.BACKGROUND)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """The colours shown, and the steps since the last of them was."""
        return {"colours": (state.task.sequence, state.task.clock.unseen(state.time))}

    @property
    def card(self) -> Card:
        """Several colours, and for a chain their order."""
        ways = math.perm(CUBES, self.number)
        if self.kind != "chain":
            ways = math.comb(CUBES, self.number)
        return returns.card(
            self,
            memory="sequential" if self.kind == "chain" else "capacity",
            horizon=(self.empty[0] + 1, self.max_steps - self.each[0]),
            ways=ways,
            note="the gripper's place may tell what was touched, not what was shown",
            phases=clock.PHASES,
        )


def _ids() -> Tasks:
    """BunchOfColors, SeqOfColors and ChainOfColors, of 3, 5 and 7."""
    long = {3: 800, 5: 1000, 7: 1200}
    found = {}
    for kind in ("bunch", "seq", "chain"):
        for number in (3, 5, 7):
            given = {"kind": kind, "number": number}
            steps = 700 if kind == "bunch" else long[number]
            slow = {"each": (10, 100), "empty": (50, 400), "max_steps": steps}
            name = f"{kind.capitalize()}OfColors{number}"
            found[f"{name}-v0"] = (RecallColours, given)
            found[f"{name}Long-v0"] = (RecallColours, {**given, **slow})
    return found


TASKS = _ids()
