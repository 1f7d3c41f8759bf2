"""Which settings learn most, over a spread of tasks: `python -m benchmarks.spread`.

Fourteen tasks, gru and ffm, three seeds side by side, 2 M steps: one setting for all.
The score of a run is

    (return - memoryless) / (recall - memoryless), clipped to [0, 1],

of its greedy policy on new episodes; that of a setting is the mean over its runs. Where
a card does not know the memoryless return its floor stands in, and its oracle where it
does not know the recall.

`--stage search` is how settings were found: gru alone, one seed, 0.5 M steps. Rows are
kept in `benchmarks/results/spread.json`; see `rows`. A row that is there is passed over
unless its setting is named.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console

import agents
import envs
from agents.running.overrides import compose_config
from benchmarks.rows import Row, Rows, arguments, fill_rows, interval, load
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

FIRST = {
    "learning_rate": 1e-3,
    "entropy_coefficient": 0.005,
    "clip_ratio": 0.1,
    "num_epochs": 4,
    "num_minibatches": 8,
    "gae_lambda": 0.95,
    "normalize_advantage": False,
    "normalize_reward": False,
    "encoder_size": 64,
    "head_size": 0,
}
"""The defaults before the search, written out: a new default changes no row."""

_HEADS = {"head_size": 128}
_SCALED = {**_HEADS, "normalize_advantage": True}
SETTINGS = {
    "scaled": _SCALED,
    "first": {},
    "heads": _HEADS,
    "scaled, clip .2": {**_SCALED, "clip_ratio": 0.2},
    "scaled, entropy .01": {**_SCALED, "entropy_coefficient": 0.01},
    "scaled, rate 5e-4": {**_SCALED, "learning_rate": 5e-4},
    "scaled, rate 2e-3": {**_SCALED, "learning_rate": 2e-3},
    "scaled, minibatches 16": {**_SCALED, "num_minibatches": 16},
    "scaled, encoder 128": {**_SCALED, "encoder_size": 128},
    "scaled, encoder 128, clip .2": {
        **_SCALED,
        "encoder_size": 128,
        "clip_ratio": 0.2,
    },
    "popgym": {"normalize_advantage": True, "encoder_size": 128},
    "rewards": {**_HEADS, "normalize_reward": True},
    "rewards, encoder 128, clip .2": {
        **_HEADS,
        "normalize_reward": True,
        "encoder_size": 128,
        "clip_ratio": 0.2,
    },
}
"""What each differs in from `FIRST`."""


def words_of(setting: str) -> list[str]:
    """A setting as words of the command line."""
    settings = FIRST | SETTINGS[setting]
    return [f"agent.{name}={value}" for name, value in settings.items()]


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
    stage: Stage, setting: str, task: str, memory: str, words: Sequence[str] = ()
) -> Row:
    """Train and evaluate every seed."""
    settings = [
        f"env={envs.config_name(f'{task}-v0')}",
        f"memory={memory}",
        f"num_seeds={stage.num_seeds}",
        f"total_steps={stage.total_steps}",
        "evaluation.interval=null",
        "checkpoint.interval=null",
        *words_of(setting),
        *words,
    ]
    began = time.perf_counter()
    result = agents.run(compose_config(settings), Console(quiet=True))
    return {
        "returns": [round(float(score.mean), 4) for score in result.scores],
        "seconds": round(time.perf_counter() - began),
        "settings": {"total_steps": stage.total_steps, **FIRST, **SETTINGS[setting]},
    }


def cells(name: str, setting: str) -> Iterator[tuple[str, str, str]]:
    """Name of the row, task and memory of all runs of a setting in a stage."""
    for memory in STAGES[name].memories:
        for task in TASKS:
            yield f"{name}, {setting}, {task}, {memory}", task, memory


def of_seeds(rows: Rows, name: str, setting: str) -> np.ndarray | None:
    """Scores `[runs, seeds]` of a setting in a stage; None unless all were run."""
    found = [(task, rows.get(row)) for row, task, _ in cells(name, setting)]
    if any(row is None for _, row in found):
        return None
    return np.stack([scores(task, row["returns"]) for task, row in found if row])


def table(rows: Rows) -> str:
    """The searched settings, best first; then the full measurements, task by task."""
    lines = ["| setting | score, gru, 1 seed, 0.5 M steps | minutes |", "|---|---|---|"]
    searched = {s: of_seeds(rows, "search", s) for s in SETTINGS}
    ranked = sorted(
        ((float(x.mean()), s) for s, x in searched.items() if x is not None),
        reverse=True,
    )
    for score, setting in ranked:
        spent = _minutes(rows, "search", setting)
        lines.append(f"| {setting} | {score:.3f} | {spent:.0f} |")
    full = {s: of_seeds(rows, "full", s) for s in SETTINGS}
    measured = {s: x for s, x in full.items() if x is not None}
    if not measured:
        return "\n".join(lines)
    lines += [
        "",
        f"| task | {' | '.join(measured)} |",
        f"|---|{'---|' * len(measured)}",
    ]
    names = [(task, memory) for _, task, memory in cells("full", "first")]
    for index, (task, memory) in enumerate(names):
        shown = " | ".join(_of(x[index]) for x in measured.values())
        lines.append(f"| {task}, {memory} | {shown} |")
    together = " | ".join(_of(x.mean(0)) for x in measured.values())
    spent = " | ".join(f"{_minutes(rows, 'full', s):.0f}" for s in measured)
    return "\n".join([*lines, f"| all | {together} |", f"| minutes | {spent} |"])


def _of(seeds: np.ndarray) -> str:
    mean, half = interval(seeds)
    return f"{mean:.2f} ± {half:.2f}"


def _minutes(rows: Rows, name: str, setting: str) -> float:
    return sum(rows[row]["seconds"] for row, _, _ in cells(name, setting)) / 60


def main() -> None:
    """Measure what is missing, run by run, and print the tables."""
    parser = arguments(__doc__, "spread")
    parser.add_argument("--stage", choices=list(STAGES), default="full")
    parser.add_argument("--settings", nargs="*", help="these are measured anew")
    parser.add_argument("--tasks", help="comma-separated; all by default")
    parser.add_argument("words", nargs="*", help="name=value, as for train.py")
    asked = parser.parse_args()
    tasks = asked.tasks.split(",") if asked.tasks else TASKS
    if unknown := set(tasks) - set(TASKS):
        parser.error(f"no task {unknown.pop()!r}; they are {', '.join(TASKS)}")
    if unknown := set(asked.settings or ()) - set(SETTINGS):
        parser.error(f"no setting {unknown.pop()!r}; they are {', '.join(SETTINGS)}")
    stage = STAGES[asked.stage]
    memories = asked.memories.split(",") if asked.memories else stage.memories
    runs = {
        row: (stage, setting, task, memory)
        for setting in asked.settings or SETTINGS
        for row, task, memory in cells(asked.stage, setting)
        if task in tasks and memory in memories
    }
    there = {} if asked.settings else load(asked.results)
    names = [name for name in runs if name not in there]
    fill_rows(asked, names, lambda x: measure(*runs[x], asked.words), table)


if __name__ == "__main__":
    main()
