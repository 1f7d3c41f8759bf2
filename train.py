"""Train an agent that remembers: `python train.py env=tmaze memory=ffm agent=ppo`.

Reads the configuration, checks it, and hands it to `agents.run`.
"""

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
from agents.run import run, select_device
from agents.running import processes
from agents.running.configuration.config import build
from agents.running.configuration.user_classes import blame
from agents.running.configuration.user_errors import told
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


@hydra.main(config_path=CONFIGS, config_name="config", version_base="1.3")
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
        sys.exit(128 + stopped.signal_number)
    except KeyboardInterrupt:
        ended[-1] = Ended(config, None, "stopped by SIGINT")
        tell("stopped by Ctrl-C; a run keeps what its checkpoints hold.")
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        fail(reason(error, [config]), 2)


def reason(error: Exception, jobs: Sequence[Mapping[str, Any]]) -> Exception:
    """What is wrong in a configuration or in a class of the user's own, if that is it.

    Raises:
        Exception: the error itself, where it is our own.
    """
    found = told(error) or blame(jobs, build)
    if found is None and not isinstance(error, ConfigError):
        raise error
    return found or error


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


def alone(run_it: Callable[[], Any] = job) -> None:
    """Run one job; several seeds of it get their mean, for TensorBoard."""
    run_it()
    result = ended[-1].result if ended else None
    if result is None or len(result.seeds) < 2 or not processes.is_first():
        return
    from analysis.compare import show_mean  # takes a second

    try:
        show_mean(result.directory)
    except OSError as error:
        tell(f"note    the mean of the seeds is not written: {error}")


def sweep(jobs: list[dict[str, Any]]) -> None:
    """Run the jobs of a sweep, and close with a table of them, however it ends."""
    try:
        job()
    finally:
        begun = [row.config for row in ended]
        rows = ended + [Ended(config, None) for config in jobs if config not in begun]
        defaults = [default_config(row.config) for row in rows]
        console = Console(markup=False)
        tell_sweep(rows, defaults, console)
        compare_sweep([row.result for row in ended if row.result], console)


def compare_sweep(results: Sequence[Result], console: Console) -> None:
    """Write what the runs of a sweep come to beside each other."""
    if len(results) > 1 and processes.is_first():
        from analysis.compare import compare_runs  # takes a second

        compare_runs([result.directory for result in results], console)


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
    except Exception as error:
        refuse(reason(error, jobs))
    if resumes(arguments):
        alone(lambda: start(jobs[0]))
        return
    with tempfile.TemporaryDirectory(prefix="engram-sweep-") as scratch:
        sys.argv[1:] = for_hydra(arguments, scratch)
        sweep(jobs) if len(jobs) > 1 else alone()


if __name__ == "__main__":
    main()
