"""Train an agent that remembers: `python train.py env=tmaze memory=ffm agent=ppo`.

Reads the configuration, checks it, and hands it to `agents.run`.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from command_line.completion import complete

if __name__ == "__main__" and complete(sys.argv[1:]):
    sys.exit()  # the shell waits: before JAX is imported

import hydra
from omegaconf import DictConfig
from rich.console import Console

from agents import Result, RunError, Stopped
from agents.convert import ConfigError
from agents.devices import choose_devices
from agents.launch import job_elsewhere, launcher_of, new_folder, outcomes, reason
from agents.run import run, select_device
from agents.running.configuration.config import build
from agents.running.jobs import processes
from agents.running.jobs.requeue import requeue
from agents.running.output.report import Ended, tell_sweep
from agents.running.output.sizes import check_sizes
from agents.running.overrides import (
    check,
    default_config,
    for_hydra,
    plain,
    resumes,
)

ended: list[Ended] = []
"""What each job of the command line came to."""

statuses: list[int] = []
"""Exit statuses of jobs that failed or were stopped."""


CONFIGS = str(Path(__file__).resolve().parent / "configs")


def with_hydra(task: Callable[[DictConfig], Any]) -> None:
    """Run a function on every configuration of the command line."""
    hydra.main(config_path=CONFIGS, config_name="config", version_base="1.3")(task)()


def job(config: DictConfig) -> None:
    """Run one job of the command line; one that fails does not end a sweep."""
    start(plain(config))


def start(config: Mapping[str, Any]) -> None:
    """Run a configuration; whatever ends it early is told in one sentence."""
    ended.append(Ended(config, None, "failed"))
    try:
        ended[-1] = Ended(config, run(config))
    except RunError as error:
        fail(error, 1)
    except Stopped as stopped:
        ended[-1] = Ended(config, None, str(stopped))
        if processes.is_first() and (told := requeue(stopped.signal_number, config)):
            tell(told)
        sys.exit(128 + stopped.signal_number)
    except KeyboardInterrupt:
        ended[-1] = Ended(config, None, "stopped by SIGINT")
        tell("stopped by Ctrl-C; a run keeps what its checkpoints hold.")
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        fail(reason(error, [config]), 2)


def fail(error: Exception, status: int) -> None:
    """Say what is wrong with a job in one sentence."""
    tell(f"error: {error}")
    sentence = str(error).splitlines()[0]
    ended[-1] = ended[-1]._replace(failure=f"failed: {sentence}")
    statuses.append(status)


def tell(text: str) -> None:
    """Print a line beside the output."""
    print(text, file=sys.stderr, flush=True)


def refuse(error: Exception) -> NoReturn:
    """Say what is wrong with the command line in one sentence and stop."""
    tell(f"error: {error}")
    sys.exit(2)


def alone(run_it: Callable[[], Any]) -> None:
    """Run one job; several seeds of it get their mean, for TensorBoard."""
    run_it()
    result = ended[-1].result if ended else None
    if not isinstance(result, Result) or len(result.seeds) < 2:
        return
    if not processes.is_first():
        return
    from analysis.compare import show_mean  # takes a second

    try:
        show_mean(result.directory)
    except OSError as error:
        tell(f"note    the mean of the seeds is not written: {error}")


def sweep(jobs: list[dict[str, Any]]) -> None:
    """Run the jobs of a sweep, and close with a table of them, however it ends."""
    try:
        with_hydra(job)
    finally:
        close(jobs)
        if processes.is_first():
            compare_sweep()


def launch(jobs: list[dict[str, Any]], arguments: list[str]) -> None:
    """Have the jobs of a sweep run elsewhere, and close with a table of them."""
    folder = new_folder(jobs[0]["run_directory"])
    sys.argv[1:] = for_hydra(arguments, str(folder))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise what ended it, instead of printing
    print(f"launch  {len(jobs)} jobs; what they print is in {folder}/<number>.log")
    failure: Exception | None = None
    try:
        with_hydra(job_elsewhere)
    except Exception as error:  # of a job, or of the launcher
        failure = error
    except KeyboardInterrupt:
        tell("stopped by Ctrl-C; jobs of a batch system go on, scancel ends them.")
        sys.exit(128 + signal.SIGINT)
    finally:
        rows, found = outcomes(folder)
        ended.extend(rows)
        statuses.extend(found)
        close(jobs)
        compare_sweep()
    for number, row in enumerate(rows):
        if row.failure is not None:
            tell(f"error: job {number}: {row.failure.removeprefix('failed: ')}")
    if failure is not None and not found:
        tell(f"error: the jobs could not be launched: {failure}")
        statuses.append(1)


def close(jobs: list[dict[str, Any]]) -> None:
    """Tell what became of the jobs of a sweep."""
    begun = [row.config for row in ended]
    rows = ended + [Ended(config, None) for config in jobs if config not in begun]
    defaults = [default_config(row.config) for row in rows]
    tell_sweep(rows, defaults, Console(markup=False))


def compare_sweep() -> None:
    """Write what the runs of a sweep came to beside each other."""
    found = [row.result.directory for row in ended if row.result]
    if len(found) > 1:
        from analysis.compare import compare_runs  # takes a second

        compare_runs(found, Console(markup=False))


def main() -> None:
    """Check the whole command line first, every job of a sweep included."""
    arguments = sys.argv[1:]
    try:
        check_and_run(arguments)
    except KeyboardInterrupt:
        tell("stopped by Ctrl-C before anything began.")
        sys.exit(128 + signal.SIGINT)
    if statuses:
        sys.exit(statuses[0])


def check_and_run(arguments: list[str]) -> None:
    """Check every job of a command line, then run them."""
    jobs: list[dict[str, Any]] = []
    try:
        jobs = check(arguments)
        elsewhere = launcher_of(arguments)
        if elsewhere is None:
            prepare(jobs)
    except Exception as error:
        refuse(reason(error, jobs))
    if elsewhere is not None:
        launch(jobs, arguments)
        return
    if resumes(arguments):
        alone(lambda: start(jobs[0]))
        return
    with tempfile.TemporaryDirectory(prefix="engram-sweep-") as scratch:
        sys.argv[1:] = for_hydra(arguments, scratch)
        sweep(jobs) if len(jobs) > 1 else alone(lambda: with_hydra(job))


def prepare(jobs: Sequence[Mapping[str, Any]]) -> None:
    """Choose this process's devices for all jobs, and check that they fit.

    Raises:
        ConfigError: the jobs cannot share a process, or one is too large.
    """
    devices = {str(config["device"]) for config in jobs}
    if len(devices) > 1:
        raise ConfigError("the jobs of a sweep share a process: choose one device.")
    processes.start(jobs)  # before anything looks for devices
    select_device(devices.pop())
    if len(jobs) > 1:
        for config in jobs:
            plan = build(config)
            mesh = choose_devices(plan.config["num_devices"], plan.agent)
            check_sizes(plan, mesh)


if __name__ == "__main__":
    main()
