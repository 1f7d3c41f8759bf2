"""What the three-phase tasks share: the clock, moving, the orchard and the window."""

import abc
import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Environment, Transition, float_dtype
from envs.three_phases import orchard, returns, rooms
from envs.three_phases.board import SIZE, Board, Thing, Window, in_view, look, paint
from envs.three_phases.rooms import COLUMNS, ROWS

EXPLORE, DISTRACTOR, REWARD = range(3)
PHASES = ("explore", "distractor", "reward")
PAPER = 'Hung et al. 2019, "Optimizing agent behavior over long time scales"'
_LONGEST = 500_000_000


class ThreePhasesState(NamedTuple):
    """The clock, the agent, the orchard, and what the task itself keeps.

    Attributes:
        time: steps taken.
        row, column: the agent's square on the board of the current phase.
        apples: for each square, the step of the distractor phase from which on an
            apple is there; `orchard.NEVER` where none comes.
        rich: whether apples pay `apple_high` in this episode.
        task: what one of the tasks adds.
    """

    time: Int[Array, ""]
    row: Int[Array, ""]
    column: Int[Array, ""]
    apples: Int[Array, "7 11"]
    rich: Bool[Array, ""]
    task: Any


@dataclasses.dataclass(frozen=True)
class ThreePhases(Environment):
    """Explore, collect apples, be paid (Hung et al. 2019); see the two tasks.

    Attributes:
        explore: steps of the first phase.
        distractor: steps of the second phase.
        reward: steps of the third phase.
        apples: how many there are, at random ones of 22 trees.
        respawn: an eaten apple is back after so many steps and one; 0 for never.
        apple_low: what an apple pays: this ...
        apple_high: ... or this.
        apple_draw: `episode` for one of the two numbers in each episode, equally
            likely; `apple` for a number between them, anew for each apple.
        final_reward: what the last phase pays.
        partial_obs: False shows what must be remembered in the agent's own pixel.
    """

    explore: int = 15
    distractor: int = 60
    reward: int = 15
    apples: int = 10
    respawn: int = 20
    apple_low: float = 1.0
    apple_high: float = 1.0
    apple_draw: Literal["episode", "apple"] = "episode"
    final_reward: float = 5.0
    partial_obs: bool = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field, (least, why) in self._least().items():
            most = len(orchard.TREES) if field == "apples" else _LONGEST
            if not least <= (value := getattr(self, field)) <= most:
                raise ValueError(
                    f"{name} needs {field} of at least {least}, {why}, and at most "
                    f"{most:,}; not {value}."
                )
        if not 0 <= self.apple_low <= self.apple_high < math.inf:
            raise ValueError(
                f"{name} needs 0 <= apple_low <= apple_high, both finite, as the range "
                f"of what an apple pays; not {self.apple_low} and {self.apple_high}."
            )
        if self.apple_draw not in ("episode", "apple"):
            raise ValueError(
                f"{name} draws what apples pay once for each 'episode' or for each "
                f"'apple', so set apple_draw to one of these; not {self.apple_draw!r}."
            )
        if not 0 < self.final_reward < math.inf:
            raise ValueError(
                f"{name} needs a final_reward above 0 and finite, or there is nothing "
                f"to remember for; not {self.final_reward}."
            )

    def _least(self) -> dict[str, tuple[int, str]]:
        """The least value of each number of things, and why."""
        none = "where 0 leaves them out"
        return {"distractor": (0, none), "apples": (0, none), "respawn": (0, none)}

    @property
    def _steps(self) -> int:
        return self.explore + self.distractor + self.reward

    @property
    def _apples(self) -> returns.Apples:
        pay = (self.apple_low + self.apple_high) / 2
        return returns.Apples(self.distractor, self.apples, self.respawn, pay)

    @property
    @abc.abstractmethod
    def _rooms(self) -> tuple[rooms.Room, rooms.Room, rooms.Room]:
        """The rooms of the three phases."""

    @property
    @abc.abstractmethod
    def _options(self) -> tuple[int, ...]:
        """Among how many options each of the task's own draws chooses."""

    @abc.abstractmethod
    def _begin(self, *drawn: Int[Array, ""]) -> Any:
        """What the task keeps at the start, from one number below each option."""

    @abc.abstractmethod
    def _arrive(
        self, state: ThreePhasesState, phase: Int[Array, ""]
    ) -> tuple[Any, Bool[Array, ""]]:
        """What the task keeps once the agent is at its new square, and whether it pays.

        `phase` is that of the move, which `state.time` counts already.
        """

    @abc.abstractmethod
    def _over(self, task: Any) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
        """Whether the last phase has come to its end, and whether to a good one."""

    @abc.abstractmethod
    def _things(
        self, state: ThreePhasesState, phase: Int[Array, ""]
    ) -> tuple[Thing, ...]:
        """What is on the board but walls, apples and the agent."""

    @abc.abstractmethod
    def _remembered(self, task: Any) -> Int[Array, ""]:
        """What must be remembered, as the symbol that a fully observing agent wears."""

    @abc.abstractmethod
    def _go(self, state: ThreePhasesState, phase: Int[Array, ""]) -> Int[Array, ""]:
        """The oracle's action in the first and the last phase."""

    def _seen(self, state: ThreePhasesState) -> Any:
        """What the task keeps once `state` has been observed."""
        return state.task

    def _blocked(
        self, state: ThreePhasesState, phase: Array, row: Array, column: Array
    ) -> Bool[Array, ""]:
        """Whether the agent cannot go to a square."""
        del state
        walls = np.stack([rooms.walls(room) for room in self._rooms])
        return jnp.asarray(walls)[phase, row, column]

    def _agent(self, state: ThreePhasesState, phase: Array) -> Int[Array, ""]:
        """What the agent's own square shows."""
        del phase
        plain = jnp.asarray(rooms.AGENT, jnp.int32)
        return plain if self.partial_obs else self._remembered(state.task)

    def reset(self, key: PRNGKeyArray) -> tuple[Window, ThreePhasesState]:
        """Draw the apples, the start and what the task hides."""
        tree_key, choice_key = jax.random.split(key)
        starts = rooms.places(self._rooms[EXPLORE], "s")
        options = np.array([len(starts), 2, *self._options], np.int32)
        start, rich, *drawn = jax.random.randint(
            choice_key, options.shape, 0, jnp.asarray(options), jnp.int32
        )
        row, column = jnp.asarray(starts)[start]
        state = ThreePhasesState(
            time=jnp.zeros((), jnp.int32),
            row=row,
            column=column,
            apples=orchard.plant(tree_key, self.apples),
            rich=rich > 0,
            task=self._begin(*drawn),
        )
        state = state._replace(task=self._seen(state))
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: ThreePhasesState, action: Int[Array, ""]
    ) -> Transition:
        """Move, unless something is in the way; eat or use what is there."""
        phase = self._phase(state.time)
        row, column = self._move(state, phase, action)
        apples, eaten = orchard.eat(
            state.apples, state.time - self.explore, row, column, self.respawn
        )
        eaten = eaten & (phase == DISTRACTOR)
        after = state._replace(
            time=state.time + 1,
            row=row,
            column=column,
            apples=jnp.where(phase == DISTRACTOR, apples, state.apples),
        )
        task, pays = self._arrive(after, phase)
        was_over, _ = self._over(state.task)
        _, success = self._over(task)
        after = self._enter(after._replace(task=task))
        after = after._replace(task=self._seen(after))
        terminated = after.time >= self._steps
        span, each = (self.apple_low, self.apple_high), self.apple_draw == "apple"
        apple_pay = orchard.pay(key, state.rich, *span, each=each)
        apple_reward = jnp.where(eaten, apple_pay, 0.0)
        reward = apple_reward + jnp.where(pays, self.final_reward, 0.0)
        info = {
            "success": terminated & success,
            "phase": phase,
            "decision": (phase == REWARD) & ~was_over,
            "apple_reward": apple_reward.astype(float_dtype()),
        }
        reward = reward.astype(float_dtype())
        truncated = jnp.zeros((), bool)
        return self._observe(after), after, reward, terminated, truncated, info

    def _phase(self, time: Int[Array, ""]) -> Int[Array, ""]:
        """The phase in which the action after `time` steps falls."""
        first, second = time >= self.explore, time >= self.explore + self.distractor
        return first.astype(jnp.int32) + second.astype(jnp.int32)

    def _move(
        self, state: ThreePhasesState, phase: Array, action: Array
    ) -> tuple[Int[Array, ""], Int[Array, ""]]:
        down, right = jnp.asarray(rooms.MOVES)[:, action]
        row = jnp.clip(state.row + down, 0, ROWS - 1)
        column = jnp.clip(state.column + right, 0, COLUMNS - 1)
        blocked = self._blocked(state, phase, row, column)
        row = jnp.where(blocked, state.row, row)
        return row, jnp.where(blocked, state.column, column)

    def _enter(self, state: ThreePhasesState) -> ThreePhasesState:
        """Go to the start of the next phase once one is over."""
        ends = (self.explore, self.explore + self.distractor)
        for room, time in zip(self._rooms[1:], ends, strict=True):
            (row, column), *_ = rooms.places(room, "s").tolist()
            now = state.time == time
            state = state._replace(
                row=jnp.where(now, row, state.row),
                column=jnp.where(now, column, state.column),
            )
        return state

    def _board(self, state: ThreePhasesState) -> Board:
        """What every square shows; after the last step, still of the last phase."""
        phase = self._phase(state.time)
        bare = np.stack([rooms.symbols(room) for room in self._rooms])
        ripe = state.apples <= state.time - self.explore
        trees = (phase == DISTRACTOR) & ripe
        board = jnp.where(trees, rooms.APPLE, jnp.asarray(bare)[phase])
        agent = self._agent(state, phase)
        me = Thing(state.row, state.column, agent, jnp.ones((), bool))
        return paint(board, (*self._things(state, phase), me))

    def _observe(self, state: ThreePhasesState) -> Window:
        return look(self._board(state), state.row, state.column)

    def oracle(self, key: PRNGKeyArray, state: ThreePhasesState) -> Int[Array, ""]:
        """The shortest way to what counts, and from apple to apple in between."""
        del key
        phase, step = self._phase(state.time), state.time - self.explore
        forage = orchard.forage(state.apples, step, state.row, state.column)
        go = self._go(state, phase)
        return jnp.where(phase == DISTRACTOR, forage, go).astype(jnp.int32)

    def render(self, state: ThreePhasesState) -> UInt8[Array, "64 width 3"]:
        """The board, brighter where it is in view; in the strip what is hidden."""
        board, pixels = self._board(state), jnp.asarray(rooms.PIXELS)
        squares = jnp.indices((ROWS, COLUMNS), jnp.int32)
        seen = in_view(state.row, state.column, squares[0], squares[1])
        floor = draw.select(seen, draw.FLOOR, draw.MARK)
        scene = draw.select(board == rooms.FLOOR, floor, pixels[board])
        cue = (board >= rooms.COLOUR) & (self._phase(state.time) == EXPLORE)
        scene = draw.select(cue & ~seen, pixels[rooms.WALL], scene)
        side = draw.SCENE // ROWS
        hidden = self._remembered(state.task)
        strip = draw.select(hidden == rooms.AGENT, draw.MARK, pixels[hidden])[
            None, None
        ]
        return draw.frame(draw.tiles(scene, side, side), draw.tiles(strip, 12, 12))

    @property
    def observation_space(self) -> spaces.Box:
        """One pixel for each of the 5 by 5 squares around the agent."""
        return spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)

    @property
    def action_space(self) -> spaces.Discrete:
        """North, south, west, east."""
        return spaces.Discrete(len(rooms.ACTIONS))
