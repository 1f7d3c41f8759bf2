"""Bakker's T-maze: the first one that asked a recurrent network to remember."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs.base import (
    Card,
    Environment,
    Return,
    Transition,
    computed,
    exact,
    float_dtype,
    unknown,
)
from envs.mazes import corridor

ACTIONS = ("north", "east", "south", "west")
_MOVES = (corridor.UP, corridor.RIGHT, corridor.DOWN, corridor.LEFT)
RIGHT_TURN, LOSS = 4.0, 0.1
_MOST_WORK = 100_000_000
"""Steps times cells up to which chance is computed, in about a second."""


class BakkerTMazeState(NamedTuple):
    """Where the agent is.

    Attributes:
        x, y: the cell; y is 0 in the corridor and +-1 in the two goal cells.
        time: steps taken.
        goal: the side of the goal, +1 north and -1 south.
        cue_time: when the agent was last at the start, where the cue is.
    """

    x: Int[Array, ""]
    y: Int[Array, ""]
    time: Int[Array, ""]
    goal: Int[Array, ""]
    cue_time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class BakkerTMaze(Environment):
    """Carry one bit down a corridor, at one's own pace (Bakker 2002, section 4).

    The agent starts at the west end of a corridor and the junction is `length` steps
    to the east. Turning north or south there ends the episode: the goal pays 4, the
    other side costs 0.1. Walking is free, back as well; a step that leads nowhere,
    into a wall, costs 0.1.

    Observations are three numbers, the same whenever the agent is in that cell:
    `[0, 1, 1]` at the start if the goal lies north and `[1, 1, 0]` if it lies south,
    `[1, 0, 1]` in the corridor, `[0, 1, 0]` at the junction. With `noise` the corridor
    reads `[a, 0, b]`, two numbers uniform in [0, 1], new at every step. The cue can be
    read again by walking back, so an agent that has forgotten it need not guess.

    Bakker's lengths are 5 to 70. Nothing else ends an episode there; here one that
    goes nowhere is truncated after `steps` steps. The two goal cells are never acted
    in and look like the junction.

    Attributes:
        length: steps from the start to the junction.
        noise: whether the corridor's observations are noisy.
        steps: after which an episode is cut off.
    """

    length: int = 10
    noise: bool = False
    steps: int = 1000

    def __post_init__(self) -> None:
        corridor.check_length("BakkerTMaze", self.length)
        if not self.length < self.steps <= corridor.LONGEST:
            raise ValueError(
                f"BakkerTMaze(length={self.length}) needs steps of at least "
                f"{self.length + 1}, to the junction and round it, and at most "
                f"{corridor.LONGEST:,}; not {self.steps}."
            )

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, "3"], BakkerTMazeState]:
        """Draw the side of the goal."""
        zero = jnp.zeros((), jnp.int32)
        state = BakkerTMazeState(zero, zero, zero, corridor.draw_goal(key), zero)
        return self._observe(key, state), state

    def step(
        self, key: PRNGKeyArray, state: BakkerTMazeState, action: Int[Array, ""]
    ) -> Transition:
        """Move, unless a wall is in the way; end in an arm or when time is up."""
        move = jnp.asarray(_MOVES, jnp.int32).at[action].get(mode="clip")
        x, y = corridor.move(state.x, state.y, move, self.length)
        time = state.time + 1
        cue_time = jnp.where(x == 0, time, state.cue_time)
        after = BakkerTMazeState(x, y, time, state.goal, cue_time)
        turned = y != 0
        success = y == state.goal
        stuck = (x == state.x) & ~turned
        loss = jnp.where(stuck | (turned & ~success), -LOSS, 0.0)
        at_junction = state.x == self.length
        elsewhere = jnp.where(self._cue_on_show(state), 0, 1)
        info = {
            "success": success,
            "phase": jnp.where(at_junction, 2, elsewhere).astype(jnp.int32),
            "decision": at_junction,
        }
        return (
            self._observe(key, after),
            after,
            jnp.where(success, RIGHT_TURN, loss).astype(float_dtype()),
            turned,
            time >= self.steps,
            info,
        )

    def _observe(self, key: PRNGKeyArray, state: BakkerTMazeState) -> Float[Array, "3"]:
        at_start, at_junction = state.x == 0, state.x == self.length
        north, south = state.goal > 0, state.goal < 0
        cue = jnp.stack([south, jnp.ones((), bool), north]).astype(jnp.float32)
        wall = jnp.ones(2, jnp.float32)
        if self.noise:
            wall = jax.random.uniform(key, (2,), jnp.float32)
        passage = jnp.stack([wall[0], jnp.zeros((), jnp.float32), wall[1]])
        junction = jnp.asarray([0.0, 1.0, 0.0], jnp.float32)
        return jnp.where(at_start, cue, jnp.where(at_junction, junction, passage))

    def _cue_on_show(self, state: BakkerTMazeState) -> Bool[Array, ""]:
        return state.x == 0

    def oracle(self, key: PRNGKeyArray, state: BakkerTMazeState) -> Int[Array, ""]:
        """Walk to the junction and turn to the goal."""
        del key
        turn = jnp.where(state.goal > 0, 0, 2)
        return jnp.where(state.x == self.length, turn, 1).astype(jnp.int32)

    def hidden(self, state: BakkerTMazeState) -> dict[str, tuple[Array, Array]]:
        """The goal's side, and the steps since its cue was on show."""
        return {"goal": (state.goal, state.time - state.cue_time)}

    def render(self, state: BakkerTMazeState) -> UInt8[Array, "64 width 3"]:
        """The maze, its cue while on show, and the goal's side in the strip."""
        return corridor.picture(
            state.x, state.y, state.goal, self._cue_on_show(state), self.length
        )

    @property
    def observation_space(self) -> spaces.Box:
        """Three numbers, bits where there is no noise."""
        return spaces.Box(np.zeros(3, np.float32), np.ones(3, np.float32))

    @property
    def action_space(self) -> spaces.Discrete:
        """North, east, south, west."""
        return spaces.Discrete(4)

    @property
    def card(self) -> Card:
        """One bit over the corridor.

        A policy without memory turns north in a share r of its turns, whichever the
        cue. If it always turns in the end, it is paid 4 r - 0.1 (1 - r) for one cue
        and 4 (1 - r) - 0.1 r for the other: 1.95 on average. Not to turn for one of
        the cues would save 0.1 at most, where the turn is surely wrong. But walking is
        the same for both cues; the cue can only tell whether to stand still at the
        start, once or more until it is too late to turn, and every time costs 0.1.
        """
        return Card(
            memory="object",
            paper='Bakker 2002, "Reinforcement Learning with Long Short-Term Memory"',
            horizon=(self.length, self.steps - 1),
            truncates=True,
            floor=self._floor(),
            memoryless=exact(
                (RIGHT_TURN - LOSS) / 2, "walk to the junction, turn to a fixed side"
            ),
            recall=exact(RIGHT_TURN),
            oracle=exact(RIGHT_TURN),
            max_episode_steps=self.steps,
            phases=("start", "corridor", "junction"),
            actions=ACTIONS,
        )

    def _floor(self) -> Return:
        if self.steps * (self.length + 1000) > _MOST_WORK:
            return unknown("to follow random walks for that many steps takes too long")
        return computed(random_return(self.length, self.steps))


@functools.cache
def random_return(length: int, steps: int) -> float:
    """Expected return of uniformly random actions, by following them in time.

    Two of four actions lead into a wall in the corridor, three at the start and one at
    the junction. Half of the walks that reach an arm have reached the goal.
    """
    cells, arms = np.zeros(length + 1), 0.0
    cells[0] = 1.0
    blocked = np.full(length + 1, 2 / 4)
    blocked[0], blocked[-1] = 3 / 4, 1 / 4
    total = 0.0
    for cells_after, arms_after in corridor.random_walk(
        length, 0, steps, arms_end=True
    ):
        total -= LOSS * float(blocked @ cells)
        cells, arms = cells_after, arms_after
    return float(total + arms * (RIGHT_TURN - LOSS) / 2)
