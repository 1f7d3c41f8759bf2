"""One run: from a configuration to event files, checkpoints and a verdict."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from agents import devices
from agents.convert import ConfigError
from agents.running import added_seeds, baselines
from agents.running.compilation_cache import use_compilation_cache
from agents.running.configuration.config import build
from agents.running.files.records import make_run_directory
from agents.running.files.resume import AUTO, locked
from agents.running.files.stored import Stored
from agents.running.jobs import processes
from agents.running.jobs.signals import Stopped
from agents.running.output.names import fingerprint, run_folder
from agents.running.output.plan import describe_plan
from agents.running.output.report import tell
from agents.running.output.results import Result, is_written, write_result
from agents.running.output.sizes import check_sizes
from agents.running.starting import starting_params
from agents.running.trainer import RunError
from agents.running.watcher import Watcher
from agents.sb3.baseline import Baseline


def run(
    config: Mapping[str, Any],
    console: Console | None = None,
    *,
    folder: str | None = None,
    watcher: Watcher | None = None,
) -> Result:
    """Train and evaluate what a configuration describes.

    Args:
        config: the composed configuration, plain Python values. Where `resume` names
            the folder of a run, that run is gone on with (see
            `agents.running.files.resume.resumed_config`); where it is 'auto', the one
            with the same settings, if there is one.
        console: where to print; standard output by default.
        folder: name of the run's folder in place of the time. A run that is there is
            gone on with, or is told again where it is complete.
        watcher: who is told of its folder and its evaluations, and may end it early.

    Returns:
        The result, after everything is written.

    Raises:
        agents.ConfigError: a mistake in the configuration.
        agents.Stopped: SIGTERM or Ctrl-C; the run is saved.
        agents.RunError: the run's files cannot be written.
    """
    console = console or Console(markup=False)  # paths may hold brackets
    processes.start([config])
    select_device(str(config.get("device", "auto")))
    console = console if processes.is_first() else Console(quiet=True)
    plan = build(config)
    note = use_compilation_cache(plan.config["compilation_cache"])
    mesh = devices.choose_devices(plan.config["num_devices"], plan.agent)
    sizes = check_sizes(plan, mesh)
    console.print(describe_plan(plan, sizes, mesh), highlight=False, soft_wrap=True)
    if note is not None:
        console.print(f"note    {note}", highlight=False, soft_wrap=True)
    resume = plan.config["resume"]
    if resume == AUTO:
        folder = fingerprint(plan.config)
    if resume not in (None, AUTO):
        directory = Path(resume)
    else:
        parent = run_folder(plan.config)
        begun = folder is not None and Stored(parent / folder).latest() is not None
        if plan.config["start_from"] is not None and not begun:
            starting_params(plan)  # a mistake is told before anything is made
        directory = processes.first_makes(
            lambda: make_run_directory(plan, parent, folder)
        )
    console.print(f"run     {directory}", highlight=False, soft_wrap=True)
    with locked(directory) if processes.is_first() else contextlib.nullcontext():
        if watcher is not None:
            watcher.began(directory)
        how = baselines if isinstance(plan.agent, Baseline) else added_seeds
        train, complete = how.train, how.complete
        over = folder is not None and is_written(plan, directory)
        found = complete(plan, directory, directory) if over else None
        if found is not None:
            console.print("complete already", highlight=False)
        result = found or train(plan, directory, console, mesh, watcher)
        if processes.is_first() and found is None:
            try:
                write_result(result)
            except OSError as error:
                raise RunError(
                    f"{error.filename} cannot be written: {error.strerror}; the "
                    "checkpoint is whole, and resume= writes it once there is room."
                ) from error
    if result.stopped is not None:
        raise Stopped(result.stopped)
    tell(result, console)
    return result


def select_device(name: str) -> None:
    """Make JAX use a device; 'auto' leaves the choice to JAX.

    Raises:
        ConfigError: there is none here, or JAX already runs on another.
    """
    if name not in ("cpu", "gpu", "tpu"):
        return
    jax.config.update("jax_platforms", {"gpu": "cuda"}.get(name, name))
    try:
        used = jax.default_backend()
    except (RuntimeError, AssertionError):  # JAX asserts where no plugin is installed
        raise ConfigError(
            f"device={name}, but JAX finds none here; install the JAX of that device, "
            "or use device=auto."
        ) from None
    if used != name:
        raise ConfigError(
            f"device={name}, but this process already runs on {used}; start another."
        )
