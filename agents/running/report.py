"""What a run comes to, and how it is told."""

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from agents import evaluate
from envs.base import Card


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        directory: where it was written.
        card: of the task.
        seeds: trained together.
        scores: the final evaluation of each seed.
        frozen: by index of the seed, where it stopped being finite.
        params: final parameters, leaves `[seeds, ...]`.
        compile_seconds: of the training program.
        train_seconds: from the first update of this process to the last.
        steps: environment steps taken by this process, over all seeds.
    """

    directory: Path
    card: Card
    seeds: list[int]
    scores: list[evaluate.Score]
    frozen: dict[int, str]
    params: Any
    compile_seconds: float
    train_seconds: float
    steps: int

    @property
    def verdicts(self) -> list[str]:
        """The verdict on each seed."""
        return [
            f"no verdict (not finite in {self.frozen[index]})"
            if index in self.frozen
            else evaluate.verdict(score, self.card)
            for index, score in enumerate(self.scores)
        ]


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
    console.print(
        f"trained {result.train_seconds:.1f} s, "
        f"{result.steps / result.train_seconds:,.0f} steps/s with evaluations",
        highlight=False,
    )
    several = len(result.seeds) > 1
    for seed, score, verdict in zip(
        result.seeds, result.scores, result.verdicts, strict=True
    ):
        line = evaluate.describe(score, result.card, verdict)
        prefix = f"seed {seed}: " if several else ""
        console.print(prefix + line, highlight=False, soft_wrap=True)
