"""What every memory model comes to over several tasks."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from agents.convert import ConfigError
from agents.load import baseline_of
from agents.running.configuration.config import build
from agents.running.output.plan import memories_of, reach
from analysis.compare import statistics, tables
from analysis.compare.collect import Group, collect
from analysis.compare.statistics import Estimate
from analysis.compare.tables import Row
from analysis.runs import Run
from memory_models import Card as MemoryCard

KINDS = ("object", "spatial", "sequential", "capacity")
"""Of memory, as the cards of tasks name them; other kinds have no place here."""


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """One memory model over the tasks that all models have.

    Attributes:
        label: memory and agent, with what differs between models.
        rows: one per task.
        kinds: score by kind of memory, mean over its tasks.
        mean: over kinds.
        mechanism, paper, reach: from the model's card: how it works, where it is from,
            how far back it sees.
        half_life: the steps after which half of what it holds is gone, from
            `analysis retention`; None where that was not measured.
        half_life_told: the same in a sentence.
        steps_per_second: of training, the median over tasks.
        parameters, state_bytes: the most over tasks.
    """

    label: str
    rows: Sequence[Row]
    kinds: Mapping[str, Estimate]
    mean: Estimate
    mechanism: str
    paper: str
    reach: str
    half_life: str | None
    half_life_told: str
    steps_per_second: float | None
    parameters: int | None
    state_bytes: int | None


def cards_of(runs: Sequence[Run]) -> tuple[list[ModelCard], list[str]]:
    """A card for every model, the best first, and what was left out.

    Raises:
        ConfigError: no task that all models have is of a kind with known references, or
            all runs are of Stable-Baselines3.
    """
    ours = [run for run in runs if baseline_of(run.config) is None]
    left_out = (
        f"{len(runs) - len(ours)} run(s) of Stable-Baselines3 are left out: cards are "
        "of this repository's memory models; python -m analysis compare takes them"
    )
    if runs and not ours:
        raise ConfigError(f"there is no card to write: {left_out}.")
    groups, notes = collect(ours)
    notes += [left_out] if len(ours) < len(runs) else []
    known = [x for x in groups if x.scores is not None and kind_of(x) in KINDS]
    others = {group.task for group in groups} - {group.task for group in known}
    notes += [
        f"{task} has no place on a card: unknown references, or another kind of memory "
        f"than {', '.join(KINDS)}"
        for task in sorted(others)
    ]
    by_model: dict[str, dict[str, Group]] = {}
    for group in known:
        by_model.setdefault(group.label, {})[group.task] = group
    shared = set.intersection(*map(set, by_model.values())) if by_model else set()
    if not shared:
        raise ConfigError(
            "there is no card to write: no task that all of these models have is of a "
            f"kind of memory ({', '.join(KINDS)}) with known references. Train them on "
            "the same: python train.py -m experiment=card memory=gru,ffm env=..."
        )
    left = {task for tasks in by_model.values() for task in tasks} - shared
    notes += [f"{task} is left out: not every model has it" for task in sorted(left)]
    cards = [
        _card(label, [tasks[task] for task in sorted(shared)])
        for label, tasks in by_model.items()
    ]
    return sorted(cards, key=lambda card: -card.mean.value), notes


def kind_of(group: Group) -> str:
    """The kind of memory that its task needs."""
    return group.run.card.memory


def _card(label: str, groups: Sequence[Group]) -> ModelCard:
    rows = [tables.row_of(group) for group in groups]
    finals = {x.task: x.scores[:, -1] for x in groups if x.scores is not None}
    kinds = {
        kind: statistics.mean_of_tasks([finals[x.task] for x in mine])
        for kind in KINDS
        if (mine := [group for group in groups if kind_of(group) == kind])
    }
    of_kinds = [
        [finals[group.task] for group in groups if kind_of(group) == kind]
        for kind in kinds
    ]
    model = _memory_card(groups[0].run)
    half_life, told = _half_life(groups)
    rates = [row.steps_per_second for row in rows if row.steps_per_second]
    return ModelCard(
        label=label,
        rows=rows,
        kinds=kinds,
        mean=statistics.mean_of_kinds(of_kinds),
        mechanism=model.mechanism,
        paper=model.paper,
        reach=reach(model.context),
        half_life=half_life,
        half_life_told=told,
        steps_per_second=float(np.median(rates)) if rates else None,
        parameters=max((x.parameters or 0 for x in rows), default=0) or None,
        state_bytes=max((x.state_bytes or 0 for x in rows), default=0),
    )


def _memory_card(run: Run) -> MemoryCard:
    plan = build({**run.config, "check": False})
    network = eqx.filter_eval_shape(plan.agent.build_network, jax.random.key(0))
    return next(iter(memories_of(network))).card


def _half_life(groups: Sequence[Group]) -> tuple[str | None, str]:
    """The longest half-life that was measured on one of the tasks, and a sentence."""
    found: list[tuple[float, str, str, str]] = []
    for group in groups:
        told = _read(group.run.directory / "analysis" / "retention.json")
        life = told.get("half_life") or {}
        steps, beyond = life.get("steps"), life.get("beyond")
        if beyond is not None:  # half was never lost
            found.append((beyond, f"> {beyond:,}", life["told"], group.task))
        elif steps is not None:
            found.append((steps, f"{steps:,.3g}", life["told"], group.task))
    if not found:
        return None, (
            "How long it holds was not measured: python -m analysis retention RUN."
        )
    _, short, words, task = max(found)
    return short, f"Half-life of its memory: {words} (on {task})."


def _read(path: Any) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
