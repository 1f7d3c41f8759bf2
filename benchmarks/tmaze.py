"""Does every memory solve the T-maze? `python -m benchmarks.tmaze`.

PPO at its default settings, corridor 20, each memory with its own configuration; those
that read observation keys get the same maze as `place` and `cue`. One run after the
other, with no time limit but the number of steps; the seconds are stated.

Rows are kept in `benchmarks/results/tmaze.json` as they are finished; a memory that has
one is passed over, unless it is named.
"""

import argparse
import inspect
import json
import time
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import agents
import memory_models
from agents.running.overrides import compose_config

RESULTS = Path(__file__).resolve().parent / "results" / "tmaze.json"


def measure(memory: str, seeds: list[int], settings: list[str]) -> dict[str, Any]:
    """Train and evaluate; returns, verdicts and seconds."""
    signature = inspect.signature(memory_models.lookup(memory)).parameters
    task = "tmaze_places" if "columns" in signature else "tmaze"
    returns, verdicts, seconds = [], [], []
    for seed in seeds:
        words = [f"memory={memory}", f"env={task}", f"seed={seed}", *settings]
        began = time.perf_counter()
        result = agents.run(compose_config(words), Console(quiet=True))
        seconds.append(round(time.perf_counter() - began))
        returns.append(round(float(result.scores[0].mean), 3))
        verdicts.append(str(result.verdicts[0]))
        jax.clear_caches()
    return {
        "task": task,
        "seeds": seeds,
        "returns": returns,
        "verdicts": verdicts,
        "seconds": seconds,
        "settings": settings,
        "date": time.strftime("%Y-%m-%d"),
        "jax": jax.__version__,
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Returns of the greedy policy, one per seed."""
    lines = ["| memory | return, by seed | verdict | seconds |", "|---|---|---|---|"]
    for name in sorted(rows):
        row = rows[name]
        returns = ", ".join(f"{x:.2f}" for x in row["returns"])
        used = sum(x == "memory used" for x in row["verdicts"])
        seconds = ", ".join(str(x) for x in row["seconds"])
        lines.append(
            f"| {name} | {returns} | memory used: {used} of {len(row['returns'])} | "
            f"{seconds} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, row by row, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", help="comma-separated; these are measured anew")
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--settings", nargs="*", default=[], help="name=value ...")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    path = asked.results
    rows = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in memory_models.names() if name not in rows]
    for name in asked.memories.split(",") if asked.memories else missing:
        seeds = [int(seed) for seed in asked.seeds.split(",")]
        row = measure(name, seeds, asked.settings)
        rows = json.loads(path.read_text()) if path.exists() else {}
        rows[name] = row
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
        print(name, json.dumps(row), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
