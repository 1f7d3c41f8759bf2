"""A task around a task, of which less is seen: what the wrappers here share."""

import abc
import dataclasses
from typing import Any, Literal, NamedTuple, cast

import gymnasium
import jax
from jaxtyping import PRNGKeyArray

from envs.base import Card, Environment, Observation, State, Transition, unknown


class PartialState(NamedTuple):
    """The inner task's state, and what the wrapper keeps.

    Attributes:
        inner: state of the task.
        kept: past observations, oldest first, for `Delayed`; nothing for the others.
    """

    inner: State
    kept: Any


@dataclasses.dataclass(frozen=True)
class Partial(Environment):
    """`env`, of which less is seen; subclasses say what.

    Attributes:
        env: the task.
    """

    env: Environment

    @abc.abstractmethod
    def _begin(self, key: PRNGKeyArray, observation: Any) -> tuple[Observation, Any]:
        """The first observation as it is seen, and what to keep."""

    @abc.abstractmethod
    def _see(
        self, key: PRNGKeyArray, kept: Any, observation: Any
    ) -> tuple[Observation, Any]:
        """A later observation as it is seen, and what to keep."""

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, PartialState]:
        """Start the task, and see less of it."""
        task_key, own_key = jax.random.split(key)
        return self._first(own_key, self.env.reset(task_key))

    def _first(self, key: PRNGKeyArray, start: Any) -> tuple[Any, PartialState]:
        observation, inner = start
        seen, kept = self._begin(key, observation)
        return seen, PartialState(inner, kept)

    def step(self, key: PRNGKeyArray, state: PartialState, action: Any) -> Transition:
        """Step the task, and see less of it."""
        task_key, own_key = jax.random.split(key)
        observation, inner, *rest = self.env.step(task_key, state.inner, action)
        seen, kept = self._see(own_key, state.kept, observation)
        return cast(Transition, (seen, PartialState(inner, kept), *rest))

    # What the task leaves out stays left out, so these are values, not methods. -----

    @property
    def oracle(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own."""
        inner = self.env.oracle
        return inner and (lambda key, state: inner(key, state.inner))

    @property
    def hidden(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own; ages count from when the task showed it, seen or not."""
        inner = self.env.hidden
        return inner and (lambda state: inner(state.inner))

    @property
    def render(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own: the scene as the task shows it."""
        inner = self.env.render
        return inner and (lambda state: inner(state.inner))

    @property
    def action_mask(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own."""
        inner = self.env.action_mask
        return inner and (lambda state: inner(state.inner))

    @property
    def next_episode(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The task's own, seen like any start."""
        inner = self.env.next_episode

        def start(key: PRNGKeyArray, state: PartialState) -> Any:
            task_key, own_key = jax.random.split(key)
            return self._first(own_key, inner(task_key, state.inner))

        return inner and start

    @property
    def observation_space(self) -> gymnasium.Space:
        """The task's, where the wrapper does not change it."""
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        """The task's."""
        return self.env.action_space

    def _card(self, kind: Literal["sequential", "filtering"], horizon: Any) -> Card:
        card = self.env.card
        why = f"not derived for {type(self).__name__}, which shows less than the task"
        return dataclasses.replace(
            card,
            memory=kind if card.memory == "none" else card.memory,
            horizon=horizon,
            memoryless=unknown(why),
            recall=unknown(why),
        )

    def _to_the_end(self) -> tuple[int, int]:
        """A horizon: from the task's least to nearly the whole episode."""
        card = self.env.card
        least, most = card.horizon
        return least, max(most, (card.max_episode_steps or 2) - 1)
