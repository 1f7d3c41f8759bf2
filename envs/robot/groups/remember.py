"""Remember one thing, or which one was missing, then touch it among others."""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import Card, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock, layout
from envs.robot.episodes.clock import CUE, Clock, Range
from envs.robot.episodes.episode import Outcome, Placement, left_alone
from envs.robot.hand.touch import approach, reach, touched
from envs.robot.seeing.seen import COLOURS, SHAPES, Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import cube
from envs.robot.task import LONG, RobotTask, Tasks

BOTH = ("cube", "ball", "T", "cross", "torus"), ("red", "lime", "blue")
NUMBERS = {"colour": (3, 5, 9), "shape": (3, 5, 9), "both": (6, 9, 15)}
TOUCH = 0.05
"""Metres from the middle of a thing at which a gripper at rest has chosen it."""


def items(kind: str, number: int) -> tuple[Appearance, np.ndarray, np.ndarray]:
    """What things can look like, and the colour and the shape of each item.

    With `both`, shapes vary slowest.
    """
    index = np.arange(number, dtype=np.int32)
    if kind == "colour":
        return Appearance(colours=COLOURS[:number]), index, 0 * index
    if kind == "shape":
        return Appearance(shapes=SHAPES[:number]), 0 * index, index
    shapes, colours = BOTH
    return Appearance(colours, shapes[: number // 3]), index % 3, index // 3


def slots(number: int) -> np.ndarray:
    """Where the things stand, [number, 2]."""
    return layout.line(3, 0.2) if number == 3 else layout.arc(number)


class Remembered(NamedTuple):
    """An episode.

    Attributes:
        clock: when phases end.
        target: the item to touch.
        before: the item in each slot while things are shown.
        items: the one in each slot to choose from.
    """

    clock: Clock
    target: Int[Array, ""]
    before: Int[Array, " slots"]
    items: Int[Array, " slots"]


@dataclasses.dataclass(frozen=True)
class Remember(RobotTask):
    """See one thing, wait, touch it among others (MIKASA-Robo, Remember, FindImposter).

    A thing stands in the middle of the table, then none, then `number` of them, each in
    a random slot. The one that the gripper comes to rest at, within 5 cm, is the
    answer. FindImposter shows all but one, in their slots, and asks for that one.
    Nothing collides: things are looked at and touched. Three stand in a line, 20 cm
    apart, more on half a circle of 30 cm, each displaced by up to 1 cm.

    Where the original differs. It goes on after a wrong touch, so that trying all in
    turn succeeds. In its Long variants the gripper moves while the thing is shown, and
    touching it then counts. Its FindImposter never leaves all things in their slots,
    so that the empty slot alone says something. All three hold here with
    `committed=False`. Its things can be pushed, and stand a little elsewhere. Its older
    line has `cue=empty=(5, 5)`, `max_steps=60` and three things 10 cm apart.

    Attributes:
        kind: what tells things apart.
        number: how many there are: 3, 5 or 9; for `both` 6, 9 or 15.
        shown: the `target`, or the `others`.
        cue: fewest and most steps on show.
        empty: fewest and most steps of an empty table.
    """

    kind: Literal["colour", "shape", "both"] = "colour"
    number: int = 3
    shown: Literal["target", "others"] = "target"
    cue: Range = (1, 5)
    empty: Range = (1, 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if self.number not in NUMBERS.get(self.kind, ()):
            raise ValueError(
                f"{name} tells things apart by 'colour' or 'shape', 3, 5 or 9 of them, "
                f"or by 'both', 6, 9 or 15; not {self.number} by {self.kind!r}."
            )
        if self.shown not in ("target", "others"):
            raise ValueError(
                f"{name} shows the 'target' or the 'others'; not {self.shown!r}."
            )
        clock.check_ranges(name, self.max_steps, cue=self.cue, empty=self.empty)

    @property
    def _value(self) -> float:
        return 3.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.0, 0.0, 0.0) if self.kind == "both" else (0.02, 0.05, 0.01)

    @property
    def _things(self) -> tuple[Thing, ...]:
        """Those to choose from, and one in the middle."""
        return (cube(kind="thing"),) * (self.number + 1)

    @property
    def _appearance(self) -> Appearance:
        return items(self.kind, self.number)[0]

    def _deal(self, key: PRNGKeyArray) -> tuple[Remembered, Array, Array]:
        clock_key, target_key, *order_keys, place_key = jax.random.split(key, 5)
        places = layout.jitter(place_key, slots(self.number), 0.01, 0.01, float_dtype())
        middle = jnp.zeros_like(places[:1])
        positions = layout.on_table(jnp.concatenate([places, middle]), 0.02)
        before, order = (
            jax.random.permutation(k, self.number).astype(jnp.int32) for k in order_keys
        )
        if not self.committed:
            order = _changed(order_keys[1], before, order)
        drawn = Remembered(
            clock=clock.wind(clock_key, self.cue, self.empty),
            target=jax.random.randint(target_key, (), 0, self.number, jnp.int32),
            before=before,
            items=order,
        )
        return drawn, positions, jnp.zeros(self.number + 1, positions.dtype)

    @property
    def _always_moves(self) -> bool:
        return self.max_steps > LONG

    def _script(
        self, task: Remembered, world: World, time: Int[Array, ""]
    ) -> Placement:
        cue, choosing = task.clock.phase(time) == CUE, task.clock.acting(time)
        shown = jnp.zeros(self.number, bool)
        if self.shown == "others":
            shown = cue & (task.before != task.target)
        middle = cue & (self.shown == "target")
        present = jnp.concatenate([shown | choosing, middle[None]])
        return left_alone(world, present)

    def _looks(self, task: Remembered, world: World, time: Int[Array, ""]) -> Looks:
        _, colours, shapes = items(self.kind, self.number)
        slots = jnp.where(task.clock.acting(time), task.items, task.before)
        item = jnp.concatenate([slots, task.target[None]])
        return Looks(
            visible=world.present,
            colour=jnp.asarray(colours)[item],
            shape=jnp.asarray(shapes)[item],
        )

    def _judge(
        self, task: Remembered, world: World, time: Int[Array, ""]
    ) -> tuple[Remembered, Outcome]:
        acting = task.clock.acting(time)
        chosen, slot = touched(world, world.position[: self.number], TOUCH)
        right = task.items[slot] == task.target
        success = chosen & acting & right
        failure = chosen & acting & ~right & self.committed
        if not self.committed and self.shown == "target":
            on_cue, _ = touched(world, world.position[self.number :], TOUCH)
            success |= on_cue & (task.clock.phase(time) == CUE)
        shaped = approach(world, self._goal(task, world), TOUCH)
        return task, Outcome(success, failure, shaped)

    def _goal(self, task: Remembered, world: World) -> Float[Array, "3"]:
        return world.position[jnp.argmax(task.items == task.target)]

    def _aim(
        self, task: Remembered, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        return reach(world, self._goal(task, world))

    def choices(self, world: World) -> tuple[Float[Array, "choices 3"], float]:
        """All that may be touched."""
        return world.position[: self.number], TOUCH

    def _secret(self, task: Remembered) -> Float[Array, " items"]:
        return jax.nn.one_hot(task.target, self.number, dtype=jnp.float32)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """The item to touch, and the steps since things were on show."""
        return {"item": (state.task.target, state.task.clock.unseen(state.time))}

    @property
    def card(self) -> Card:
        """An item, over an empty table."""
        return returns.card(
            self,
            memory="object" if self.shown == "target" else "negative",
            horizon=(self.empty[0] + 1, self.max_steps - self.cue[0]),
            ways=self.number,
            note="the first touch counts, all are as likely",
            phases=clock.PHASES,
        )


def _changed(
    key: PRNGKeyArray, before: Int[Array, " slots"], items: Int[Array, " slots"]
) -> Int[Array, " slots"]:
    """`items`, or where they are as before, the first other order drawn."""

    def draw(carry: tuple[PRNGKeyArray, Array]) -> tuple[PRNGKeyArray, Array]:
        key, next_key = jax.random.split(carry[0])
        order = jax.random.permutation(key, len(before)).astype(jnp.int32)
        return next_key, order

    def same(carry: tuple[PRNGKeyArray, Array]) -> Bool[Array, ""]:
        return (carry[1] == before).all()

    return jax.lax.while_loop(same, draw, (key, items))[1]


def _ids(imposter: bool) -> Tasks:
    """Remember, or FindImposter, by colour, shape and both."""
    both = {"3x2": 6, "3x3": 9, "5x3": 15}
    slow = {"empty": (50, 450), "max_steps": 600}
    name = "FindImposter" if imposter else "Remember"
    shown = {"shown": "others"} if imposter else {}
    levels = {
        **{f"Color{n}": {"kind": "colour", "number": n} for n in (3, 5, 9)},
        **{f"Shape{n}": {"kind": "shape", "number": n} for n in (3, 5, 9)},
        **{f"ShapeAndColor{x}": {"kind": "both", "number": n} for x, n in both.items()},
    }
    found = {}
    for level, parameters in levels.items():
        given = {**parameters, **shown}
        if imposter and level == "ShapeAndColor5x3":
            given["max_steps"] = 40
        found[f"{name}{level}-v0"] = (Remember, given)
        if not imposter:
            # The original always shows these two for as long as it can.
            always = level in ("Color5", "Color9")
            cue = (100, 100) if always else (10, 100)
            found[f"{name}{level}Long-v0"] = (Remember, {**given, **slow, "cue": cue})
    return found


TASKS: Tasks = {**_ids(imposter=False), **_ids(imposter=True)}
