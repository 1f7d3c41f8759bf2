"""The words of a command line: flags, settings of Hydra's own, settings of a run."""

import difflib
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from agents.convert import ConfigError, nearest
from agents.running.configuration.choices import (
    CONFIG_DIRECTORY,
    GROUPS,
    OPEN_GROUPS,
    group_options,
)

OPEN_KEYS = (
    *(f"{group}.args." for group in OPEN_GROUPS),
    *("env.make.", "evaluation.env."),
)
"""Keys that no file lists: the parameters of a user's own class or of an id of
Gymnasium, and those of the task that are to differ in evaluations."""

PATHS = ("resume", "start_from", "run_directory")
"""Settings that name a folder."""

_SWEEP = ("-m", "--multirun")
_ALONE = ("-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run")
_WITH_VALUE = {
    **dict.fromkeys(("-c", "--cfg"), ("job", "hydra", "all")),
    **dict.fromkeys(("-p", "--package"), GROUPS),
}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_REFUSED = (
    *("--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd"),
    *("--experimental-rerun", "--shell-completion", "-sc"),
)
_MOST_VALUES = 10_000


class Words(NamedTuple):
    """A command line in parts.

    Attributes:
        flags: words that start with '-', each with its value as '--cfg=job'.
        hydra: settings of Hydra itself, such as hydra/launcher=joblib.
        settings: everything else, name=value.
    """

    flags: list[str]
    hydra: list[str]
    settings: list[str]

    @property
    def sweeps(self) -> bool:
        """Whether the command line asks for a sweep."""
        return any(flag in _SWEEP for flag in self.flags)


def split(arguments: Sequence[str]) -> Words:
    """Sort the words of a command line, whatever their order.

    Raises:
        ConfigError: a flag that is unknown or lacks its value, or a word without '='.
    """
    words = Words([], [], [])
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            words.flags.extend(_flag(word, rest))
        elif word.lstrip("+~").startswith(("hydra.", "hydra/")):
            words.hydra.append(word)
        elif "=" in word or word.startswith("~"):
            words.settings.append(quoted(word))
        else:
            raise ConfigError(
                f"{word!r} is not a setting: write name=value, for example "
                "env=tmaze or seed=1."
            )
    _check_together(words.flags)
    _check_hydra(words.hydra)
    return words


def quoted(setting: str) -> str:
    """A setting whose value is a path, with quotes where Hydra needs them.

    The folder of a run may say `env.length=10`, and Hydra takes no bare '='.
    """
    name, _, value = setting.partition("=")
    if name.lstrip("+") not in PATHS or "=" not in value or value[0] in "'\"[":
        return setting
    return f"{name}=" + ",".join(f"'{path}'" for path in value.split(","))


def _flag(word: str, rest: list[str]) -> list[str]:
    """One flag, its value joined to it or taken from the words that follow."""
    name, equals, value = word.partition("=")
    if name in _REFUSED:
        raise ConfigError(
            f"{name} is of no use here: there is one configuration, and everything in "
            "it is set as name=value."
        )
    if name in ("-i", "--info"):
        if not equals and rest and rest[0] in _INFO:
            equals, value = "=", rest.pop(0)
        if equals and value not in _INFO:
            raise ConfigError(
                f"{word} must be one of {', '.join(_INFO)}.{nearest(value, _INFO)}"
            )
        return [f"--info={value}"] if equals else ["--info"]
    if name in _WITH_VALUE:
        known = _WITH_VALUE[name]
        if not equals:
            value = rest.pop(0) if rest and "=" not in rest[0] else ""
        if value not in known:
            hint = nearest(value, known) if value else ""
            raise ConfigError(
                f"{name} {value} must be one of {', '.join(known)}.{hint}"
            )
        return [name, value]
    if word in (*_ALONE, *_SWEEP):
        return [word]
    flags = (*_ALONE, *_SWEEP, *_WITH_VALUE, "--info")
    for meant in difflib.get_close_matches(name, flags, n=1, cutoff=0.8):
        raise ConfigError(f"{word} is no flag of train.py. Did you mean {meant!r}?")
    bare = name.lstrip("-") or "name"
    shown = value or "value"
    if not equals and rest and "=" not in rest[0] and not rest[0].startswith("-"):
        shown = rest[0]
    raise ConfigError(
        f"{word} is no flag of train.py, whose settings are words without dashes, such "
        f"as {bare.replace('-', '_')}={shown}; see python train.py --help."
    )


def _check_together(flags: list[str]) -> None:
    """Refuse flags that Hydra refuses beside each other."""
    actions = {
        flag.partition("=")[0]
        for flag in flags
        if flag.startswith("-") and flag not in ("--resolve", "-p", "--package")
    }
    shown = {"-m": "--multirun", "-r": "--run", "-c": "--cfg", "-h": "--help"}
    actions = sorted({shown.get(name, name) for name in actions})
    if len(actions) > 1:
        raise ConfigError(f"{' and '.join(actions)} exclude each other; give one.")
    for name in ("--resolve", "-p", "--package"):
        if name in flags and actions not in (["--cfg"], ["--help"]):
            raise ConfigError(f"{name} says how to show settings; add --cfg job.")


def _check_hydra(words: Sequence[str]) -> None:
    """Check settings of Hydra itself by composing with them."""
    if not words:
        return
    with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        for word in words:
            name, _, value = word.partition("=")
            known = loader.get_group_options(name)
            if name.startswith("hydra/") and value not in known:
                has = f"installed: {', '.join(known)}" if known else "no such group"
                raise ConfigError(
                    f"there is no {name}={value} ({has}); see docs/runs.md."
                )
        try:
            compose("config", overrides=list(words), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ConfigError(
                f"{' '.join(words)}: {reason}; see python train.py --hydra-help."
            ) from None


def values(setting: str) -> list[str]:
    """`name=value` for every value that one setting sweeps over.

    Raises:
        ConfigError: it cannot be read, or does something else than setting a value.
    """
    try:
        override = OverridesParser.create().parse_override(setting)
    except HydraException:
        if setting.partition("=")[2].startswith("~"):
            raise ConfigError(
                f"{setting!r} cannot be read: no shell expands '~' there; write $HOME "
                "or the whole path."
            ) from None
        raise ConfigError(
            f"{setting!r} cannot be read: write name=value and quote values with "
            "spaces or commas."
        ) from None
    if override.is_delete() or (override.is_add() and not override.is_force_add()):
        raise ConfigError(
            f"{setting!r} adds or deletes a setting, but all settings exist already; "
            "write name=value."
        )
    if not str(override.key_or_group).strip():
        raise ConfigError(
            f"{setting!r} has no name before its value; write name=value, for example "
            "seed=1."
        )
    if override.package is not None:
        raise ConfigError(
            f"{setting!r} names a package; write group=choice without '@'."
        )
    found = [f"{override.key_or_group}={value}" for value in _swept(override, setting)]
    if not found:
        raise ConfigError(f"{setting!r} sweeps over no value at all.")
    return found


def _swept(override: Override, setting: str) -> list[str]:
    """The values of an override; of a sweep, all of them."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        return _matching(override, setting)
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{setting!r} has no single values to run; write range(start,stop,step), "
            "or the values with commas between them."
        )
    try:
        found = list(
            itertools.islice(override.sweep_string_iterator(), _MOST_VALUES + 1)
        )
    except (HydraException, ValueError, TypeError, ArithmeticError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"{setting!r} cannot be swept over: {reason}.") from None
    if len(found) > _MOST_VALUES:
        raise ConfigError(
            f"{setting!r} has more than {_MOST_VALUES:,} values, each of them a run."
        )
    return found


def _matching(override: Override, setting: str) -> list[str]:
    """The choices of a group that `glob()` means; those that need more are left out."""
    group: Any = override.key_or_group
    if group not in GROUPS:
        raise ConfigError(
            f"{setting!r}: glob() chooses among files, so it works for "
            f"{', '.join(GROUPS)} alone."
        )
    glob: Any = override.value()
    open_ended = ("custom", "gymnax")
    names = [name for name in group_options(group) if name not in open_ended]
    found = glob.filter(names)
    if not found:
        raise ConfigError(f"{setting!r} matches no choice of {group}.")
    return found


def for_hydra(arguments: Sequence[str], scratch: str | None = None) -> list[str]:
    """The words as Hydra wants them: flags first, and open keys may be added.

    Args:
        arguments: that have passed `split`.
        scratch: a folder for what Hydra notes about a sweep.
    """
    words = split(arguments)
    noted = [f"hydra.sweep.dir={scratch}"] if scratch and words.sweeps else []
    settings = []
    for setting in words.settings:
        name, _, value = setting.lstrip("+").partition("=")
        if "glob(" in value and words.sweeps:
            found = [text.partition("=")[2] for text in values(setting)]
            setting = f"{name}={','.join(found)}"
        opened = name.startswith(OPEN_KEYS)
        settings.append(f"++{setting.lstrip('+')}" if opened else setting)
    return [*words.flags, *noted, *words.hydra, *settings]
