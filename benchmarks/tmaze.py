"""Does every memory solve the T-maze? `python -m benchmarks.tmaze`.

PPO at its default settings, corridor 20, each memory with its own configuration; those
that read observation keys get the same maze as `place` and `cue`. One run after the
other, with no time limit but the number of steps; the seconds are stated.

Rows are kept in `benchmarks/results/tmaze.json`; see `rows`.
"""

import time

import jax
from rich.console import Console

import agents
import memory_models
from agents.running.overrides import compose_config
from benchmarks.rows import Row, Rows, arguments, fill


def measure(memory: str, seeds: list[int], settings: list[str]) -> Row:
    """Train and evaluate; returns, verdicts and seconds."""
    task = "tmaze_places" if memory_models.reads_columns(memory) else "tmaze"
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
        "settings": [x for x in settings if not x.startswith("run_directory=")],
    }


def table(rows: Rows) -> str:
    """Returns of the greedy policy, one per seed; settings that are not the default."""
    lines = ["| memory | return, by seed | verdict | seconds |", "|---|---|---|---|"]
    for name in sorted(rows):
        row = rows[name]
        returns = ", ".join(f"{x:.2f}" for x in row["returns"])
        used = sum(x == "memory used" for x in row["verdicts"])
        seconds = ", ".join(str(x) for x in row["seconds"])
        if row["settings"]:
            seconds += f" ({', '.join(row['settings'])})"
        lines.append(
            f"| {name} | {returns} | memory used: {used} of {len(row['returns'])} | "
            f"{seconds} |"
        )
    return "\n".join(lines)


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
