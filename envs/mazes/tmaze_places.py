"""The T-maze with its observation in two parts: where one is, and what is shown."""

import dataclasses
import functools

import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs.base import Card, Environment, Transition
from envs.mazes.tmaze import TMaze, TMazeState

Observation = dict[str, Int[Array, ""]]


@dataclasses.dataclass(frozen=True)
class TMazePlaces(Environment):
    """`TMaze`, passive, observed as `place` and `cue`.

    For memories that store what was where, or one modality under another. Actions,
    rewards and ends are those of `TMaze` (Ni et al. 2023). The place is the cell, which
    `TMaze` does not show inside the corridor. It tells nothing about the cue: the
    schedule leaves one way to be paid, and on it the place is the time.

    Observations: `place`, the cell: 0 to length in the corridor, then the arm above and
    the one below; `cue`, 1 (above) or 2 (below) at the start, else 0.

    Attributes:
        length: length of the corridor.
    """

    length: int = 20

    def __post_init__(self) -> None:
        _ = self._maze

    @functools.cached_property
    def _maze(self) -> TMaze:
        return TMaze(self.length)

    def _observe(self, state: TMazeState) -> Observation:
        arm = jnp.where(state.y > 0, self.length + 1, self.length + 2)
        shown = state.cue_time == state.time
        side = jnp.where(state.goal > 0, 1, 2)
        return {
            "cue": jnp.where(shown, side, 0).astype(jnp.int32),
            "place": jnp.where(state.y == 0, state.x, arm).astype(jnp.int32),
        }

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, TMazeState]:
        """Draw the side of the goal."""
        state = self._maze.reset(key)[1]
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: TMazeState, action: Int[Array, ""]
    ) -> Transition:
        """Move and pay as `TMaze` does."""
        step = self._maze.step(key, state, action)
        return self._observe(step[1]), *step[1:]

    def oracle(self, key: PRNGKeyArray, state: TMazeState) -> Int[Array, ""]:
        """As in `TMaze`."""
        return self._maze.oracle(key, state)

    def hidden(self, state: TMazeState) -> dict[str, tuple[Array, Array]]:
        """As in `TMaze`."""
        return self._maze.hidden(state)

    def render(self, state: TMazeState) -> UInt8[Array, "64 width 3"]:
        """As in `TMaze`."""
        return self._maze.render(state)

    @property
    def observation_space(self) -> spaces.Space:
        """The cell, and what is shown there."""
        return spaces.Dict(
            {"cue": spaces.Discrete(3), "place": spaces.Discrete(self.length + 3)}
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """Right, up, left, down."""
        return self._maze.action_space

    @property
    def card(self) -> Card:
        """One bit over the corridor, as in `TMaze`."""
        return self._maze.card
