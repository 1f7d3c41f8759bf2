"""Classes of a user's own: how they are found, and what their runs are called."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import envs
from agents.base import Agent
from agents.convert import ConfigError, convert, nearest
from agents.running.configuration.plugins import import_own

_BASES = {
    envs.Environment: ("envs", "docs/adding_an_environment.md"),
    Agent: ("agents", "docs/agents.md"),
}
"""Classes that a user's own derives from: where from, and the page about it."""


def load_target(path: Any, name: str, base: type | None) -> Any:
    """The object that 'module:attribute' names."""
    if not isinstance(path, str) or path.count(":") != 1:
        raise ConfigError(
            f"{name}={path!r} must look like 'my_package.my_module:MyClass'."
        )
    module_name, attribute = path.split(":")
    module = import_own(module_name, f"{name}={path!r}")
    if not hasattr(module, attribute):
        raise ConfigError(
            f"{name}={path!r}: module {module_name!r} has no {attribute!r}."
            + nearest(attribute, [n for n in vars(module) if not n.startswith("_")])
        )
    target = getattr(module, attribute)
    if base is None or (inspect.isclass(target) and issubclass(target, base)):
        return target
    if hasattr(target, "step_env") and hasattr(target, "reset_env"):
        raise ConfigError(
            f"{name}={path!r} has gymnax's interface; write env=gymnax "
            f"env.args.name={path}."
        )
    package, page = _BASES[base]
    raise ConfigError(
        f"{name}={path!r} is not a subclass of {package}.{base.__name__}; see {page}."
    )


def called(group: Mapping[str, Any], key: str, own: str | None = None) -> Any:
    """A group whose class of one's own has a name: the class's, unless it is given.

    Args:
        group: with a `target` where the class is a user's own.
        key: dotted key of the name.
        own: what the task is called, where `target` is an adapter.
    """
    _, _, last = key.partition(".")
    if "target" not in group:
        return dict(group)
    name = convert(group.get(last), str | None, key)
    if name is None:
        name = str(own or group["target"]).split(":")[-1] or "unnamed"
        name = re.sub(
            r"[^\w.-]|^\W+", "_", name if last == "id" else envs.config_name(name)
        )
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(
            f"{key}={name!r} names a folder; use letters, digits, '-' and '_'."
        )
    return {**group, last: name}


def check_named(directory: Any) -> None:
    """Refuse to go on with a run that has no name.

    Raises:
        ConfigError: `directory` is empty, as from an unset variable of the shell.
    """
    if not str(directory).strip():
        raise ConfigError(
            "no run is named, because resume= is empty; give the folder of a run, or "
            "leave resume out to start one."
        )
