"""The curves of a run: one writer per seed, points at steps that timing cannot move.

Metrics of single updates wait here until their interval is complete, however many
calls that took; what waits is part of a checkpoint.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents import evaluate
from agents.running.files.records import flat
from agents.running.jobs.processes import is_first
from agents.running.output.names import task_name
from agents.running.output.results import Result, sizes_of
from agents.running.output.tensorboard import METRICS, Writer, write_references

Sizes = dict[str, dict[str, int]]
"""Bytes of every event file, by folder and file name."""


class Logs:
    """Event files of all seeds of a run.

    Attributes:
        pending: metrics that wait for their interval to end, `[seeds, updates]`.
        last: by tag, the last point of every seed, nan where it had none.
    """

    def __init__(self, directory: Path, seeds: list[int], config: Mapping[str, Any]):
        """Open a new event file per seed; `config` fills HParams.

        Of several processes the first one writes.
        """
        self.directory, self.task = directory, task_name(config)
        self.writers = [
            Writer(directory / f"seed_{seed}" if is_first() else None, self.task)
            for seed in seeds
        ]
        self.pending: dict[str, np.ndarray] = {}
        self.last: dict[str, np.ndarray] = {}
        settings = flat(config)
        for seed, writer in zip(seeds, self.writers, strict=True):
            writer.hparams({**settings, "seed": seed}, METRICS)

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Keep metrics `[seeds, updates]` for the point to come."""
        for tag, values in metrics.items():
            before = self.pending.get(tag, values[:, :0])
            self.pending[tag] = np.concatenate([before, values], axis=1)

    def write(
        self, shared: Mapping[str, float], step: int, *, frozen: Iterable[int]
    ) -> None:
        """One point per tag and seed: the mean over the updates that waited.

        Args:
            shared: values that are the same for every seed.
            step: environment steps so far.
            frozen: indices of seeds to leave out.
        """
        self.last = {
            tag: np.asarray([_mean(values) for values in of_seeds])
            for tag, of_seeds in self.pending.items()
        }
        for index, writer in enumerate(self.writers):
            if index not in frozen:
                means = {tag: float(x[index]) for tag, x in self.last.items()}
                writer.scalars({**means, **shared}, step)
        self.pending = {}

    def write_scores(
        self, scores: list[evaluate.Score], step: int, *, frozen: Iterable[int]
    ) -> None:
        """The evaluation of every seed that is not frozen."""
        for index, (writer, score) in enumerate(zip(self.writers, scores, strict=True)):
            if index in frozen:
                continue
            values = {
                "evaluation/return": score.mean,
                "evaluation/return_lower": score.lower,
                "evaluation/return_upper": score.upper,
                "evaluation/episode_length": score.length,
            }
            if score.success is not None:
                values["evaluation/success"] = score.success
            writer.scalars(values, step)
        self.flush()

    def write_film(self, animation: bytes, step: int) -> None:
        """A film of the first seed, an animated GIF."""
        self.writers[0].film("evaluation/film", animation, step)
        self.flush()

    def write_result(self, result: Result, step: int) -> None:
        """What TensorBoard's table of runs compares every seed by."""
        sizes = sizes_of(result.plan)
        shared = {
            "result/parameters": float(sizes["parameters"]),
            "result/state_bytes": float(sizes["state_bytes"]),
        }
        for index, (writer, score, verdict) in enumerate(
            zip(self.writers, result.scores, result.verdicts, strict=True)
        ):
            if index in result.frozen:
                continue
            values = {**shared, "result/return": score.mean}
            if score.success is not None:
                values["result/success"] = score.success
            if not verdict.startswith("no verdict"):
                values["result/memory_used"] = float(verdict == "memory used")
            writer.scalars(values, step)

    def write_shared(self, values: Mapping[str, float], step: int) -> None:
        """The same values for every seed."""
        for writer in self.writers:
            writer.scalars(values, step)

    def write_references(self, card: Any, last_step: int) -> None:
        """The card's known returns, once for all runs of the task.

        A run that lies elsewhere than it was made has its own.
        """
        if is_first():
            shared = self.directory.parents[1]
            at = shared if shared.name == self.task else self.directory
            write_references(at, card, self.task, last_step)

    def flush(self) -> None:
        """Make everything visible in the files."""
        for writer in self.writers:
            writer.flush()

    def finish(self, succeeded: bool, *, frozen: Iterable[int]) -> None:
        """Mark every seed's curves as ended, and close."""
        for index, writer in enumerate(self.writers):
            writer.finish(succeeded and index not in frozen)


def event_sizes(directory: Path, seeds: Iterable[int]) -> Sizes:
    """How much has been written to each seed's event files."""
    return {
        folder.name: {path.name: path.stat().st_size for path in _event_files(folder)}
        for folder in _folders(directory, seeds)
    }


def purge(directory: Path, sizes: Sizes, seeds: Iterable[int]) -> None:
    """Cut event files of `seeds` back to `sizes` and remove those that came later.

    Whatever a run wrote after its checkpoint it will write again.
    """
    for folder in _folders(directory, seeds) if is_first() else ():
        known = sizes.get(folder.name, {})
        for path in _event_files(folder):
            size = known.get(path.name)
            if size is None:
                path.unlink()
            elif path.stat().st_size > size:
                with path.open("r+b") as file:
                    file.truncate(size)


def _folders(directory: Path, seeds: Iterable[int]) -> list[Path]:
    return [directory / f"seed_{seed}" for seed in seeds]


def _event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*tfevents*"))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
