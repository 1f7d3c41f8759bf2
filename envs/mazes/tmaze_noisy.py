"""The T-maze of RATE: a flag at the junction, a channel of noise, a step to spare."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs.base import Card, Environment, Transition, exact, float_dtype
from envs.mazes import corridor


class TMazeNoisyState(NamedTuple):
    """Where the agent is.

    Attributes:
        x, y: the cell; y is 0 in the corridor and +-1 in the two goal cells.
        time: steps taken.
        goal: the side of the goal, +-1.
    """

    x: Int[Array, ""]
    y: Int[Array, ""]
    time: Int[Array, ""]
    goal: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class TMazeNoisy(Environment):
    """Carry one bit down a corridor past noise (Cherepanov et al. 2023, RATE).

    The agent starts in the cell x = 0, where the cue is on show in the first
    observation only. The corridor ends in a junction at x = length with a goal cell
    above and below. Entering either ends the episode; the goal pays 1, and nothing
    else pays or costs anything. So does time: after length + 2 steps the episode ends
    unpaid wherever the agent is. The shortest way takes length + 1, which leaves one
    step to spare.

    This is RATE's evaluation: reward 1 (the wrong arm then pays 0, not -1), no
    penalty, and a deadline of T = 9 to 9600 for a corridor of T - 2 cells. Nothing on
    the way pays and random walks hardly ever reach the end of a long corridor: the
    task was made for learning from demonstrations.

    Observations: `[y, cue, flag, noise]`: the flag is 1 at the junction and in the
    goal cells, the noise is -1, 0 or 1 at random, anew at every step. Actions: 0
    right, 1 up, 2 left, 3 down.

    Attributes:
        length: length of the corridor.
    """

    length: int = 20

    def __post_init__(self) -> None:
        corridor.check_length("TMazeNoisy", self.length)

    @property
    def _steps(self) -> int:
        return self.length + 2

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, "4"], TMazeNoisyState]:
        """Draw the side of the goal."""
        goal_key, noise_key = jax.random.split(key)
        zero = jnp.zeros((), jnp.int32)
        state = TMazeNoisyState(zero, zero, zero, corridor.draw_goal(goal_key))
        return self._observe(noise_key, state), state

    def step(
        self, key: PRNGKeyArray, state: TMazeNoisyState, action: Int[Array, ""]
    ) -> Transition:
        """Move, unless a wall is in the way; end in an arm or when time is up."""
        x, y = corridor.move(state.x, state.y, action, self.length)
        after = TMazeNoisyState(x, y, state.time + 1, state.goal)
        terminated = (y != 0) | (after.time >= self._steps)
        success = y == state.goal
        at_junction = state.x == self.length
        waiting = jnp.where(self._cue_on_show(state), 0, 1)
        info = {
            "success": success,
            "phase": jnp.where(at_junction, 2, waiting).astype(jnp.int32),
            "decision": at_junction,
        }
        return (
            self._observe(key, after),
            after,
            success.astype(float_dtype()),
            terminated,
            jnp.zeros((), bool),
            info,
        )

    def _observe(self, key: PRNGKeyArray, state: TMazeNoisyState) -> Float[Array, "4"]:
        cue = jnp.where(self._cue_on_show(state), state.goal, 0)
        flag = (state.x == self.length).astype(jnp.int32)
        noise = jax.random.randint(key, (), -1, 2, jnp.int32)
        return jnp.stack([state.y, cue, flag, noise]).astype(jnp.float32)

    def _cue_on_show(self, state: TMazeNoisyState) -> Bool[Array, ""]:
        return state.time == 0

    def oracle(self, key: PRNGKeyArray, state: TMazeNoisyState) -> Int[Array, ""]:
        """Walk to the junction and turn to the goal."""
        del key
        turn = jnp.where(state.goal > 0, corridor.UP, corridor.DOWN)
        at_junction = state.x == self.length
        return jnp.where(at_junction, turn, corridor.RIGHT).astype(jnp.int32)

    def hidden(self, state: TMazeNoisyState) -> dict[str, tuple[Array, Array]]:
        """The goal's side and the steps since the first observation."""
        return {"goal": (state.goal, state.time)}

    def render(self, state: TMazeNoisyState) -> UInt8[Array, "64 width 3"]:
        """The maze, its cue while on show, and the goal's side in the strip."""
        return corridor.picture(
            state.x, state.y, state.goal, self._cue_on_show(state), self.length
        )

    @property
    def observation_space(self) -> spaces.Box:
        """Row of the cell, cue, flag of the junction, noise."""
        return spaces.Box(
            np.array([-1, -1, 0, -1], np.float32), np.array([1, 1, 1, 1], np.float32)
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """Right, up, left, down."""
        return spaces.Discrete(4)

    @property
    def card(self) -> Card:
        """One bit over the corridor.

        The spare step is no memory outside the agent. A stationary policy can let
        the cue decide whether to idle at the start, and so arrive with one step to
        spare or none; but it sees the same at the junction. Let it go up there with
        probability u, down with d and stay with r. Arriving early for one cue pays at
        most u (1 + r) and for the other at most d (1 + r), hence on average at most
        (u + d)(1 + r) / 2 = (1 - r)(1 + r) / 2, which is one half for r = 0.
        """
        return Card(
            memory="object",
            paper='Cherepanov et al. 2023, "Recurrent Action Transformer with Memory"',
            horizon=(self.length, self.length + 1),
            truncates=False,
            floor=corridor.floor(self.length, lambda: random_return(self.length)),
            memoryless=exact(0.5, "walk on, turn to a fixed side"),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self._steps,
            phases=("cue", "corridor", "junction"),
            actions=corridor.ACTIONS,
        )


@functools.cache
def random_return(length: int) -> float:
    """Expected return of uniformly random actions, by dynamic programming.

    Half of the walks that reach an arm in time have reached the goal.
    """
    walk = corridor.random_walk(length, 0, length + 2, arms_end=True)
    return max(arms for _, arms in walk) / 2
