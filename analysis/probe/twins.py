"""What hiding costs, beside the task's twin in which everything is observed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.convert import ConfigError
from agents.running.configuration.config import build
from analysis.interval import Interval
from analysis.runs import Run, read_run
from envs import Environment

SEEN = {"drop": (), "noise": 0.0, "flicker": 0.0, "delay": 0}
"""The group `partial` where nothing is hidden."""


class Twin(NamedTuple):
    """Card and results of the fully observable twin.

    Attributes:
        told: which settings make it, such as `env.partial_obs=false`.
        measure: what the numbers are of.
        memoryless, recall: the card's, of the task and of its twin; None where unknown.
        gap: what the same memory reached on the twin, less what it reached here; None
            without a run of it.
        bias: what the same memory reached on the twin, less what `memory=none` did;
            None without runs of both.
    """

    told: str
    measure: str
    memoryless: tuple[float | None, float | None]
    recall: tuple[float | None, float | None]
    gap: Interval | None = None
    bias: Interval | None = None


def twin_of(env: Environment, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings that change where a task hides nothing; None where it has no twin.

    A task has one if it says so itself (`partial_obs`), or if the settings `partial`
    hide what the task would show.
    """
    changed = {}
    if env.settings().get("partial_obs") is True:
        changed["env.partial_obs"] = False
    group = config.get("partial") or SEEN
    changed |= {f"partial.{name}": seen for name, seen in SEEN.items() if group[name]}
    return changed or None


def compare_twin(
    env: Environment, config: Mapping[str, Any], run: Run, others: Sequence[str] = ()
) -> Twin | None:
    """Compare a task with its twin, and a run with others on that.

    Gap and bias are those of POPGym Arcade (Wang et al. 2025): what partial
    observation costs the same model, and what the memory costs where none is needed.

    Args:
        env: the task.
        config: of the run.
        run: the run.
        others: folders of runs on the twin: of the same memory, and of `none`.

    Returns:
        None where the task has no twin.

    Raises:
        ConfigError: runs are given that are not on the twin, or of which there is
            nothing to compare, or it has none.
    """
    changed = twin_of(env, config)
    if changed is None:
        if others:
            raise ConfigError(
                f"{run.task} has no fully observable twin in this repository, so there "
                "is nothing to compare --twin with; leave it out."
            )
        return None
    told = ", ".join(f"{name}={str(x).lower()}" for name, x in changed.items())
    wanted = _changed(config, changed)
    cards = env.card, build({**wanted, "check": False}).evaluation_env.card
    found = Twin(
        told,
        env.card.measure,
        (cards[0].memoryless.value, cards[1].memoryless.value),
        (cards[0].recall.value, cards[1].recall.value),
    )
    runs = [_checked(read_run(other), wanted, told) for other in others]
    same = [x for x in runs if x.config["memory"] == config["memory"]]
    blind = [x for x in runs if _memory_of(x) == "none"]
    if max(len(same), len(blind)) > 1 or len(same) + len(blind) < len(runs):
        raise ConfigError(
            f"--twin takes one run of this memory, {_memory_of(run)} with the same "
            f"settings, and one of none; given were "
            f"{', '.join(f'{x.directory} ({_memory_of(x)})' for x in runs)}."
        )
    if same:
        found = found._replace(gap=_difference(same[0], run, found.measure))
    if same and blind:
        found = found._replace(bias=_difference(same[0], blind[0], found.measure))
    return found


def _memory_of(run: Run) -> str:
    """The name of a run's memory."""
    return str(run.config["memory"].get("name"))


def _changed(config: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some settings, `group.key`, changed."""
    groups = {name: dict(config.get(name) or SEEN) for name in ("env", "partial")}
    for name, value in changed.items():
        group, _, key = name.partition(".")
        groups[group][key] = value
    return {**config, **groups}


def _checked(other: Run, wanted: Mapping[str, Any], told: str) -> Run:
    """A run, if it is on the twin and has ended."""
    played = [
        {**other.config["env"], **(other.config["evaluation"].get("env") or {})},
        {**SEEN, **(other.config.get("partial") or {})},
    ]
    expected = [
        {**wanted["env"], **(wanted["evaluation"].get("env") or {})},
        {**SEEN, **wanted["partial"]},
    ]
    if any(not _alike(a, b) for a, b in zip(played, expected, strict=True)):
        raise ConfigError(
            f"{other.directory} was not trained on the fully observable twin, which is "
            f"the same task with {told}; train one with these settings."
        )
    if other.result is None or other.result["together"]["return"] is None:
        raise ConfigError(
            f"{other.directory} has no result to compare with yet; let it end, or "
            f"python train.py resume={other.directory}."
        )
    return other


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two groups of settings are equal, be their lists lists or tuples."""
    plain = [
        {k: list(x) if isinstance(x, tuple) else x for k, x in group.items()}
        for group in (a, b)
    ]
    return plain[0] == plain[1]


def _difference(more: Run, less: Run, measure: str) -> Interval | None:
    """The difference of two results, whose errors are independent."""
    ends = []
    for run in (more, less):
        together = (run.result or {}).get("together", {})
        names = (measure, f"{measure}_lower", f"{measure}_upper")
        ends.append([together.get(name) for name in names])
    if any(x is None for end in ends for x in end):
        return None
    (a, a_low, a_high), (b, b_low, b_high) = ends
    return Interval(
        a - b,
        a - b - math.hypot(a - a_low, b_high - b),
        a - b + math.hypot(a_high - a, b - b_low),
    )
