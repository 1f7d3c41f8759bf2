"""The picture of a probe."""

from typing import Any

import numpy as np

from analysis.probe.decoding import Lag
from analysis.probe.report import Report, lag_range

COLORS = {
    "observed": ("#b03060", "observation alone"),
    "untrained": ("#c98a1b", "untrained memory"),
    "state": ("#2a6fbb", "memory"),
}
"""Of each source, with its name."""

GREY = "#777777"
MOST = 6
"""Hidden variables that are drawn."""
FLAT = 8
"""Ranges of lags whose names fit beside each other."""


def draw(report: Report) -> Any:
    """A panel per hidden variable, then norm, noise and swaps; a matplotlib figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    variables = list(dict.fromkeys(lag.variable for lag in report.lags))[:MOST]
    panels = [
        *((_readouts, [x for x in report.lags if x.variable == n]) for n in variables),
        (_norm, report.geometry),
        (_noise, report),
        *(((_swaps, report.swaps),) if report.swaps else ()),
    ]
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.3 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (panel, data) in zip(grid, panels, strict=False):
        panel(axes, data)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid)[len(panels) :]:
        axes.axis("off")
    figure.suptitle(report.described, fontsize=9)
    return figure


def _readouts(axes: Any, lags: list[Lag]) -> None:
    places = np.arange(len(lags))
    for source, (color, label) in COLORS.items():
        values = np.array([getattr(lag, source) for lag in lags])
        width = 1.2 if source == "state" else 2.4  # so that lines on others show
        axes.plot(
            places,
            values[:, 0],
            "o-",
            color=color,
            label=label,
            markersize=2 + 2 * width,
            linewidth=width,
        )
        axes.fill_between(
            places, values[:, 1], values[:, 2], color=color, alpha=0.15, linewidth=0
        )
    chance = [lag.chance for lag in lags]
    axes.plot(places, chance, ":", color=GREY, label="chance")
    axes.set_xticks(places, list(map(lag_range, lags)), fontsize=7)
    if len(lags) > FLAT:
        axes.tick_params(axis="x", labelrotation=90)
    axes.set_ylim(max(min(0, *chance), -0.05), 1.03)
    axes.set_xlabel("steps since it was seen")
    axes.set_ylabel("accuracy" if lags[0].measure == "accuracy" else "R²")
    axes.set_title(f"read from the state: {lags[0].variable}", fontsize=10)
    axes.legend(fontsize=7, edgecolor="none", framealpha=0.8)


def _norm(axes: Any, geometry: Any) -> None:
    axes.plot(geometry.steps, geometry.norm, color=COLORS["state"][0])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step of the episode")
    axes.set_ylabel("mean norm of the state")
    axes.set_title(
        f"{geometry.numbers:,} numbers, effective rank {geometry.rank.value:.1f}",
        fontsize=10,
    )


def _noise(axes: Any, report: Report) -> None:
    places = np.arange(len(report.disturbed))
    values = np.array([x.score for x in report.disturbed])
    color = COLORS["state"][0]
    axes.plot(places, values[:, 0], "o-", color=color, markersize=4)
    axes.fill_between(
        places, values[:, 1], values[:, 2], color=color, alpha=0.15, linewidth=0
    )
    for name, value in report.references.items():
        if value is not None:
            axes.axhline(value, color=GREY, linestyle=":", linewidth=1)
            axes.text(0, value, name, fontsize=7, color=GREY, va="bottom")
    axes.set_xticks(places, [f"{x.strength:g}" for x in report.disturbed])
    axes.set_xlabel("noise on what the memory reads")
    axes.set_ylabel(report.measure)
    axes.set_title("interference", fontsize=10)


def _swaps(axes: Any, swaps: list[Any]) -> None:
    names = ("as_other", "as_own", "before", "after")
    score = swaps[0].measure
    labels = ("decides as\nthe other", "decides as\nits own")
    labels += (f"{score} with\nown memory", f"{score} with\nother's memory")
    width = 0.8 / len(swaps)
    for index, swap in enumerate(swaps):
        for place, name in enumerate(names):
            value = getattr(swap, name)
            if value is None:
                continue
            x = place + (index - (len(swaps) - 1) / 2) * width
            color = COLORS["state" if place < 2 else "untrained"][0]
            axes.bar(x, value.value, width * 0.9, color=color, alpha=0.8 / (1 + index))
            axes.plot([x, x], [value.lower, value.upper], color="#333333", linewidth=1)
            axes.annotate(
                f"{value.value:.2f}",
                (x, max(value.value, value.upper)),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    axes.set_xticks(range(4), labels, fontsize=7)
    axes.set_title(
        f"swapped memories: {', '.join(x.variable for x in swaps)}", fontsize=10
    )
    if score == "success":
        axes.set_ylim(0, 1.1)  # room for the numbers above
    axes.set_ylabel("share" if score == "success" else f"share, {score}")
