"""Pictures of what decisions depend on; every function gives a matplotlib figure."""

from typing import Any

import numpy as np

from analysis.saliency import Example, Saliency
from analysis.saliency.summary import MEASURES, density, described

COLORS = {"contribution": "#2a6fbb", "gradient": "#c98a1b"}
GREY = "#777777"
FRAMES = 8
"""Steps in a filmstrip."""
PANELS = 6
"""Of what a memory shows."""
UNITS = 128
"""Rows of a panel of gates."""


def _figure(width: float, height: float) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw(found: Saliency) -> Any:
    """Where in the past it lies, and strips over the time of one episode."""
    figure = _figure(12, 3.6)
    left, *rest = figure.subplots(1, 3)
    _density(left, found)
    for axes, measure in zip(rest, MEASURES, strict=True):
        _strip(axes, measure, found.example)
    figure.suptitle(described(found), fontsize=8)
    return figure


def _density(axes: Any, found: Saliency) -> None:
    axes.set_title("share of the past, by lag", fontsize=10)
    axes.set_xlabel("steps before the decision")
    axes.spines[["top", "right"]].set_visible(False)
    curves = {measure: density(found, measure) for measure in MEASURES}
    known = {measure: curve for measure, curve in curves.items() if curve is not None}
    if not known:
        axes.text(0.5, 0.5, "nothing of the past matters", ha="center", color=GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for measure, curve in known.items():
        lags, values = np.arange(1, len(curve) + 1), np.array(curve)
        style = "o-" if len(curve) <= 40 else "-"
        color = COLORS[measure]
        axes.plot(lags, values[:, 0], style, color=color, markersize=4, label=measure)
        bounds = np.clip(values[:, 1:], 0, 1)
        axes.fill_between(lags, *bounds.T, color=color, alpha=0.15, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _strip(axes: Any, measure: str, example: Example) -> None:
    """A row per decision: the share of every step up to it."""
    axes.set_title(f"one episode: {measure} of every step", fontsize=10)
    axes.set_xlabel("step of the episode")
    axes.set_ylabel("decision at step")
    rows = shares(example, measure)
    if not len(rows):
        axes.text(0.5, 0.5, "it has no decision", ha="center", color=GREY)
        return
    image = axes.imshow(rows, aspect="auto", cmap="magma", norm=_norm(rows))
    axes.set_yticks(range(len(rows)), example.moments, fontsize=7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.figure.colorbar(image, ax=axes, fraction=0.05, label="share")


def _norm(values: np.ndarray) -> Any:
    """Colours by the root of a share: so that small ones can be told from none."""
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, vmin=0, vmax=max(float(values.max()), 1e-6))


def shares(example: Example, measure: str) -> np.ndarray:
    """Of each decision, the share of every step up to it, `[moments, time]`."""
    strength = getattr(example.found, measure)
    total = strength.sum(1, keepdims=True)
    return strength / np.where(total > 0, total, 1)


def draw_film(example: Example) -> Any:
    """The steps that the last decision depends on most, as pictures above bars."""
    assert example.frame is not None
    rows = {measure: shares(example, measure)[-1] for measure in MEASURES}
    decision = int(example.moments[-1])
    steps = frames_of(rows["contribution"] + rows["gradient"], decision)
    most = max(float(row.max()) for row in rows.values())
    pictures = [example.frame(step) for step in steps]
    height, width = pictures[0].shape[:2]
    tall = 1.6 * height / width
    figure = _figure(1.6 * len(steps), tall + 1.5)
    grid = figure.subplots(2, len(steps), squeeze=False, height_ratios=[tall, 0.8])
    for column, (step, picture) in enumerate(zip(steps, pictures, strict=True)):
        above, below = grid[:, column]
        above.imshow(picture)
        above.axis("off")
        title = f"step {step}" + (": decision" if step == decision else "")
        above.set_title(title, fontsize=8)
        _bars(below, {measure: float(row[step]) for measure, row in rows.items()}, most)
    for measure in MEASURES:
        grid[1, 0].bar([0], [0], color=COLORS[measure], label=measure)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle("share of each step in the last decision", fontsize=9)
    return figure


def _bars(axes: Any, values: dict[str, float], most: float) -> None:
    """A share of each measure."""
    for place, (measure, value) in enumerate(values.items()):
        axes.bar([place], [value], color=COLORS[measure])
        axes.text(place, value, f"{value:.0%}", ha="center", va="bottom", fontsize=7)
    axes.set(xlim=(-0.8, 1.8), ylim=(0, 1.3 * max(most, 0.01)), xticks=[], yticks=[])
    axes.spines[["top", "right", "left"]].set_visible(False)


def frames_of(row: np.ndarray, decision: int) -> list[int]:
    """The decision, the steps before it that matter most, and then evenly spaced ones.

    Args:
        row: how much each step matters.
        decision: the step that decides.
    """
    ranked = np.argsort(-row[:decision], kind="stable")
    salient = [int(step) for step in ranked if row[step] > 0.02][: FRAMES - 2]
    even = np.linspace(0, decision, FRAMES).round().astype(int).tolist()
    chosen = list(dict.fromkeys([decision, *salient, *even]))[:FRAMES]
    return sorted(chosen)


def draw_looks(example: Example) -> Any:
    """What the memory showed: attention as maps, all else as strips over time."""
    looks = dict(_by_interest(example.looks)[:PANELS])
    columns = min(3, len(looks))
    rows = -(-len(looks) // columns)
    figure = _figure(4.2 * columns, 3.4 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, (name, values) in zip(axes, looks.items(), strict=False):
        if name.endswith("attention"):
            _map(panel, name, values, example.moments)
        else:
            _units(panel, name, values)
    for panel in axes[len(looks) :]:
        panel.axis("off")
    return figure


def _by_interest(looks: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Attention first, then choices, then gates."""
    order = ("attention", "chunks", "places", "tokens", "slots", "read", "write")

    def rank(item: tuple[str, np.ndarray]) -> int:
        found = [i for i, word in enumerate(order) if word in item[0].split("/")[-1]]
        return found[0] if found else len(order)

    return sorted(looks.items(), key=rank)


def _map(axes: Any, name: str, values: np.ndarray, moments: np.ndarray) -> None:
    """Weights `[time, heads, past + time]`: the mean over heads, within the episode."""
    time, heads = values.shape[:2]
    weights = values[..., -time:].mean(1)
    image = axes.imshow(weights, cmap="viridis", norm=_norm(weights))
    marks = np.full(len(moments), -0.5)
    axes.plot(marks, moments, ">", color="#b03060", markersize=4, clip_on=False)
    axes.set_xlim(-0.5, time - 0.5)
    axes.set_title(f"{name}, mean of {heads} heads" if heads > 1 else name, fontsize=9)
    axes.set_xlabel("step looked at")
    axes.set_ylabel("step that looks (marked: decisions)", fontsize=7)
    axes.figure.colorbar(image, ax=axes, fraction=0.05)


def _units(axes: Any, name: str, values: np.ndarray) -> None:
    """Numbers `[time, ...]`, a column per step."""
    flat = values.reshape(len(values), -1)
    shown = flat[:, :UNITS].T
    if np.issubdtype(values.dtype, np.integer):  # choices, -1 for none
        shown = np.ma.masked_less(shown, 0)
    image = axes.imshow(shown, aspect="auto", cmap="viridis", interpolation="nearest")
    more = f", {UNITS} of {flat.shape[1]:,}" if flat.shape[1] > UNITS else ""
    axes.set_title(f"{name}{more}", fontsize=9)
    axes.set_xlabel("step of the episode")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.figure.colorbar(image, ax=axes, fraction=0.05)
