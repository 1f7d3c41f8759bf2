"""Which settings learn most, over a spread of tasks: `python -m benchmarks.spread`.

Fourteen tasks, gru and ffm, three seeds side by side, 2 M steps: one setting for all.
The score of a run is

    (return - memoryless) / (recall - memoryless), clipped to [0, 1],

of its greedy policy on new episodes; that of a setting is the mean over its runs. Where
a card does not know the memoryless return its floor stands in, and its oracle where it
does not know the recall.

`--stage search` is how settings were found: gru alone, one seed, 0.5 M steps;
`--agent` says whose, ppo by default. Rows are kept in `benchmarks/results/spread.json`;
see `rows`. A row that is there is passed over unless its setting is named.
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

import agents
import envs
from agents.running.overrides import compose_config
from benchmarks.common.rows import Row, Rows, arguments, fill_rows, interval, load
from envs.base import Card

TASKS = (
    "TMaze",
    "RepeatFirstEasy",
    "RepeatPreviousEasy",
    "CountRecallEasy",
    "HigherLowerEasy",
    "PositionOnlyCartPoleEasy",
    "PositionOnlyPendulumEasy",
    "MultiarmedBanditEasy",
    "RapidWordLearningD0",
    "RoomRecall",
    "ObjectPermanence",
    "MiniGridMemoryS9",
    "NBack",
    "BalletSymbolic2Delay16",
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """How much every run of a stage gets."""

    memories: tuple[str, ...]
    num_seeds: int
    total_steps: float


STAGES = {
    "search": Stage(("gru",), 1, 5e5),
    "full": Stage(("gru", "ffm"), 3, 2e6),
}


@dataclasses.dataclass(frozen=True)
class Search:
    """What is tried for an agent.

    Attributes:
        first: its defaults before the search, written out: new defaults change no row.
        changes: by name, what each setting differs in from `first`.
        tasks: those whose actions it can choose.
    """

    first: Mapping[str, Any]
    changes: Mapping[str, Mapping[str, Any]]
    tasks: tuple[str, ...] = TASKS

    def settings(self, name: str) -> dict[str, Any]:
        """All that was searched over, of one setting."""
        return {**self.first, **self.changes[name]}


_HEADS = {"head_size": 128}
_SCALED = {**_HEADS, "normalize_advantage": True}
_REWARDS = {**_HEADS, "normalize_reward": True}
_WIDE = {"encoder_size": 128, "clip_ratio": 0.2}
_LADDER = {"exploration_share": 0.2, "exploration_last": None, "num_minibatches": 32}
_CHOICES = tuple(task for task in TASKS if task != "PositionOnlyPendulumEasy")
SEARCHES = {
    "ppo": Search(
        first={
            "learning_rate": 1e-3,
            "entropy_coefficient": 0.005,
            "clip_ratio": 0.1,
            "num_epochs": 4,
            "num_minibatches": 8,
            "gae_lambda": 0.95,
            "adam_epsilon": 1e-5,
            "normalize_advantage": False,
            "normalize_reward": False,
            "encoder_size": 64,
            "head_size": 0,
        },
        changes={
            "first": {},
            "heads": _HEADS,
            "scaled": _SCALED,
            "scaled, clip .2": {**_SCALED, "clip_ratio": 0.2},
            "scaled, entropy .01": {**_SCALED, "entropy_coefficient": 0.01},
            "scaled, rate 5e-4": {**_SCALED, "learning_rate": 5e-4},
            "scaled, rate 2e-3": {**_SCALED, "learning_rate": 2e-3},
            "scaled, minibatches 16": {**_SCALED, "num_minibatches": 16},
            "scaled, encoder 128": {**_SCALED, "encoder_size": 128},
            "scaled, encoder 128, clip .2": {**_SCALED, **_WIDE},
            "scaled, entropy .01, epsilon 3e-5": {
                **_SCALED,
                "entropy_coefficient": 0.01,
                "adam_epsilon": 3e-5,
            },
            "popgym": {"normalize_advantage": True, "encoder_size": 128},
            "rewards": _REWARDS,
            "rewards, encoder 128, clip .2": {**_REWARDS, **_WIDE},
        },
    ),
    "dqn": Search(
        first={
            "learning_rate": 1e-3,
            "gradient_steps": 8,
            "batch_size": 32,
            "n_step": 3,
            "target_rate": 0.01,
            "exploration_share": 0.2,
            "exploration_last": None,
            "normalize_reward": False,
            "dueling": False,
            "encoder_size": 64,
        },
        changes={
            "first": {},
            "rate 5e-4": {"learning_rate": 5e-4},
            "n 5": {"n_step": 5},
            "dueling": {"dueling": True},
            "encoder 128": {"encoder_size": 128},
        },
        tasks=_CHOICES,
    ),
    "pqn": Search(
        first={
            "learning_rate": 1e-3,
            "num_epochs": 4,
            "num_minibatches": 8,
            "q_lambda": 0.9,
            "exploration_share": 0.5,
            "exploration_last": 0.01,
            "normalize_reward": False,
            "dueling": False,
            "encoder_size": 64,
        },
        changes={
            "first": {},
            "ladder, minibatches 32": _LADDER,
            "ladder, minibatches 32, lambda .6": {**_LADDER, "q_lambda": 0.6},
        },
        tasks=_CHOICES,
    ),
}


def words_of(agent: str, setting: str) -> list[str]:
    """A setting of an agent as words of the command line."""
    settings = SEARCHES[agent].settings(setting)
    words = [f"agent.{name}={_word(value)}" for name, value in settings.items()]
    return [f"agent={agent}", *words]


def _word(value: Any) -> str:
    return "null" if value is None else str(value)


def bounds(card: Card) -> tuple[float, float]:
    """The returns that score 0 and 1."""
    low, high = card.memoryless.value, card.recall.value
    low = card.floor.value if low is None else low
    high = card.oracle.value if high is None else high
    assert low is not None and high is not None, "a card knows its floor and oracle"
    return low, high


def scores(task: str, returns: Sequence[float]) -> np.ndarray:
    """Scores of a run's seeds."""
    low, high = bounds(envs.make(f"{task}-v0").card)
    return np.clip((np.asarray(returns) - low) / (high - low), 0, 1)


def measure(
    stage: Stage,
    agent: str,
    setting: str,
    task: str,
    memory: str,
    words: Sequence[str] = (),
) -> Row:
    """Train and evaluate every seed."""
    settings = [
        f"env={envs.config_name(f'{task}-v0')}",
        f"memory={memory}",
        f"num_seeds={stage.num_seeds}",
        f"total_steps={stage.total_steps}",
        "evaluation.interval=null",
        "checkpoint.interval=null",
        *words_of(agent, setting),
        *words,
    ]
    began = time.perf_counter()
    result = agents.run(compose_config(settings), Console(quiet=True))
    return {
        "returns": [round(float(score.mean), 4) for score in result.scores],
        "seconds": round(time.perf_counter() - began),
        "settings": {
            "total_steps": stage.total_steps,
            **SEARCHES[agent].settings(setting),
        },
    }


def cells(name: str, agent: str, setting: str) -> Iterator[tuple[str, str, str]]:
    """Name of the row, task and memory of all runs of a setting in a stage."""
    of_agent = "" if agent == "ppo" else f"{agent}, "
    for memory in STAGES[name].memories:
        for task in SEARCHES[agent].tasks:
            yield f"{name}, {of_agent}{setting}, {task}, {memory}", task, memory


def of_seeds(rows: Rows, name: str, agent: str, setting: str) -> np.ndarray | None:
    """Scores `[runs, seeds]` of a setting in a stage; None unless all were run."""
    found = [(task, rows.get(row)) for row, task, _ in cells(name, agent, setting)]
    if any(row is None for _, row in found):
        return None
    return np.stack([scores(task, row["returns"]) for task, row in found if row])


def table(rows: Rows) -> str:
    """Per agent what was searched, best first; then the full measurements."""
    tables = [_searched(rows, agent) for agent in SEARCHES]
    tables += [_measured(rows, agent) for agent in SEARCHES]
    return "\n\n".join("\n".join(lines) for lines in tables if lines)


def _whole(rows: Rows, name: str, agent: str) -> dict[str, np.ndarray]:
    """Scores of the settings of which every run of a stage is there."""
    found = {s: of_seeds(rows, name, agent, s) for s in SEARCHES[agent].changes}
    return {setting: x for setting, x in found.items() if x is not None}


def _searched(rows: Rows, agent: str) -> list[str]:
    """The settings that were searched, best first."""
    found = _whole(rows, "search", agent)
    lines = [
        f"| {agent} | score, gru, 1 seed, 0.5 M steps | minutes |",
        "|---|---|---|",
    ]
    for setting in sorted(found, key=lambda s: -found[s].mean()):
        spent = _minutes(rows, "search", agent, setting)
        lines.append(f"| {setting} | {found[setting].mean():.3f} | {spent:.0f} |")
    return lines


def _measured(rows: Rows, agent: str) -> list[str]:
    """The settings that had every run of 2 M steps, task by task."""
    found = _whole(rows, "full", agent)
    if not found:
        return []
    lines = [
        f"| {agent}, 3 seeds, 2 M steps | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    names = [(task, memory) for _, task, memory in cells("full", agent, "first")]
    for index, (task, memory) in enumerate(names):
        shown = " | ".join(_of(x[index]) for x in found.values())
        lines.append(f"| {task}, {memory} | {shown} |")
    together = " | ".join(_of(x.mean(0)) for x in found.values())
    spent = " | ".join(f"{_minutes(rows, 'full', agent, s):.0f}" for s in found)
    return [*lines, f"| all | {together} |", f"| minutes | {spent} |"]


def _of(seeds: np.ndarray) -> str:
    mean, half = interval(seeds)
    return f"{mean:.2f} ± {half:.2f}"


def _minutes(rows: Rows, name: str, agent: str, setting: str) -> float:
    return sum(rows[row]["seconds"] for row, _, _ in cells(name, agent, setting)) / 60


def main() -> None:
    """Measure what is missing, run by run, and print the tables."""
    parser = arguments(__doc__, "spread")
    parser.add_argument("--stage", choices=list(STAGES), default="full")
    parser.add_argument("--agent", choices=list(SEARCHES), default="ppo")
    parser.add_argument("--settings", nargs="*", help="these are measured anew")
    parser.add_argument("--tasks", help="comma-separated; all by default")
    parser.add_argument("words", nargs="*", help="name=value, as for train.py")
    asked = parser.parse_args()
    search, stage = SEARCHES[asked.agent], STAGES[asked.stage]
    tasks = asked.tasks.split(",") if asked.tasks else search.tasks
    if unknown := set(tasks) - set(search.tasks):
        known = ", ".join(search.tasks)
        parser.error(f"no task {unknown.pop()!r}; they are {known}")
    if unknown := set(asked.settings or ()) - set(search.changes):
        known = ", ".join(search.changes)
        parser.error(f"no setting {unknown.pop()!r}; they are {known}")
    memories = asked.memories.split(",") if asked.memories else stage.memories
    runs = {
        row: (stage, asked.agent, setting, task, memory)
        for setting in asked.settings or search.changes
        for row, task, memory in cells(asked.stage, asked.agent, setting)
        if task in tasks and memory in memories
    }
    there = {} if asked.settings else load(asked.results)
    names = [name for name in runs if name not in there]
    fill_rows(asked, names, lambda x: measure(*runs[x], asked.words), table)


if __name__ == "__main__":
    main()
