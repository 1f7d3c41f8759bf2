"""Tables that are measured row by row, one memory model each, and can be resumed.

A row is written to its file as soon as it is finished. A model that has a row is passed
over unless it is named on the command line. The table in its page is made from the
file, between two marks, and never edited by hand.
"""

import argparse
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

import envs
import memory_models
from agents.running.output.results import t_95

FOLDER = Path(__file__).resolve().parents[1]
RESULTS = FOLDER / "results"
PAGES = FOLDER / "pages"

Row = dict[str, Any]
Rows = dict[str, Row]


def arguments(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with the options every such table has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--memories", help="comma-separated; these are measured anew")
    parser.add_argument("--results", type=Path, default=RESULTS / f"{name}.json")
    parser.add_argument(
        "--publish", action="store_true", help="measure nothing, write the tables"
    )
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


def fill(
    asked: argparse.Namespace,
    measure: Callable[[str], Row],
    table: Callable[[Rows], str],
) -> None:
    """Measure what is asked for, or else what is missing; then publish the table."""
    there = load(asked.results)
    missing = [name for name in memory_models.names() if name not in there]
    fill_rows(
        asked, asked.memories.split(",") if asked.memories else missing, measure, table
    )


def fill_rows(
    asked: argparse.Namespace,
    names: Iterable[str],
    measure: Callable[[str], Row],
    table: Callable[[Rows], str],
) -> None:
    """Measure the rows `names`, unless only to publish; then publish the table."""
    for name in [] if asked.publish else names:
        row = measure(name)
        save(asked.results, name, row)
        print(name, json.dumps(row), flush=True)
        jax.clear_caches()
    publish(asked.results, table)


_MANY = {"memory": "memories", "task": "tasks", "agent": "agents", "size": "sizes"}


def fill_grid(
    parser: argparse.ArgumentParser,
    known: Mapping[str, Iterable[str]],
    name_of: Callable[..., str],
    measure: Callable[..., Row],
    table: Callable[[Rows], str],
    *,
    can: Callable[..., bool] = lambda **_: True,
) -> None:
    """Measure every combination, or those that are named; then publish the table.

    Args:
        parser: of `arguments`; what can be named is added to it.
        known: all there is to choose from by `task`, `memory`, `agent` or `size`; the
            last changes fastest.
        name_of: a combination's name, by those keywords.
        measure: its row, by the same and `words`.
        table: of all rows.
        can: whether a combination can be, by the same; the others are passed over.
    """
    known = {what: tuple(names) for what, names in known.items()}
    for what in known:
        if what != "memory":  # every table has it
            help = "comma-separated; these are measured anew"
            parser.add_argument(f"--{_MANY[what]}", help=help)
    parser.add_argument("words", nargs="*", help="name=value, as for train.py")
    asked = parser.parse_args()
    given = {what: getattr(asked, _MANY[what]) for what in known}
    chosen = {
        what: names.split(",") if names else known[what]
        for what, names in given.items()
    }
    for what, names in chosen.items():
        if unknown := set(names) - set(known[what]):
            parser.error(
                f"no {unknown.pop()!r} among {_MANY[what]}: {', '.join(known[what])}"
            )
    cells = [
        dict(zip(chosen, cell, strict=True))
        for cell in itertools.product(*chosen.values())
    ]
    named = {name_of(**cell): cell for cell in cells if can(**cell)}
    there = {} if any(given.values()) else load(asked.results)
    missing = [name for name in named if name not in there]
    fill_rows(asked, missing, lambda x: measure(**named[x], words=asked.words), table)


def publish(path: Path, table: Callable[[Rows], str]) -> None:
    """Print the table of a file; if it belongs to the repository, its page gets it."""
    text = table(load(path))
    print(text)
    if path.parent == RESULTS:
        page, before, _, after = published(path.stem)
        page.write_text(f"{before}\n{text}\n{after}")


def published(name: str) -> tuple[Path, str, str, str]:
    """The page with the table called `name`; what stands before, within and after it.

    Raises:
        ValueError: there is no such table.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    for page in sorted(PAGES.glob("*.md")):
        before, found, rest = page.read_text().partition(begin)
        table, closed, after = rest.partition(end)
        if found and closed:
            return page, before + begin, table, end + after
    raise ValueError(f"no page in {PAGES} has lines {begin} and {end} for the table.")


class Stopwatch:
    """Seconds that this process computed, by the time of day.

    Where others compute beside it, or it is held up, these do not pass. On one core
    they are the seconds that a row takes with nothing beside it; on several, threads
    add up.
    """

    period = 0.05
    """Seconds between two looks at the clocks."""

    def __enter__(self) -> Self:
        self._times, self._computed = [time.time()], [time.process_time()]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(self.period):
            self._look()

    def _look(self) -> None:
        self._times.append(time.time())
        self._computed.append(time.process_time())

    def seconds(self, times: Sequence[float] | np.ndarray) -> list[float]:
        """Computed from entering until each of `times`, as `time.time()` tells them."""
        computed = np.interp(times, self._times, self._computed)
        return np.round(computed - self._computed[0], 1).tolist()


def interval(returns: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean over seeds, and half the width of its 95 % interval (Student's t)."""
    count = len(returns)
    if count < 2:
        return float(np.mean(returns)), math.inf
    half = t_95(count - 1) * np.std(returns, ddof=1) / math.sqrt(count)
    return float(np.mean(returns)), float(half)


def without_memory(rows: Rows) -> list[str]:
    """Lines under a table: whether a row without memory has more than it can.

    That is, whether its lower bound exceeds the card's memoryless return or share.
    """
    blind = {name: row for name, row in rows.items() if row["memory"] == "none"}
    found = []
    for name, row in blind.items():
        memoryless = envs.make(f"{row['task']}-v0").card.memoryless.value
        mean, half = interval(row["last"])
        if memoryless is not None and mean - half > memoryless:
            found.append(name)
    if found:
        return ["", f"More than memoryless without memory: {', '.join(found)}."]
    if not blind:
        return []
    told = "exceeds what memoryless policies reach."
    return ["", f"Without memory none of {len(blind)} {told}"]
