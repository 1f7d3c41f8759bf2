"""What becomes of a task when its parameters change."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from envs.base import Card, Environment
from envs.partial import Partial


class SpacesChange(ValueError):
    """A trained network does not fit the task any more."""


class Trial(NamedTuple):
    """What became of a task when one parameter grew.

    Attributes:
        field: the parameter.
        before, after: its value.
        old, new: the card then.
    """

    field: str
    before: int
    after: int
    old: Card
    new: Card

    @property
    def is_limit(self) -> bool:
        """Whether it is the number of steps after which an episode is cut off."""
        lengths = (self.old.max_episode_steps, self.new.max_episode_steps)
        return lengths == (self.before, self.after) and not self.growth(0)

    @property
    def counts_steps(self) -> bool:
        """Whether it only says how many steps an episode has, wherever the cue lies."""
        old, new = self.old.max_episode_steps, self.new.max_episode_steps
        by_one = old is not None and new is not None and new - old == self.grown
        return by_one and not self.growth(0)

    @property
    def lengthens(self) -> bool:
        """Whether episodes grow and the horizon stays."""
        old, new = self.old.max_episode_steps, self.new.max_episode_steps
        grows = old is not None and new is not None and new > old
        return grows and self.old.horizon == self.new.horizon

    @property
    def grown(self) -> int:
        """By how much it grew."""
        return self.after - self.before

    def growth(self, end: int) -> float:
        """How nearly the horizon follows it: 1 in proportion, 0 not at all."""
        ratio = (self.new.horizon[end] + 1) / (self.old.horizon[end] + 1)
        return math.log(ratio) / math.log((self.after + 1) / (self.before + 1))


def trials_of(env: Environment, task: Any, faults: dict[str, str]) -> Iterator[Trial]:
    """Let every whole number grow, and note under `faults` why some cannot."""
    card = env.card
    for name, value in integers(task):
        for larger in (2 * value, 2 * value + 1, value + 1, value + 2):
            if larger <= value:
                continue
            try:
                changed = changed_task(env, {name: larger})
            except SpacesChange:
                faults[name] = "changes the spaces"
                break
            except ValueError:
                faults[name] = "cannot grow"
                continue
            faults.pop(name, None)
            yield Trial(name, value, larger, card, changed.card)
            break


def integers(task: Environment) -> list[tuple[str, int]]:
    """Whole numbers that are 0 or more, by name."""
    values = [(x.name, getattr(task, x.name)) for x in dataclasses.fields(task)]
    plain = [x for x in values if isinstance(x[1], int) and not isinstance(x[1], bool)]
    return [(name, value) for name, value in plain if value >= 0]


def changed_task(env: Environment, values: dict[str, Any]) -> Environment:
    """The task with other values of some parameters, below whatever hides it.

    Raises:
        ValueError: it refuses them, or its spaces change.
    """
    changed = _replaced(env, values)
    same = (
        changed.observation_space == env.observation_space,
        changed.action_space == env.action_space,
    )
    if not all(map(bool, same)):
        told = ", ".join(f"{name}={value}" for name, value in values.items())
        raise SpacesChange(f"{told} changes its spaces")
    return changed


def _replaced(env: Environment, values: dict[str, Any]) -> Environment:
    if isinstance(env, Partial):
        return dataclasses.replace(env, env=_replaced(env.env, values))
    return dataclasses.replace(env, **values)


def innermost(env: Environment) -> Any:
    """The task below whatever shows less of it."""
    return innermost(env.env) if isinstance(env, Partial) else env
