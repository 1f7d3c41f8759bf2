"""T-maze: a cue at the start of a corridor says where to turn at its end."""

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs.base import Card, Environment, Transition, exact, float_dtype, steps_since
from envs.mazes import corridor


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
        corridor.check_length("TMaze", self.length)

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
            goal=corridor.draw_goal(key),
            cue_time=zero - self._offset,
        )
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: TMazeState, action: Int[Array, ""]
    ) -> Transition:
        """Move, unless a wall is in the way, and pay."""
        del key
        x, y = corridor.move(state.x, state.y, action, self._junction)
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
            "phase": self._phase(state),
            "decision": terminated & at_junction,
        }
        truncated = jnp.zeros((), bool)
        return self._observe(after), after, reward, terminated, truncated, info

    def _phase(self, state: TMazeState) -> Int[Array, ""]:
        """The phase in which the next action falls: an index into `card.phases`."""
        elsewhere = jnp.where(self._cue_on_show(state), 0, 1)
        return jnp.where(state.x == self._junction, 2, elsewhere).astype(jnp.int32)

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
        turn = jnp.where(state.goal > 0, corridor.UP, corridor.DOWN)
        last = state.time == self._steps - 1
        return jnp.where(last, turn, corridor.RIGHT).astype(jnp.int32)

    def hidden(self, state: TMazeState) -> dict[str, tuple[Array, Array]]:
        """The goal's side and its age; -1 before the cue is seen."""
        return {"goal": (state.goal, steps_since(state.cue_time, state.time))}

    def render(self, state: TMazeState) -> UInt8[Array, "64 width 3"]:
        """The maze, its cue while on show, and the goal's side in the strip."""
        return corridor.picture(
            state.x, state.y, state.goal, self._cue_on_show(state), self._junction
        )

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
            floor=corridor.floor(
                self.length, lambda: random_return(self.length, self.active)
            ),
            memoryless=exact(0.5, "walk on time, turn to a fixed side"),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self._steps,
            phases=("cue", "corridor", "junction"),
            actions=corridor.ACTIONS,
        )


@functools.cache
def random_return(length: int, active: bool) -> float:
    """Expected return of uniformly random actions, by dynamic programming.

    The goal's side is independent of where the walk goes, so whoever is in an arm at
    the last step is paid one half.
    """
    offset = int(active)
    steps = length + 2 * offset + 1
    walk = corridor.random_walk(length + offset, offset, steps, arms_end=False)
    total = 0.0
    for time, (cells, arms) in enumerate(walk, start=1):
        if time < steps:
            total -= cells[: max(0, time - offset)].sum() / length
        else:
            total += arms / 2
    return float(total)
