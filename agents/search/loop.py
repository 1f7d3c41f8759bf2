"""The loop of a search: one trial after another, until there are enough."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from agents.running.jobs.signals import Stopped, StopRequest
from agents.search import report
from agents.search.settings import Search
from agents.search.sharing import Worker
from agents.search.study import Study
from agents.search.trial import Outcome, attempt


def search(asked: Search, console: Console, run: Callable[..., Any]) -> int:
    """Search, and tell what it came to.

    Args:
        asked: what to search.
        console: where to print.
        run: `agents.run`, with a configuration, a console and a watcher.

    Returns:
        The exit status: 0, 1 where no trial is complete, 128 plus a signal's number
        where one ended it. The trial that it interrupted is gone on with by the next
        start.

    Raises:
        ConfigError: the study cannot be opened, or is another.
    """
    study = Study(asked)
    try:
        with StopRequest() as stop, Worker(asked.folder) as worker:
            signal = _trials(asked, study, worker, stop, console, run)
            report.tell(asked, study, console)
        if signal is not None:
            console.print("stopped; the same command goes on with it", highlight=False)
            return 128 + signal
        return 0 if report.best(study) is not None else 1
    finally:
        study.close()


def _trials(
    asked: Search,
    study: Study,
    worker: Worker,
    stop: StopRequest,
    console: Console,
    run: Callable[..., Any],
) -> int | None:
    """Trials until there are enough, or until a signal: its number."""
    began, timeout = time.monotonic(), asked.settings.timeout
    while stop.received is None:
        if timeout is not None and time.monotonic() - began > timeout:
            console.print(f"timeout after {timeout:g} seconds", highlight=False)
            break
        trial = study.next_trial(worker)
        if trial is None:
            break
        worker.leaves = True
        drawn = [f"{one.key}={one.draw(trial)}" for one in asked.ranges]
        again = "  goes on" if "directory" in trial.user_attrs else ""
        begun = f"trial {trial.number:3}{again or '  begins'}  {' '.join(drawn)}"
        console.print(begun, highlight=False, soft_wrap=True)
        try:
            outcome = attempt(asked, study, trial, run)
        except Stopped as stopped:
            return stopped.signal_number
        except Exception as error:
            _end(study, trial, Outcome("FAIL", why=f"{type(error).__name__}: {error}"))
            worker.leaves = False
            raise
        _end(study, trial, outcome)
        worker.leaves = False
        told = report.line(trial.number, outcome)
        console.print(told, highlight=False, soft_wrap=True)
    return stop.received


def _end(study: Study, trial: Any, outcome: Outcome) -> None:
    """Note what a trial came to; a pruned one has its last report for a value."""
    report.note(trial, outcome)
    value = outcome.value if outcome.state == "COMPLETE" else None
    study.tell(trial, outcome.state, value)
