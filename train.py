"""Train an agent that remembers: `python train.py env=tmaze memory=ffm agent=ppo`.

Reads the configuration, checks it, and hands it to `agents.run`.
"""

import sys

import hydra
from omegaconf import DictConfig
from rich.console import Console

from agents.config import build
from agents.convert import ConfigError
from agents.overrides import check, for_hydra, plain
from agents.run import run, select_device
from agents.sizes import check_sizes


@hydra.main(config_path="configs", config_name="config", version_base="1.3")
def job(config: DictConfig) -> None:
    """Run one job of the command line."""
    try:
        run(plain(config))
    except ConfigError as error:
        fail(error)


def fail(error: ConfigError) -> None:
    """Say what is wrong in one sentence and stop."""
    Console(stderr=True).print(f"error: {error}", highlight=False, soft_wrap=True)
    sys.exit(2)


def main() -> None:
    """Check the whole command line first, every job of a sweep included."""
    arguments = sys.argv[1:]
    try:
        jobs = check(arguments)
        devices = {str(config["device"]) for config in jobs}
        if len(devices) > 1:
            raise ConfigError("the jobs of a sweep share a process: choose one device.")
        select_device(devices.pop())
        if len(jobs) > 1:
            for config in jobs:
                check_sizes(build(config))
    except ConfigError as error:
        fail(error)
    sys.argv[1:] = for_hydra(arguments)
    job()


if __name__ == "__main__":
    main()
