"""Sweeps whose jobs a launcher of Hydra's runs elsewhere.

Their processes are joblib's, Ray's or those of a batch system. The process that
launches them only reads the command line: it asks for no device, which a job may need
whole. Every job leaves what became of it in a file of the sweep's folder, so that the
table at the end tells of a job that was killed, too.

    <run_directory>/.sweeps/<time>/<number>.json   what became of a job
    <run_directory>/.sweeps/<time>/<number>.log    what it printed
"""

import contextlib
import dataclasses
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from rich.console import Console

from agents import evaluate
from agents.convert import ConfigError
from agents.run import run
from agents.running.configuration.config import build
from agents.running.configuration.user_classes import blame
from agents.running.configuration.user_errors import told
from agents.running.configuration.words import split
from agents.running.files.records import write_whole
from agents.running.jobs.requeue import requeue
from agents.running.jobs.signals import Stopped
from agents.running.output.report import Ended
from agents.running.overrides import plain
from agents.running.trainer import RunError

FOLDER = ".sweeps"
"""Below `run_directory`."""

_LAUNCHER = "hydra/launcher"
_RANKS = ("SLURM_PROCID", "SUBMITIT_LOCAL_GLOBALID")


class Finished(NamedTuple):
    """What a job came to, as far as a table shows it.

    Attributes:
        directory: of the run.
        together: score over all seeds, None where none stayed finite.
        verdict: of all seeds.
    """

    directory: Path
    together: evaluate.Score | None
    verdict: str


def launcher_of(arguments: Sequence[str]) -> str | None:
    """The launcher that a command line chooses, None for jobs one after the other.

    Raises:
        ConfigError: one is chosen, but no sweep is asked for.
    """
    words = split(arguments)
    chosen = [word.partition("=") for word in words.hydra]
    named = [name for group, _, name in chosen if group == _LAUNCHER]
    name = named[-1] if named else "basic"
    if name == "basic":
        return None
    if not words.sweeps:
        raise ConfigError(f"{_LAUNCHER}={name} launches the jobs of a sweep; add -m.")
    return name


def new_folder(run_directory: str) -> Path:
    """Make a folder for a sweep, with an absolute path for jobs elsewhere.

    Raises:
        ConfigError: it cannot be written.
    """
    parent = Path(run_directory).resolve() / FOLDER
    stem = time.strftime("%Y%m%d-%H%M%S")
    try:
        for number in range(1, 100):
            folder = parent / (stem if number == 1 else f"{stem}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                return folder
    except OSError as error:
        raise ConfigError(
            f"run_directory={run_directory} cannot be written: {error.strerror} "
            f"({error.filename}); nothing was begun."
        ) from error
    raise ConfigError(f"{parent} holds a hundred sweeps of this second.")


def job_elsewhere(config: Any) -> float:
    """Run one job of a sweep where a launcher put it.

    A job that is requeued goes on with the run that it began.

    Args:
        config: as Hydra composed it there.

    Returns:
        The mean return of all seeds, which sweepers that optimise look at.

    Raises:
        Exception: what went wrong, in one sentence where it is not our own mistake. It
            is noted for the table.
    """
    hydra = HydraConfig.get()
    number, folder = hydra.job.num, Path(hydra.sweep.dir)
    settings = plain(config)
    log = folder / f"{number}.log"
    note(folder, number, settings, f"ended without a word, see {log}", 1)
    # a sweep's own name, so that a job that is requeued goes on
    name = None if settings["resume"] is not None else f"{folder.name}-{number}"
    with log.open("a") as file:
        console = Console(file=file, width=100, markup=False)
        try:
            result = run(settings, console, folder=name)
        except Stopped as stopped:
            note(folder, number, settings, str(stopped), 128 + stopped.signal_number)
            requeue(stopped.signal_number, settings)
            raise
        except Exception as error:
            sentence, status = _sentence(error, settings)
            console.print(f"error: {sentence}", highlight=False, soft_wrap=True)
            note(folder, number, settings, f"failed: {sentence}", status)
            raise
    finished = Finished(result.directory, result.together, result.verdict)
    note(folder, number, settings, None, 0, finished)
    return math.nan if finished.together is None else float(finished.together.mean)


def reason(error: Exception, jobs: Sequence[Mapping[str, Any]]) -> Exception:
    """What is wrong in a configuration or in a class of the user's own, if that is it.

    Raises:
        Exception: the error itself, where it is our own.
    """
    found = told(error) or blame(jobs, build)
    if found is None and not isinstance(error, ConfigError):
        raise error
    return found or error


def _sentence(error: Exception, config: Mapping[str, Any]) -> tuple[str, int]:
    """What went wrong, for a table, and the exit status that says so."""
    if isinstance(error, RunError):
        return str(error), 1
    try:
        return str(reason(error, [config])), 2
    except Exception as own:
        return f"{type(own).__name__}: {own}", 1


def note(
    folder: Path,
    number: int,
    config: Mapping[str, Any],
    failure: str | None,
    status: int,
    finished: Finished | None = None,
) -> None:
    """Leave what became of a job; of several processes the first one does."""
    if any(int(os.environ.get(name) or 0) > 0 for name in _RANKS):
        return
    record: dict[str, Any] = {
        "config": config,
        "failure": failure,
        "status": status,
    }
    if finished is not None:
        score = finished.together
        record["finished"] = {
            "directory": str(finished.directory.resolve()),
            "together": None if score is None else dataclasses.asdict(score),
            "verdict": finished.verdict,
        }
    write_whole(folder / f"{number}.json", json.dumps(record, indent=2) + "\n")


def outcomes(folder: Path) -> tuple[list[Ended], list[int]]:
    """What became of the jobs of a sweep that began, in order, and how they ended.

    Returns:
        Rows of a table, and the exit statuses of those that failed.
    """
    rows, statuses = [], []
    for path in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
        record = json.loads(path.read_text())
        finished = None
        if found := record.get("finished"):
            score = found["together"] and evaluate.Score(**found["together"])
            finished = Finished(Path(found["directory"]), score, found["verdict"])
        rows.append(Ended(record["config"], finished, record["failure"]))
        if record["status"]:
            statuses.append(record["status"])
    return rows, statuses
