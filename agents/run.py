"""One run: from a configuration to event files, checkpoints and a verdict."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from agents import devices
from agents.convert import ConfigError
from agents.running import processes
from agents.running.compilation_cache import use_compilation_cache
from agents.running.config import build
from agents.running.plan import describe_plan
from agents.running.records import make_run_directory
from agents.running.report import Result, tell
from agents.running.resume import locked
from agents.running.sizes import check_sizes
from agents.running.trainer import Trainer


def run(config: Mapping[str, Any], console: Console | None = None) -> Result:
    """Train and evaluate what a configuration describes.

    Args:
        config: the composed configuration, plain Python values. Where `resume` names
            the folder of a run, that run is gone on with (see
            `agents.running.resume.resumed_config`).
        console: where to print; standard output by default.

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
    if plan.config["resume"] is None:
        directory = processes.first_makes(lambda: make_run_directory(plan))
    else:
        directory = Path(plan.config["resume"])
    console.print(f"run     {directory}", highlight=False, soft_wrap=True)
    with locked(directory) if processes.is_first() else contextlib.nullcontext():
        result = Trainer(plan, directory, console, mesh).run()
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
