"""List the tasks: python -m envs --kind object --pixels.

    python -m envs                               all, as env=<name> takes them
    python -m envs --kind spatial --continuous
    python -m envs --name tmaze --ids            ids, as Python and Gymnasium take them

Kind is the kind of memory that a task needs. Horizon is the fewest and the most steps
between a cue and the action that uses it. Multi is MultiDiscrete, several choices.
All else is in docs/tasks.md, and env=custom, env=gymnasium and env=gymnax take tasks
that are not registered here.
"""

import functools
import inspect
from typing import get_args

import gymnasium
import numpy as np
from gymnasium import spaces

import envs
from command_line.listing import Column, Filter, Listing, by_name, run
from envs.base import Card, MemoryKind
from envs.registry import lookup
from envs.spaces import children


class Task:
    """A registered task, looked into no further than is asked for."""

    def __init__(self, id: str):
        """Of an id."""
        self.id, self.name = id, envs.config_name(id)
        self._env = envs.make(id)

    @functools.cached_property
    def card(self) -> Card:
        """What it demands of memory."""
        return self._env.card

    @functools.cached_property
    def observes(self) -> str:
        """`pixels` where any part of an observation is a picture, else `vector`."""
        pictured = any(map(_is_picture, _leaves(self._env.observation_space)))
        return "pixels" if pictured else "vector"

    @functools.cached_property
    def action_space(self) -> gymnasium.Space:
        """Its action space."""
        return self._env.action_space

    @property
    def continuous(self) -> bool:
        """Whether actions are numbers rather than choices."""
        return isinstance(self.action_space, spaces.Box)

    @property
    def masked(self) -> bool:
        """Whether it tells which actions are allowed."""
        return self._env.action_mask is not None

    @property
    def family(self) -> str:
        """The folder that it is registered from; empty for one of a user's own."""
        found = (family for family in envs.FAMILIES if self.id in family.TASKS)
        return next(map(_name_of, found), "")

    @property
    def summary(self) -> str:
        """The first sentence of its class."""
        return (inspect.getdoc(lookup(self.id).target) or "").partition("\n")[0]


def actions(task: Task) -> str:
    """The action space in a word."""
    space = task.action_space
    if isinstance(space, spaces.Discrete):
        return f"Discrete({space.n})"
    name = "Box" if task.continuous else "Multi"
    return f"{name}[{', '.join(map(str, space.shape or ()))}]"


def horizon(task: Task) -> str:
    """The fewest and the most steps from cue to use."""
    least, most = task.card.horizon
    return str(least) if least == most else f"{least}-{most}"


def _name_of(family: object) -> str:
    return str(getattr(family, "__name__", "")).rsplit(".", 1)[-1]


def _leaves(space: gymnasium.Space) -> list[gymnasium.Space]:
    parts = children(space)
    if parts is None:
        return [space]
    return [leaf for _, part in parts for leaf in _leaves(part)]


def _is_picture(space: gymnasium.Space) -> bool:
    """Whether the encoder reads it as pixels; a few squares it reads as numbers."""
    shape = space.shape or ()
    return len(shape) == 3 and space.dtype == np.uint8 and min(shape[:2]) >= 8


FILTERS = (
    by_name("name or id", lambda task: f"{task.name} {task.id}"),
    Filter(
        "--family",
        "those of one family",
        lambda task, name: task.family == name,
        values=tuple(map(_name_of, envs.FAMILIES)),
    ),
    Filter("--masks", "those that mask actions", lambda task, _: task.masked),
    Filter("--discrete", "actions are choices", lambda task, _: not task.continuous),
    Filter("--continuous", "actions are numbers", lambda task, _: task.continuous),
    Filter("--pixels", "seen as pictures", lambda task, _: task.observes == "pixels"),
    Filter("--vector", "seen as numbers", lambda task, _: task.observes == "vector"),
    Filter(
        "--kind",
        "those that need this kind of memory",
        lambda task, kind: task.card.memory == kind,
        values=get_args(MemoryKind),
    ),
)
LISTING = Listing(
    package="envs",
    about=__doc__ or "",
    noun="task",
    entries=lambda: map(Task, envs.names()),
    columns=(
        Column("env=", lambda task: task.name),
        Column("kind", lambda task: task.card.memory),
        Column("sees", lambda task: task.observes),
        Column("actions", actions),
        Column("horizon", horizon),
        Column("what it is", lambda task: task.summary),
    ),
    filters=FILTERS,
    ids=Column("id", lambda task: task.id),
)

if __name__ == "__main__":
    run(LISTING)
