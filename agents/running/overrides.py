"""The command line, checked before anything starts.

Hydra composes the configuration; this module only reads the same overrides first, so
that a typo becomes one sentence with the nearest valid name.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import envs
from agents.convert import ConfigError, nearest
from agents.running.config import CONFIG_DIRECTORY
from agents.running.resume import choices_of, resumed_config, value_of

GROUPS = ("env", "memory", "agent", "experiment")
EVALUATION = "evaluation."
OPEN_KEYS = ("env.args.", "memory.args.", EVALUATION + "env.")
"""Keys that no file lists: the parameters of a user's own class, and those of the task
that are to differ in evaluations."""

FIXED_KEYS = ("env.id", "memory.name", "agent.name")
"""Keys that a choice of group sets; another value would keep the group's settings."""

_HYDRA_FLAGS_WITH_VALUE = (
    *("--cfg", "-c", "--config-name", "-cn", "--config-path", "-cp"),
    *("--config-dir", "-cd", "--package", "-p"),
)
_MANY_JOBS = 64


def _store_tasks_without_a_file() -> list[str]:
    """Make registered tasks choices of env though they have no file; their names.

    Those are the numbered settings of one task, such as MemoryLength30-v0: their
    files would differ in that number alone.
    """
    stored = []
    for id in envs.names():
        name = envs.config_name(id)
        if not (CONFIG_DIRECTORY / "env" / f"{name}.yaml").exists():
            node = {"id": id, **dataclasses.asdict(envs.make(id))}
            ConfigStore.instance().store(group="env", name=name, node=node)
            stored.append(name)
    return stored


_STORED = {"env": _store_tasks_without_a_file()}


def group_options(group: str) -> list[str]:
    """Names that a group can be set to."""
    files = (CONFIG_DIRECTORY / group).glob("*.yaml")
    return sorted([*(path.stem for path in files), *_STORED.get(group, ())])


def check(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Check command-line arguments; return the configuration of every job.

    Args:
        arguments: the words after `train.py`. Words that start with '-' are left to
            Hydra, and so are its own settings (`hydra.`, `hydra/`).

    Raises:
        ConfigError: the first mistake found, in one sentence.
    """
    parser = OverridesParser.create()
    choices: list[list[str]] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        if (
            before in _HYDRA_FLAGS_WITH_VALUE
            or word.startswith("-")
            or word.lstrip("+~").startswith("hydra")
        ):
            continue
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(
                f"{word!r} is not a setting: write name=value, for example "
                "env=tmaze or seed=1."
            )
        try:
            override = parser.parse_override(word)
        except HydraException:
            raise ConfigError(
                f"{word!r} cannot be read: write name=value and quote values with "
                "spaces or commas."
            ) from None
        choices.append(_texts(override, word))
    if resumes(arguments):
        return [_resumed(choices)]
    if len(choices) > 0 and not {"-m", "--multirun"} & set(arguments):
        several = [texts for texts in choices if len(texts) > 1]
        if several:
            raise ConfigError(
                f"{', '.join(several[0])} are several runs; add -m to make a sweep."
            )
    return [compose_config(job) for job in _jobs(choices)]


def resumes(arguments: Sequence[str]) -> bool:
    """Whether the command line goes on with a run instead of starting one."""
    words = [word.partition("=") for word in arguments]
    return any(k == "resume" and v not in ("null", "") for k, _, v in words)


def _resumed(choices: list[list[str]]) -> dict[str, Any]:
    if any(len(texts) > 1 for texts in choices):
        raise ConfigError("resume goes on with one run; give one value per setting.")
    words = [texts[0] for texts in choices]
    directory = next(w for w in words if w.startswith("resume=")).partition("=")[2]
    others = [word for word in words if not word.startswith("resume=")]
    return resumed_config(str(value_of(directory)), others, compose_config)


def _jobs(choices: list[list[str]]) -> list[tuple[str, ...]]:
    """All jobs of a sweep; of many, enough that every value occurs."""
    count = math.prod(len(texts) for texts in choices)
    if count <= _MANY_JOBS:
        return list(itertools.product(*choices))
    first = [texts[0] for texts in choices]
    return [
        (*first[:i], text, *first[i + 1 :])
        for i, texts in enumerate(choices)
        for text in texts
    ]


def compose_config(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose the configuration for overrides `name=value`, as Hydra does.

    Raises:
        ConfigError: an unknown group option or key.
    """
    groups, settings = [], []
    for text in overrides:
        key, _, value = text.partition("=")
        name = key.lstrip("+")
        if name in GROUPS:
            options = group_options(name)
            if value not in options:
                raise ConfigError(
                    f"there is no {name} {value!r}.{nearest(value, options)}"
                )
            groups.append(f"{name}={value}")
        else:
            settings.append((name, value))
    with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        chosen = _chosen(tuple(groups))
        known = _keys(OmegaConf.to_container(chosen, resolve=False))
        words = list(groups)
        for name, value in settings:
            if not name.startswith(OPEN_KEYS):
                _check_settable(name, chosen)
                if name not in known:
                    raise ConfigError(
                        f"there is no setting {name!r} here.{nearest(name, known)}"
                    )
                words.append(f"{name}={value}")
            elif name.startswith(EVALUATION):
                own = name.removeprefix(EVALUATION)
                if not own.startswith(OPEN_KEYS):
                    _check_settable(own, chosen)
                    if own not in known:
                        raise ConfigError(
                            f"there is no setting {own!r} here, so {name} changes "
                            f"nothing.{nearest(own, known)}"
                        )
                words.append(f"++{name}={value}")
            elif (group := name.split(".")[0]) + ".args" not in known:
                raise ConfigError(
                    f"{name}={value} needs {group}=custom: only a class of your own "
                    "has open args."
                )
            else:
                words.append(f"++{name}={value}")
        try:
            config = compose("config", overrides=words)
        except HydraException as error:
            raise ConfigError(
                f"{_first_line(error)}: the value is of another kind than this setting."
            ) from None
    return plain(config)


def default_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the same choices of groups, with nothing set."""
    chosen = choices_of(config, "the configuration")
    return compose_config([f"{group}={name}" for group, name in chosen.items()])


@functools.cache
def _chosen(groups: tuple[str, ...]) -> Any:
    """What the choices of groups come to, for its keys: it may be out of date."""
    return compose("config", overrides=list(groups))


def _check_settable(name: str, chosen: Any) -> None:
    """Refuse keys that a group fixes, and values for a whole block of settings."""
    group = name.split(".")[0]
    if name in FIXED_KEYS and name != "memory.name":
        raise ConfigError(
            f"{name} belongs to the choice of {group}; write {group}=<choice>."
        )
    if name == "memory.name" and "target" not in chosen.memory:
        raise ConfigError(
            "memory.name belongs to the choice of memory; write memory=<choice>."
        )
    if OmegaConf.is_dict(OmegaConf.select(chosen, name)):
        raise ConfigError(f"{name} holds settings; set one of them: {name}.key=value.")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def plain(config: Any) -> dict[str, Any]:
    """A composed configuration as plain Python values, without Hydra's own part."""
    try:
        container = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{_first_line(error)}.") from None
    assert isinstance(container, dict)
    container.pop("hydra", None)
    return {str(key): value for key, value in container.items()}


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra wants them: open keys may be added."""
    return [f"++{a}" if a.startswith(OPEN_KEYS) else a for a in arguments]


def _texts(override: Override, word: str) -> list[str]:
    """`name=value` for every value that one override sweeps over."""
    if override.is_delete() or (override.is_add() and not override.is_force_add()):
        raise ConfigError(
            f"{word!r} adds or deletes a setting, but all settings exist already; "
            "write name=value."
        )
    if override.package is not None:
        raise ConfigError(f"{word!r} names a package; write group=choice without '@'.")
    name = override.key_or_group
    if override.is_sweep_override():
        values = list(override.sweep_string_iterator())
    else:
        values = [override.get_value_element_as_str()]
    return [f"{name}={value}" for value in values]


def _keys(tree: Any, prefix: str = "") -> list[str]:
    """All dotted keys of a nested mapping."""
    keys = []
    for name, value in tree.items():
        keys.append(f"{prefix}{name}")
        if isinstance(value, dict):
            keys += _keys(value, f"{prefix}{name}.")
    return keys
