"""Test every battery of a tray once, one after the other."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import Card, exact, float_dtype
from envs.robot import returns
from envs.robot.episodes import layout
from envs.robot.episodes.episode import Outcome, Placement
from envs.robot.hand import button, handling
from envs.robot.hand.touch import apart, closeness, distance, paid, staged
from envs.robot.one_at_a_time import OneAtATime
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import ball, cube, cylinder
from envs.robot.task import RobotTask, Tasks

PHASES = ("insert", "return", "confirm")
INSERT, RETURN, CONFIRM = range(3)
COLOURS = ("lime", "white", "red", "yellow")
_LIME, _WHITE, _RED, _YELLOW = range(4)
WORKING = {3: 1, 6: 3, 9: 5, 12: 7, 15: 9}
"""How many of so many batteries work."""
RADIUS, HALF = 0.01, 0.03
SPACING = (0.05, 0.052)
"""Metres between slots, along x and y."""
INSERTED, RETURNED = (0.010, 0.025), (0.023, 0.024)
"""Metres from the socket, or its slot, in the plane and in height, that count."""
NEAR = 3.0
"""Times that, within which all must be in the end."""
GLOW = 7
"""Steps for which the lamp is lit after a working battery was inserted, at least."""
PRESS_RADIUS = 0.075
"""Metres beside the middle of the button within which it is pressed."""
FREEZE = 5
"""Steps for which the hand stays at home, at the start and after each confirmation."""


class Checks(NamedTuple):
    """An episode.

    Attributes:
        slots: where each battery belongs.
        works: which of them do.
        checked: which have been inserted, returned and confirmed.
        stage: `INSERT`, `RETURN` or `CONFIRM`.
        battery: the one inserted, in the last two stages.
        ready: whether the button can be pressed again.
        glow: steps for which the lamp stays lit.
        moves: the time from which the hand moves.
        confirmed: the time of the last confirmation, or of the start.
        inserts, clears: whether the battery is put into the socket now; whether all
            are put into their slots, or this one.
    """

    slots: Float[Array, "batteries 3"]
    works: Bool[Array, " batteries"]
    checked: Bool[Array, " batteries"]
    stage: Int[Array, ""]
    battery: Int[Array, ""]
    ready: Bool[Array, ""]
    glow: Int[Array, ""]
    moves: Int[Array, ""]
    confirmed: Int[Array, ""]
    inserts: Bool[Array, ""]
    clears: Bool[Array, " batteries"]


class Events(NamedTuple):
    """What has happened in a step."""

    inserted: Bool[Array, ""]
    returned: Bool[Array, ""]
    confirmed: Bool[Array, ""]
    found: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class BatteriesChecker(RobotTask):
    """Test every battery of a tray (MIKASA-Robo, BatteriesCheckerEasy and Hard).

    A battery is put into the socket and let go; a lamp lights if it works, for 7 steps
    and while it is there. Then it goes back to its slot: by itself if `easy`, else by
    the gripper. Then a button is pressed, which confirms it, and the next one follows.
    All batteries must be confirmed and near their slots. Which of them work is drawn,
    and need not be kept in mind: all must be tested, as in the original.

    Testing one a second time is a failure. After each confirmation the gripper is at
    home, open, and stays there for 5 steps, as at the start; the lamp is dark, and all
    batteries stand exactly in their slots, wherever they were. So each test begins with
    the same sight, and no place of the hand or of a battery tells which were tested.
    Batteries look alike. One at a time is moved by physics
    (`envs.robot.one_at_a_time`); socket, button and lamp are ghosts.

    Where the original differs: testing again costs nothing, the hand stays where it is,
    and what is put back within 2.3 cm of its slot stays there (`committed=False`), so
    that trying at random succeeds in time, and a fixed order needs no more than a
    pointer. Its dense reward pays less for carrying the second battery than for
    standing at the button after the first; here it pays for the share of the way that a
    step has added, and takes 2 for a wrong press. Its own terms, when the button is to
    be pressed, measure the way to the socket, take 2 for the right press, as for one at
    the wrong time, and never pay the 12 for a working battery that was found; with
    `committed=False` they measure the way to the button, take 2 for wrong presses alone
    and pay them. In it a battery that snaps to a place is only drawn there; here it is
    moved.

    Attributes:
        batteries: how many, 3, 6, 9, 12 or 15.
        easy: whether a battery returns by itself.
    """

    batteries: int = 3
    easy: bool = True
    max_steps: int = 540

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batteries not in WORKING:
            raise ValueError(
                f"{type(self).__name__} needs batteries to be one of "
                f"{', '.join(map(str, WORKING))}; not {self.batteries}."
            )

    @property
    def _value(self) -> float:
        return 40.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.01, 0.02, 0.01)

    @property
    def _things(self) -> tuple[Thing, ...]:
        """The batteries, the socket, the button and the lamp."""
        friction = {"friction": 2.0, "grip": 2.0}
        battery = cylinder("battery", RADIUS, HALF, moves=True, **friction)
        still = (cube(0.015, "socket"), button.button(), ball(0.012, kind="lamp"))
        return (battery,) * self.batteries + still

    @property
    def _table(self) -> OneAtATime:
        return OneAtATime(self._things)

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _places(self, world: World) -> tuple[Array, Array]:
        """Of a battery in the socket; of the button."""
        socket, press = world.position[self.batteries : self.batteries + 2]
        return socket.at[2].set(HALF), press

    def _deal(self, key: PRNGKeyArray) -> tuple[Checks, Array, Array]:
        place_key, work_key = jax.random.split(key)
        dtype, count = float_dtype(), self.batteries
        low, high = jnp.array([-0.09, -0.05], dtype), jnp.array([-0.01, 0.05], dtype)
        tray = jax.random.uniform(place_key, (2,), dtype, low, high)
        slots = jnp.asarray(_tray(count), dtype) + tray[None]
        slots = layout.on_table(slots, HALF)
        order = jax.random.permutation(work_key, jnp.arange(count, dtype=jnp.int32))
        task = Checks(
            slots=slots,
            works=order < WORKING[count],
            checked=jnp.zeros(count, bool),
            stage=jnp.full((), INSERT, jnp.int32),
            battery=jnp.zeros((), jnp.int32),
            ready=jnp.ones((), bool),
            glow=jnp.zeros((), jnp.int32),
            moves=jnp.full((), FREEZE * self.committed, jnp.int32),
            confirmed=jnp.zeros((), jnp.int32),
            inserts=jnp.zeros((), bool),
            clears=jnp.zeros(count, bool),
        )
        offsets = jnp.array([[0.2, 0, 0.015], [0, 0.24, 0.029], [0.28, 0, 0.06]], dtype)
        still = offsets.at[:, :2].add(tray[None])
        positions = jnp.concatenate([slots, still])
        return task, positions, jnp.zeros(len(positions), dtype)

    def _phase(self, task: Checks, time: Int[Array, ""]) -> Int[Array, ""]:
        return task.stage

    def _acting(self, task: Checks, time: Int[Array, ""]) -> Bool[Array, ""]:
        return time >= task.moves

    def _script(self, task: Checks, world: World, time: Int[Array, ""]) -> Placement:
        index = jnp.arange(self.batteries, dtype=jnp.int32)
        inserted = task.inserts & (index == task.battery)
        still = jnp.zeros(len(self._things) - self.batteries, bool)
        socket, _ = self._places(world)
        places = jnp.where(inserted[:, None], socket[None], task.slots)
        return Placement(
            which=jnp.concatenate([inserted | task.clears, still]),
            position=world.position.at[: self.batteries].set(places),
            yaw=jnp.zeros_like(world.yaw),
            present=jnp.ones(len(self._things), bool),
            home=(time == task.confirmed) & self.committed,
        )

    def _looks(self, task: Checks, world: World, time: Int[Array, ""]) -> Looks:
        lit = (task.glow > 0) | (self._in_socket(world) & task.works).any()
        fixed = jnp.array([_LIME] * self.batteries + [_WHITE, _RED], jnp.int32)
        lamp = jnp.where(lit, _YELLOW, _WHITE).astype(jnp.int32)
        return Looks(world.present, jnp.concatenate([fixed, lamp[None]]))

    def _near(
        self, world: World, places: Float[Array, "*one 3"], within: tuple[float, float]
    ) -> Bool[Array, " batteries"]:
        """Which batteries are near their places."""
        offset = world.position[: self.batteries] - places
        flat = jnp.sqrt((offset[:, :2] ** 2).sum(1))
        return (flat <= within[0]) & (jnp.abs(offset[:, 2]) <= within[1])

    def _released(self, world: World) -> Bool[Array, " batteries"]:
        return jnp.arange(self.batteries, dtype=jnp.int32) != world.held

    def _in_socket(self, world: World) -> Bool[Array, " batteries"]:
        socket = self._places(world)[0][None]
        return self._near(world, socket, INSERTED) & self._released(world)

    def _judge(
        self, task: Checks, world: World, time: Int[Array, ""]
    ) -> tuple[Checks, Outcome]:
        there = self._in_socket(world)
        inserted = (task.stage == INSERT) & there.any()
        new = jnp.argmax(there).astype(jnp.int32)
        battery = jnp.where(inserted, new, task.battery)
        again = inserted & task.checked[battery] & self.committed
        stage = jnp.where(inserted, RETURN, task.stage)
        back = self._near(world, task.slots, RETURNED) & self._released(world) & ~there
        returned = (stage == RETURN) & (back[battery] | self.easy)
        stage = jnp.where(returned, CONFIRM, stage)
        depth = self._depth(world)
        pressed = button.pressed(depth) & task.ready
        confirmed = (stage == CONFIRM) & pressed
        index = jnp.arange(self.batteries, dtype=jnp.int32)
        mine = index == battery
        found = confirmed & task.works[battery] & ~task.checked[battery]
        step = Events(inserted, returned, confirmed, found)
        glow = jnp.where(inserted & task.works[battery], GLOW, task.glow - 1)
        begins = confirmed & self.committed
        snaps = returned & (self.committed | self.easy)
        task = task._replace(
            checked=task.checked | (mine & confirmed),
            stage=jnp.where(confirmed, INSERT, stage).astype(jnp.int32),
            battery=battery,
            ready=(task.ready & ~pressed) | button.ready(depth),
            glow=jnp.where(begins, 0, jnp.maximum(glow, 0)).astype(jnp.int32),
            moves=jnp.where(begins, time + 1 + FREEZE, task.moves),
            confirmed=jnp.where(confirmed, time + 1, task.confirmed),
            inserts=inserted & ~returned,
            clears=(mine & snaps) | begins,
        )
        near = self._near(world, task.slots, (NEAR * RETURNED[0], NEAR * RETURNED[1]))
        success = task.checked.all() & near.all()
        fine = paid(pressed & ~confirmed, 2.0)
        return task, Outcome(success, again, self._shaped(task, world, step), fine)

    def _depth(self, world: World) -> Float[Array, ""]:
        press = self._places(world)[1]
        return button.press_depth(world.gripper.position, press, PRESS_RADIUS)

    def _progress(self, task: Checks, world: World) -> Float[Array, ""]:
        """By how many batteries are confirmed, and how far the next one has come."""
        places, (socket, press) = world.position[: self.batteries], self._places(world)
        away = jnp.where(task.checked, jnp.inf, distance(world, places))
        mine = jnp.argmin(away)
        brought = closeness(apart(places[mine], socket), 4.0)
        reached = closeness(away[mine], 4.0) + paid(world.held == mine, 1.0)
        inserting = 0.2 * reached + 0.6 * brought
        battery, home = places[task.battery], task.slots[task.battery]
        returning = 0.3 * closeness(distance(world, battery), 4.0)
        returning += 0.7 * closeness(apart(battery, home), 6.0)
        away = distance(world, press.at[2].set(button.PRESSED_AT))
        confirming = 0.5 * closeness(away, 4.0)
        confirming += 0.5 * self._depth(world) / button.TRAVEL
        on = jnp.stack([inserting, returning, confirming])[task.stage]
        # One that returns by itself has no stage of returning.
        stages, stage = (2, task.stage // 2) if self.easy else (3, task.stage)
        done = stages * task.checked.sum(dtype=jnp.int32) + stage
        return staged(done, on, stages * self.batteries)

    def _shaped(self, task: Checks, world: World, step: Events) -> Float[Array, ""]:
        """The original's terms, in the stage that the step has led to."""
        places, (socket, press) = world.position[: self.batteries], self._places(world)
        left = jnp.where(task.checked, jnp.inf, distance(world, places)).min()
        held = places[jnp.maximum(world.held, 0)]
        carried = closeness(apart(held, socket), 4.0)
        inserting = 1.2 * closeness(left, 4.0) + paid(world.held >= 0, 2.0 * carried)
        home = task.slots[task.battery]
        returning = 3.0 * closeness(apart(places[task.battery], home), 6.0)
        away = distance(world, press.at[2].set(button.PRESSED_AT))
        confirming = 1.8 * closeness(away, 8.0)
        confirming += 2.5 * self._depth(world) / button.TRAVEL
        terms = jnp.stack([inserting, returning, confirming])[task.stage]
        terms += paid(step.inserted, 5.0) + paid(step.returned, 6.0)
        return terms + paid(step.confirmed, 7.0) + paid(step.found, 12.0)

    def _aim(
        self, task: Checks, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """Test the first that was not."""
        return self._test(task, world, jnp.argmin(task.checked).astype(jnp.int32))

    def _test(
        self, task: Checks, world: World, row: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """Go on with the stage, with a battery if one is to be inserted."""
        socket, press = self._places(world)
        back = task.stage == RETURN
        row = jnp.where(back, task.battery, row)
        goal = jnp.where(back, task.slots[row], socket)
        bring = handling.bring(world, row, goal, symmetry=0.0)
        confirm = handling.press(world, press)
        return jnp.where(task.stage == CONFIRM, confirm, bring)

    def sweep(
        self, key: PRNGKeyArray, state: Any, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Array]:
        """Test one at random, whichever were tested."""
        drawn = jax.random.randint(key, (), 0, self.batteries, jnp.int32)
        kept = jnp.where(state.time == state.task.confirmed, drawn, kept)
        return kept, self._action(self._test(state.task, state.world, kept))

    def _secret(self, task: Checks) -> Float[Array, " batteries"]:
        return task.checked.astype(jnp.float32)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """Which batteries are confirmed, and the steps since the last one was."""
        return {"checked": (state.task.checked, state.time - state.task.confirmed)}

    @property
    def card(self) -> Card:
        """A list of what is done.

        Without memory each test begins alike, so a policy tests battery i with the same
        probability p_i each time. All are tested once with N! times the product of
        these, at most N! / N^N.
        """
        count = self.batteries
        return returns.card(
            self,
            memory="checklist",
            horizon=(1, self.max_steps - 1),
            blind=exact(math.factorial(count) / count**count),
            note="each test begins alike, and none is to be tested twice: N! / N^N",
            phases=PHASES,
        )


def _tray(count: int) -> np.ndarray:
    """The first slots of a tray of five rows of three, from its middle, [count, 2]."""
    row, column = np.divmod(np.arange(count), 3)
    return np.stack([SPACING[0] * (1 - column), SPACING[1] * (row - 2)], axis=1)


def _ids() -> Tasks:
    """BatteriesCheckerEasy and Hard, with 3 and 6 batteries."""
    return {
        f"BatteriesChecker{level}{count}-v0": (
            BatteriesChecker,
            {"batteries": count, "easy": easy, "max_steps": steps * count},
        )
        for level, easy, steps in (("Easy", True, 180), ("Hard", False, 360))
        for count in (3, 6)
    }


TASKS = _ids()
