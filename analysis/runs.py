"""The runs in a folder, as their files tell them: settings, result and curves."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.convert import ConfigError
from agents.running.configuration.config import build
from agents.running.files.records import CONFIG_FILE
from agents.running.output.names import model_name, tag_of, task_name
from agents.running.output.results import RESULT_FILE
from envs.base import Card


class Curve(NamedTuple):
    """What one seed wrote under one tag.

    Attributes:
        steps: environment steps, `[points]`.
        values: `[points]`.
        times: seconds since 1970, `[points]`.
    """

    steps: np.ndarray
    values: np.ndarray
    times: np.ndarray


@dataclasses.dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        directory: its folder.
        config: its resolved configuration.
        result: what `result.json` holds; None where it has not ended.
    """

    directory: Path
    config: Mapping[str, Any]
    result: Mapping[str, Any] | None

    @property
    def task(self) -> str:
        """The task that was evaluated, with what differs from its defaults."""
        return task_name(self.config)

    @property
    def model(self) -> str:
        """Memory and agent, with what differs from their defaults."""
        return model_name(self.config)

    @property
    def measure(self) -> str:
        """What the card's numbers are of: return or success."""
        return self.card.measure if self.result is None else self.result["measure"]

    @functools.cached_property
    def references(self) -> Mapping[str, float | None]:
        """The card's floor, memoryless, recall and oracle; None where unknown."""
        if self.result is not None:
            return self.result["references"]
        names = ("floor", "memoryless", "recall", "oracle")
        return {name: getattr(self.card, name).value for name in names}

    @functools.cached_property
    def seeds(self) -> list[int]:
        """Seeds that have curves."""
        names = (path.name for path in self.directory.glob("seed_*"))
        numbers = (name.removeprefix("seed_") for name in names)
        return sorted(int(number) for number in numbers if number.isdigit())

    def tags(self, seed: int) -> list[str]:
        """What a seed wrote scalars under, as it is written."""
        return sorted(self._events[seed].Tags()["scalars"])

    def curve(self, seed: int, tag: str) -> Curve | None:
        """What a seed wrote under a tag of docs/metrics.md; None where it did not.

        The tag may also be one of `tags`.
        """
        events = self._events[seed]
        written = events.Tags()["scalars"]
        names = [x for x in (tag_of(tag, self.task), tag) if x in written]
        if not names:  # older runs wrote the tag as it is
            return None
        points = events.Scalars(names[0])
        return Curve(
            np.array([point.step for point in points]),
            np.array([point.value for point in points]),
            np.array([point.wall_time for point in points]),
        )

    @functools.cached_property
    def card(self) -> Card:
        """Of the task that was evaluated.

        Raises:
            ConfigError: the configuration is of a task that is here no more.
        """
        return build({**self.config, "check": False}).evaluation_env.card

    @functools.cached_property
    def _events(self) -> dict[int, EventAccumulator]:
        everything = {"scalars": 0}
        return {
            seed: EventAccumulator(
                str(self.directory / f"seed_{seed}"), size_guidance=everything
            ).Reload()
            for seed in self.seeds
        }


class Found(NamedTuple):
    """What lies in some folders.

    Attributes:
        runs: that can be read, in the order of their folders.
        faults: a sentence for each that cannot.
    """

    runs: list[Run]
    faults: list[str]


def find_runs(folders: Iterable[str | Path]) -> Found:
    """Every run in some folders: one run each, or folders that hold any number.

    Raises:
        ConfigError: a folder is not there, or holds no run at all.
    """
    runs, faults = [], []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(
                f"{folder} is no folder of runs: there is no such folder."
            )
        places = sorted(path.parent for path in folder.rglob(CONFIG_FILE))
        for place in places:
            try:
                runs.append(read_run(place))
            except ConfigError as error:
                faults.append(str(error))
        if not places:
            raise ConfigError(
                f"{folder} holds no run; a run's folder has a {CONFIG_FILE}. Train "
                "some: python train.py -m memory=none,ffm."
            )
    unique = {run.directory.resolve(): run for run in runs}
    return Found(list(unique.values()), faults)


def read_run(directory: str | Path) -> Run:
    """One run.

    Raises:
        ConfigError: no run there, or its files cannot be read.
    """
    directory = Path(directory)
    try:
        text = (directory / CONFIG_FILE).read_text()
        config = OmegaConf.to_container(OmegaConf.create(text))
        assert isinstance(config, dict)
        needed = [config[group] for group in ("env", "memory", "agent")]
        assert all(isinstance(group, dict) for group in needed)
    except FileNotFoundError:
        raise ConfigError(f"{directory} is no run: it has no {CONFIG_FILE}.") from None
    except Exception as error:
        raise ConfigError(
            f"{directory / CONFIG_FILE} cannot be read as the configuration of a run "
            f"({type(error).__name__}); the run is left out."
        ) from None
    plain = {str(key): value for key, value in config.items()}
    return Run(directory, plain, _result(directory / RESULT_FILE))


def _result(path: Path) -> Mapping[str, Any] | None:
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text())
        assert {"ended", "measure", "references", "seeds"} <= result.keys()
        return result
    except (OSError, ValueError, AssertionError, AttributeError):
        raise ConfigError(
            f"{path} cannot be read as the result of a run; the run is left out. "
            f"python train.py resume={path.parent} writes it again if there is a "
            "checkpoint."
        ) from None
