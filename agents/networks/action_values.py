"""Action values: encoder -> memory -> heads."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from agents.base import Inputs, MemoryState
from agents.experience.normalize import Moments, Statistics
from agents.networks.choices import Choices, value_of
from agents.networks.torso import Head, Torso


class ActionValues(eqx.Module):
    """The value of every action.

    `advantage_head` is None unless the network is dueling (Wang et al. 2016, eq. 9):
    `value_head` then has one output, and the values are that plus what an action is
    better than the mean. `statistics` are constants here: no gradient reaches them.
    """

    torso: Torso
    value_head: Head
    advantage_head: Head | None
    statistics: Statistics
    choices: Choices = eqx.field(static=True)

    def initial_state(self, batch: int) -> MemoryState:
        """Memory states of `batch` streams before their first step."""
        return self.torso.initial_state(batch)

    def step(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Float[Array, "batch actions"]]:
        """One step: new memory state, and the values of all actions."""
        state, summary = self.torso.step(state, inputs, self._moments())
        return state, self._values(summary)

    def sequence(
        self, state: MemoryState, inputs: Inputs
    ) -> tuple[MemoryState, Float[Array, "time batch actions"]]:
        """A sequence: final memory state, and the values of all actions."""
        state, summary = self.torso.sequence(state, inputs, self._moments())
        return state, self._values(summary)

    def decision(
        self, state: MemoryState, inputs: Inputs, action: Any
    ) -> Float[Array, "time batch 1"]:
        """What the actions of a sequence were chosen by: their values."""
        values = self.sequence(state, inputs)[1]
        return value_of(values, self.choices.number(action))[..., None]

    def inspect(self, state: MemoryState, inputs: Inputs) -> dict[str, Array]:
        """What the memory looks at in a sequence: `[time, batch, ...]`."""
        return self.torso.inspect(state, inputs, self._moments())

    def _moments(self) -> dict[str, Moments] | None:
        return jax.lax.stop_gradient(self.statistics.observation)

    def _values(
        self, summary: Float[Array, "... features"]
    ) -> Float[Array, "... actions"]:
        value = self.value_head(summary)
        if self.advantage_head is None:
            return value
        advantage = self.advantage_head(summary)
        return value + advantage - advantage.mean(-1, keepdims=True)
