"""One trial: an ordinary run, watched, and what it comes to."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from agents.convert import ConfigError
from agents.evaluate import Score
from agents.running.files.records import CONFIG_FILE, write_whole
from agents.running.output.results import RESULT_FILE
from agents.running.overrides import check
from agents.running.trainer import RunError
from agents.search.settings import Search
from agents.search.study import Study

NOTE_FILE = "trial.json"
"""In the folder of a run: of which study it is, and which trial."""

_OF_MACHINE = ("device=", "num_devices=", "compilation_cache=")
"""Beginnings of words that a run which is gone on with may be given anew."""


class Outcome(NamedTuple):
    """How a trial ended.

    Attributes:
        state: COMPLETE, PRUNED or FAIL, in Optuna's words.
        value: mean over seeds of the last evaluation; None where it failed.
        seeds: value of each seed.
        lower, upper: the least and the best seed; of one seed the ends of the 95 %
            interval over its episodes.
        steps: environment steps per seed before that evaluation.
        why: the sentence that it failed with.
    """

    state: str
    value: float | None = None
    seeds: tuple[float, ...] = ()
    lower: float | None = None
    upper: float | None = None
    steps: int | None = None
    why: str | None = None


def overrides(search: Search, trial: Any) -> list[str]:
    """The settings of a trial, as words of the command line of `train.py`."""
    drawn = [f"{one.key}={one.draw(trial)}" for one in search.ranges]
    return [*search.words, *drawn]


def attempt(
    search: Search, study: Study, trial: Any, run: Callable[..., Any]
) -> Outcome:
    """Train what a trial says, or go on where another process left it.

    Args:
        search: what is searched.
        study: that the trial is of.
        trial: of Optuna, with its values drawn.
        run: `agents.run`.

    Raises:
        agents.Stopped: a signal; the run is saved, and the trial still running.
    """
    try:
        directory = trial.user_attrs.get("directory")
        words = overrides(search, trial)
        if directory is not None and (Path(directory) / CONFIG_FILE).is_file():
            record = _record(Path(directory))
            if record is not None and not record["ended"].startswith("stopped by"):
                return outcome_of(record, search)
            same = [word for word in search.words if word.startswith(_OF_MACHINE)]
            words = [f"resume={directory}", *same]
        config = check(words)[0]
        watcher = _Watcher(search, study, trial)
        result = run(config, Console(quiet=True), watcher=watcher)
    except (ConfigError, RunError, jax.errors.JaxRuntimeError) as error:
        return Outcome("FAIL", why=str(error).splitlines()[0])
    finally:
        jax.clear_caches()  # each trial compiles programs of its own
    return outcome_of(result.record(), search)


def outcome_of(record: dict[str, Any], search: Search) -> Outcome:
    """What a run that ended comes to as a trial.

    The last evaluation alone counts: it is of the policy that is kept, at the end of
    the schedules of learning rate and exploration, and has as many episodes as
    `evaluation.episodes` says. A mean over the last few would be of other policies.

    Args:
        record: what `result.json` holds.
        search: what is searched.
    """
    metric = str(search.settings.metric)
    for seed in record["seeds"]:
        if seed["not_finite"] is not None:
            told = f"seed {seed['seed']} stopped being finite in {seed['not_finite']}"
            return Outcome("FAIL", why=f"{told}.", steps=record["evaluated_at"])
    values = [seed[metric] for seed in record["seeds"]]
    if not values or not all(x is not None and np.isfinite(x) for x in values):
        return Outcome("FAIL", why=f"its evaluation tells no {metric}.")
    one = record["together"] if len(values) == 1 else {}
    return Outcome(
        state="PRUNED" if record["ended"] == "stopped early" else "COMPLETE",
        value=float(np.mean(values)),
        seeds=tuple(values),
        lower=one.get(f"{metric}_lower", min(values)),
        upper=one.get(f"{metric}_upper", max(values)),
        steps=record["evaluated_at"],
    )


def _record(directory: Path) -> dict[str, Any] | None:
    """What `result.json` of a run holds; None where there is none, or half of one."""
    try:
        return json.loads((directory / RESULT_FILE).read_text())
    except (OSError, ValueError):
        return None


class _Watcher:
    """Notes where the run of a trial is, reports evaluations, ends it if pruned."""

    def __init__(self, search: Search, study: Study, trial: Any):
        self._search, self._study, self._trial = search, study, trial
        number = trial.number
        noted = next(x for x in study.trials() if x.number == number)
        self._reported = set(noted.intermediate_values)

    def began(self, directory: Path) -> None:
        """Note the folder with the trial, and the trial in the folder."""
        note = {"study": self._search.settings.study, "trial": self._trial.number}
        write_whole(directory / NOTE_FILE, json.dumps(note) + "\n")
        self._trial.set_user_attr("directory", str(directory))

    def evaluated(self, step: int, scores: Sequence[Score]) -> bool:
        """Report the mean over seeds; whether it is worth going on."""
        if len(scores) < self._search.config["num_seeds"]:
            return False  # a seed is not finite any more, so the trial has failed
        interval = self._search.config["evaluation"]["interval"]
        found = [score.measured(str(self._search.settings.metric)) for score in scores]
        told = [x[0] for x in found if x is not None]
        number = 0 if interval is None else int(step // interval)
        if not number or not told:
            return True
        if number not in self._reported:
            self._trial.report(float(np.mean(told)), number)
            self._reported.add(number)
        return not self._trial.should_prune()
