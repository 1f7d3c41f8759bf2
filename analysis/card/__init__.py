"""One page per memory model: what it scores by kind of memory, holds and costs.

    T=shell_game_touch,repeat_previous_easy,count_recall_easy
    python train.py -m experiment=card memory=gru,ffm env=tmaze env.length=10
    python train.py -m experiment=card memory=gru,ffm env=$T
    python -m analysis card runs

Scores are between the best without memory (0) and the best with any (1), from the cards
of the tasks. Models are set beside each other over the tasks that all of them have.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agents.running.output.report import add_row, new_table, print_table
from analysis.board import Board, png_of
from analysis.card.models import KINDS, ModelCard, cards_of
from analysis.card.picture import radar
from analysis.compare import claim, default_folder, tables
from analysis.compare.page import Section, page
from analysis.compare.pictures import colors
from analysis.runs import find_runs

__all__ = ["ModelCard", "cards_of", "main", "write"]

MARK = "cards.csv"
"""File by which a folder is known to hold cards, which may be replaced."""


def write(cards: Sequence[ModelCard], out: Path) -> list[Path]:
    """Write a page per model, a table of all, and what TensorBoard shows.

    Args:
        cards: from `cards_of`, the best first.
        out: the folder; an older one is replaced.

    Returns:
        The pages, in order.

    Raises:
        ConfigError: the folder holds something else, or cannot be written.
    """
    with claim(out, MARK):
        palette = colors([card.label for card in cards])
        board = Board(out)
        pages = []
        for card in cards:
            png = png_of(radar(card, cards, palette))
            board.image(f"card/{card.label}", png)
            path = out / f"{card.label}.html"
            path.write_text(page(card.label, _sections(card, png)))
            pages.append(path)
        board.text("cards", tables.markdown(HEADER, [_cells(x) for x in cards]))
        board.close()
        lines = [",".join(CSV_HEADER), *(_csv(card) for card in cards), ""]
        (out / MARK).write_text("\n".join(lines))
        return pages


HEADER = (
    *("model", "mean score", *KINDS, "tasks", "half-life", "steps/s"),
    *("parameters", "state, bytes"),
)
CSV_HEADER = (
    *("model", "mean", "mean_lower", "mean_upper", *KINDS, "tasks", "half_life"),
    *("steps_per_second", "parameters", "state_bytes"),
)


def _cells(card: ModelCard) -> tuple[str, ...]:
    kinds = [card.kinds.get(kind) for kind in KINDS]
    return (
        card.label,
        tables.shown(card.mean),
        *("" if x is None else f"{x.value:.2f}" for x in kinds),
        str(len(card.rows)),
        card.half_life or "",
        _number(card.steps_per_second),
        _number(card.parameters),
        _number(card.state_bytes),
    )


def _csv(card: ModelCard) -> str:
    kinds = [card.kinds.get(kind) for kind in KINDS]
    values = [
        *(card.label, *card.mean[:3]),
        *("" if x is None else x.value for x in kinds),
        *(len(card.rows), card.half_life or "", card.steps_per_second),
        *(card.parameters, card.state_bytes),
    ]
    return ",".join("" if x is None else str(x) for x in values)


def _sections(card: ModelCard, png: bytes) -> list[Section]:
    cells = [(row.group.task, *tables.cells(row)[1:]) for row in card.rows]
    about = [
        f"{card.mechanism}; {card.reach}; {card.paper}.",
        f"Mean score over kinds of memory {tables.shown(card.mean)}; "
        f"{_number(card.parameters)} parameters of the whole agent, "
        f"{_number(card.state_bytes)} bytes of state per stream.",
        card.half_life_told,
    ]
    notes = [
        "score: 0 is the best that can be had without memory, 1 the best with any. "
        "(a to b) is a 95 % bootstrap interval over seeds, [a to b] the range of fewer "
        "than five. A kind is the mean over its tasks, the mean that over kinds."
    ]
    header = ("task", *tables.HEADER[1:])
    return [
        Section("What it is", about, pictures=[(png, "scores by kind of memory")]),
        Section("Tasks", notes, header, cells),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("folders", nargs="+", help="runs, or folders that hold some")
    parser.add_argument("--out", type=Path, help="default: cards beside the tasks")


def main(arguments: argparse.Namespace) -> None:
    """Print a table of the models, write a page for each, and say where."""
    found = find_runs(arguments.folders)
    cards, notes = cards_of(found.runs)
    console = Console(markup=False)
    table = new_table(*HEADER)
    for card in cards:
        add_row(table, *_cells(card))
    print_table(table, console)
    for note in [*found.faults, *notes]:
        console.print(f"note    {note}", highlight=False, soft_wrap=True)
    beside = default_folder(arguments.folders, found.runs)
    for path in write(cards, arguments.out or beside.with_name("cards")):
        console.print(f"wrote   {path}", highlight=False, soft_wrap=True)
