"""Which robot tasks are learned with which memory? `python -m benchmarks.robots`.

PPO with `experiment=robot`, three seeds side by side; without memory for three times
the steps. Success is that of the greedy policy in new episodes, with the 95 % interval
over seeds; what exceeds the memoryless share without memory is named. Figures are of
our own tabletop: another simulator and arm than MIKASA-Robo's.

Rows are kept in `benchmarks/results/robots.json`; see `rows`. A row that is there is
passed over unless its task or memory is named.
"""

import time
from collections.abc import Sequence

import numpy as np
from rich.console import Console

import agents
import envs
from agents.running.overrides import compose_config
from benchmarks.common.rows import (
    Row,
    Rows,
    Stopwatch,
    arguments,
    fill_grid,
    interval,
    without_memory,
)
from benchmarks.learning import read_curves

TASKS = {
    **{"RememberColor3": 4e6, "RememberColor5": 1.2e7, "RememberColor9": 1e7},
    **{"ShellGameTouch": 2e6, "ShellGameShuffleTouch": 4e6},
    "BlinkCountButtonPressEasy": 1.2e7,
    **{"BunchOfColors3": 1e7, "SeqOfColors3": 1e7, "ChainOfColors3": 1e7},
    **{"TakeItBack": 8e6, "InterceptMedium": 4e6, "RotateLenientPos": 4e6},
    **{"TimedTransferEasy": 4e6, "GatherAndRecall3": 4e6},
    "BatteriesCheckerEasy3": 4e6,
}
"""Steps of each."""
MEMORIES = ("gru", "ffm", "gtrxl", "memory_network", "none")
SEEDS = 3
POINTS = 20
"""Evaluations on the way."""
SOLVED = 0.95
MORE = {"none": 3.0}
"""Times as many steps."""


def measure(task: str, memory: str, words: Sequence[str] = ()) -> Row:
    """Train all seeds: how often they succeeded, and when."""
    steps = TASKS[task] * MORE.get(memory, 1.0)
    settings = [
        f"env={envs.config_name(f'{task}-v0')}",
        "experiment=robot",
        f"memory={memory}",
        f"num_seeds={SEEDS}",
        f"total_steps={steps}",
        f"evaluation.interval={steps / POINTS}",
        "checkpoint.interval=null",
        *words,
    ]
    with Stopwatch() as watch:
        result = agents.run(compose_config(settings), Console(quiet=True))
        ended = time.time()
    curves = read_curves(result.directory, "evaluation/success")
    return {
        "task": task,
        "memory": memory,
        "steps": curves["steps"].tolist(),
        "successes": np.round(curves["returns"], 4).tolist(),
        "last": [round(float(score.success or 0), 4) for score in result.scores],
        "seconds": round(watch.seconds([ended])[0]),
        "settings": [x for x in words if not x.startswith("run_directory=")],
    }


def solved_at(row: Row) -> str:
    """When the slowest seed had solved the task for good, in millions of steps."""
    solved = np.array(row["successes"]).min(0) >= SOLVED
    if not solved[-1]:
        return "-"
    first = len(solved) - int(np.argmin(solved[::-1])) if not solved.all() else 0
    return f"{row['steps'][first] / 1e6:.2g} M"


def table(rows: Rows) -> str:
    """One line per task and memory."""
    lines = [
        f"| task | memory | success | memoryless | {SOLVED:g} from | steps | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        blind = envs.make(f"{task}-v0").card.memoryless.value
        for memory in MEMORIES:
            if (row := rows.get(name_of(task, memory))) is None:
                continue
            mean, half = interval(row["last"])
            settings = f" ({', '.join(row['settings'])})" if row["settings"] else ""
            lines.append(
                f"| {task} | {memory}{settings} | {mean:.2f} ± {half:.2f} | "
                f"{blind:.3f} | {solved_at(row)} | {row['steps'][-1] / 1e6:.3g} M | "
                f"{row['seconds']} |"
            )
    return "\n".join([*lines, *without_memory(rows)])


def name_of(task: str, memory: str) -> str:
    """Of the row."""
    return f"{task}, {memory}"


def main() -> None:
    """Measure what is missing, row by row, and write the table."""
    known = {"task": TASKS, "memory": MEMORIES}
    fill_grid(arguments(__doc__, "robots"), known, name_of, measure, table)


if __name__ == "__main__":
    main()
