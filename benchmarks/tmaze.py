"""Does every memory solve the T-maze? `python -m benchmarks.tmaze`.

PPO at its default settings, corridor 20, each memory with its own configuration; those
that read observation keys get the same maze as `place` and `cue`. One run after the
other, with no time limit but the number of steps. Stated are the seconds of the whole
run, and steps and seconds to the first evaluation of 0.95; 1 is the recall.

Rows are kept in `benchmarks/results/tmaze.json`; see `rows`.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console

import agents
import memory_models
from agents.running.overrides import compose_config
from benchmarks.common.rows import Row, Rows, arguments, fill
from benchmarks.learning import read_curves

SOLVED = 0.95
"""Of the recall; the best policy without memory returns 0.5."""


def measure(memory: str, seeds: list[int], settings: list[str]) -> Row:
    """Train and evaluate; returns, verdicts, seconds, and when it was solved."""
    task = "tmaze_places" if memory_models.reads_columns(memory) else "tmaze"
    returns, verdicts, seconds, solved = [], [], [], []
    for seed in seeds:
        words = [f"memory={memory}", f"env={task}", f"seed={seed}", *settings]
        began = time.time()  # as the event files count
        result = agents.run(compose_config(words), Console(quiet=True))
        seconds.append(round(time.time() - began))
        solved.append(first_at(SOLVED, read_curves(result.directory), began))
        returns.append(round(float(result.scores[0].mean), 3))
        verdicts.append(str(result.verdicts[0]))
        jax.clear_caches()
    return {
        "task": task,
        "seeds": seeds,
        "returns": returns,
        "verdicts": verdicts,
        "seconds": seconds,
        "solved": solved,
        "settings": [x for x in settings if not x.startswith("run_directory=")],
    }


def first_at(
    value: float, curves: Mapping[str, Any], began: float
) -> tuple[int, int] | None:
    """Steps and seconds to a single seed's first evaluation of at least `value`."""
    reached = np.flatnonzero(curves["returns"][0] >= value)
    if not reached.size:
        return None
    seconds = curves["times"][0, reached[0]] - began
    return int(curves["steps"][reached[0]]), round(float(seconds))


def table(rows: Rows) -> str:
    """Returns of the greedy policy, one per seed; settings that are not the default."""
    lines = [
        "| memory | return, by seed | verdict | solved, s (M steps) | seconds |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(rows):
        row = rows[name]
        returns = ", ".join(f"{x:.2f}" for x in row["returns"])
        used = sum(x == "memory used" for x in row["verdicts"])
        solved = ", ".join(_when(x) for x in row.get("solved", []))
        seconds = ", ".join(str(x) for x in row["seconds"])
        if row["settings"]:
            seconds += f" ({', '.join(row['settings'])})"
        lines.append(
            f"| {name} | {returns} | memory used: {used} of {len(row['returns'])} | "
            f"{solved} | {seconds} |"
        )
    return "\n".join(lines)


def _when(solved: Sequence[int] | None) -> str:
    if solved is None:
        return "-"
    steps, seconds = solved
    return f"{seconds} ({steps / 1e6:.2f})"


def main() -> None:
    """Measure what is asked for, row by row, and print the table."""
    parser = arguments(__doc__, "tmaze")
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--settings", nargs="*", default=[], help="name=value ...")
    asked = parser.parse_args()
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    fill(asked, lambda name: measure(name, seeds, asked.settings), table)


if __name__ == "__main__":
    main()
