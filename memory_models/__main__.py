"""List the memory models: python -m memory_models --context all.

    python -m memory_models                          all, as memory=<name> takes them
    python -m memory_models --mechanism linear_scan
    python -m memory_models --family attention --context finite

Context is how many steps back an input can matter at the defaults; all: no limit but
forgetting. All else is in docs/models.md, and memory=custom takes a class of your own.
"""

import functools
import inspect
from typing import get_args, get_type_hints

import equinox as eqx
import jax

import memory_models
from command_line.listing import Column, Filter, Listing, by_name, run
from memory_models.base import Card, MemoryModel

WIDTH = 64


class AnyKey(dict[str, tuple[int, int]]):
    """Columns of whatever observation key a model asks for."""

    def __contains__(self, key: object) -> bool:
        """Whether there is such a key: always."""
        return True

    def __missing__(self, key: str) -> tuple[int, int]:
        """The first columns."""
        return 0, WIDTH // 2


class Model:
    """A registered model, looked into no further than is asked for."""

    def __init__(self, name: str):
        """Of a name."""
        self.name = name

    @functools.cached_property
    def card(self) -> Card:
        """What it is, at its defaults; traced, not computed."""
        build = memory_models.builder(self.name, output_size=WIDTH)

        def model(key: jax.Array) -> MemoryModel:
            return build(WIDTH, key=key, columns=AnyKey(observation=(0, WIDTH)))

        return eqx.filter_eval_shape(model, jax.random.key(0)).card

    @property
    def family(self) -> str:
        """The folder that it is registered from; empty for one of a user's own."""
        families = memory_models.FAMILIES
        found = (_name_of(x) for x in families if self.name in x.MODELS)
        return next(found, "")

    @property
    def context(self) -> str:
        """How many steps back an input can matter."""
        return "all" if self.card.context is None else str(self.card.context)

    @property
    def summary(self) -> str:
        """What it is, from its card or else the first sentence of its class."""
        own = inspect.getdoc(memory_models.lookup(self.name)) or ""
        return self.card.summary or own.partition("\n")[0]


def _name_of(family: object) -> str:
    return str(getattr(family, "__name__", "")).rsplit(".", 1)[-1]


def _word(mechanism: str) -> str:
    """A mechanism without spaces, as a shell takes it."""
    return mechanism.replace(" ", "_")


MECHANISMS = tuple(map(_word, get_args(get_type_hints(Card)["mechanism"])))
FILTERS = (
    by_name("their name", lambda model: model.name),
    Filter(
        "--family",
        "those of one family",
        lambda model, name: model.family == name,
        values=tuple(map(_name_of, memory_models.FAMILIES)),
    ),
    Filter(
        "--mechanism",
        "those on this machinery",
        lambda model, name: _word(model.card.mechanism) == name,
        values=MECHANISMS,
    ),
    Filter(
        "--context",
        "those that see so far back",
        lambda model, reach: (model.card.context is None) == (reach == "all"),
        values=("finite", "all"),
    ),
)
LISTING = Listing(
    package="memory_models",
    about=__doc__ or "",
    noun="memory model",
    entries=lambda: map(Model, memory_models.names()),
    columns=(
        Column("memory=", lambda model: model.name),
        Column("family", lambda model: model.family),
        Column("mechanism", lambda model: _word(model.card.mechanism)),
        Column("context", lambda model: model.context),
        Column("what it is", lambda model: model.summary),
    ),
    filters=FILTERS,
)

if __name__ == "__main__":
    run(LISTING)
