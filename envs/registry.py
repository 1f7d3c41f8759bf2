"""Tasks by name. `envs.register` adds one; `envs.make` builds one.

Every id is registered in Gymnasium too, as `engram/<id>`.
"""

import dataclasses
import inspect
import re
from typing import Any, get_type_hints

import gymnasium

from command_line.words import nearest
from envs.base import Environment
from envs.parameter_types import check_types


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered task: its class and the parameters that this id fixes."""

    target: type[Environment]
    defaults: dict[str, Any]


NAMESPACE = "engram"
_REGISTRY: dict[str, Entry] = {}
_ID = re.compile(r"^[A-Z][A-Za-z0-9]*-v[0-9]+$")


def register(id: str, target: type, **defaults: Any) -> None:
    """Register a task under an id such as `TMaze-v0`, and `engram/` it in Gymnasium.

    Args:
        id: letters and digits starting with a capital, then `-v` and a number.
            Behaviour changes need a new number.
        target: a subclass of `Environment`.
        defaults: values for some of the class's fields.

    Raises:
        ValueError: a malformed or taken id, a target that is no Environment, or a
            default that is no field of it.
    """
    if not _ID.match(id):
        raise ValueError(
            f"environment id {id!r} is malformed: ids look like 'TMaze-v0', a "
            "capitalised name and a version, so that a change of behaviour can get a "
            "new id."
        )
    if id in _REGISTRY and _REGISTRY[id] != Entry(target, defaults):
        raise ValueError(f"environment id {id!r} is taken; choose another name.")
    if not (inspect.isclass(target) and issubclass(target, Environment)):
        raise ValueError(
            f"cannot register {target!r} as {id!r}: it is not a subclass of "
            "envs.Environment."
        )
    _check_parameters(id, target, defaults)
    _REGISTRY[id] = Entry(target, defaults)
    gymnasium_id = f"{NAMESPACE}/{id}"
    if gymnasium_id not in gymnasium.registry:
        gymnasium.register(
            gymnasium_id,
            entry_point="envs.gymnasium_api:GymnasiumEnv",
            vector_entry_point="envs.gymnasium_vector:GymnasiumVectorEnv",
            kwargs={"task": id},
        )


def names() -> list[str]:
    """All registered ids, sorted."""
    return sorted(_REGISTRY)


def make(id: str, **parameters: Any) -> Environment:
    """Build a registered task, with `parameters` over the id's own defaults.

    Raises:
        KeyError: no such id; the message names the nearest one.
        ValueError: no such parameter.
    """
    entry = lookup(id)
    _check_parameters(id, entry.target, parameters)
    return entry.target(**{**entry.defaults, **parameters}).placed()


def lookup(id: str) -> Entry:
    """The registry entry of `id`."""
    if not isinstance(id, str):
        raise KeyError(f"an environment id is text, such as 'TMaze-v0', not {id!r}.")
    if id not in _REGISTRY:
        hint = nearest(id, _REGISTRY)
        raise KeyError(f"there is no environment {id!r}.{hint} See envs.names().")
    return _REGISTRY[id]


def config_name(id: str) -> str:
    """The snake-case name of an id: `RepeatFirstEasy-v0` gives `repeat_first_easy`."""
    name = id.rsplit("-v", 1)[0]
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return name.lower().replace("t_maze", "tmaze").replace("mini_grid", "minigrid")


def parameters(target: type[Environment]) -> dict[str, dataclasses.Field]:
    """The fields of a task class by name."""
    return {field.name: field for field in dataclasses.fields(target)}


def _check_parameters(
    id: str, target: type[Environment], given: dict[str, Any]
) -> None:
    known = parameters(target)
    for name in given:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(f"{id} has no parameter {name!r}.{hint}")
    check_types(types_of(target), given, id)


def types_of(target: type) -> dict[str, Any]:
    """The types of a class's fields, as far as they can be read."""
    try:
        return get_type_hints(target)
    except (NameError, TypeError, AttributeError):  # for a type checker alone
        return {}
