"""The command line, checked before anything starts.

Hydra composes the configuration; this module only reads the same overrides first, so
that a typo becomes one sentence with the nearest valid name.
"""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import gymnasium
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import envs
from agents.convert import ConfigError, convert, nearest
from agents.running.configuration.choices import CONFIG_DIRECTORY, GROUPS, group_options
from agents.running.configuration.host_tasks import names_gymnasium
from agents.running.configuration.plugins import load_plugins
from agents.running.configuration.words import (
    OPEN_KEYS,
    for_hydra,
    quoted,
    split,
    values,
)
from agents.running.files.resume import AUTO, choices_of, resumed_config
from envs.words import value_of

__all__ = [
    "check",
    "compose_config",
    "default_config",
    "for_hydra",
    "group_options",
    "plain",
    "resumes",
]

EVALUATION = "evaluation."
FIXED_KEYS = ("env.id", "memory.name", "agent.name")
"""Keys that a choice of group sets; another value would keep the group's settings. A
class of one's own may be called as one likes."""

_MANY_JOBS = 64


def check(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Check command-line arguments; return the configuration of every job.

    Args:
        arguments: the words after `train.py`.

    Raises:
        ConfigError: the first mistake found, in one sentence.
    """
    words = split(arguments)
    load_plugins(_plugins(words.settings))  # first: they add choices
    choices = [values(setting) for setting in words.settings]
    if resumes(arguments):
        return [_resumed(choices)]
    if not words.sweeps:
        several = [texts for texts in choices if len(texts) > 1]
        if several:
            shown = [*several[0][:4], *(["..."] if len(several[0]) > 4 else [])]
            raise ConfigError(
                f"{', '.join(shown)} are several runs; add -m to make a sweep."
            )
    return [compose_config(job) for job in _jobs(choices)]


def _plugins(settings: Sequence[str]) -> list[str]:
    """The modules that the words name."""
    given = [text for text in settings if text.lstrip("+").startswith("plugins=")]
    return [
        name
        for setting in given
        for text in values(setting)
        for name in convert(
            value_of(text.partition("=")[2]), tuple[str, ...], "plugins"
        )
    ]


def resumes(arguments: Sequence[str]) -> bool:
    """Whether the command line goes on with a run that it names."""
    words = [word.lstrip("+").partition("=") for word in arguments]
    return any(k == "resume" and v not in ("null", AUTO) for k, _, v in words)


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
    load_plugins(_plugins(overrides))
    groups, settings = {}, []
    for text in map(quoted, overrides):
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r} is not a setting: write name=value.")
        name = key.lstrip("+")
        if name in GROUPS:
            groups[name] = _choice(name, value)
        else:
            settings.append((name, value))
    words = [f"{group}={choice}" for group, choice in groups.items()]
    with _hydra():
        chosen = _chosen(tuple(words))
        known = _keys(OmegaConf.to_container(chosen, resolve=False))
        words += [_setting(name, value, chosen, known) for name, value in settings]
        try:
            config = compose("config", overrides=words)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(
                f"{_first_line(error)}: the value is of another kind than this setting."
            ) from None
    return plain(config)


def _hydra() -> AbstractContextManager[Any]:
    """Hydra over our configurations; within a job of it that is the one there is."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3")


def default_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the same choices of groups, with nothing set."""
    chosen = choices_of(config, "the configuration")
    return compose_config([f"{group}={name}" for group, name in chosen.items()])


def _choice(group: str, value: str) -> str:
    """The choice of a group, if there is such a one."""
    given = value_of(value) if value else value
    options = group_options(group)
    if isinstance(given, str) and given in options:
        return given
    if given in ("", None):
        raise ConfigError(
            f"{group}={value} names no choice; write {group}=<choice>, or leave it out."
        )
    if not isinstance(given, str):
        raise ConfigError(f"{group}={value} must be the name of one choice.")
    known = given in gymnasium.registry and not given.startswith("engram/")
    if group == "env" and known:
        raise ConfigError(
            f"env={given} is an id of Gymnasium: write env=gymnasium env.id={given}."
        )
    hint = nearest(envs.config_name(given) if group == "env" else given, options)
    raise ConfigError(f"there is no {group} {given!r}.{hint}")


def _setting(name: str, value: str, chosen: Any, known: Sequence[str]) -> str:
    """One setting as Hydra takes it, if the choices have it."""
    if not name.startswith(OPEN_KEYS):
        _check_settable(name, chosen)
        if name not in known:
            raise ConfigError(f"there is no setting {name!r} here.{_hint(name, known)}")
        return f"{name}={value}"
    if name.startswith(EVALUATION):
        own = name.removeprefix(EVALUATION)
        if not own.startswith(OPEN_KEYS):
            _check_settable(own, chosen)
            if own not in known:
                raise ConfigError(
                    f"there is no setting {own!r} here, so {name} changes "
                    f"nothing.{nearest(own, known)}"
                )
    elif name.startswith("env.make."):
        if "env.make" not in known:
            raise ConfigError(
                f"{name}={value} needs env=gymnasium: it is passed to gymnasium.make."
            )
    elif (group := name.split(".")[0]) + ".args" not in known:
        raise ConfigError(
            f"{name}={value} needs {group}=custom: only a class of your own has open "
            "args."
        )
    return f"++{name}={value}"


def _hint(name: str, known: Sequence[str]) -> str:
    """What may be meant: a setting of one's own class, the same name in a group."""
    group, _, key = name.partition(".")
    if key and f"{group}.args" in known:
        return f" Did you mean '{group}.args.{key}'?"
    inside = [other for other in known if other.endswith(f".{name}")]
    return nearest(name, inside or known)


@functools.cache
def _chosen(groups: tuple[str, ...]) -> Any:
    """What the choices of groups come to, for its keys: it may be out of date."""
    return compose("config", overrides=list(groups))


def _check_settable(name: str, chosen: Any) -> None:
    """Refuse keys that a group fixes, and values for a whole block of settings."""
    group = name.split(".")[0]
    own = name in FIXED_KEYS and (
        "target" in chosen[group] or names_gymnasium(chosen[group])
    )
    if name in FIXED_KEYS and not own:
        raise ConfigError(
            f"{name} belongs to the choice of {group}; write {group}=<choice>."
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


def _keys(tree: Any, prefix: str = "") -> list[str]:
    """All dotted keys of a nested mapping."""
    keys = []
    for name, value in tree.items():
        keys.append(f"{prefix}{name}")
        if isinstance(value, dict):
            keys += _keys(value, f"{prefix}{name}.")
    return keys
