"""What a retention comes to: table, picture, JSON and TensorBoard's events."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.convert import ConfigError
from agents.evaluate import Score
from agents.running.files.records import write_whole
from agents.running.output.report import add_row, new_table, print_table, shown
from agents.running.output.results import finite, score_record
from analysis.board import Board, png_of
from analysis.interval import Interval
from analysis.retention.half_life import HalfLife
from analysis.retention.picture import draw
from analysis.retention.playing import Point, Retention
from analysis.retention.point import measured
from envs.base import Card


def tell(found: Retention, console: Console) -> None:
    """Print one row per horizon, and the half-life."""
    measure = found.points[0].card.measure
    table = new_table(
        *("horizon", found.dial.field, measure, "95 % interval", "memoryless"),
        *("recall", "kept", "95 % interval", "success"),
    )
    for point in found.points:
        add_row(
            table,
            f"{point.horizon:,}",
            f"{point.value:,}",
            *_texts(point.measured),
            shown(point.card.memoryless.value),
            shown(point.card.recall.value),
            *_texts(point.kept),
            _share(point.success),
        )
    print_table(table, console)
    for line in sentences(found):
        console.print(line, highlight=False, soft_wrap=True)


def sentences(found: Retention) -> list[str]:
    """What was played, the half-life, the memory's reach and what was left out."""
    score, seeds = found.points[0].together, len(found.seeds)
    each = score.episodes // seeds
    back = "without limit" if found.context is None else f"{found.context:,} steps"
    lines = [
        f"{found.task}: {seeds} seed(s), {each:,} episodes each, trained at a horizon "
        f"of {found.dial.horizon:,} ({found.dial.field}={found.dial.value}); the "
        f"memory reaches back {back}",
        f"half-life of memory: {found.half_life}",
    ]
    if seeds > 1:
        told = [f"seed {seed} {life}" for seed, life in found.half_lives.items()]
        lines.append(f"each seed: {'; '.join(told)}")
    again = _again(found)
    if again is not None:
        lines.append(
            f"note: more than half is kept again at a horizon of {again:,}, so what "
            "fails before it is not the memory alone"
        )
    worse = [x.horizon for x in found.points if x.kept and x.kept.upper < 0]
    if worse and found.half_life.interval is not None:
        lines.append(
            f"note: at a horizon of {', '.join(f'{x:,}' for x in worse)} the score is "
            "below what needs no memory at all, so it is the behaviour that does not "
            "carry over; what the memory would still hold there cannot be told from "
            "scores"
        )
    return lines + [f"note: {note}" for note in found.notes]


def _again(found: Retention) -> int | None:
    """The first horizon beyond the half-life at which more than half is kept."""
    life, first = found.half_life.interval, found.points[0].kept
    if life is None or first is None:
        return None
    later = [x for x in found.points if x.horizon > life.value and x.kept is not None]
    high = [x.horizon for x in later if x.kept and x.kept.value > first.value / 2]
    return min(high, default=None)


def write(found: Retention) -> Path:
    """Write `retention.png` and `.json` into the run's folder `analysis`, and events.

    Returns:
        The folder.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = found.run / "analysis"
    png = png_of(draw(found))
    text = json.dumps(finite(record(found)), indent=2, allow_nan=False) + "\n"
    try:
        folder.mkdir(exist_ok=True)
        (folder / "retention.png").write_bytes(png)
        write_whole(folder / "retention.json", text)
        board = Board(folder / "retention")
        board.image("retention", png)
        board.text("retention", "\n\n".join(sentences(found)))
        for point in found.points:
            values = {"kept": point.kept, "success": point.success}
            for name, value in values.items():
                if value is not None:
                    board.scalar(f"retention/{name}", value.value, point.horizon)
        board.close()
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror} ({error.filename})."
        ) from error
    return folder


def record(found: Retention) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "task": found.task,
        "parameter": found.dial.field,
        "training_horizon": found.dial.horizon,
        "context": found.context,
        "measure": found.points[0].card.measure,
        "half_life": _life(found.half_life),
        "half_lives": {str(x): _life(life) for x, life in found.half_lives.items()},
        "horizons": [_point(point, found.seeds) for point in found.points],
        "notes": list(found.notes),
    }


def _life(life: HalfLife) -> dict[str, Any]:
    steps, lower, upper = life.interval or (None, None, None)
    return {
        **{"steps": steps, "lower": lower, "upper": upper},
        "beyond": life.last if steps == math.inf else None,
        "told": str(life),
    }


def _point(point: Point, seeds: list[int]) -> dict[str, Any]:
    return {
        "horizon": point.horizon,
        "value": point.value,
        "memoryless": point.card.memoryless.value,
        "recall": point.card.recall.value,
        "kept": point.kept and point.kept._asdict(),
        "together": _score(point.together, point.card),
        "seeds": [
            {"seed": seed, **_score(score, point.card)}
            for seed, score in zip(seeds, point.scores, strict=True)
        ],
    }


def _score(score: Score, card: Card) -> dict[str, Any]:
    """A score in the words of `result.json`, with the interval of `Point.success`."""
    success = measured(score, dataclasses.replace(card, measure="success"))
    if success is None:
        return score_record(score)
    names = ("success", "success_lower", "success_upper")
    return {**score_record(score), **dict(zip(names, success, strict=True))}


def _share(interval: Interval | None) -> str:
    if interval is None:
        return ""
    value, lower, upper = (f"{100 * x:.3g}%" for x in interval)
    return f"{value} ({lower} to {upper})"


def _texts(interval: Interval | None) -> tuple[str, str]:
    if interval is None:
        return "unknown", ""
    return f"{interval.value:.2f}", f"{interval.lower:.2f} to {interval.upper:.2f}"
