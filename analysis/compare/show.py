"""The comparison in TensorBoard: a curve and HParams per model, table, pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agents.running.files.records import flat
from agents.running.output.names import UNTOLD
from agents.running.output.tensorboard import CURVE, METRICS, Writer
from analysis.board import Board
from analysis.compare import statistics
from analysis.compare.collect import Group
from analysis.compare.tables import Row


def write_board(
    rows: Sequence[Row], drawn: Mapping[str, bytes], table: str, out: Path
) -> None:
    """Write what TensorBoard shows below a folder.

    Args:
        rows: one per model and task.
        drawn: pictures by name, as PNG.
        table: in Markdown.
        out: the folder; every model gets one of its own in it, by task.
    """
    board = Board(out)
    board.text("comparison", table)
    for name, png in drawn.items():
        board.image(f"comparison/{name}", png)
    board.layout(list(dict.fromkeys(row.group.task for row in rows)))
    board.close()
    for row in rows:
        _write_model(row, out / row.group.task / row.group.label)


def write_mean(group: Group, folder: Path) -> None:
    """Write the mean over the seeds of one run, and the band, beside them.

    Args:
        group: the run's seeds.
        folder: which holds nothing else; what it held before is removed.
    """
    old = list(folder.glob("*tfevents*"))
    writer = Writer(folder, group.task)
    lower, upper = statistics.band(group.returns)
    for index, step in enumerate(group.steps.tolist()):
        values = {
            "evaluation/return": float(group.returns[:, index].mean()),
            "evaluation/return_lower": float(lower[index]),
            "evaluation/return_upper": float(upper[index]),
        }
        if group.run.measure == "success":
            values["evaluation/success"] = float(group.values[:, index].mean())
        writer.scalars(values, step)
    writer.finish(True)
    for path in old:
        path.unlink(missing_ok=True)


def _write_model(row: Row, folder: Path) -> None:
    """Mean and band of a model, and its row among the hyper-parameters."""
    group = row.group
    writer = Writer(folder, group.task)
    plain = {
        key: value
        for key, value in flat(group.run.config).items()
        if not key.startswith((*UNTOLD[:3], "seed", "num_seeds"))
    }
    writer.hparams(plain, METRICS)
    lower, upper = statistics.band(group.values)
    for index, step in enumerate(group.steps.tolist()):
        values = (group.values[:, index].mean(), lower[index], upper[index])
        writer.scalars(dict(zip(CURVE, map(float, values), strict=True)), step)
    writer.scalars(_results(row), int(group.steps[-1]))
    writer.finish(group.ended)


def _results(row: Row) -> dict[str, float]:
    used, told = row.used
    known = {
        "result/return": float(row.group.returns[:, -1].mean()),
        "result/memory_used": used / told if told else None,
        "result/parameters": row.parameters,
        "result/state_bytes": row.state_bytes,
        "time/steps_per_second": row.steps_per_second,
    }
    if row.group.run.measure == "success":
        known["result/success"] = float(np.mean(row.group.final))
    return {tag: float(value) for tag, value in known.items() if value is not None}
