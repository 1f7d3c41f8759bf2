"""Count how often a lamp blinks, then press a button as often."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, float_dtype
from envs.robot import returns
from envs.robot.episodes import clock
from envs.robot.episodes.clock import Clock, Range
from envs.robot.episodes.episode import Outcome, Placement, left_alone
from envs.robot.hand import button
from envs.robot.hand.button import Button
from envs.robot.hand.touch import closeness, distance, paid, reach, staged
from envs.robot.seeing.seen import Appearance, Looks
from envs.robot.tabletop import Thing, World
from envs.robot.tabletop.things import ball
from envs.robot.task import RobotTask, Tasks

PHASES = ("watch", "press")
COLOURS = ("red", "black", "dark", "blue", "green")
_RED, _BLACK, _DARK, _BLUE, _GREEN = range(5)
_ON = 3
"""Steps for which a blink is on."""
_OFF: Range = (3, 5)
_PRESS, _CONFIRM = range(2)


class BlinkCountEpisode(NamedTuple):
    """An episode.

    Attributes:
        clock: when presses count.
        begins: the time at which each blink begins; of those that never come, the
            first at which presses count.
        blinks: how many there are.
        press, confirm: the two buttons.
        presses: how often the first has been pressed.
    """

    clock: Clock
    begins: Int[Array, " most"]
    blinks: Int[Array, ""]
    press: Button
    confirm: Button
    presses: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class BlinkCount(RobotTask):
    """Press as often as a lamp blinked (MIKASA-Robo, BlinkCountButtonPress).

    A blue lamp blinks, 3 steps on and 3 to 5 off each time. Then a second lamp turns
    from red to green, and a red button is to be pressed as often, lifting the gripper
    by 9 cm after each press, and then a black one. One press too many, or the black
    button at another count, is a failure and ends the episode.

    Where the original differs: the gripper moves while the lamp blinks, and can take
    another place at each blink, so that its place is the count (`committed=False`).
    Its dense reward pays 7.5 of a success's 30 for every step just below the height at
    which a press is over, and less for what comes next: PPO stayed there. Here it pays
    for the share of presses and lifts that a step has added. With `committed=False` the
    terms are the original's; what costs 3 is read as being more than 6 cm beside the
    red button, and the terms of pressing end when the count is right.

    Attributes:
        blinks: fewest and most.
        wait: fewest and most steps before the first.
    """

    blinks: Range = (1, 3)
    wait: Range = (5, 10)
    max_steps: int = 150

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        clock.check_range(name, "blinks", self.blinks)
        clock.check_range(name, "wait", self.wait)
        longest = self.wait[1] + self.blinks[1] * (_ON + _OFF[1])
        if longest >= self.max_steps:
            raise ValueError(
                f"{name} blinks for up to {longest} steps, which leaves none of "
                f"max_steps={self.max_steps} to press; raise max_steps."
            )

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
        """The red button, the black one, the lamp that blinks, and the other."""
        lamp = ball(0.012, kind="lamp")
        return (button.button(), button.button(), lamp, lamp)

    @property
    def _appearance(self) -> Appearance:
        return Appearance(colours=COLOURS)

    def _deal(self, key: PRNGKeyArray) -> tuple[BlinkCountEpisode, Array, Array]:
        wait_key, count_key, off_key, x_key, y_key = jax.random.split(key, 5)
        dtype = float_dtype()
        most = self.blinks[1]
        wait = jax.random.randint(
            wait_key, (), self.wait[0], self.wait[1] + 1, jnp.int32
        )
        count = jax.random.randint(count_key, (), self.blinks[0], most + 1, jnp.int32)
        lengths = _ON + jax.random.randint(
            off_key, (most,), _OFF[0], _OFF[1] + 1, jnp.int32
        )
        index = jnp.arange(most, dtype=jnp.int32)
        ends = wait + jnp.cumsum(lengths, dtype=jnp.int32)
        acts = ends[count - 1]
        task = BlinkCountEpisode(
            clock=Clock(hides=acts, asks=acts),
            begins=jnp.where(index < count, ends - lengths, acts),
            blinks=count,
            press=button.fresh(),
            confirm=button.fresh(),
            presses=jnp.zeros((), jnp.int32),
        )
        x = jax.random.uniform(x_key, (), dtype, -0.15, -0.05)
        y = jax.random.uniform(y_key, (), dtype, -0.12, 0.12)
        offsets = jnp.array(
            [[0, 0, 0.03], [0, 0.16, 0.03], [0.22, 0, 0.06], [0, -0.2, 0.06]], dtype
        )
        positions = offsets + jnp.stack([x, y, jnp.zeros_like(x)])[None]
        return task, positions, jnp.zeros(4, dtype)

    def _phase(self, task: BlinkCountEpisode, time: Int[Array, ""]) -> Int[Array, ""]:
        return self._acting(task, time).astype(jnp.int32)

    def _script(
        self, task: BlinkCountEpisode, world: World, time: Int[Array, ""]
    ) -> Placement:
        return left_alone(world, jnp.ones(4, bool))

    def _looks(
        self, task: BlinkCountEpisode, world: World, time: Int[Array, ""]
    ) -> Looks:
        since = time - task.begins
        on = ((since >= 0) & (since < _ON) & (task.begins < task.clock.asks)).any()
        acting = self._acting(task, time)
        colour = jnp.stack(
            [
                jnp.asarray(_RED),
                jnp.asarray(_BLACK),
                jnp.where(on, _BLUE, _DARK),
                jnp.where(acting, _GREEN, _RED),
            ]
        ).astype(jnp.int32)
        return Looks(world.present, colour)

    def _judge(
        self, task: BlinkCountEpisode, world: World, time: Int[Array, ""]
    ) -> tuple[BlinkCountEpisode, Outcome]:
        acting = self._acting(task, time)
        tool, places = world.gripper.position, world.position
        press, pressed, lifted = task.press.advance(tool, places[_PRESS])
        confirm, confirmed, _ = task.confirm.advance(tool, places[_CONFIRM])
        pressed &= acting
        confirmed &= acting
        before = task.presses
        shaped = self._shaped(task, world, pressed, lifted)
        task = task._replace(
            press=press, confirm=confirm, presses=before + pressed.astype(jnp.int32)
        )
        right = (before == task.blinks) & ~task.press.down
        failure = (task.presses > task.blinks) | (confirmed & ~right)
        return task, Outcome(confirmed & right, failure, paid(acting, shaped))

    def _progress(self, task: BlinkCountEpisode, world: World) -> Float[Array, ""]:
        """By how many presses and lifts are done, and how far the next one is."""
        complete = self._complete(task)
        place = world.position[jnp.where(complete, _CONFIRM, _PRESS)]
        near, depth = _reaching(world, place)
        raised = (world.gripper.position[2] - button.PRESSED_AT) / button.LIFT
        on = jnp.where(task.press.down, raised, 0.5 * (near + depth))
        done = 2 * task.presses - task.press.down.astype(jnp.int32)
        return staged(done, on, 2 * task.blinks + 1)

    def _shaped(
        self,
        task: BlinkCountEpisode,
        world: World,
        pressed: Bool[Array, ""],
        lifted: Bool[Array, ""],
    ) -> Float[Array, ""]:
        """The original's terms, while the phase and the count are those before."""
        places = world.position
        near, depth = _reaching(world, places[_PRESS])
        aside = distance(world, places[_PRESS, :2])
        above = world.gripper.position[2] - button.PRESSED_AT
        share = task.presses.astype(near.dtype) / task.blinks.astype(near.dtype)
        pressing = 1.5 * near + 2.0 * depth + share + paid(pressed, 4.0)
        pressing -= paid(above > 0.2, 1.5) + paid(aside > 0.06, 3.0)
        raised = jnp.clip(above / button.LIFT, 0.0, 1.0)
        lifting = 5.0 * raised + 2.0 * closeness(aside, 8.0)
        lifting += paid(depth <= 0.2, 2.0) + paid(lifted, 6.0) - paid(depth > 0.2, 2.0)
        near_end, depth_end = _reaching(world, places[_CONFIRM])
        confirming = 1.5 * near_end + 2.0 * depth_end
        stage = jnp.where(self._complete(task), confirming, pressing)
        return 0.25 * near + jnp.where(task.press.down, lifting, stage)

    def _complete(self, task: BlinkCountEpisode) -> Bool[Array, ""]:
        """Whether all presses are done, the last one lifted."""
        return (task.presses == task.blinks) & ~task.press.down

    def _aim(
        self, task: BlinkCountEpisode, world: World, time: Int[Array, ""]
    ) -> Float[Array, "5"]:
        done = self._complete(task)
        place = world.position[jnp.where(done, _CONFIRM, _PRESS)]
        tool = world.gripper.position
        return reach(world, button.stroke(tool, place, task.press.down))

    def _secret(self, task: BlinkCountEpisode) -> Float[Array, "2"]:
        return jnp.stack([task.blinks, task.presses]).astype(jnp.float32)

    def _strip(self, task: BlinkCountEpisode) -> UInt8[Array, "tiles 3"]:
        """A tile for each blink, less those that have been answered by a press."""
        index = jnp.arange(self.blinks[1], dtype=jnp.int32)
        left = (index < task.blinks) & (index >= task.presses)
        return draw.select(left, draw.PLUS, draw.MARK)

    def hidden(self, state: Any) -> dict[str, tuple[Array, Array]]:
        """Blinks so far, less presses; with the steps since a blink began."""
        begun = state.task.begins <= state.time
        begun &= state.task.begins < state.task.clock.asks
        last = jnp.where(begun, state.task.begins, 0).max()
        left = begun.sum(dtype=jnp.int32) - state.task.presses
        return {"left": (left, state.time - last)}

    @property
    def card(self) -> Card:
        """A number of events.

        Without memory the place of the gripper may still count presses, but not what
        happened while it could not move: every number of blinks is as likely.
        """
        least, most = self.blinks
        return returns.card(
            self,
            memory="temporal",
            horizon=(1, self.max_steps - self.wait[0]),
            ways=most - least + 1,
            note="the gripper's place may count presses, not blinks",
            phases=PHASES,
        )


def _reaching(
    world: World, place: Float[Array, "3"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How near the tool is to a button, and how far it has pressed, both up to 1."""
    away = distance(world, place.at[2].set(button.PRESSED_AT))
    depth = button.press_depth(world.gripper.position, place) / button.TRAVEL
    return closeness(away, 8.0), depth


def _ids() -> Tasks:
    """BlinkCountButtonPress Easy, Medium and Hard, and the long ones."""
    levels = {
        "Easy": ({"blinks": (1, 3), "max_steps": 150}, (1, 10)),
        "Medium": ({"blinks": (1, 5), "max_steps": 200}, (10, 20)),
        "Hard": ({"blinks": (1, 7), "max_steps": 300}, (20, 30)),
    }
    found = {}
    for level, (given, blinks) in levels.items():
        slow = {"blinks": blinks, "wait": (5, 50), "max_steps": 1200}
        found[f"BlinkCountButtonPress{level}-v0"] = (BlinkCount, given)
        found[f"BlinkCountButtonPress{level}Long-v0"] = (BlinkCount, slow)
    return found


TASKS = _ids()
