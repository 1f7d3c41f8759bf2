"""List the agents: python -m agents --actions continuous.

    python -m agents                        all, as agent=<name> takes them
    python -m agents --actions continuous
    python -m agents --learns-from replay   off-policy

Agents that learn from rollouts use what the current policy has just done, once or for
a few epochs; those that learn from a replay keep steps of older policies (off-policy).
Every agent takes every memory. docs/agents.md and docs/value_based.md have the rest,
and agent=custom takes a class of your own.
"""

import dataclasses
import functools
import inspect

import agents
import envs
import memory_models
from agents.registry import lookup
from command_line.listing import Column, Filter, Listing, by_name, run

TASKS = {
    "discrete": "TMaze-v0",
    "multi-discrete": "BattleshipEasy-v0",
    "continuous": "PositionOnlyPendulumEasy-v0",
}
"""A task for each kind of action: an agent takes the kind if its `check` does."""


class Entry:
    """A registered agent, looked into no further than is asked for."""

    def __init__(self, name: str):
        """Of a name."""
        self.name = name

    @functools.cached_property
    def actions(self) -> list[str]:
        """Kinds of action that it takes."""
        return [kind for kind, id in TASKS.items() if self._takes(id)]

    def _takes(self, id: str) -> bool:
        memory = memory_models.builder("none", output_size=4)
        try:
            agents.make(self.name, env=envs.make(id), memory=memory).check()
        except ValueError:
            return False
        return True

    @property
    def learns_from(self) -> str:
        """What it learns from: the last rollout, or a replay."""
        fields = {field.name for field in dataclasses.fields(lookup(self.name))}
        return "replay" if "replay_size" in fields else "rollouts"

    @property
    def summary(self) -> str:
        """The first line of its module, or of its class where it shares that."""
        target = lookup(self.name)
        module = inspect.getmodule(target)
        alone = sum(
            lookup(name).__module__ == target.__module__ for name in agents.names()
        )
        told = inspect.getdoc(module if alone == 1 else target) or ""
        return told.partition("\n")[0]


LISTING = Listing(
    package="agents",
    about=__doc__ or "",
    noun="agent",
    entries=lambda: map(Entry, agents.names()),
    columns=(
        Column("agent=", lambda agent: agent.name),
        Column("learns from", lambda agent: agent.learns_from),
        Column("actions", lambda agent: ", ".join(agent.actions)),
        Column("what it is", lambda agent: agent.summary),
    ),
    filters=(
        by_name("their name", lambda agent: agent.name),
        Filter(
            "--learns-from",
            "on-policy or off-policy",
            lambda agent, what: agent.learns_from == what,
            values=("rollouts", "replay"),
        ),
        Filter(
            "--actions",
            "those that take these actions",
            lambda agent, kind: kind in agent.actions,
            values=tuple(TASKS),
        ),
    ),
)

if __name__ == "__main__":
    run(LISTING)
