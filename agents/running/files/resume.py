"""Going on with a run: which settings may change, and where it stands."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import envs
from agents.convert import ConfigError, nearest
from agents.running.configuration.host_tasks import names_gymnasium
from agents.running.configuration.targets import check_named
from agents.running.files.records import CONFIG_FILE, flat
from envs.words import value_of

AUTO = "auto"
"""The value of `resume` that goes on with the run of the same settings, if any."""

MAY_CHANGE = (
    *("total_steps", "log_interval", "checkpoint.interval", "checkpoint.keep"),
    *("device", "num_devices", "compilation_cache", "check", "plugins"),
    *("distributed.coordinator", "distributed.num_processes", "distributed.process_id"),
)
"""Settings that a resumed run may be given anew."""

YOUNGER = (
    *("compilation_cache", "start_from", "partial.", "evaluation.env", "distributed."),
    "evaluation.films",
    *("agent.reconstruction_weight", "agent.memory_learning_rate", "check", "plugins"),
    *("env.vectorization", "env.step_timeout"),
)
"""Settings, or the beginnings of some, that the folders of older runs lack."""

OPEN = ("env.args", "env.make", "memory.args", "agent.args", "evaluation.env")
"""Settings that hold whatever somebody's own class takes."""


def resumed_config(
    directory: str,
    overrides: Sequence[str],
    compose: Callable[[Sequence[str]], dict[str, Any]],
) -> dict[str, Any]:
    """The configuration of the run in `directory`, with what may change changed.

    Args:
        directory: of the run.
        overrides: the other words of the command line, `name=value`.
        compose: from choices, `name=value`, to a whole configuration.

    Raises:
        ConfigError: no run there, its configuration was edited into something that
            cannot be, or a setting that may not change.
    """
    saved = saved_config(directory)
    choices = choices_of(saved, str(Path(directory) / CONFIG_FILE))
    words = [f"{group}={name}" for group, name in choices.items()]
    plugins = f"plugins=[{','.join(saved.get('plugins') or ())}]"
    given = [word for word in overrides if word.startswith("plugins=")]
    composed = compose([*words, *(given or [plugins])])  # they add choices
    config = _completed(saved, composed, directory)
    config["resume"] = str(directory)
    config["distributed"] = dict(composed["distributed"])
    known = {**flat(config), **choices}
    for word in overrides:
        name, _, text = word.partition("=")
        if name not in known:
            raise ConfigError(
                f"there is no setting {name!r} here.{nearest(name, known)}"
            )
        value = value_of(text)
        more = name == "num_seeds" and isinstance(value, int) and value > known[name]
        if name in MAY_CHANGE or more:
            group, _, key = name.rpartition(".")
            (config[group] if group else config)[key] = value
        elif value != known[name] and text != str(known[name]):
            raise ConfigError(
                f"{word} cannot change on resume, where the run has "
                f"{name}={known[name]}; only {', '.join(MAY_CHANGE)} can, and "
                "num_seeds can grow."
            )
    return config


def saved_config(directory: str | Path) -> dict[str, Any]:
    """The configuration that a run was started with.

    Raises:
        ConfigError: there is no run in `directory`, or its file holds no settings.
    """
    check_named(directory)
    path = Path(directory) / CONFIG_FILE
    if not path.is_file():
        runs = [str(p.parent) for p in Path("runs").glob(f"*/*/*/{CONFIG_FILE}")]
        hint = nearest(str(directory), runs)
        for parent in Path(directory).parents:
            if str(directory) and (parent / CONFIG_FILE).is_file():
                hint = f" Did you mean {str(parent)!r}, which {directory} is a part of?"
                break
        raise ConfigError(
            f"{directory} is not the folder of a run: it has no {CONFIG_FILE}.{hint}"
        )
    try:
        config = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise ConfigError(
            f"{path} is not YAML{where}; put back what the run wrote there."
        ) from None
    if not isinstance(config, dict):
        raise ConfigError(
            f"{path} holds no settings; put back what the run wrote there."
        )
    return {str(key): value for key, value in config.items()}


def _completed(
    saved: Mapping[str, Any], composed: Mapping[str, Any], directory: str
) -> dict[str, Any]:
    """A saved configuration, with the settings that are younger than its run.

    Raises:
        ConfigError: a setting that there is not, or one that the run must have had.
    """
    path = Path(directory) / CONFIG_FILE
    given, known = flat(saved), flat(composed)
    for name in given:
        if name not in known and not name.startswith(OPEN):
            raise ConfigError(
                f"{path} sets {name}, but there is no such setting."
                f"{nearest(name, known)}"
            )
    for name, default in known.items():
        if name not in given and not name.startswith((*OPEN, *YOUNGER)):
            raise ConfigError(
                f"{path} lacks {name}; put it back with the value that the run had "
                f"(it is {default} by default)."
            )
    config: dict[str, Any] = {}
    for name, value in saved.items():
        default = composed.get(name)
        if isinstance(value, dict) and isinstance(default, dict):
            value = {**default, **value}
        config[name] = value
    return {**composed, **config}


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a run for this process; the system lets go when the process ends.

    Raises:
        ConfigError: another process is at it, or it cannot be written.
    """
    try:
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot be written: {error.strerror} ({error.filename})."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(
            f"{directory} is in use by another process; stop that one first."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def in_use(directory: Path) -> bool:
    """Whether a process holds a run, as `locked` does."""
    try:
        descriptor = os.open(directory / ".lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def choices_of(config: Mapping[str, Any], where: str) -> dict[str, str]:
    """The choice of every group, as on the command line.

    Raises:
        ConfigError: a group is missing, or says not what it chose.
    """
    chosen = {}
    for group, key in (("env", "id"), ("memory", "name"), ("agent", "name")):
        settings = config.get(group)
        if not isinstance(settings, Mapping) or not {key, "target"} & settings.keys():
            raise ConfigError(
                f"{where} lacks {group}.{key}; put it back with the value that the run "
                "had."
            )
        chosen[group] = "custom" if "target" in settings else str(settings[key])
    if names_gymnasium(config["env"]):
        chosen["env"] = "gymnasium"
    elif chosen["env"] != "custom":
        chosen["env"] = envs.config_name(chosen["env"])
    return {**chosen, "experiment": "default"}
