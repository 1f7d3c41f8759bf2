"""The memory scores of bsuite, for PPO with any memory: `python -m benchmarks.bsuite`.

    python -m benchmarks.bsuite --memories gru,ffm
    python -m benchmarks.bsuite --memories lru --settings MemoryLength3-v0,memory_size
    python -m benchmarks.bsuite --episodes 500 --results trial.json agent.num_envs=16

`memory_len` is scored on 23 lengths of the memory chain and `memory_size` on 17 numbers
of bits (Osband et al. 2020). On each of them an agent learns for 10,000 episodes, and
all of these count, from the first on:

    regret = wrong answers / (0.5 * episodes)        one half is the rate of a guess
    score  = share of the settings with a regret below 0.75

Several seeds of a setting are averaged before the comparison. This is the analysis of
bsuite 0.3.6 (`experiments/memory_len/analysis.py`; that of `memory_size` is the same).
Learning late costs as much as never learning: who guesses for 7,500 episodes and then
makes no mistake has failed. So the regret of the trained policy, greedy and on new
episodes, is stated beside it.

Two things differ from bsuite's own runs. Agents here play several streams at a time, 8
unless told otherwise, and the episodes are counted in the order of the updates that
they belong to; of the update in which the last one falls, its share. And fewer
episodes than 10,000 may be asked for, as bsuite's analysis allows for unfinished runs;
the table states how many.

A row is one setting of one memory, kept in `benchmarks/results/bsuite.json` (see
`rows`). One that is there, for as many episodes and the same settings of the agent, is
passed over.
"""

import math
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

import agents
import envs
from agents.running.overrides import compose_config
from analysis import Run, read_run
from benchmarks.common.rows import Row, Rows, arguments, fill_rows, load
from envs.chains.memory_chain import LENGTHS, SIZES, MemoryChain

EPISODES = 10_000
GUESS = 0.5
"""Share of wrong answers of an agent that does not remember."""
THRESHOLD = 0.75
FAMILIES = {
    "memory_len": [f"MemoryLength{n}-v0" for n in LENGTHS],
    "memory_size": [f"MemorySize{n}-v0" for n in SIZES],
}
AGENT = ("agent.num_envs=8", "agent.num_minibatches=8")
"""Small updates: 10,000 of the shortest episodes are 20,000 steps."""


def regret(
    episodes: Sequence[float], success: Sequence[float], limit: int = EPISODES
) -> float:
    """Wrong answers among the first episodes, beside those of a guess.

    Args:
        episodes: how many ended in each update.
        success: which share of them was right; anything where none ended.
        limit: how many episodes count, or all there are if they are fewer.
    """
    count = np.asarray(episodes, np.float64)
    until = np.minimum(np.cumsum(count), limit)
    counted = np.diff(until, prepend=0.0)
    wrong = np.where(count > 0, 1 - np.asarray(success), 0.0)
    return float(counted @ wrong / (GUESS * until[-1]))


def score(regrets: Sequence[float]) -> float:
    """The share of settings with a regret below the threshold."""
    return sum(x < THRESHOLD for x in regrets) / len(regrets)


def measure(memory: str, setting: str, episodes: int, words: Sequence[str]) -> Row:
    """Train on one setting; the regret while learning, and once trained."""
    env = envs.make(setting)
    assert isinstance(env, MemoryChain)
    with tempfile.TemporaryDirectory() as folder:
        config = compose_config(
            [
                f"memory={memory}",
                "env=memory_chain",
                f"env.length={env.length}",
                f"env.bits={env.bits}",
                f"total_steps={episodes * (env.length + 1)}",
                "log_interval=1",
                "evaluation.interval=null",
                "checkpoint.interval=null",
                f"run_directory={folder}",
                *AGENT,
                *words,
            ]
        )
        result = agents.run(config, Console(quiet=True))
        told = read_run(result.directory)
        learning = [regret(*read_curves(told, x), episodes) for x in result.seeds]
    trained = [(1 - (s.success or 0.0)) / GUESS for s in result.scores]
    return {
        "memory": memory,
        "setting": setting,
        "episodes": episodes,
        "settings": list(words),
        "regret": float(np.mean(learning)),
        "trained": float(np.mean(trained)),
    }


def read_curves(run: Run, seed: int) -> tuple[list[float], list[float]]:
    """Of every update of a seed, how many episodes ended and which share was right."""
    ended, right = (run.curve(seed, f"train/{x}") for x in ("episodes", "success"))
    assert ended is not None and right is not None
    success = dict(zip(right.steps.tolist(), right.values.tolist(), strict=True))
    return (
        ended.values.tolist(),
        [success.get(step, math.nan) for step in ended.steps.tolist()],
    )


def table(rows: Rows) -> str:
    """One line per memory and score."""
    lines = [
        "| memory | | score | settings | episodes | regret below 0.75 | not below |",
        "|---|---|---|---|---|---|---|",
    ]
    for memory in sorted({row["memory"] for row in rows.values()}):
        for family, settings in FAMILIES.items():
            mine = [row for row in rows.values() if row["memory"] == memory]
            found = {row["setting"]: row for row in mine}
            there = [found[name] for name in settings if name in found]
            if there:
                lines.append(f"| {memory} | {family} | {_line(there, len(settings))} |")
    return "\n".join(lines)


def _line(rows: list[Row], of: int) -> str:
    """Score, settings and episodes; then each setting's regret, and once trained."""
    told: dict[bool, list[str]] = {True: [], False: []}
    for row in rows:
        number = "".join(filter(str.isdigit, row["setting"].split("-")[0]))
        text = f"{number}: {row['regret']:.2f} ({row['trained']:.2f})"
        told[row["regret"] < THRESHOLD].append(text)
    episodes = sorted({row["episodes"] for row in rows})
    cells: list[Any] = [
        f"{score([row['regret'] for row in rows]):.2f}",
        f"{len(rows)} of {of}",
        " or ".join(f"{count:,}" for count in episodes),
        ", ".join(told[True]),
        ", ".join(told[False]),
    ]
    return " | ".join(cells)


def chosen(text: str) -> list[str]:
    """The ids of settings and of whole families.

    Raises:
        ValueError: something is neither.
    """
    names: list[str] = []
    known = [name for settings in FAMILIES.values() for name in settings]
    for word in text.split(","):
        if word not in FAMILIES and word not in known:
            raise ValueError(
                f"{word!r} is neither {' nor '.join(FAMILIES)} nor one of their "
                f"settings, such as {known[0]}."
            )
        names += FAMILIES.get(word, [word])
    return names


def main() -> None:
    """Measure what is missing, setting by setting, and print the table."""
    parser = arguments(__doc__, "bsuite")
    parser.add_argument(
        "--settings", default=",".join(FAMILIES), help="families or ids, with commas"
    )
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("words", nargs="*", help="name=value, as for train.py")
    asked = parser.parse_args()
    memories = (asked.memories or "none,frame_stack,gru,ffm").split(",")
    pairs = {f"{m} {s}": (m, s) for s in chosen(asked.settings) for m in memories}
    there = load(asked.results)

    def differs(name: str) -> bool:
        old = there.get(name, {})
        return (old.get("episodes"), old.get("settings")) != (
            asked.episodes,
            asked.words,
        )

    fill_rows(
        asked,
        filter(differs, pairs),
        lambda name: measure(*pairs[name], asked.episodes, asked.words),
        table,
    )


if __name__ == "__main__":
    main()
