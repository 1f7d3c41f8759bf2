"""Which memory works, how fast and at what cost.

    python -m analysis compare runs
    python -m analysis compare runs/tmaze runs/n_back --out comparison --solved 0.95

Groups the runs in some folders by task and by what learned, and writes a table
(comparison.md, .csv), pictures, one HTML page that needs nothing beside it, and what
TensorBoard shows: a curve per model with the band over its seeds, the table, the
pictures, and a row per model among the hyper-parameters.

With fewer than five seeds a mean stands beside the range of its seeds, [a to b], and no
model is said to be better than another; from five on beside the 95 % bootstrap
interval, (a to b).
"""

import argparse
import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from agents.convert import ConfigError
from agents.running.output.report import add_row, new_table, print_table
from analysis.board import png_of
from analysis.compare import pictures, statistics, tables
from analysis.compare.collect import Group, collect
from analysis.compare.page import Section, page
from analysis.compare.show import write_board, write_mean
from analysis.compare.tables import Overall, Row
from analysis.runs import Run, find_runs, read_run

__all__ = ["Comparison", "compare", "compare_runs", "main", "show_mean", "write"]

MARK = "comparison.csv"
"""File by which a folder is known to hold a comparison, which may be replaced."""


class Comparison(NamedTuple):
    """What some runs come to beside each other.

    Attributes:
        groups: seeds of a model on a task.
        rows: one per group, best first within a task.
        models: over the tasks that every model has, from two on, with known references.
        improvements: of every pair of models, how probably a seed of the first scores
            more; empty where any has too few seeds.
        notes: what was left out, and why.
    """

    groups: list[Group]
    rows: list[Row]
    models: list[Overall]
    improvements: list[tuple[str, str, statistics.Estimate]]
    notes: list[str]

    def by_task(self) -> dict[str, list[Row]]:
        """Rows of every task."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.group.task, []).append(row)
        return found


def compare(
    runs: Sequence[Run], faults: Sequence[str] = (), solved: float = tables.SOLVED
) -> Comparison:
    """Set runs beside each other.

    Args:
        runs: of any tasks and models.
        faults: sentences about runs that could not be read.
        solved: share of the way from memoryless to recall at which a task counts as
            solved.

    Raises:
        ConfigError: no run has been evaluated yet.
    """
    groups, notes = collect(runs)
    if not groups:
        raise ConfigError(
            "none of these runs has been evaluated yet, so there is nothing to "
            f"compare. {' '.join(f'{x}.' for x in notes[:3])}"
        )
    rows = [tables.row_of(group, solved) for group in groups]
    rows.sort(key=lambda row: (row.group.task, -row.final.value))
    scores = tables.by_model(groups)
    models = tables.overall(scores)
    models.sort(key=lambda model: -model.iqm.value)
    pairs = tables.improvements(scores) if _enough(models) else []
    return Comparison(groups, rows, models, pairs, [*faults, *notes])


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write tables, pictures, page and TensorBoard's events in place of older ones.

    Args:
        comparison: from `compare`.
        out: the folder.

    Returns:
        The files that people open.

    Raises:
        ConfigError: the folder holds something else, or cannot be written.
    """
    with claim(out, MARK):
        return _write(comparison, out)


@contextlib.contextmanager
def claim(out: Path, mark: str) -> Iterator[None]:
    """An empty folder to write into, in place of an older one of the same kind.

    Args:
        out: the folder.
        mark: file by which it is known to be of that kind, and may be removed.

    Raises:
        ConfigError: it holds something else, or cannot be written.
    """
    try:
        if out.is_dir() and any(out.iterdir()):
            if not (out / mark).is_file():
                raise ConfigError(
                    f"{out} holds something else than this command writes; name "
                    "another folder: --out."
                )
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written: {error.strerror} ({error.filename})."
        ) from error


def show_mean(directory: Path) -> None:
    """Write the mean of a run's seeds, and the band around it, as `mean` beside them.

    Args:
        directory: of a run of several seeds.
    """
    groups, _ = collect([read_run(directory)])
    for group in groups:
        write_mean(group, directory / "mean")


def compare_runs(directories: Sequence[Path], console: Console) -> None:
    """Compare the runs of a sweep, and say where that is written.

    Args:
        directories: of the runs, of which some may not have come to an evaluation.
        console: where to say so.
    """
    found = find_runs(directories)
    try:
        comparison = compare(found.runs, found.faults)
        page, _ = write(comparison, default_folder((), found.runs))
    except ConfigError as error:
        console.print(
            f"note    no comparison: {error}", highlight=False, soft_wrap=True
        )
    else:
        console.print(f"compare {page}", highlight=False, soft_wrap=True)


def tell(comparison: Comparison, console: Console) -> None:
    """Print a table per task, and what was left out."""
    for task, rows in comparison.by_task().items():
        console.print(_told(task, rows), highlight=False, soft_wrap=True)
        table = new_table(*tables.HEADER)
        for row in rows:
            add_row(table, *tables.cells(row))
        print_table(table, console)
    for note in [*_reservations(comparison), *comparison.notes]:
        console.print(f"note    {note}", highlight=False, soft_wrap=True)


def _write(comparison: Comparison, out: Path) -> list[Path]:
    palette = pictures.colors([group.label for group in comparison.groups])
    sections, texts = [], []
    drawn: dict[str, bytes] = {}
    if comparison.models:
        scores = tables.by_model(comparison.groups)
        drawn["all_tasks"] = png_of(
            pictures.aggregates(comparison.models, scores, palette)
        )
        drawn["sample_efficiency"] = png_of(
            pictures.sample_efficiency(comparison.groups, palette)
        )
        sections.append(_overall_section(comparison, drawn))
    for task, rows in comparison.by_task().items():
        mine = [row.group for row in rows]
        drawn[task] = png_of(pictures.learning_curves(mine, palette))
        cells = [tables.cells(row) for row in rows]
        told = _told(task, rows)
        shown = [(drawn[task], f"learning curves of {task}")]
        sections.append(Section(task, [told], tables.HEADER, cells, shown))
        listed = tables.markdown(tables.HEADER, cells)
        texts.append(f"## {task}\n\n{told}\n\n{listed}\n")
    notes = [*_reservations(comparison), *comparison.notes]
    sections.append(Section("How to read this", [*_explained(), *notes]))
    for name, png in drawn.items():
        (out / f"{name}.png").write_bytes(png)
    (out / MARK).write_text(tables.as_csv(comparison.rows))
    listed = "\n".join(f"- {note}" for note in notes)
    (out / "comparison.md").write_text("\n".join([*texts, listed, ""]))
    (out / "comparison.html").write_text(page("Memories compared", sections))
    write_board(comparison.rows, drawn, "\n".join([*texts, listed]), out)
    return [out / "comparison.html", out / MARK]


def _overall_section(comparison: Comparison, drawn: dict[str, bytes]) -> Section:
    header = ("model", "tasks", "interquartile mean", "gap to recall")
    rows = [
        (
            model.label,
            str(model.tasks),
            tables.shown(model.iqm, ranged=False),
            f"{model.gap.value:.2f}",
        )
        for model in comparison.models
    ]
    text = [
        f"{ours} scores more than {theirs} with probability {tables.shown(estimate)}."
        for ours, theirs, estimate in comparison.improvements
    ]
    shown = [
        (drawn["all_tasks"], "interquartile means and performance profiles"),
        (drawn["sample_efficiency"], "interquartile mean of scores against steps"),
    ]
    return Section("All tasks", text, header, rows, shown)


def _told(task: str, rows: Sequence[Row]) -> str:
    """The line above the table of a task."""
    run = rows[0].group.run
    known = ", ".join(
        f"{name} {'unknown' if value is None else f'{value:.2f}'}"
        for name in ("floor", "memoryless", "recall")
        for value in [run.references.get(name)]
    )
    threshold = rows[0].threshold
    solved = "" if threshold is None else f"; solved from {threshold:.2f}"
    return f"{task}: {run.measure} of greedy episodes ({known}{solved})"


def _reservations(comparison: Comparison) -> list[str]:
    fewest = min(len(group.seeds) for group in comparison.groups)
    notes = []
    if fewest < statistics.MINIMUM_SEEDS:
        notes.append(
            f"the fewest seeds of a model are {fewest}, and an interval takes "
            f"{statistics.MINIMUM_SEEDS}: [a to b] is the range of the seeds, and no "
            "model is said to be better than another"
        )
    if any(not row.group.ended for row in comparison.rows):
        notes.append("* has not come to its end")
    return notes


def _explained() -> list[str]:
    return [
        "final: mean over seeds at the last evaluation; (a to b) is its 95 % bootstrap "
        "interval, [a to b] the range of fewer than five seeds. MMER: mean over seeds "
        "of the best evaluation (POPGym's measure; it flatters what is unsteady).",
        "score: 0 is the best that can be had without memory, 1 the best with any, "
        "both from the task's card. solved: seeds that reached the threshold; steps "
        "and seconds to it are the median over those. Seeds that trained together "
        "share their seconds.",
        "Over all tasks: interquartile mean of the scores of every seed of every task, "
        "bootstrap over seeds within tasks (Agarwal et al. 2021).",
    ]


def _enough(models: Sequence[Overall]) -> bool:
    return bool(models) and all(model.iqm.is_interval for model in models)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("folders", nargs="+", help="runs, or folders that hold some")
    parser.add_argument("--out", type=Path, help="default: comparison beside the tasks")
    parser.add_argument(
        "--solved",
        type=float,
        default=tables.SOLVED,
        help="score at which a task counts as solved (default 0.9)",
    )


def main(arguments: argparse.Namespace) -> None:
    """Compare, print, write, and say where."""
    found = find_runs(arguments.folders)
    comparison = compare(found.runs, found.faults, arguments.solved)
    console = Console(markup=False)
    tell(comparison, console)
    out = arguments.out or default_folder(arguments.folders, found.runs)
    for path in write(comparison, out):
        console.print(f"wrote   {path}", highlight=False, soft_wrap=True)
    console.print(f"see     tensorboard --logdir {out.parent}", highlight=False)


def default_folder(folders: Sequence[str], runs: Sequence[Run]) -> Path:
    """`comparison` in the one folder that was named, or in what the runs share."""
    if len(folders) == 1 and Path(folders[0]) not in [run.directory for run in runs]:
        return Path(folders[0]) / "comparison"
    parents = {str(run.directory.resolve().parents[2]) for run in runs}
    shared = Path(os.path.commonpath(parents)) / "comparison"
    here = Path.cwd()
    return shared.relative_to(here) if shared.is_relative_to(here) else shared
