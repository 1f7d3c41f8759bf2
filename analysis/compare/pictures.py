"""Pictures of a comparison: curves of every task, and aggregates over all."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.compare import statistics
from analysis.compare.collect import Group
from analysis.compare.tables import Overall

PALETTE = (
    *("#2a6fbb", "#b03060", "#2f8f5b", "#c98a1b", "#7a52b3", "#1b9aaa", "#d1495b"),
    *("#5c6b73", "#8c564b", "#9a9a2e", "#e377c2", "#3b3b98"),
)
"""Of models, in order; `none`, where it is the one control, is grey."""

GREY = "#8a8a8a"
LINES = {"floor": "#bbbbbb", "memoryless": "#777777", "recall": "#444444"}


def colors(labels: Sequence[str]) -> dict[str, str]:
    """A colour for every model, the same in all pictures."""
    names = list(dict.fromkeys(labels))
    controls = [name for name in names if _is_control(name)]
    grey = controls if len(controls) == 1 else []  # several must be told apart
    coloured = [name for name in names if name not in grey]
    return {
        name: GREY if name in grey else PALETTE[coloured.index(name) % len(PALETTE)]
        for name in names
    }


def learning_curves(groups: Sequence[Group], palette: Mapping[str, str]) -> Any:
    """The models of one task: mean and band over seeds, every seed as a thin line."""
    figure, axes = _axes(7.2, 3.6)
    run = groups[0].run
    last = max(group.steps[-1] for group in groups)
    for name, color in LINES.items():
        value = run.references.get(name)
        if value is not None:
            axes.axhline(value, color=color, linestyle=":", linewidth=1)
            axes.text(last, value, f" {name}", va="center", fontsize=8, color=color)
    for group in groups:
        color, values = palette[group.label], group.values
        lower, upper = statistics.band(values)
        label = f"{group.label} ({len(values)})"
        axes.plot(group.steps, values.mean(0), color=color, label=label)
        axes.fill_between(
            group.steps, lower, upper, color=color, alpha=0.15, linewidth=0
        )
        for seed in values if len(values) > 1 else ():
            axes.plot(group.steps, seed, color=color, alpha=0.3, linewidth=0.6)
    few = min(len(group.seeds) for group in groups) < statistics.MINIMUM_SEEDS
    kind = "range" if few else "95 % interval"
    axes.set_xlim(0, last)
    axes.set_xlabel("environment steps")
    axes.set_ylabel(f"evaluation {run.measure}")
    axes.set_title(f"{groups[0].task}: mean and {kind} over seeds", fontsize=10)
    axes.xaxis.set_major_formatter(_engineering)
    _legend(axes)
    return figure


def aggregates(
    models: Sequence[Overall],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    palette: Mapping[str, str],
) -> Any:
    """Interquartile means and performance profiles over all tasks."""
    figure, (left, right) = _axes(9.2, 0.6 + 0.34 * max(len(models), 6), columns=2)
    for place, model in enumerate(models):
        color, iqm = palette[model.label], model.iqm
        left.plot([iqm.lower, iqm.upper], [place, place], color=color, linewidth=6,
                  alpha=0.35, solid_capstyle="butt")  # fmt: skip
        left.plot(iqm.value, place, "o", color=color)
    left.set_yticks(range(len(models)), [model.label for model in models], fontsize=8)
    left.invert_yaxis()
    left.set_xlabel("interquartile mean of scores")
    thresholds = np.linspace(0, 1, 51)
    for label, tasks in scores.items():
        value, lower, upper = statistics.performance_profile(
            list(tasks.values()), thresholds
        )
        right.step(thresholds, value, color=palette[label], label=label, where="post")
        right.fill_between(
            thresholds, lower, upper, color=palette[label], alpha=0.12, step="post"
        )
    right.set_xlabel("score (0 memoryless, 1 recall)")
    right.set_ylabel("share of seeds above")
    right.set_ylim(-0.02, 1.02)
    return figure


def sample_efficiency(groups: Sequence[Group], palette: Mapping[str, str]) -> Any:
    """Interquartile mean of scores over all tasks against steps."""
    figure, axes = _axes(7.2, 3.2)
    for label in palette:
        mine = [x for x in groups if x.label == label and x.scores is not None]
        if not mine:
            continue
        steps = np.linspace(0, min(group.steps[-1] for group in mine), 21)[1:]
        at = [
            np.stack([np.interp(steps, x.steps, seed) for seed in x.scores])
            for x in mine
            if x.scores is not None
        ]
        points = [
            statistics.interquartile_mean([task[:, i] for task in at])
            for i in range(len(steps))
        ]
        axes.plot(steps, [x.value for x in points], color=palette[label], label=label)
        axes.fill_between(
            steps, [x.lower for x in points], [x.upper for x in points],
            color=palette[label], alpha=0.15, linewidth=0,
        )  # fmt: skip
    axes.set_xlabel("environment steps of every task")
    axes.set_ylabel("interquartile mean of scores")
    axes.xaxis.set_major_formatter(_engineering)
    _legend(axes)
    return figure


def _axes(width: float, height: float, columns: int = 1) -> Any:
    from matplotlib.figure import Figure  # takes half a second

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.1, 0.5))


def _engineering(value: float, _: Any = None) -> str:
    for unit, word in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{word}"
    return f"{value:g}"


def _is_control(label: str) -> bool:
    return label.startswith("none-")
