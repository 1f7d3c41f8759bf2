"""How a run is told: its progress, and the tables that it closes with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import envs
from agents import evaluate
from agents.running.files.records import flat
from agents.running.output.results import Result
from envs.base import Card


def progress_bar(console: Console) -> Progress:
    """A bar with steps, a note and the time that remains."""
    return Progress(
        TextColumn("train  "),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>11,.0f} steps"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
    )


def tell(result: Result, console: Console) -> None:
    """Print how fast it was, and return and verdict of every seed."""
    if result.steps:
        console.print(
            f"trained {result.train_seconds:.1f} s, "
            f"{result.steps / result.train_seconds:,.0f} steps/s with evaluations",
            highlight=False,
        )
    if len(result.seeds) == 1:
        line = evaluate.describe(result.scores[0], result.card, result.verdicts[0])
        console.print(line, highlight=False, soft_wrap=True)
        return
    rows = [
        (f"seed {seed}", score, verdict)
        for seed, score, verdict in zip(
            result.seeds, result.scores, result.verdicts, strict=True
        )
    ]
    together = ("together", result.together, result.verdict)
    tell_scores([*rows, together], result.card, console)


def tell_scores(
    rows: Sequence[tuple[str, evaluate.Score | None, str]],
    card: Card,
    console: Console,
) -> None:
    """Print one row per score, below what the card knows.

    Args:
        rows: name, score and verdict.
        card: of the task that was played.
        console: where to.
    """
    table = new_table("", "return", "95 % interval", "success", "verdict")
    for name, score, verdict in rows:
        add_row(table, name, *cells(score), verdict)
    measures = "returns" if card.measure == "return" else card.measure
    known = ", ".join(
        f"{name} {shown(getattr(card, name).value)}"
        for name in ("floor", "memoryless", "recall")
    )
    console.print(f"{measures} ({known})", highlight=False, soft_wrap=True)
    print_table(table, console)


class Outcome(Protocol):
    """What a table tells of a run that ended: a `Result`, or what is left of one."""

    @property
    def directory(self) -> Path:
        """Of the run."""
        ...

    @property
    def together(self) -> evaluate.Score | None:
        """Over all seeds."""
        ...

    @property
    def verdict(self) -> str:
        """On all seeds together."""
        ...


class Ended(NamedTuple):
    """What became of one job of a sweep.

    Attributes:
        config: its configuration.
        result: what it came to, None where it has none.
        failure: the sentence it failed with; None where it did not.
    """

    config: Mapping[str, Any]
    result: Outcome | None
    failure: str | None = None


UNTOLD = (
    *("run_directory", "resume", "device", "compilation_cache", "env.id"),
    *("memory.name", "agent.name"),
)
"""Settings that a table of jobs leaves out: they name what has a column of its own, or
change no result."""


def tell_sweep(
    ended: Sequence[Ended], defaults: Sequence[Mapping[str, Any]], console: Console
) -> None:
    """Print one row per job of a sweep.

    Args:
        ended: the jobs, in order.
        defaults: of every job, the configuration of its choices with nothing set.
        console: where to.
    """
    table = new_table(
        *("task", "memory", "agent", "settings", "return", "95 % interval"),
        *("success", "verdict"),
    )
    for (config, result, failure), default in zip(ended, defaults, strict=True):
        plain = flat(default)
        settings = " ".join(
            f"{name}={value}"
            for name, value in flat(config).items()
            if name not in UNTOLD and value != plain.get(name)
        )
        score = None if result is None else result.together
        verdict = failure or (result.verdict if result is not None else "not run")
        add_row(
            table,
            *_called(config),
            settings,
            *cells(score),
            verdict,
        )
    print_table(table, console)


def _called(config: Mapping[str, Any]) -> list[str]:
    """Task, memory and agent; a class of the user's own may have no other name."""
    id = config["env"].get("id")
    groups = config["memory"], config["agent"]
    return [
        envs.config_name(id) if id else str(config["env"]["target"]),
        *(str(group.get("name") or group["target"]) for group in groups),
    ]


def cells(score: evaluate.Score | None) -> tuple[str, str, str]:
    """Return, interval and success of a score, as a table shows them."""
    if score is None:
        return "", "", ""
    return (
        f"{score.mean:.2f}",
        f"{score.lower:.2f} to {score.upper:.2f}",
        "" if score.success is None else f"{score.success:.0%}",
    )


def shown(value: float | None) -> str:
    """A return that may not be known."""
    return "unknown" if value is None else f"{value:.2f}"


def new_table(*columns: str) -> Table:
    """An empty table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def add_row(table: Table, *texts: str) -> None:
    """Add a row of texts."""
    table.add_row(*map(Text, texts))  # as they are: paths and lists hold brackets


def print_table(table: Table, console: Console) -> None:
    """Print a table; where nobody watches, as wide as it is."""
    width = console.width
    if not console.is_terminal:
        console.width = 10_000
    console.print(table, highlight=False)
    console.width = width
