"""Runs as groups: one per task and model, with a curve for every seed."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from agents.convert import ConfigError
from analysis.runs import Curve, Run


@dataclasses.dataclass(frozen=True)
class Seed:
    """One trained agent.

    Attributes:
        run: that it is of.
        seed: its number.
        curve: what the card measures, return or success, at every evaluation.
        returns: the same of the return.
    """

    run: Run
    seed: int
    curve: Curve
    returns: Curve


@dataclasses.dataclass(frozen=True)
class Group:
    """All seeds of one model on one task.

    Attributes:
        task, model: their names, as folders have them.
        label: the model without the settings that all models of the task share.
        seeds: by number.
    """

    task: str
    model: str
    label: str
    seeds: Sequence[Seed]

    @property
    def run(self) -> Run:
        """One of its runs; all have the same settings."""
        return self.seeds[0].run

    @functools.cached_property
    def steps(self) -> np.ndarray:
        """Steps, `[points]`, of evaluations up to where every seed has come."""
        last = min(seed.curve.steps[-1] for seed in self.seeds)
        steps = np.unique(np.concatenate([seed.curve.steps for seed in self.seeds]))
        return steps[steps <= last]

    @functools.cached_property
    def values(self) -> np.ndarray:
        """What the card measures at `steps`, `[seeds, points]`."""
        return self._at_steps([seed.curve for seed in self.seeds])

    @functools.cached_property
    def returns(self) -> np.ndarray:
        """Returns at `steps`, `[seeds, points]`."""
        return self._at_steps([seed.returns for seed in self.seeds])

    @property
    def final(self) -> np.ndarray:
        """Of every seed the last evaluation, `[seeds]`."""
        return self.values[:, -1]

    @property
    def best(self) -> np.ndarray:
        """Of every seed the best evaluation, `[seeds]`; their mean is POPGym's MMER."""
        return self.values.max(1)

    @property
    def seconds(self) -> np.ndarray:
        """Seconds since the first evaluation, at `steps`, `[seeds, points]`.

        Seeds that were trained together share them.
        """
        curves = [x.curve._replace(values=x.curve.times) for x in self.seeds]
        times = self._at_steps(curves)
        return times - times[:, :1]

    @functools.cached_property
    def scores(self) -> np.ndarray | None:
        """`values` between memoryless, 0, and recall, 1; None where unknown."""
        memoryless, recall = (
            self.run.references.get(name) for name in ("memoryless", "recall")
        )
        if memoryless is None or recall is None or recall - memoryless <= 1e-6:
            return None
        return (self.values - memoryless) / (recall - memoryless)

    @property
    def ended(self) -> bool:
        """Whether all of its runs came to their end."""
        results = [seed.run.result for seed in self.seeds]
        return all(x is not None and x["ended"] == "complete" for x in results)

    def _at_steps(self, curves: Sequence[Curve]) -> np.ndarray:
        return np.stack([np.interp(self.steps, x.steps, x.values) for x in curves])


def collect(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """Groups of runs, by task and model, and a sentence for all that is left out."""
    notes: list[str] = []
    found: dict[tuple[str, str], dict[int, Seed]] = {}
    for run in sorted(runs, key=lambda run: run.directory.name):  # the newest last
        try:
            read = [_seed(run, number) for number in run.seeds]
        except ConfigError as error:  # a task that is here no more
            notes.append(f"{run.directory} is left out: {error}")
            continue
        kept = [seed for seed in read if seed is not None]
        for seed in kept:
            number = seed.seed
            seeds = found.setdefault((run.task, run.model), {})
            if number in seeds:
                notes.append(
                    f"seed {number} of {run.model} on {run.task} is there twice; the "
                    f"newer one counts ({run.directory})"
                )
            seeds[number] = seed
        if not kept:
            notes.append(f"{run.directory} holds no evaluation yet; it is left out")
        elif run.result is None:
            notes.append(f"{run.directory} has not ended; it counts as far as it is")
        elif run.result["ended"] != "complete":
            notes.append(f"{run.directory} is {run.result['ended']}")
    groups = []
    for task in sorted({task for task, _ in found}):
        models = [model for of, model in found if of == task]
        for model, label in zip(models, short(models), strict=True):
            seeds = found[task, model]
            groups.append(
                Group(task, model, label, [seeds[number] for number in sorted(seeds)])
            )
    return groups, notes


def short(models: Sequence[str]) -> list[str]:
    """Names of models without the settings that all of them share."""
    parts = [model.split("+") for model in models]
    shared = set.intersection(*(set(part[1:]) for part in parts))
    return ["+".join(x for x in part if x not in shared) for part in parts]


def _seed(run: Run, number: int) -> Seed | None:
    curve = run.curve(number, f"evaluation/{run.measure}")
    returns = run.curve(number, "evaluation/return")
    if curve is None or returns is None or not np.isfinite(curve.values).all():
        return None
    return Seed(run, number, curve, returns)
