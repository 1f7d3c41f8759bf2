"""What decisions depend on: as a table, as plain values, and for TensorBoard."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from agents.convert import ConfigError
from agents.running.files.records import write_whole
from agents.running.output.report import add_row, new_table, print_table
from agents.running.output.results import finite
from analysis.board import Board, png_of
from analysis.interval import Interval, over_seeds
from analysis.saliency import Saliency
from analysis.saliency.shares import half_within
from analysis.saliency.summary import (
    MEASURES,
    OnCue,
    density,
    described,
    notes,
    on_cues,
    past,
)

TAG = "saliency"


def tell(found: Saliency, console: Console) -> None:
    """Print a table for each measure, and notes."""
    console.print(described(found), highlight=False, soft_wrap=True)
    for measure, meaning in MEASURES.items():
        console.print(f"{measure}: {meaning}", highlight=False, soft_wrap=True)
        cues = on_cues(found, measure)
        table = new_table(
            "seed", "size", "past", "half of it within", *(f"on {x}" for x in cues)
        )
        for row in _rows(found, measure, cues):
            add_row(table, *row)
        print_table(table, console)
    for note in notes(found):
        console.print(f"note    {note}", highlight=False, soft_wrap=True)


def _rows(
    found: Saliency, measure: str, cues: dict[str, list[OnCue | None]]
) -> list[list[str]]:
    """Of each seed, and of several together."""
    curve, own = density(found, measure), past(found, measure)
    sizes = past(found, measure, "size")
    rows = []
    for index, shares in enumerate(found.shares[measure]):
        within = _within(shares.by_lag.mean(0) if len(shares.by_lag) else None)
        on = [_cue([values[index]]) for values in cues.values()]
        numbers = [_size([sizes[index]]), _told(own[index]), within]
        rows.append([f"{found.trained.seeds[index]}", *numbers, *on])
    known = [x for x in own if x is not None]
    if len(own) > 1 and known:
        within = _within(None if curve is None else np.array([x.value for x in curve]))
        numbers = [_size(sizes), _told(over_seeds(known, 0.0, 1.0)), within]
        rows.append(["together", *numbers, *map(_cue, cues.values())])
    return rows


def _size(values: list[Interval | None]) -> str:
    """The mean over seeds."""
    known = [x.value for x in values if x is not None]
    return f"{np.mean(known):.3g}" if known else "-"


def _within(by_lag: np.ndarray | None) -> str:
    return "-" if by_lag is None else f"{half_within(by_lag)} steps"


def _told(value: Interval | None) -> str:
    if value is None:
        return "-"
    if np.isinf(value.lower):
        return f"{value.value:.2f}"
    return f"{value.value:.2f} ({value.lower:.2f} to {value.upper:.2f})"


def _cue(values: list[OnCue | None]) -> str:
    """The mean over seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    share, even = np.mean(known, axis=0)
    return f"{share:.2f} (even: {even:.2f})"


def record(found: Saliency) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "described": described(found),
        "seeds": found.trained.seeds,
        "episodes": found.episodes,
        "exploration": found.exploration,
        "decisions": [moments.count for moments in found.moments],
        "decisions_told": [moments.told for moments in found.moments],
        **{measure: _measured(found, measure) for measure in MEASURES},
        "example": {
            "decisions": found.example.moments.tolist(),
            **{name: x.tolist() for name, x in found.example.found._asdict().items()},
        },
        "notes": notes(found),
    }


def _measured(found: Saliency, measure: str) -> dict[str, Any]:
    curve, cues = density(found, measure), on_cues(found, measure)
    return {
        "without_influence": [shares.dead for shares in found.shares[measure]],
        "size": [x and x.value for x in past(found, measure, "size")],
        "past": [x and x._asdict() for x in past(found, measure)],
        "by_lag": curve and [{"lag": i, **x._asdict()} for i, x in enumerate(curve, 1)],
        "on_cue": {
            name: [x and x._asdict() for x in values] for name, values in cues.items()
        },
    }


def write(found: Saliency) -> list[Path]:
    """Write pictures and numbers into the run's folder `analysis`, and events.

    Returns:
        The files for people.

    Raises:
        ConfigError: they cannot be written.
    """
    from analysis.saliency.picture import draw, draw_film, draw_looks

    folder = found.run / "analysis"
    figures = {TAG: draw(found)}
    if found.example.frame is not None and len(found.example.moments):
        figures[f"{TAG}_film"] = draw_film(found.example)
    if found.example.looks:
        figures[f"{TAG}_memory"] = draw_looks(found.example)
    pictures = {name: png_of(figure) for name, figure in figures.items()}
    text = json.dumps(finite(record(found)), indent=2, allow_nan=False) + "\n"
    files = [folder / f"{name}.png" for name in pictures] + [folder / f"{TAG}.json"]
    try:
        folder.mkdir(exist_ok=True)
        for path, png in zip(files, pictures.values(), strict=False):
            path.write_bytes(png)
        write_whole(files[-1], text)
        _show(found, folder / TAG, pictures)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror} ({error.filename})."
        ) from error
    return files


def _show(found: Saliency, folder: Path, pictures: dict[str, bytes]) -> None:
    board = Board(folder)
    for name, png in pictures.items():
        board.image(name, png)
    board.text(TAG, "\n\n".join([described(found), *notes(found)]))
    for measure in MEASURES:
        for lag, share in enumerate(density(found, measure) or [], start=1):
            board.scalar(f"{TAG}/{measure} by lag", share.value, lag)
    board.close()
