"""Carry cubes to a disc; the colour that a lamp flashed in counts in the end."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import Card, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock, layout
from envs.robot.episodes.clock import Range
from envs.robot.episodes.episode import Outcome, Placement, left_alone
from envs.robot.hand import button, handling
from envs.robot.hand.touch import apart, closeness, distance, paid, reach, staged
from envs.robot.one_at_a_time import OneAtATime
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import ball, cube, cylinder
from envs.robot.task import RobotTask, Tasks

PHASES = ("gather", "flash", "answer")
COLOURS = ("red", "lime", "blue", "dark", "white")
KINDS = 3
"""Colours that the lamp may flash in, each with a button."""
_DARK, _WHITE = 3, 4
SPACING = 0.09
HALF = 0.02
RADIUS = 0.12
WITHIN = 0.10
"""Metres from the middle of the disc within which a cube counts as on it."""
BELOW = 0.5
"""Metres below which it does."""
SLOW = 0.15
"""m/s below which it does."""
PRESS_RADIUS = 0.04
"""Metres beside the middle of a button within which it is pressed."""
BUTTON_TOP, GRASP = 0.063, 0.05
"""Heights and distances that the dense reward aims by, metres."""
_NEVER = np.iinfo(np.int32).max // 2
_BUTTONS = ((-0.22, -0.14), (-0.22, 0.0), (-0.22, 0.14))
_LAMP = (0.24, 0.06)
"""From the middle of the disc."""


class Gathering(NamedTuple):
    """An episode.

    Attributes:
        colour: in which the lamp flashes.
        enough: how many cubes on the disc start that.
        length: for how many steps.
        begins: the time at which it began, `_NEVER` before.
        there: which cubes count as brought to the disc.
        together: whether all of them are on it now.
    """

    colour: Int[Array, ""]
    enough: Int[Array, ""]
    length: Int[Array, ""]
    begins: Int[Array, ""]
    there: Bool[Array, " cubes"]
    together: Bool[Array, ""]

    def lit(self, time: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether the lamp flashes."""
        return (time >= self.begins) & (time < self.begins + self.length)

    def over(self, time: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether it has."""
        return time >= self.begins + self.length


@dataclasses.dataclass(frozen=True)
class GatherAndRecall(RobotTask):
    """Carry all cubes to a disc, then press a button (MIKASA-Robo, GatherAndRecall).

    Once some cubes are on the disc a lamp flashes in one of three colours. When all are
    there together, and the lamp is dark again, the first press of a button is the
    answer: that of this colour is right. A cube is on the disc where it has been let
    go and rests within 10 cm of its middle. The gripper does not move while the lamp
    flashes, so that neither its place nor a cube can keep the colour. One cube at a
    time is moved by physics (`envs.robot.one_at_a_time`); buttons, disc and lamp are
    ghosts.

    Where the original differs, all of it here with `committed=False`: the gripper moves
    during the flash, and can take a place for each colour; a cube that is held, or was
    carried over the disc, counts for the flash, and one that is held above it for the
    end; buttons count during the flash; and of one cube the flash begins only when it
    arrives, so that a button can be pressed while the lamp is lit. Here it begins at
    the start then; of several at 1 to all but one, in both. Its cubes push each other.
    Its dense reward, of which the hand's way to a cube is a part, falls where a cube is
    reached and the way to the disc begins to count; here it pays for the share of the
    way that a step has added.

    Attributes:
        cubes: how many, red, lime and blue by turns.
        flash: fewest and most steps of the flash.
    """

    cubes: int = 3
    flash: Range = (8, 14)
    max_steps: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not 1 <= self.cubes <= 9:
            raise ValueError(
                f"{name} needs cubes from 1 to 9, as many as have room on the disc; "
                f"not {self.cubes}."
            )
        clock.check_ranges(name, self.max_steps, flash=self.flash)

    @property
    def _value(self) -> float:
        return 50.0

    @property
    def _price(self) -> float:
        return -25.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        return (0.01, 0.03, 0.01)

    @property
    def _things(self) -> tuple[Thing, ...]:
        """The cubes, the disc, the three buttons and the lamp."""
        disc = cylinder("disc", RADIUS, 0.003)
        lamp = ball(0.012, kind="lamp")
        still = (disc, *(button.button(),) * KINDS, lamp)
        return (cube(HALF, moves=True),) * self.cubes + still

    @property
    def _table(self) -> OneAtATime:
        return OneAtATime(self._things)

    @property
    def _disc(self) -> int:
        """The disc's row; buttons and lamp follow."""
        return self.cubes

    def _buttons(self, world: World) -> Float[Array, "3 3"]:
        return world.position[self._disc + 1 : self._disc + 1 + KINDS]

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[Gathering, Array, Array]:
        colour_key, enough_key, length_key, place_key, cube_key = jax.random.split(
            key, 5
        )
        dtype = float_dtype()
        most = max(1, self.cubes - 1)
        least = 1
        if self.committed:  # the flash is to be over before the last cube is there
            least, most = min(1, self.cubes - 1), self.cubes - 1
        shortest, longest = self.flash
        enough = jax.random.randint(enough_key, (), least, most + 1, jnp.int32)
        task = Gathering(
            colour=jax.random.randint(colour_key, (), 0, KINDS, jnp.int32),
            enough=enough,
            length=jax.random.randint(length_key, (), shortest, longest + 1, jnp.int32),
            begins=jnp.where(enough == 0, 0, _NEVER).astype(jnp.int32),
            there=jnp.zeros(self.cubes, bool),
            together=jnp.zeros((), bool),
        )
        low, high = jnp.array([0.0, 0.1], dtype), jnp.array([0.08, 0.18], dtype)
        disc = jax.random.uniform(place_key, (2,), dtype, low, high)
        shifts = jax.random.uniform(cube_key, (self.cubes, 2), dtype, -0.005, 0.005)
        cubes = jnp.asarray(_cluster(self.cubes), dtype) + shifts
        cubes = cubes.at[:, 0].add(disc[0])
        fixed = jnp.array([(0, 0), *_BUTTONS, _LAMP], dtype) + disc[None]
        heights = jnp.array([0.003, *[0.029] * KINDS, 0.06], dtype)
        still = jnp.concatenate([fixed, heights[:, None]], axis=1)
        positions = jnp.concatenate([layout.on_table(cubes, HALF), still])
        return task, positions, jnp.zeros(len(positions), dtype)

    def _phase(self, task: Gathering, time: Int[Array, ""]) -> Int[Array, ""]:
        acting = self._acting(task, time)
        lit = task.lit(time).astype(jnp.int32)
        return jnp.where(acting, 2, lit).astype(jnp.int32)

    def _acting(self, task: Gathering, time: Int[Array, ""]) -> Bool[Array, ""]:
        return task.together & (task.over(time) | (not self.committed))

    def _moves(self, task: Gathering, time: Int[Array, ""]) -> Bool[Array, ""]:
        return ~task.lit(time) | (not self.committed)

    def _script(self, task: Gathering, world: World, time: Int[Array, ""]) -> Placement:
        return left_alone(world, jnp.ones(len(self._things), bool))

    def _looks(self, task: Gathering, world: World, time: Int[Array, ""]) -> Looks:
        kinds = np.arange(KINDS)
        fixed = np.array([*np.arange(self.cubes) % KINDS, _WHITE, *kinds], np.int32)
        lamp = jnp.where(task.lit(time), task.colour, _DARK)[None]
        return Looks(world.present, jnp.concatenate([jnp.asarray(fixed), lamp]))

    def _near_disc(self, world: World) -> Bool[Array, " cubes"]:
        away = world.position[: self.cubes, :2] - world.position[self._disc, None, :2]
        return (away**2).sum(1) < WITHIN**2

    def _on_disc(self, world: World) -> Bool[Array, " cubes"]:
        """Which cubes are on the disc."""
        slow = (world.velocity[: self.cubes] ** 2).sum(1) < SLOW**2
        low = world.position[: self.cubes, 2] < BELOW
        held = jnp.arange(self.cubes, dtype=jnp.int32) == world.held
        return self._near_disc(world) & slow & low & ~(held & self.committed)

    def _judge(
        self, task: Gathering, world: World, time: Int[Array, ""]
    ) -> tuple[Gathering, Outcome]:
        now = self._on_disc(world)
        there = now if self.committed else task.there | now
        starts = (task.begins == _NEVER) & (there.sum(dtype=jnp.int32) >= task.enough)
        begins = jnp.where(starts, time + 1, task.begins)
        task = task._replace(there=there, together=now.all(), begins=begins)
        depths = self._depths(world)
        counts = self._acting(task, time)
        pressed = button.pressed(depths) & counts
        right = pressed[task.colour]
        wrong = pressed.any() & ~right
        return task, Outcome(right, wrong, self._shaped(task, world, depths))

    def _depths(self, world: World) -> Float[Array, "3"]:
        return jax.vmap(
            lambda place: button.press_depth(
                world.gripper.position, place, PRESS_RADIUS
            )
        )(self._buttons(world))

    def _progress(self, task: Gathering, world: World) -> Float[Array, ""]:
        """By how many cubes are there, and how far the next one, or the press, is."""
        cubes = world.position[: self.cubes]
        disc = world.position[self._disc].at[2].set(0.006 + HALF)
        place = self._buttons(world)[task.colour].at[2].set(BUTTON_TOP)
        away = jnp.where(task.there, jnp.inf, distance(world, cubes))
        mine = jnp.argmin(away)
        bringing = 0.3 * closeness(away[mine], 4.0)
        bringing += 0.7 * closeness(apart(cubes[mine], disc), 4.0)
        pressing = 0.5 * closeness(distance(world, place), 4.0)
        pressing += 0.5 * self._depths(world)[task.colour] / button.TRAVEL
        done = task.there.sum(dtype=jnp.int32)
        on = jnp.where(task.together, pressing, bringing)
        return staged(done, on, self.cubes + 1)

    def _shaped(
        self, task: Gathering, world: World, depths: Float[Array, "3"]
    ) -> Float[Array, ""]:
        """The original's terms."""
        cubes, tool = world.position[: self.cubes], world.gripper.position
        away = distance(world, cubes)
        to_bring = ~task.there & ~task.together
        holds = (to_bring & (away < GRASP)).any()
        nearest = cubes[jnp.argmin(jnp.where(to_bring, away, jnp.inf))]
        disc = world.position[self._disc].at[2].set(0.006 + HALF)
        place = self._buttons(world)[task.colour].at[2].set(BUTTON_TOP)
        goal = jnp.where(holds, disc, nearest)
        goal = jnp.where(task.together, place, goal)
        # Where all have been there but are not there together nothing is aimed at.
        aims = task.together | to_bring.any()
        near = closeness(distance(world, jnp.where(aims, goal, tool)), 8.0)
        share = task.there.sum().astype(near.dtype) / self.cubes
        pressing = 3.0 * near + 5.0 * depths[task.colour] / button.TRAVEL
        return 2.0 * near + 10.0 * share + paid(task.together, pressing)

    def _aim(
        self, task: Gathering, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        """Bring cube after cube, each to a place of its own, and press."""
        place = self._buttons(world)[task.colour]
        here = jnp.arange(self.cubes, dtype=jnp.int32) == world.held
        ready = self._on_disc(world) & ~here
        row = jnp.argmin(ready).astype(jnp.int32)
        row = jnp.where(world.held >= 0, world.held, row)
        disc = world.position[self._disc].at[2].set(HALF)
        goal = disc + jnp.asarray(_places(self.cubes), disc.dtype)[row]
        bring = handling.bring(world, row, goal)
        if self.cubes == 1:  # straight there, while the lamp may still be lit
            press = reach(world, place.at[2].set(button.PRESSED_AT - 0.015))
        else:
            press = handling.press(world, place)
        return jnp.where(ready.all(), press, bring)

    def sweep(
        self, key: PRNGKeyArray, state: Any, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Array]:
        """As the scripted policy, but for the button.

        While the lamp is lit that is the lamp's, and then the one nearest to the hand.
        """
        task, world = state.task, state.world
        near = jnp.argmin(distance(world, self._buttons(world)[:, :2]))
        near = near.astype(jnp.int32)
        which = jnp.where(task.lit(state.time), task.colour, near)
        command = self._aim(task._replace(colour=which), world, state.time)
        if self.cubes == 1:  # let it fall on the edge, and be off
            place = self._buttons(world)[which].at[2].set(button.PRESSED_AT - 0.015)
            off = reach(world, place).at[4].set(1.0)
            fallen = self._near_disc(world).all() & (world.held < 0)
            command = jnp.where(fallen, off, command)
            drops = self._on_disc(world).all() & ~fallen
            command = jnp.where(drops, handling.release(world), command)
        return kept, self._action(command)

    def _secret(self, task: Gathering) -> Float[Array, "3"]:
        return jax.nn.one_hot(task.colour, KINDS, dtype=jnp.float32)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """The colour of the flash, 3 before it; with the steps since it was seen."""
        task, time = state.task, state.time
        colour = jnp.where(time >= task.begins, task.colour, KINDS)
        unseen = jnp.maximum(time - task.begins - task.length + 1, 0)
        return {"colour": (colour, unseen)}

    @property
    def card(self) -> Card:
        """What is to be done with it comes later."""
        return returns.card(
            self,
            memory="prospective",
            horizon=(1, self.max_steps - self.flash[0]),
            ways=KINDS,
            note="the first press counts, and nothing moves during the flash",
            phases=PHASES,
        )


def _cluster(count: int) -> np.ndarray:
    """Where cubes stand first, x from the middle of the disc, [count, 2].

    In rows of three along x, one row beside the other.
    """
    index = np.arange(count)
    row, column = index // 3, index % 3
    in_row = np.minimum(3, count - 3 * row)
    x = -0.08 + SPACING * (column - (in_row - 1) / 2)
    return np.stack([x, -0.26 + SPACING * (row - (row[-1]) / 2)], axis=1)


def _places(count: int) -> np.ndarray:
    """Where the scripted policy puts them, from the middle of the disc, [count, 3].

    In rows of three along x, so far apart along y that the fingers, which close along
    it, have room between two rows where things do push each other (in MuJoCo).
    """
    if count == 1:
        return np.array([[-0.08, 0.0, 0.0]])
    index = np.arange(count)
    x, y = 0.045 * (index % 3 - 1), 0.08 * (index // 3 - (count - 1) // 3 / 2)
    return np.stack([x, y, 0 * index], axis=1)


def _ids() -> Tasks:
    """GatherAndRecall of 1, 3, 5, 7 and 9 cubes."""
    limits = {1: 200, 3: 400, 5: 600, 7: 800, 9: 1000}
    return {
        f"GatherAndRecall{cubes}-v0": (
            GatherAndRecall,
            {"cubes": cubes, "max_steps": limit},
        )
        for cubes, limit in limits.items()
    }


TASKS = _ids()
