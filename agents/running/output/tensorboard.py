"""What a run writes for TensorBoard: scalars from a closed list, and HParams.

Only the `tensorboard` package is needed: events are its protocol buffers, written with
its record writer. Its event file writer is not used, because that writes from a thread:
a full disk would end the thread, and the run would not hear of it where it can act.
"""

# Protocol buffer modules define their names at run time.
# pyright: reportAttributeAccessIssue=false

import io
import itertools
import json
import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.record_writer import RecordWriter

from agents.running.output.names import tag_of

TAGS = {
    "evaluation/return": "mean undiscounted return over the evaluation episodes",
    "evaluation/return_lower": "lower end of its 95 % interval",
    "evaluation/return_upper": "upper end of its 95 % interval",
    "evaluation/episode_length": "mean steps per evaluation episode",
    "evaluation/film": "some episodes of the first seed, always from the same starts",
    "evaluation/success": "share of evaluation episodes that succeeded",
    "train/return": "mean return of training episodes that ended; never quoted",
    "train/episode_length": "mean steps of training episodes that ended",
    "train/episodes": "training episodes that ended in one update",
    "train/success": "share of training episodes that succeeded",
    "loss/total": "the loss that was minimised",
    "loss/policy": "clipped surrogate objective, negated",
    "loss/value": "half the mean squared error of the critic",
    "loss/reconstruction": "error of reconstructing observations; 0 where it is off",
    "loss/gradient_norm": "global L2 norm of the gradient before clipping",
    "policy/entropy": "mean entropy of the policy, in nats",
    "policy/temperature": "weight of the entropy",
    "policy/kl": "estimate of KL(old policy, new policy), in nats",
    "policy/clip_fraction": "share of ratios outside the clip range",
    "value/explained_variance": "1 - Var[target - value] / Var[target]",
    "value/mean": "mean value estimate over the rollout; of replayed actions for dqn",
    "exploration/epsilon": "share of actions taken at random, mean over the streams",
    "replay/unknown": "share of replayed steps left out: what followed is gone",
    "memory/state_norm": "mean L2 norm of a stream's memory state",
    "memory/peak_bytes": "peak memory: of the accelerator, or of this process on CPU",
    "comparison/mean": "of a model, over its seeds, of what the card measures",
    "comparison/lower": "lower end of its interval; the least seed where they are few",
    "comparison/upper": "upper end of its interval; the best seed where they are few",
    "search/value": "of a trial of a search: its last evaluation, mean over seeds",
    "search/lower": "its least seed; of one seed the lower end of its interval",
    "search/upper": "its best seed; of one seed the upper end of its interval",
    "search/steps": "environment steps per seed that it was given",
    "result/return": "mean return of the last evaluation",
    "result/success": "share of its episodes that succeeded",
    "result/memory_used": "the verdict: 1 memory used, 0 not shown; none without",
    "result/parameters": "trainable numbers of the whole agent",
    "result/state_bytes": "bytes that the memory keeps of one stream",
    "time/steps_per_second": "environment steps per second, over all seeds",
    "time/compile_seconds": "seconds that compiling the update took",
}
"""Every tag that a run may write, with its meaning. docs/metrics.md lists the same."""

MAY_BE_MISSING = (
    *("train/return", "train/episode_length", "train/success"),
    "value/explained_variance",
)
"""Tags that an update may have no value for: no episode ended, constant targets."""

METRICS = (
    *("result/memory_used", "result/success", "result/return", "result/parameters"),
    *("result/state_bytes", "time/steps_per_second"),
)
"""Tags that TensorBoard's table of runs shows beside their hyper-parameters."""

FIRST = ("env.id", "memory.name", "agent.name", "agent.learning_rate", "seed")
"""Hyper-parameters that a table of runs is read by."""

TIMING = ("time/steps_per_second", "time/compile_seconds", "memory/peak_bytes")
"""Tags of the machine rather than of the run: two equal runs differ in these alone."""

REFERENCES = ("floor", "memoryless", "recall")
"""The card's returns that are written as runs of their own."""

CURVE = ("comparison/mean", "comparison/lower", "comparison/upper")
"""Tags of the mean of a model in a comparison, and of the band around it."""

REACH_FILE = "reaches.json"
"""Beside the events of a reference: its value, and the last step that it has."""


_file_numbers = itertools.count()


class EventFile:
    """One event file.

    Raises (on writing):
        OSError: it cannot be written.
    """

    def __init__(self, directory: Path | None):
        """Open a new one in `directory`, which is made if missing.

        Without a directory nothing is kept: of several processes one writes.
        """
        path = Path(os.devnull)
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            stamp = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
            path = directory / f"events.out.tfevents.{stamp}.{next(_file_numbers)}"
        self._file = path.open("ab")
        self._records = RecordWriter(self._file)
        try:
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
            self.flush()
        except OSError:
            self._file.close()
            raise

    def add(self, summary: Any, step: int | None) -> None:
        """Write a summary, at a step or at none."""
        event = Event(wall_time=time.time(), summary=summary)
        if step is not None:
            event.step = step
        self._write(event)

    def flush(self) -> None:
        """Make what was written visible."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())


class Writer:
    """What a run writes into one folder: scalars of `TAGS`, and HParams.

    Raises (on writing):
        ValueError: a tag that is not in `TAGS`.
        OSError: the file cannot be written.
    """

    def __init__(self, directory: Path | None, task: str):
        """Open a new event file.

        Args:
            directory: where, as of `EventFile`.
            task: name of the task, which tags of one task carry.
        """
        self._task, self._file = task, EventFile(directory)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars at an environment step.

        A nan in `MAY_BE_MISSING` means 'nothing to measure' and is left out; anywhere
        else it is written, because it is news.
        """
        summary = Summary()
        for tag, value in values.items():
            if tag not in TAGS:
                raise ValueError(
                    f"tag {tag!r} is not on the list of tags; add it with its meaning "
                    "to agents/running/output/tensorboard.py and docs/metrics.md."
                )
            if not (math.isnan(value) and tag in MAY_BE_MISSING):
                summary.value.add(tag=tag_of(tag, self._task), simple_value=value)
        if summary.value:
            self._file.add(summary, step)

    def film(self, tag: str, animation: bytes, step: int) -> None:
        """Write an animated GIF, which TensorBoard plays.

        Args:
            tag: of the list.
            animation: encoded.
            step: environment steps so far.
        """
        summary = Summary()
        summary.value.add(tag=tag_of(tag, self._task), image=image_summary(animation))
        self._file.add(summary, step)

    def hparams(self, values: Mapping[str, Any], metrics: Sequence[str]) -> None:
        """Declare this run's hyper-parameters and the metrics to compare by.

        TensorBoard's table begins with those that are said to differ between runs, and
        is alphabetical otherwise.

        Every run declares the whole of its own, so runs with new hyper-parameters show
        up beside old ones.
        """
        plain = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in values.items()
        }
        experiment = api_pb2.Experiment(
            hparam_infos=[
                api_pb2.HParamInfo(name=key, type=_type(v), differs=key in FIRST)
                for key, v in plain.items()
            ],
            metric_infos=[
                api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics
            ],
            time_created_secs=time.time(),
        )
        session = SessionStartInfo(start_time_secs=time.time())
        for key, value in plain.items():
            if isinstance(value, bool):
                session.hparams[key].bool_value = value
            elif isinstance(value, int | float):
                session.hparams[key].number_value = value
            else:
                session.hparams[key].string_value = value
        self._plugin(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
        self._plugin(
            metadata.SESSION_START_INFO_TAG,
            HParamsPluginData(session_start_info=session),
        )

    def finish(self, succeeded: bool) -> None:
        """Mark the run as ended and close the file."""
        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        ending = SessionEndInfo(status=status, end_time_secs=time.time())
        try:
            self._plugin(
                metadata.SESSION_END_INFO_TAG,
                HParamsPluginData(session_end_info=ending),
            )
        finally:
            self._file.close()

    def flush(self) -> None:
        """Make what was written visible."""
        self._file.flush()

    def _plugin(self, tag: str, data: HParamsPluginData) -> None:
        summary = Summary()
        summary.value.add(
            tag=tag,
            metadata=metadata.create_summary_metadata(data),
            tensor=metadata.NULL_TENSOR,
        )
        self._file.add(summary, None)


def image_summary(encoded: bytes) -> Any:
    """An encoded picture, PNG or GIF, as TensorBoard keeps it."""
    with Image.open(io.BytesIO(encoded)) as picture:
        width, height = picture.size
    return Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=encoded
    )


def _type(value: bool | int | float | str) -> Any:
    if isinstance(value, bool):
        return api_pb2.DATA_TYPE_BOOL
    if isinstance(value, int | float):
        return api_pb2.DATA_TYPE_FLOAT64
    return api_pb2.DATA_TYPE_STRING


def write_references(directory: Path, card: Any, task: str, last_step: int) -> None:
    """Write what the card knows as runs beside those of the task.

    From step 0 to the last. They are of the task, not of a run: what is there is kept
    where it reaches as far.

    Args:
        directory: of the task; each gets a folder `reference/<name>`.
        card: of the task.
        task: its name.
        last_step: that any of the curves beside them has.
    """
    for name in REFERENCES:
        value = getattr(card, name).value
        folder = directory / "reference" / name
        if value is None or _reaches(folder, value, last_step):
            continue
        old = list(folder.glob("*tfevents*"))
        writer = Writer(folder, task)
        for step in (0, last_step):
            writer.scalars({f"evaluation/{card.measure}": value}, step)
            writer.scalars(dict.fromkeys(CURVE, value), step)
        writer.finish(True)
        told = json.dumps({"value": value, "step": last_step})
        (folder / REACH_FILE).write_text(told + "\n")
        for path in old:
            path.unlink(missing_ok=True)  # another run may be at the same


def _reaches(folder: Path, value: float, last_step: int) -> bool:
    """Whether a reference of this value is there and goes on to a step."""
    try:
        told = json.loads((folder / REACH_FILE).read_text())
        return told["value"] == value and told["step"] >= last_step
    except (OSError, ValueError, LookupError, TypeError):
        return False  # none, or broken: it is written anew
