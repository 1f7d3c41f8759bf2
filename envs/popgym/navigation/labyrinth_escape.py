"""LabyrinthEscape: find the way out of a maze."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8, PRNGKeyArray

from envs.base import Card
from envs.popgym.navigation import hunt_and_kill
from envs.popgym.navigation.labyrinth import (
    GOAL,
    Grid,
    Labyrinth,
    LabyrinthState,
    Square,
)

# By size: the floor, then squares to the exit, each with a half width.
_PLAYED = {
    10: (-0.4136, 0.0115, 21.594, 0.108),
    14: (-0.8352, 0.0070, 36.006, 0.188),
    18: (-0.9568, 0.0036, 51.913, 0.276),
}


@dataclasses.dataclass(frozen=True)
class LabyrinthEscape(Labyrinth):
    """Find the way out of a maze seen through a small window (Morad et al. 2023).

    Cells lie at odd rows and columns of the grid, walls and passages between them.
    Two openings, at random places of opposite sides, are the start and the goal. Each
    action moves by one square, or leaves the agent where it is if a wall or the edge
    is there. A step costs 1/steps; the one onto the goal pays 1 as well and
    terminates. Episodes are truncated after steps - 1 steps, which can coincide.

    Observations are the 3 by 3 squares around the agent, row by row (0 free, 1 wall, 2
    start, 3 goal), and the last action (4 before the first). Two things in them are
    the package's, and are kept:

    - At the left and the upper border the window is shifted: it begins with the
      agent's own square, and its last column or row is filled with walls. Elsewhere,
      at the other two borders too, the agent is in the middle. Only the start, the
      goal and the bumps at them are on a border.
    - So the very first window can look like one inside the maze. The last action, and
      where the start is in the window, tell them apart.

    Mazes are drawn as the package's are, by hunt and kill, but never with cells left
    out (`envs.popgym.navigation.hunt_and_kill`).

    The package warns that this can be solved without memory. Indeed 'keep a hand on
    the wall' is a map from window and last action to action; it returns 0.95, 0.90 and
    0.84 at the three levels. Its detours are all that memory can save.
    """

    def _prepare(
        self, edges: hunt_and_kill.Edges, grid: Grid, start: Square, goal: Square
    ) -> tuple[Grid, Grid]:
        """The goal, and where to go from every square."""
        signs = hunt_and_kill.signposts(*edges, self._cell(goal), self._side)
        # Both lie on the border: out at the goal and in at the start point the same
        # way.
        way = self._outwards(goal).astype(jnp.int8)
        inside = tuple(jnp.clip(x, 1, self.size - 1) for x in goal)
        signs = signs.at[inside].set(way).at[start].set(way)
        return grid.at[goal].set(GOAL), signs

    def _outwards(self, square: Square) -> Int[Array, ""]:
        """The action that leads out of the maze from a square on its border."""
        row, column = square
        across = jnp.where(column == 0, 0, 1)
        along = jnp.where(row == 0, 2, 3)
        return jnp.where((column == 0) | (column == self.size), across, along)

    def _over(self, square: Int8[Array, ""], after: LabyrinthState) -> Bool[Array, ""]:
        return square == GOAL

    def _reward(
        self, new: Bool[Array, ""], terminated: Bool[Array, ""]
    ) -> Float[Array, ""]:
        return jnp.where(terminated, 1.0, 0.0) - 1 / self.steps

    def oracle(self, key: PRNGKeyArray, state: LabyrinthState) -> Int[Array, ""]:
        """The only way to the goal."""
        del key
        return jnp.maximum(state.plan[state.row, state.column], 0).astype(jnp.int32)

    @property
    def card(self) -> Card:
        """A map of the maze, drawn while walking."""
        notes = (
            "the only way to the goal",
            "the best search for an unseen goal in an unseen maze: its dynamic program "
            "over mazes is out of reach",
        )
        return self._card(
            _PLAYED, lambda squares: 1 - squares / self.steps, self._free + 1, notes
        )
