"""What the groups of the configuration can be set to: files, and names registered."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

import agents.registry as agents_registry
import envs
import memory_models

CONFIG_DIRECTORY = Path(__file__).resolve().parents[3] / "configs"

GROUPS = ("env", "memory", "agent", "experiment")
OPEN_GROUPS = ("env", "memory", "agent")
"""Groups with a choice `custom`, a class of one's own."""

OUTPUT_SIZE = 128
"""Of memories without a file."""

BOUND = ("env", "memory", "raw_keys", "total_updates", "axis_name")
"""Fields of an agent that are no settings: a run fills them."""

_stored: dict[str, dict[str, str]] = {group: {} for group in OPEN_GROUPS}


def store_registered() -> None:
    """Make whatever is registered a choice, also where it has no file.

    Those are the numbered settings of one task, such as MemoryLength30-v0, whose files
    would differ in that number alone, and names from a user's own package.
    """
    for id in envs.names():
        name = envs.config_name(id)
        if _is_new("env", name, id):
            _store("env", name, {"id": id, **dataclasses.asdict(envs.make(id))})
    for name in memory_models.names():
        if _is_new("memory", name, name):
            options = memory_models.options(name)
            given = {key: option.default for key, option in options.items()}
            own = {"name": name, "output_size": OUTPUT_SIZE, "raw_keys": []}
            _store("memory", name, {**own, **given})
    for name in agents_registry.names():
        if _is_new("agent", name, name):
            _store("agent", name, {"name": name, **_defaults(name)})


def _is_new(group: str, name: str, registered: str) -> bool:
    """Whether a registered name has neither a file nor been stored before."""
    if registered in _stored[group]:
        return False
    _stored[group][registered] = name
    return not (CONFIG_DIRECTORY / group / f"{name}.yaml").exists()


def _defaults(name: str) -> dict[str, Any]:
    """The settings of a registered agent that have a default."""
    fields = dataclasses.fields(agents_registry.lookup(name))
    return {
        field.name: field.default
        for field in fields
        if field.name not in BOUND and field.default is not dataclasses.MISSING
    }


def _store(group: str, name: str, node: Mapping[str, Any]) -> None:
    """Store a choice, with the values that a configuration can hold."""
    plain = {key: value for key, value in node.items() if _is_plain(value)}
    ConfigStore.instance().store(group=group, name=name, node=plain)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def group_options(group: str) -> list[str]:
    """Names that a group can be set to."""
    store_registered()
    files = (CONFIG_DIRECTORY / group).glob("*.yaml")
    stored = _stored.get(group, {}).values()
    return sorted({*(path.stem for path in files), *stored})
