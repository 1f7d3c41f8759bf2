"""Tables that are measured row by row, one memory model each, and can be resumed.

A row is written to its file as soon as it is finished. A model that has a row is passed
over unless it is named on the command line.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import memory_models

RESULTS = Path(__file__).resolve().parent / "results"

Row = dict[str, Any]
Rows = dict[str, Row]


def arguments(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with the options every such table has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--memories", help="comma-separated; these are measured anew")
    parser.add_argument("--results", type=Path, default=RESULTS / f"{name}.json")
    return parser


def load(path: Path) -> Rows:
    """Rows that were measured before."""
    return json.loads(path.read_text()) if path.exists() else {}


def save(path: Path, name: str, row: Row) -> None:
    """Add one row, stamped, to what the file holds by now."""
    stamp = {"jax": jax.__version__, "date": time.strftime("%Y-%m-%d")}
    rows = load(path) | {name: row | stamp}
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    part.replace(path)


def fill(asked: argparse.Namespace, measure: Callable[[str], Row]) -> Rows:
    """Measure what is asked for, or else what is missing; all rows afterwards."""
    path: Path = asked.results
    missing = [name for name in memory_models.names() if name not in load(path)]
    for name in asked.memories.split(",") if asked.memories else missing:
        row = measure(name)
        save(path, name, row)
        print(name, json.dumps(row), flush=True)
        jax.clear_caches()
    return load(path)
