"""A model's scores by kind of memory, as a radar chart before all others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.card.models import ModelCard


def radar(
    card: ModelCard, others: Sequence[ModelCard], palette: Mapping[str, str]
) -> Any:
    """One axis per kind of memory, from 0, without memory, to 1, the best with any.

    Scores below 0 are drawn at 0. With fewer than three kinds the axes are bars.
    """
    from matplotlib.figure import Figure  # takes half a second

    kinds = list(card.kinds)
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    if len(kinds) < 3:
        axes = figure.subplots()
        axes.bar(kinds, [card.kinds[x].value for x in kinds], color=palette[card.label])
        axes.set_ylim(0, 1)
        axes.set_ylabel("score")
        axes.set_title(card.label, fontsize=10)
        return figure
    axes = figure.add_subplot(projection="polar")
    angles = np.linspace(0, 2 * np.pi, len(kinds), endpoint=False)
    ring = np.append(angles, angles[0])

    def around(model: ModelCard) -> np.ndarray:
        values = np.clip([model.kinds[kind].value for kind in kinds], 0, 1)
        return np.append(values, values[0])

    for other in others:
        if other.label != card.label:
            axes.plot(ring, around(other), color="#bbbbbb", linewidth=0.8)
    color = palette[card.label]
    axes.plot(ring, around(card), color=color)
    axes.fill(ring, around(card), color=color, alpha=0.2)
    axes.set_xticks(angles, kinds)
    axes.tick_params(axis="x", pad=10)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], ["", "0.5", "", "1"], fontsize=7)
    axes.set_title(f"{card.label}: score by kind of memory", fontsize=10)
    return figure
