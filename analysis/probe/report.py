"""What a probe came to: as tables, as plain values, and for TensorBoard."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from agents.running.files.records import write_whole
from agents.running.output.report import add_row, new_table, print_table
from agents.running.output.results import finite
from analysis.board import Board, png_of
from analysis.interval import Interval
from analysis.probe.decoding import SOURCES, Lag, Unseen
from analysis.probe.disturbing import Disturbed
from analysis.probe.geometry import Geometry
from analysis.probe.swapping import Swap
from analysis.probe.twins import Twin


class Report(NamedTuple):
    """What the memory of a trained agent holds.

    Attributes:
        described: what was played, in one line.
        lags: what can be read from the states.
        unseen: what is left out of that, as it had not been seen yet.
        geometry: what shape they make.
        disturbed: how the policy does when its memory reads noise.
        measure: what that is measured in.
        references: memoryless and recall of the task's card.
        swaps: what it does with another stream's memory.
        twin: what hiding costs; None where the task has no twin.
        notes: what could not be said, and why.
    """

    described: str
    lags: list[Lag]
    unseen: list[Unseen]
    geometry: Geometry
    disturbed: list[Disturbed]
    measure: str
    references: dict[str, float | None]
    swaps: list[Swap]
    twin: Twin | None
    notes: list[str]

    def record(self) -> dict[str, Any]:
        """The same as plain values; None where there is no number."""
        return finite(_plain(self))


def tell(report: Report, console: Console) -> None:
    """Print tables and notes."""

    def line(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    line(report.described)
    for title, header, rows in tables(report):
        line(title)
        table = new_table(*header)
        for row in rows:
            add_row(table, *row)
        print_table(table, console)
    for note in report.notes:
        line(f"note    {note}")


Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, header and rows."""


def tables(report: Report) -> list[Table]:
    """Everything, as texts."""
    found = [_lags(report.lags)] if report.lags else []
    found += [_geometry(report.geometry), _disturbed(report)]
    found += [_swaps(report.swaps)] if report.swaps else []
    return found + ([_twin(report.twin)] if report.twin else [])


def write(report: Report, folder: Path) -> list[Path]:
    """Write picture, JSON and TensorBoard's events, in place of older ones.

    Args:
        report: from `probe_run`.
        folder: is made if missing.

    Returns:
        The files for people.
    """
    from analysis.probe.picture import draw

    folder.mkdir(parents=True, exist_ok=True)
    png, picture = png_of(draw(report)), folder / "probe.png"
    picture.write_bytes(png)
    text = json.dumps(report.record(), indent=2, allow_nan=False) + "\n"
    write_whole(folder / "probe.json", text)
    board = Board(folder / "probe")
    board.image("probe", png)
    board.text(
        "probe", "\n\n".join([report.described, *map(_markdown, tables(report))])
    )
    for lag in report.lags:
        tag = f"probe/{lag.variable}_{lag.measure}"
        for source in SOURCES:
            board.scalar(f"{tag}/{source}", getattr(lag, source).value, lag.first)
        board.scalar(f"{tag}/chance", lag.chance, lag.first)
    for step, norm in zip(report.geometry.steps, report.geometry.norm, strict=True):
        board.scalar("probe/state_norm", float(norm), int(step))
    board.close()
    return [picture, folder / "probe.json"]


def shown(value: float | Interval | None) -> str:
    """A number with its interval, where it has one."""
    if value is None:
        return "-"
    if isinstance(value, Interval):
        bare = f"{value.value:.2f}"
        if np.isnan(value.lower):
            return bare
        return f"{bare} ({value.lower:.2f} to {value.upper:.2f})"
    return f"{value:.2f}"


def lag_range(lag: Lag) -> str:
    """Its lags, such as `3-4`."""
    return f"{lag.first}" if lag.first == lag.last else f"{lag.first}-{lag.last}"


def _lags(lags: list[Lag]) -> Table:
    header = ("hidden", "steps since seen", "measure", "memory", "chance")
    rows = [
        (
            lag.variable,
            lag_range(lag),
            lag.measure,
            shown(lag.state),
            shown(lag.chance),
            shown(lag.observed),
            shown(lag.untrained),
        )
        for lag in lags
    ]
    header += ("observation alone", "untrained memory")
    return "what can be read from the memory's state by a linear readout", header, rows


def _geometry(found: Geometry) -> Table:
    kept = f"{found.kept}" if found.kept == found.numbers else f"{found.kept} projected"
    rows = [
        ("numbers in the state", f"{found.numbers:,}"),
        (f"effective rank (of {kept})", shown(found.rank)),
        ("the same of an untrained memory", shown(found.untrained_rank)),
        ("share that never changes", shown(found.unchanging)),
    ]
    if found.saturated is not None:
        rows.append(("share within 5 % of its bound", shown(found.saturated)))
    first, last = found.norm[0], found.norm[-1]
    rows.append(
        (
            f"norm at step {found.steps[0]}, {found.steps[-1]}",
            f"{first:.2f}, {last:.2f}",
        )
    )
    return "what shape the states make", ("", ""), rows


def _disturbed(report: Report) -> Table:
    known = [f"{name} {shown(x)}" for name, x in report.references.items()]
    title = (
        f"{report.measure} when only the memory reads noise; the current observation "
        f"is true ({', '.join(known)})"
    )
    rows = [
        (f"{x.strength:g}", f"{x.share:.0%}", shown(x.score)) for x in report.disturbed
    ]
    return title, ("strength", "steps with noise", report.measure), rows


def _swaps(swaps: list[Swap]) -> Table:
    header = ("hidden", "before step", "streams", "would differ", "as the other")
    score = swaps[0].measure  # the task's, whatever the variable
    header += ("as its own", f"{score} with own", f"{score} with other's", "implied")
    rows = [
        (
            swap.variable,
            str(swap.time),
            f"{swap.streams:,}",
            f"{swap.differing:,}",
            *map(shown, (swap.as_other, swap.as_own, swap.before, swap.after)),
            shown(swap.implied),
        )
        for swap in swaps
    ]
    return "what a stream decides with the memory of another", header, rows


def _twin(twin: Twin) -> Table:
    rows = [
        ("memoryless: task, twin", ", ".join(map(shown, twin.memoryless))),
        ("recall: task, twin", ", ".join(map(shown, twin.recall))),
        ("gap: same memory, twin less task", shown(twin.gap)),
        ("bias on the twin: same memory less none", shown(twin.bias)),
    ]
    title = f"{twin.measure} beside the twin that hides nothing ({twin.told})"
    return title, ("", ""), rows


def _markdown(table: Table) -> str:
    title, header, rows = table
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(row) for row in rows]
    return "\n".join([f"### {title}\n", *(f"| {line} |" for line in lines)])


def _plain(value: Any) -> Any:
    """Named tuples as dictionaries, arrays as lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    return value
