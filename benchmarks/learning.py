"""Which memory works on T-maze: a table and a picture, from runs made here and now.

    python -m benchmarks.learning --picture docs/images/tmaze.png

Every memory trains on five seeds at the default settings. The table goes to standard
output.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import agents
from agents.running.overrides import compose_config
from analysis import read_run

SEEDS = 5
COLORS = {
    "none": "#888888",
    "frame_stack": "#c98a1b",
    "gru": "#2a6fbb",
    "ffm": "#b03060",
}


def main() -> None:
    """Run, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", default="none,frame_stack,gru,ffm")
    parser.add_argument("--settings", nargs="*", default=[], help="name=value ...")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    curves = {}
    print("| memory | return, mean of 5 seeds (min to max) | verdicts | seconds |")
    print("|---|---|---|---|")
    for memory in arguments.memories.split(","):
        words = [f"memory={memory}", f"num_seeds={SEEDS}", *arguments.settings]
        began = time.perf_counter()
        result = agents.run(compose_config(words), Console(quiet=True))
        seconds = time.perf_counter() - began
        means = [score.mean for score in result.scores]
        used = sum(verdict == "memory used" for verdict in result.verdicts)
        print(
            f"| {memory} | {np.mean(means):.3f} ({min(means):.3f} to {max(means):.3f}) "
            f"| memory used: {used} of {SEEDS} | {seconds:.0f} |",
            flush=True,
        )
        curves[memory] = read_curves(result.directory)
    if arguments.picture:
        draw(curves, arguments.picture)


def read_curves(directory: Path, tag: str = "evaluation/return") -> dict[str, Any]:
    """Evaluation returns `[seeds, points]`, when, and the reference values of a run.

    Args:
        directory: of the run.
        tag: what is read in place of returns, such as `evaluation/success`.
    """
    run = read_run(directory)
    seeds = [run.curve(seed, tag) for seed in run.seeds]
    assert all(seed is not None for seed in seeds), f"{directory} has no {tag}"
    found = [seed for seed in seeds if seed is not None]
    return {
        "steps": found[0].steps,
        "returns": np.array([seed.values for seed in found]),
        "times": np.array([seed.times for seed in found]),
        "references": {
            name: (run.result or {})["references"][name]
            for name in ("memoryless", "recall")
        },
    }


def draw(curves: dict[str, Any], path: Path) -> None:
    """One line per memory: the mean over seeds, and the range as a band."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    references = next(iter(curves.values()))["references"]
    last = max(curve["steps"][-1] for curve in curves.values()) / 1e6
    for name, value in references.items():
        axes.axhline(value, color="#444444", linestyle=":", linewidth=1)
        axes.text(last, value + 0.015, name, ha="right", va="bottom", fontsize=8)
    for memory, curve in curves.items():
        steps, returns = curve["steps"] / 1e6, curve["returns"]
        color = COLORS.get(memory)
        axes.plot(steps, returns.mean(0), label=memory, color=color)
        axes.fill_between(
            steps, returns.min(0), returns.max(0), color=color, alpha=0.15, linewidth=0
        )
    axes.set_xlabel("environment steps (millions)")
    axes.set_ylabel("evaluation return")
    axes.set_ylim(-1.05, 1.12)
    axes.set_title("T-maze, corridor 20, PPO: mean and range of 5 seeds", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
