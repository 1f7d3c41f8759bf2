"""Which memory model, over kinds of memory? `python -m benchmarks.leaderboard`.

PPO at its defaults on the four tasks of `experiment=card`, one per kind of memory, five
seeds, 0.5 M steps. Scores are between the best without memory (0) and the best with any
(1), from the tasks' cards. All models have the same search: three learning rates, the
default times 1/3, 1 and 3, with two other seeds for half of the steps; the best of
those is trained anew. Models are as large as they are by default, or sized to 256
floats of state or to 200,000 parameters (`memory.match`).

Rows are kept in `benchmarks/results/leaderboard.json`; see `rows`. A row that is there
is passed over unless its size, task or memory is named. Seconds and steps/s are of what
the process computed (`rows.Stopwatch`): give it one core (`taskset -c 0`).
`--picture FILE` draws the models of a size beside each other.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import agents
import envs
from agents.running.overrides import compose_config
from analysis.compare.statistics import Estimate, mean_of_kinds, mean_of_tasks
from benchmarks.common.rows import Row, Rows, Stopwatch, arguments, fill_grid, load

TASKS: dict[str, dict[str, Any]] = {
    "TMaze": {"length": 10},
    "ShellGameTouch": {},
    "RepeatPreviousEasy": {},
    "CountRecallEasy": {},
}
"""Object, spatial, sequential and capacity memory; parameters other than a task's own.
In a corridor of 20 half of the steps, which a search has, show no learning."""
MEMORIES = (
    *("none", "frame_stack", "gru", "lstm", "min_gru", "ffm", "lru", "s5", "mamba"),
    *("gated_delta_net", "mlstm", "attention", "gtrxl", "hcam", "rmt"),
    "memory_network",
)
SIZES = ("default", "state", "parameters")
UNSIZED = (("state", "none"), ("state", "hcam"), ("state", "rmt"))
"""What cannot be had: they keep more than 256 floats, or nothing."""
FACTORS = (1 / 3, 1.0, 3.0)
"""Of the default learning rate."""
SEARCH_SEED = 100
"""The first of the seeds that choose; those of the table are 0 and following."""


def settings(size: str, memory: str, task: str) -> list[str]:
    """What one model is trained with on one task, but for the learning rate."""
    words = [f"env={envs.config_name(f'{task}-v0')}", "experiment=card"]
    words += [f"env.{name}={value}" for name, value in TASKS[task].items()]
    words += [f"memory={memory}", "checkpoint.interval=null"]
    return words if size == "default" else [*words, f"memory.match={size}"]


def measure(size: str, memory: str, task: str, words: Sequence[str] = ()) -> Row:
    """Choose a learning rate, and train with it."""
    own = [*settings(size, memory, task), *words]
    config = compose_config(own)
    rate, steps = config["agent"]["learning_rate"], config["total_steps"]
    found = {}
    with Stopwatch() as watch:
        for factor in FACTORS:
            tried = [f"agent.learning_rate={rate * factor:.3g}"]
            tried += [f"total_steps={steps / 2}", "evaluation.interval=null"]
            tried += [f"seed={SEARCH_SEED}", "num_seeds=2"]
            values = measured(agents.run(compose_config([*own, *tried]), _QUIET))
            found[f"{factor:.2g}"] = round(float(np.mean(values)), 4)
        best = best_of(found)
        began = time.time()
        chosen = f"agent.learning_rate={rate * best:.3g}"
        result = agents.run(compose_config([*own, chosen]), _QUIET)
        ended = time.time()
    record = result.record()
    before, whole = watch.seconds([began, ended])
    share = (whole - before) / (ended - began)  # of the time it was let compute
    return {
        "size": size,
        "memory": memory,
        "task": task,
        "search": found,
        "factor": round(best, 3),
        "last": [round(value, 4) for value in measured(result)],
        "steps": int(steps),
        "parameters": record["parameters"],
        "state_bytes": record["state_bytes"],
        "steps_per_second": round(result.steps / result.train_seconds / share),
        "seconds": round(whole),
        "settings": [x for x in words if not x.startswith("run_directory=")],
    }


def best_of(found: Mapping[str, float]) -> float:
    """The factor with the highest value, of equals the one nearest to the default."""
    return max(FACTORS, key=lambda x: (found[f"{x:.2g}"], -abs(math.log(x))))


_QUIET = Console(quiet=True)


def measured(result: Any) -> list[float]:
    """Of every seed, what the card's numbers are of: a return, or success."""
    values = [score.measured(result.card.measure) for score in result.scores]
    assert None not in values  # these tasks tell
    return [float(value[0]) for value in values if value is not None]


def score_of(row: Mapping[str, Any]) -> np.ndarray:
    """Of every seed, between memoryless (0) and recall (1) of the card."""
    card = envs.make(f"{row['task']}-v0", **TASKS[row["task"]]).card
    low, high = card.memoryless.value, card.recall.value
    assert low is not None and high is not None
    return (np.asarray(row["last"]) - low) / (high - low)


def ranked(rows: Rows, size: str) -> list[tuple[str, Estimate, dict[str, Row]]]:
    """Models that have every task, best first: name, mean score, rows by task."""
    models = []
    for memory in MEMORIES:
        mine = {task: rows.get(name_of(size, memory, task)) for task in TASKS}
        there = {task: row for task, row in mine.items() if row is not None}
        if len(there) == len(TASKS):
            mean = mean_of_kinds([[score_of(row)] for row in there.values()])
            models.append((memory, mean, there))
    return sorted(models, key=lambda model: -model[1].value)


def table(rows: Rows) -> str:
    """One table per size that has a model with every task."""
    parts = []
    for size in SIZES:
        models = ranked(rows, size)
        if not models:
            continue
        lines = [
            f"Size: {size}.",
            "",
            "| memory | mean score | object | spatial | sequential | capacity | "
            "learning rate x | parameters | state, bytes | steps/s |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for memory, mean, mine in models:
            kinds = [_told(mean_of_tasks([score_of(mine[x])])) for x in TASKS]
            factors = ", ".join(f"{mine[task]['factor']:.2g}" for task in TASKS)
            most = [max(row[x] for row in mine.values()) for x in _COSTS]
            rate = np.median([row["steps_per_second"] for row in mine.values()])
            costs = " | ".join(f"{x:,}" for x in (*most, round(float(rate))))
            lines.append(
                f"| {memory} | {_told(mean)} | {' | '.join(kinds)} | {factors} | "
                f"{costs} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


_COSTS = ("parameters", "state_bytes")


def _told(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.lower:.2f} to {estimate.upper:.2f})"


def picture(rows: Rows, size: str, path: Path) -> None:
    """Draw mean scores with their 95 % intervals, the best on top."""
    from matplotlib.figure import Figure  # takes half a second

    models = ranked(rows, size)[::-1]
    figure = Figure(figsize=(7.2, 0.9 + 0.27 * len(models)), layout="constrained")
    axes = figure.subplots()
    means = np.array([mean.value for _, mean, _ in models])
    ends = np.array([(mean.lower, mean.upper) for _, mean, _ in models])
    axes.barh([name for name, _, _ in models], means, color="#4878a8", height=0.62)
    axes.errorbar(
        means, range(len(models)), xerr=np.abs(ends.T - means), fmt="none", color="#222"
    )
    axes.axvline(0, color="#222", linewidth=0.8)
    axes.set_xlim(min(-0.02, float(ends.min()) - 0.02), 1)
    axes.set_xlabel("mean score: 0 the best without memory, 1 the best with any")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.01)
    figure.savefig(path, dpi=150)


def name_of(size: str, memory: str, task: str) -> str:
    """Of the row."""
    return f"{size}, {memory}, {task}"


def main() -> None:
    """Measure what is missing, row by row, and write the table."""
    parser = arguments(__doc__, "leaderboard")
    parser.add_argument("--picture", type=Path, help="of the default sizes, a PNG")
    fill_grid(
        parser,
        {"size": SIZES, "memory": MEMORIES, "task": TASKS},
        name_of,
        measure,
        table,
        can=lambda size, memory, task: (size, memory) not in UNSIZED,
    )
    asked = parser.parse_args()
    if asked.picture:
        picture(load(asked.results), "default", asked.picture)


if __name__ == "__main__":
    main()
