"""The comparison as rows: one per model and task, one per model over all tasks."""

import csv
import dataclasses
import io
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.compare import statistics
from analysis.compare.collect import Group
from analysis.compare.statistics import Estimate

SOLVED = 0.9
"""Share of the way from memoryless to recall at which a task counts as solved."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One model on one task.

    Attributes:
        group: its seeds.
        final: of what the card measures, at the last evaluation.
        best: the same at the best evaluation of every seed (POPGym's MMER).
        score: of `final` between memoryless, 0, and recall, 1; None where unknown.
        threshold: of what the card measures, at which the task counts as solved.
        solved: seeds that reached it.
        steps, seconds: at which they did, the median over those seeds.
        used: seeds with the verdict 'memory used', of those with a verdict.
        steps_per_second: over all seeds that were trained together, the median.
        parameters, state_bytes: of one agent and of one stream; None before the end.
    """

    group: Group
    final: Estimate
    best: Estimate
    score: Estimate | None
    threshold: float | None
    solved: int
    steps: float | None
    seconds: float | None
    used: tuple[int, int]
    steps_per_second: float | None
    parameters: int | None
    state_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Overall:
    """One model over all tasks with known references.

    Attributes:
        label: the model.
        tasks: how many.
        iqm: interquartile mean of the scores of every seed of every task.
        gap: how far scores stay below 1, on average.
    """

    label: str
    tasks: int
    iqm: Estimate
    gap: Estimate


def row_of(group: Group, solved: float = SOLVED) -> Row:
    """What a group comes to.

    Args:
        group: seeds of a model on a task.
        solved: score at which the task counts as solved.
    """
    scores, results = group.scores, [x.run.result for x in group.seeds]
    verdicts = [
        seed["verdict"]
        for x, result in zip(group.seeds, results, strict=True)
        for seed in (result or {"seeds": []})["seeds"]
        if seed["seed"] == x.seed and not seed["verdict"].startswith("no verdict")
    ]
    reached, threshold = [], None
    if scores is not None:
        floor, top = (group.run.references[x] for x in ("memoryless", "recall"))
        assert floor is not None and top is not None
        threshold = floor + solved * (top - floor)
        firsts = [statistics.first_reaching(x, solved) for x in scores]
        reached = [(i, first) for i, first in enumerate(firsts) if first is not None]
    rates = [x.run.curve(x.seed, "time/steps_per_second") for x in group.seeds]
    known = [float(np.median(rate.values)) for rate in rates if rate is not None]
    told = next((result for result in results if result), {})
    return Row(
        group=group,
        final=statistics.mean_over_seeds(group.final),
        best=statistics.mean_over_seeds(group.best),
        score=None if scores is None else statistics.mean_over_seeds(scores[:, -1]),
        threshold=threshold,
        solved=len(reached),
        steps=_median([group.steps[x] for _, x in reached]),
        seconds=_median([group.seconds[i, x] for i, x in reached]),
        used=(sum(x == "memory used" for x in verdicts), len(verdicts)),
        steps_per_second=_median(known),
        parameters=told.get("parameters"),
        state_bytes=told.get("state_bytes"),
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def by_model(groups: Sequence[Group]) -> dict[str, dict[str, np.ndarray]]:
    """Final scores, `[seeds]`, by model and task, of tasks that all models have.

    Nothing where they are fewer than two: one task has a table of its own.
    """
    scores: dict[str, dict[str, np.ndarray]] = {}
    for group in groups:
        if group.scores is not None:
            scores.setdefault(group.label, {})[group.task] = group.scores[:, -1]
    if not scores:
        return {}
    shared = set.intersection(*(set(tasks) for tasks in scores.values()))
    return {
        label: {task: tasks[task] for task in sorted(shared)}
        for label, tasks in scores.items()
        if len(shared) > 1
    }


def overall(scores: Mapping[str, Mapping[str, np.ndarray]]) -> list[Overall]:
    """Every model over all tasks, from `by_model`."""
    return [
        Overall(
            label,
            len(tasks),
            statistics.interquartile_mean(list(tasks.values())),
            statistics.optimality_gap(list(tasks.values())),
        )
        for label, tasks in scores.items()
    ]


def improvements(
    scores: Mapping[str, Mapping[str, np.ndarray]],
) -> list[tuple[str, str, Estimate]]:
    """Of every pair of models, how probably a seed of the first scores more."""
    return [
        (
            ours,
            theirs,
            statistics.probability_of_improvement(
                list(scores[ours].values()), list(scores[theirs].values())
            ),
        )
        for ours, theirs in itertools.combinations(scores, 2)
    ]


HEADER = (
    *("model", "seeds", "final", "MMER", "score", "solved", "steps to", "s to"),
    *("memory used", "steps/s", "parameters", "state, bytes"),
)


def cells(row: Row) -> tuple[str, ...]:
    """A row as a table for people shows it, in the order of `HEADER`."""
    seeds = len(row.group.seeds)
    ended = "" if row.group.ended else "*"
    return (
        row.group.label + ended,
        str(seeds),
        shown(row.final),
        f"{row.best.value:.2f}",
        "" if row.score is None else shown(row.score),
        "" if row.threshold is None else f"{row.solved} of {seeds}",
        "" if row.steps is None else f"{row.steps:,.0f}",
        "" if row.seconds is None else f"{row.seconds:,.0f}",
        f"{row.used[0]} of {row.used[1]}" if row.used[1] else "",
        "" if row.steps_per_second is None else f"{row.steps_per_second:,.0f}",
        "" if row.parameters is None else f"{row.parameters:,}",
        "" if row.state_bytes is None else f"{row.state_bytes:,}",
    )


def shown(estimate: Estimate, ranged: bool = True) -> str:
    """A mean with its interval, or with its range in brackets where seeds are few.

    Args:
        estimate: what is shown.
        ranged: whether its bounds are a range where they are no interval.
    """
    value, lower, upper = (f"{round(x, 2) + 0.0:.2f}" for x in estimate[:3])
    if estimate.seeds == 1 or not (ranged or estimate.is_interval):
        return value
    return (
        f"{value} ({lower} to {upper})"
        if estimate.is_interval
        else f"{value} [{lower} to {upper}]"
    )


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


CSV_HEADER = (
    *("task", "model", "measure", "seeds", "final", "final_lower", "final_upper"),
    *("best", "score", "score_lower", "score_upper", "threshold", "seeds_solved"),
    *("steps_to_threshold", "seconds_to_threshold", "seeds_memory_used"),
    *("seeds_with_verdict", "steps_per_second", "parameters", "state_bytes"),
    *("floor", "memoryless", "recall", "bounds"),
)


def as_csv(rows: Sequence[Row]) -> str:
    """All rows with full names and numbers."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for row in rows:
        references = row.group.run.references
        writer.writerow(
            [
                *(row.group.task, row.group.model, row.group.run.measure),
                *(len(row.group.seeds), *row.final[:3], row.best.value),
                *(row.score[:3] if row.score is not None else ("", "", "")),
                *("" if x is None else x for x in (row.threshold, row.solved)),
                *("" if x is None else x for x in (row.steps, row.seconds)),
                *row.used,
                *(
                    "" if x is None else x
                    for x in (row.steps_per_second, row.parameters, row.state_bytes)
                ),
                *(
                    "" if references.get(x) is None else references[x]
                    for x in ("floor", "memoryless", "recall")
                ),
                "95 % interval" if row.final.is_interval else "range",
            ]
        )
    return buffer.getvalue()
