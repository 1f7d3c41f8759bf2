"""Are the POPGym tasks right? PPO on eight of them: `python -m benchmarks.popgym`.

`SETTINGS`, five seeds in one program, gru beside a policy without a memory.
The last policy of each seed plays new episodes, greedily; the interval is that of the
mean over seeds (Student's t). A policy without memory whose lower bound exceeds the
memoryless return of the task's card shows that the card is wrong.

Rows are kept in `benchmarks/results/popgym.json`; see `rows`. A row that is there is
passed over unless its task or memory is named.
"""

import math
import time
from collections.abc import Sequence

from rich.console import Console

import agents
import envs
from agents.running.overrides import compose_config
from benchmarks.common.rows import Row, Rows, arguments, fill_rows, interval, load

SEEDS = 5
EPISODES = 4096
MEMORIES = ("none", "gru")
SETTINGS = (
    "total_steps=3e6",
    "agent.previous_action=true",  # as in the paper, every task tells it
    "agent.encoder_size=128",
    "agent.learning_rate=1e-3",
    "agent.entropy_coefficient=0.005",
    "agent.normalize_advantage=true",
    "agent.num_minibatches=8",
)
"""Written out where they are the default, too: a new default changes no row."""
UNSEEN = " without previous action"
"""Where the previous action is not an input, as the cards' memoryless returns mean it:
in it a policy can leave itself notes, and RepeatFirst needs no more."""
THIRD_PARTY = {
    "RepeatFirstEasy": 0.860,
    "RepeatPreviousEasy": 0.890,
    "CountRecallEasy": -0.655,
    "HigherLowerEasy": 0.518,
    "AutoencodeEasy": -0.454,
    "PositionOnlyCartPoleEasy": 1.0,
    "MultiarmedBanditEasy": 0.327,
    "ConcentrationEasy": None,
}
"""Somebody else's GRU of 128 units at 3 million steps: the highest mean in training."""
CARDS = tuple(list(THIRD_PARTY)[:5])
TASKS = tuple(
    name
    for task in THIRD_PARTY
    for name in ([f"{task}{UNSEEN}", task] if task in CARDS else [task])
)


def memories_of(task: str) -> tuple[str, ...]:
    """Those measured unless others are named.

    Without notes the card is in question, and in RepeatFirst the memory, too.
    """
    of_card = task.endswith(UNSEEN) and not task.startswith("RepeatFirst")
    return MEMORIES[:1] if of_card else MEMORIES


def measure(task: str, memory: str, words: Sequence[str] = ()) -> Row:
    """Train and evaluate every seed."""
    id = f"{task.removesuffix(UNSEEN)}-v0"
    settings = [
        f"env={envs.config_name(id)}",
        f"memory={memory}",
        *SETTINGS,
        f"num_seeds={SEEDS}",
        f"evaluation.episodes={EPISODES}",
        "evaluation.interval=null",
        *(["agent.previous_action=false"] if task.endswith(UNSEEN) else []),
        *words,
    ]
    began = time.perf_counter()
    result = agents.run(compose_config(settings), Console(quiet=True))
    return {
        "task": task,
        "memory": memory,
        "returns": [round(float(score.mean), 4) for score in result.scores],
        "seconds": round(time.perf_counter() - began),
        "settings": [word for word in words if not word.startswith("run_directory=")],
    }


def table(rows: Rows) -> str:
    """One line per task, and why a card does not know a return."""
    reasons = []
    lines = [
        "| task | memoryless | none | gru | recall | gru elsewhere |",
        "|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        card = envs.make(f"{task.removesuffix(UNSEEN)}-v0").card
        for name in ("memoryless", "recall"):
            known = getattr(card, name)
            if known.value is None:
                reasons.append(f"- {task}, {name}: {known.note}.")
        cells = [task, _known(card.memoryless.value)]
        for memory in MEMORIES:
            row = rows.get(f"{task} {memory}")
            mean, half = interval(row["returns"]) if row else (math.nan, math.nan)
            cells.append(f"{mean:.3f} ± {half:.3f}" if row else "")
        cells += [_known(card.recall.value), _known(THIRD_PARTY.get(task))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Unknown, because:", "", *reasons])


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    """Measure what is missing, task by task, and print the table."""
    parser = arguments(__doc__, "popgym")
    parser.add_argument("--tasks", help="comma-separated; these are measured anew")
    parser.add_argument("words", nargs="*", help="name=value, as for train.py")
    asked = parser.parse_args()
    tasks = asked.tasks.split(",") if asked.tasks else TASKS
    if unknown := set(tasks) - set(TASKS):
        parser.error(f"no task {unknown.pop()!r}; they are {', '.join(TASKS)}")
    named = asked.memories.split(",") if asked.memories else None
    pairs = {f"{t} {m}": (t, m) for t in tasks for m in named or memories_of(t)}
    there = {} if asked.tasks or asked.memories else load(asked.results)
    names = [name for name in pairs if name not in there]
    fill_rows(asked, names, lambda x: measure(*pairs[x], asked.words), table)


if __name__ == "__main__":
    main()
