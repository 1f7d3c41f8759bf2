"""The command line of a search: its own settings, ranges, and settings of train.py."""

import dataclasses
import difflib
import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_type_hints

from agents.convert import ConfigError, convert, nearest
from agents.running.configuration.config import build
from agents.running.configuration.words import values
from agents.running.output.names import task_name
from agents.running.overrides import check
from agents.search.space import Range, range_of
from envs.words import value_of


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of the search itself.

    Attributes:
        trials: how many the study shall have in all, by all processes and starts.
        study: its name; by default made of the task and what is searched over, so
            that the same command goes on with the same study.
        storage: `sqlite:///path`, another database's address, or `journal:path`; by
            default `study.db` in the study's folder.
        sampler: `tpe` learns from earlier trials, `random` does not.
        pruner: `median` ends a trial whose evaluation is worse than the median of
            earlier trials at that point; `none` ends none.
        metric: what a trial is worth, `return` or `success`; by default what the
            task's card measures.
        timeout: seconds after which no further trial is begun.
    """

    trials: int = 30
    study: str | None = None
    storage: str | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["median", "none"] = "median"
    metric: Literal["return", "success"] | None = None
    timeout: float | None = None


OWN = {field.name: field.default for field in dataclasses.fields(Settings)}


@dataclasses.dataclass(frozen=True)
class Search:
    """A command line, understood.

    Attributes:
        settings: of the search; `study` and `metric` are filled.
        words: the settings of every trial, `name=value`.
        ranges: what is searched over.
        config: of the first trial that was tried out.
        folder: of the study.
    """

    settings: Settings
    words: tuple[str, ...]
    ranges: tuple[Range, ...]
    config: dict[str, Any]
    folder: Path

    @property
    def has_pruning(self) -> bool:
        """Whether evaluations happen at which a trial can end early."""
        interval = self.config["evaluation"]["interval"]
        return self.settings.pruner != "none" and interval is not None


def read(arguments: Sequence[str]) -> Search:
    """Understand a command line, and check that its ranges can be trained with.

    Args:
        arguments: the words after the command.

    Raises:
        ConfigError: the first mistake found, in one sentence.
    """
    own, words, ranges = _sort(arguments)
    given = {name: _own(name, text) for name, text in own.items()}
    settings = Settings(**given)
    if settings.trials < 1:
        raise ConfigError(f"trials={settings.trials} must be at least 1.")
    if settings.study is not None and not re.fullmatch(r"[\w.=+-]+", settings.study):
        raise ConfigError(
            f"study={settings.study!r} names a folder: write letters, digits and -_.=+."
        )
    if settings.timeout is not None and settings.timeout <= 0:
        raise ConfigError(f"timeout={settings.timeout} must be more than 0 seconds.")
    config = _tried(words, ranges)
    card = build(config).evaluation_env.card
    task = task_name(config)
    if settings.study is None:
        told = " ".join(sorted([*words, *map(str, ranges)]))
        digest = hashlib.sha256(told.encode()).hexdigest()[:8]
        settings = dataclasses.replace(settings, study=f"{task}-{digest}")
    if settings.metric is None:
        settings = dataclasses.replace(settings, metric=card.measure)
    return Search(
        settings=settings,
        words=tuple(words),
        ranges=tuple(ranges),
        config=config,
        folder=Path(config["run_directory"]) / "search" / str(settings.study),
    )


def _sort(
    arguments: Sequence[str],
) -> tuple[dict[str, str], list[str], list[Range]]:
    """The search's own settings, those of every trial, and the ranges."""
    own: dict[str, str] = {}
    words: list[str] = []
    ranges: dict[str, Range] = {}
    for word in arguments:
        name, equals, text = word.partition("=")
        if word.startswith("-"):
            raise ConfigError(
                f"{word} is no flag of a search, whose settings are words without "
                "dashes, such as trials=30; see python -m agents.search --help."
            )
        if name in OWN and equals:
            own[name] = text
            continue
        found = range_of(word)
        if found is not None:
            ranges[found.key] = found
        else:
            words.append(word)
    _check(words, ranges)
    return own, words, list(ranges.values())


def _check(words: Sequence[str], ranges: dict[str, Range]) -> None:
    """Refuse what is no search."""
    names = {word.partition("=")[0].lstrip("+") for word in words}
    if not ranges:
        raise ConfigError(
            "nothing to search over: give a setting a range, such as "
            "agent.learning_rate=log(1e-4,3e-3)."
        )
    for name in names & set(ranges):
        raise ConfigError(f"{name} has a value and a range; give one of them.")
    if "resume" in names:
        raise ConfigError(
            "resume goes on with one run; a search is gone on with by its own command."
        )
    for word in words:
        key, equals, several = word.partition("=")
        if equals and len(values(word)) > 1:
            raise ConfigError(
                f"{word} is several values; to search over them write "
                f"{key}=choice({several})."
            )
        if difflib.get_close_matches(key, OWN, n=1, cutoff=0.8):
            raise ConfigError(f"there is no setting {key!r}.{nearest(key, OWN)}")


def _own(name: str, text: str) -> Any:
    """The value of one of the search's own settings."""
    value = text if name in ("study", "storage") else value_of(text)
    annotation = get_type_hints(Settings)[name]
    if text == "null":
        value = None
    return convert(value, annotation, name)


def _tried(words: Sequence[str], ranges: Sequence[Range]) -> dict[str, Any]:
    """The configuration at the first end of every range; each other end is tried too.

    Raises:
        ConfigError: one of them cannot be trained with.
    """
    first = [f"{x.key}={x.ends()[0]}" for x in ranges]
    config = check([*words, *first])[0]
    if config["distributed"]["coordinator"] is not None:
        raise ConfigError(
            "a search takes one process for each trial: leave distributed.coordinator "
            "out, and start the command several times instead."
        )
    build(config)
    for index, one in enumerate(ranges):
        for end in itertools.islice(one.ends(), 1, None):
            others = [*first[:index], f"{one.key}={end}", *first[index + 1 :]]
            build(check([*words, *others])[0])
    return config
