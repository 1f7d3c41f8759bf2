"""Train an agent that remembers: `python train.py env=tmaze memory=ffm agent=ppo`.

Reads the configuration, checks it, and hands it to `agents.run`.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig
from rich.console import Console

from agents import RunError, Stopped
from agents.convert import ConfigError
from agents.devices import choose_devices
from agents.run import run, select_device
from agents.running import processes
from agents.running.config import build
from agents.running.overrides import check, for_hydra, plain, resumes
from agents.running.sizes import check_sizes
from agents.running.user_classes import blame
from agents.running.user_errors import told


@hydra.main(config_path="configs", config_name="config", version_base="1.3")
def job(config: DictConfig) -> None:
    """Run one job of the command line."""
    start(plain(config))


def start(config: Mapping[str, Any]) -> None:
    """Run a configuration; whatever ends it early is told in one sentence."""
    try:
        run(config)
    except RunError as error:
        fail(error, 1)
    except Stopped as stopped:
        sys.exit(128 + stopped.signal_number)
    except Exception as error:
        tell(error, [config])


def tell(error: Exception, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Stop with what is wrong in the configuration or in a class of the user's own."""
    found = told(error) or blame(jobs, build)
    if found is None and not isinstance(error, ConfigError):
        raise error
    fail(found or error, 2)


def fail(error: Exception, status: int) -> None:
    """Say what is wrong in one sentence and stop."""
    Console(stderr=True).print(
        f"error: {error}", highlight=False, soft_wrap=True, markup=False
    )
    sys.exit(status)


def main() -> None:
    """Check the whole command line first, every job of a sweep included."""
    arguments = sys.argv[1:]
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
        tell(error, jobs)
    if resumes(arguments):
        start(jobs[0])
        return
    sys.argv[1:] = for_hydra(arguments)
    job()


if __name__ == "__main__":
    main()
