"""The picture of a retention: score and share kept over the horizon."""

import math
from typing import Any

import numpy as np

from analysis.interval import Interval
from analysis.retention.playing import Retention

KEPT, LINE, CONTEXT = "#2a6fbb", "#777777", "#b03060"


def draw(found: Retention) -> Any:
    """Score beside the card's lines, and the share kept; a figure of matplotlib."""
    import matplotlib  # takes half a second

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    measure = found.points[0].card.measure
    _curve(left, found, [point.measured for point in found.points], measure)
    for name in ("memoryless", "recall"):
        known = [(x.horizon, getattr(x.card, name).value) for x in found.points]
        known = [pair for pair in known if pair[1] is not None]
        if known:
            steps, values = zip(*known, strict=True)
            left.plot(steps, values, ":", color=LINE)
            left.annotate(f" {name}", known[-1], fontsize=8, color=LINE, va="center")
    left.set_ylabel(measure)
    if any(point.kept for point in found.points):
        _curve(right, found, [point.kept for point in found.points], "kept")
        _half_life(right, found)
        right.set_ylabel("share of memory's gain kept\n0 memoryless, 1 recall")
    else:
        _curve(right, found, [point.success for point in found.points], "success")
        right.set_ylabel("success")
    for axes in (left, right):
        _marks(axes, found)
    life = _short(str(found.half_life))
    figure.suptitle(f"{found.task}, half-life of memory: {life}", fontsize=10)
    return figure


def _short(text: str, most: int = 110) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _curve(
    axes: Any, found: Retention, values: list[Interval | None], name: str
) -> None:
    """Means with their intervals; one point alone has a bar."""
    known = [
        (point.horizon, *value)
        for point, value in zip(found.points, values, strict=True)
        if value is not None
    ]
    if not known:
        axes.text(0.5, 0.5, "unknown", transform=axes.transAxes, ha="center")
        return
    steps, means, lower, upper = np.array(known, np.float64).T
    axes.plot(steps, means, "o-", color=KEPT, markersize=4, label=name)
    if len(known) == 1:
        axes.errorbar(steps, means, [means - lower, upper - means], color=KEPT)
    axes.fill_between(steps, lower, upper, color=KEPT, alpha=0.15, linewidth=0)


def _half_life(axes: Any, found: Retention) -> None:
    first, interval = found.points[0].kept, found.half_life.interval
    axes.axhline(0, color=LINE, linestyle=":", linewidth=1)
    axes.axhline(1, color=LINE, linestyle=":", linewidth=1)
    if interval is None or first is None or math.isinf(interval.value):
        return
    last = found.points[-1].horizon
    ends = [min(x, last) for x in interval[1:]]
    axes.plot(ends, [first.value / 2] * 2, color="#333333", linewidth=2)
    axes.plot(interval.value, first.value / 2, "D", color="#333333", markersize=5)
    axes.annotate(
        f"half of it: {interval.value:,.3g} steps",
        (interval.value, first.value / 2),
        xytext=(6, 6),
        textcoords="offset points",
        fontsize=8,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
    )


def _marks(axes: Any, found: Retention) -> None:
    """Training horizon and the memory's own reach, over the logarithm of horizons."""
    end = "fewest" if found.dial.end == 0 else "most"
    steps = [point.horizon for point in found.points]
    axes.set_xscale("log")
    axes.set_xticks(steps, [f"{x:,}" for x in steps], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel(f"horizon: {end} steps from cue to use")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    marks = [(found.dial.horizon, "training", LINE)]
    if found.context:
        marks.append((found.context, f"context {found.context}", CONTEXT))
    for steps, name, color in marks:
        axes.axvline(steps, color=color, linestyle="--", linewidth=1)
        axes.text(
            *(steps, 0.5, name),
            transform=axes.get_xaxis_transform(),
            fontsize=8,
            color=color,
            rotation=90,
            va="center",
            ha="right",
        )
