"""T-maze: a cue at the start of a corridor says where to turn at its end."""

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
    Transition,
    computed,
    exact,
    float_dtype,
    unknown,
)

RIGHT, UP, LEFT, DOWN = range(4)
_CELL = 8  # pixels
LONGEST = 2_000_000_000
"""Longest corridor: positions and times are int32."""
LONGEST_COMPUTED = 10_000
"""Longest corridor whose random return is computed, in about half a second."""


class TMazeState(NamedTuple):
    """Where the agent is and what it has seen.

    Attributes:
        x, y: the cell; y is 0 in the corridor and +-1 in the two goal cells.
        time: steps taken.
        goal: the side of the goal, +-1.
        cue_time: the time at which the cue was on show, -1 if it has not been.
    """

    x: Int[Array, ""]
    y: Int[Array, ""]
    time: Int[Array, ""]
    goal: Int[Array, ""]
    cue_time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class TMaze(Environment):
    """Carry one bit down a corridor (Ni et al. 2023, section 4.1 and appendix D).

    The cue is on show in cell x = 0 at the first visit only. In the passive maze the
    agent starts there; in the active one it starts a cell to the right and must fetch
    it. The corridor ends in a junction at x = length (passive) or length + 1; the
    goal cells lie above and below it. The episode lasts exactly as long as fetching
    the cue, walking to the junction and turning take, and only the last step can pay
    1. Every other step costs 1/length if the agent lags behind that schedule.

    Observations: `[0, cue]` at the cue, `[0, 0]` in the corridor, `[1, y]` at the
    junction and in the goal cells. Actions: 0 right, 1 up, 2 left, 3 down.

    Attributes:
        length: length of the corridor.
        active: whether the cue must be fetched.
    """

    length: int = 20
    active: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.length <= LONGEST:
            raise ValueError(
                f"TMaze needs a corridor with length of at least 1 and at most "
                f"{LONGEST:,}, where time still fits into 32 bits, not {self.length}."
            )

    @property
    def _offset(self) -> int:
        """Distance from the cue to the start (Ni et al.: oracle length)."""
        return int(self.active)

    @property
    def _junction(self) -> int:
        return self.length + self._offset

    @property
    def _steps(self) -> int:
        return self.length + 2 * self._offset + 1

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, "2"], TMazeState]:
        """Draw the side of the goal."""
        zero = jnp.zeros((), jnp.int32)
        state = TMazeState(
            x=zero + self._offset,
            y=zero,
            time=zero,
            goal=2 * jax.random.bernoulli(key).astype(jnp.int32) - 1,
            cue_time=zero - self._offset,
        )
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: TMazeState, action: Int[Array, ""]
    ) -> Transition:
        """Move, unless a wall is in the way, and pay."""
        del key
        x, y = self._move(state, action.astype(jnp.int32))
        time = state.time + 1
        seen_now = (x == 0) & (state.cue_time < 0)
        after = TMazeState(
            x, y, time, state.goal, jnp.where(seen_now, time, state.cue_time)
        )
        terminated = time == self._steps
        success = terminated & (y == state.goal)
        lags = ~terminated & (x < time - self._offset)
        dtype = float_dtype()
        reward = success.astype(dtype) - lags.astype(dtype) / self.length
        at_junction = state.x == self._junction
        info = {
            "success": success,
            "phase": at_junction.astype(jnp.int32),
            "decision": terminated & at_junction,
        }
        truncated = jnp.zeros((), bool)
        return self._observe(after), after, reward, terminated, truncated, info

    def _move(
        self, state: TMazeState, action: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Int[Array, ""]]:
        right = jnp.where(action == RIGHT, 1, jnp.where(action == LEFT, -1, 0))
        up = jnp.where(action == UP, 1, jnp.where(action == DOWN, -1, 0))
        right = jnp.where(state.y == 0, right, 0)
        up = jnp.where(state.x == self._junction, up, 0)
        x = jnp.clip(state.x + right, 0, self._junction)
        return x, jnp.clip(state.y + up, -1, 1)

    def _observe(self, state: TMazeState) -> Float[Array, "2"]:
        junction = state.x == self._junction
        shown = self._cue_on_show(state)
        second = jnp.where(junction, state.y, jnp.where(shown, state.goal, 0))
        return jnp.stack([junction.astype(jnp.int32), second]).astype(jnp.float32)

    def _cue_on_show(self, state: TMazeState) -> Bool[Array, ""]:
        return state.cue_time == state.time

    def oracle(self, key: PRNGKeyArray, state: TMazeState) -> Int[Array, ""]:
        """Walk to the junction, wait, and turn to the goal at the last step."""
        del key
        turn = jnp.where(state.goal > 0, UP, DOWN)
        last = state.time == self._steps - 1
        return jnp.where(last, turn, RIGHT).astype(jnp.int32)

    def hidden(self, state: TMazeState) -> dict[str, tuple[Array, Array]]:
        """The goal's side and its age; before the cue is seen, the time so far."""
        return {"goal": (state.goal, state.time - jnp.maximum(state.cue_time, 0))}

    def render(self, state: TMazeState) -> UInt8[Array, "height width 3"]:
        """The maze: corridor white, goal green, other arm red, cue yellow, agent."""
        width = self._junction + 1
        grid = jnp.full((3, width, 3), 40, jnp.uint8).at[1].set(245)
        grid = grid.at[1, 0].set(jnp.array([240, 200, 60], jnp.uint8))
        green = jnp.array([40, 170, 80], jnp.uint8)
        red = jnp.array([200, 70, 60], jnp.uint8)
        grid = grid.at[0, -1].set(jnp.where(state.goal > 0, green, red))
        grid = grid.at[2, -1].set(jnp.where(state.goal > 0, red, green))
        image = grid.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
        agent = jnp.full((4, 4, 3), jnp.array([30, 60, 200], jnp.uint8))
        corner = (_CELL * (1 - state.y) + 2, _CELL * state.x + 2, 0)
        return jax.lax.dynamic_update_slice(image, agent, corner)

    @property
    def observation_space(self) -> spaces.Box:
        """At the junction or beyond; side or cue."""
        return spaces.Box(np.array([0, -1], np.float32), np.array([1, 1], np.float32))

    @property
    def action_space(self) -> spaces.Discrete:
        """Right, up, left, down."""
        return spaces.Discrete(4)

    @property
    def card(self) -> Card:
        """One bit over the corridor.

        The schedule closes the memory outside the agent. Whoever has seen the cue
        reaches the junction with one action left at the earliest, so arriving later
        for one cue than for the other forfeits that cue's goal; and the position
        inside the corridor is not observed.
        """
        distance = self.length + self._offset
        return Card(
            memory="object",
            paper='Ni et al. 2023, "When Do Transformers Shine in RL?"',
            horizon=(distance, distance),
            truncates=False,
            floor=(
                computed(random_return(self.length, self.active))
                if self.length <= LONGEST_COMPUTED
                else unknown("to compute it takes time quadratic in the length")
            ),
            memoryless=exact(0.5, "walk on time, turn to a fixed side"),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self._steps,
            phases=("corridor", "junction"),
        )


@functools.cache
def random_return(length: int, active: bool) -> float:
    """Expected return of uniformly random actions, by dynamic programming.

    Follows the distribution of the position forwards in time; the goal's side is
    independent of it, so either arm pays one half at the last step.
    """
    offset = int(active)
    junction, steps = length + offset, length + 2 * offset + 1
    corridor = np.zeros(junction + 1)
    corridor[offset] = 1.0
    arms = 0.0
    total = 0.0
    for time in range(1, steps + 1):
        moved = corridor / 2  # up and down are walls ...
        moved[-1] = corridor[-1] / 4 + arms / 4  # ... but right is one at the end
        moved[1:] += corridor[:-1] / 4
        moved[:-1] += corridor[1:] / 4
        moved[0] += corridor[0] / 4
        arms = arms * 3 / 4 + corridor[-1] / 2
        corridor = moved
        if time < steps:
            total -= corridor[: max(0, time - offset)].sum() / length
    return float(total + arms / 2)
