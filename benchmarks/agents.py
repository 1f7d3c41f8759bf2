"""Which agent for which memory and task? `python -m benchmarks.agents`.

PPO, DQN, PQN and SAC at their defaults with gru, ffm and no memory, five seeds side by
side, 2 M steps (1 M with a pendulum). Returns are those of the greedy policy on new
episodes, with 95 % intervals over seeds: at equal steps, and at equal time, which is
when the first agent was done with that task and memory (compilation and evaluations
included). Time is what the process computed (`rows.Stopwatch`), so rows may be measured
beside other work; give each one core (`taskset -c 0`).

Where a policy without memory has a lower bound above the card's memoryless return, card
or agent cheats; the table names it.

Rows are kept in `benchmarks/results/agents.json`; see `rows`. A row that is there is
passed over unless its agent, task or memory is named.
"""

import time
from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Box
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

AGENTS = ("ppo", "dqn", "pqn", "sac")
TASKS = (
    *("TMaze", "RepeatPreviousEasy", "RepeatFirstMedium", "MemoryLength30"),
    *("CountRecallEasy", "PositionOnlyPendulumEasy", "NoisyPositionOnlyPendulumEasy"),
)
MEMORIES = ("gru", "ffm", "none")
SEEDS = 5
STEPS = dict.fromkeys(TASKS, 2e6) | dict.fromkeys(TASKS[5:], 1e6)
"""Of each task; the last two have actions that dqn and pqn cannot list."""
POINTS = 20
"""Evaluations on the way."""
SHOWN = dict.fromkeys(TASKS, (0.25, 1.0)) | dict.fromkeys(TASKS[5:], (0.3, 1.0))
"""Shares of the steps at which the table says what is returned."""


def can_play(agent: str, task: str) -> bool:
    """Whether the agent has actions for the task."""
    listed = agent in ("dqn", "pqn")
    return not (listed and isinstance(envs.make(f"{task}-v0").action_space, Box))


def measure(agent: str, task: str, memory: str, words: Sequence[str] = ()) -> Row:
    """Train all seeds; what they returned after how many steps and seconds."""
    settings = [
        f"env={envs.config_name(f'{task}-v0')}",
        f"agent={agent}",
        f"memory={memory}",
        f"num_seeds={SEEDS}",
        f"total_steps={STEPS[task]}",
        f"evaluation.interval={STEPS[task] / POINTS}",
        "checkpoint.interval=null",
        *words,
    ]
    with Stopwatch() as watch:
        result = agents.run(compose_config(settings), Console(quiet=True))
        ended = time.time()  # as the event files count
    curves = read_curves(result.directory)
    *seconds, whole = watch.seconds([*curves["times"].max(0), ended])
    return {
        "agent": agent,
        "task": task,
        "memory": memory,
        "steps": curves["steps"].tolist(),
        "seconds": seconds,
        "returns": np.round(curves["returns"], 4).tolist(),
        "last": [round(float(score.mean), 4) for score in result.scores],
        "all_seconds": round(whole),
        "settings": [x for x in words if not x.startswith("run_directory=")],
    }


def at_step(row: Row, step: float) -> list[float]:
    """Returns, one per seed, of the last evaluation up to `step`."""
    return _before(row, row["steps"], step)


def at_second(row: Row, second: float) -> list[float]:
    """Returns, one per seed, of the last evaluation up to `second`."""
    return _before(row, row["seconds"], second)


def _before(row: Row, when: Sequence[float], limit: float) -> list[float]:
    index = int(np.searchsorted(when, limit, side="right")) - 1
    return [seed[max(index, 0)] for seed in row["returns"]]


def table(rows: Rows) -> str:
    """One line per task, memory and agent."""
    lines = [
        "| task | memory | agent | on the way | at the end | at equal time | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        for memory in MEMORIES:
            found = {a: rows.get(name_of(a, task, memory)) for a in AGENTS}
            there = {agent: row for agent, row in found.items() if row}
            first = min((row["seconds"][-1] for row in there.values()), default=0)
            for agent, row in there.items():
                last = row["steps"][-1]
                cells = [
                    f"{_of(at_step(row, share * last))} ({share * last / 1e6:.2g} M)"
                    for share in SHOWN[task]
                ]
                equal = f"{_of(at_second(row, first))} ({first:.0f} s)"
                settings = f" ({', '.join(row['settings'])})" if row["settings"] else ""
                lines.append(
                    f"| {task} | {memory} | {agent} | {' | '.join(cells)} | "
                    f"{equal} | {row['all_seconds']}{settings} |"
                )
    return "\n".join([*lines, *without_memory(rows)])


def name_of(agent: str, task: str, memory: str) -> str:
    """Of the row."""
    return f"{agent}, {task}, {memory}"


def _of(returns: Sequence[float]) -> str:
    mean, half = interval(returns)
    return f"{mean:.2f} ± {half:.2f}"


def main() -> None:
    """Measure what is missing, row by row, and print the table."""
    known = {"task": TASKS, "memory": MEMORIES, "agent": AGENTS}
    fill_grid(
        arguments(__doc__, "agents"),
        known,
        name_of,
        measure,
        table,
        can=lambda agent, task, memory: can_play(agent, task),
    )


if __name__ == "__main__":
    main()
