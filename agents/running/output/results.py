"""What a run comes to: in memory, and as `result.json` in its folder."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from agents import evaluate
from agents.running.configuration.config import Plan
from agents.running.files.records import versions, write_whole
from agents.running.jobs.signals import name_of
from agents.running.output.plan import count, learned, memories_of
from envs.base import Card
from memory_models import state_bytes

RESULT_FILE = "result.json"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        plan: what was run.
        directory: where it was written.
        seeds: trained together.
        scores: the last evaluation of each seed; none before the first.
        evaluated_at: environment steps per seed before that evaluation, -1 without.
        frozen: by index of the seed, where it stopped being finite.
        params: final parameters, leaves `[seeds, ...]`.
        seed_steps: environment steps that each seed learned from, by all processes.
        seconds: of training and evaluation, by all processes that went on with it.
        compile_seconds: of the training program, by this process.
        train_seconds: from the first update of this process to the last.
        steps: environment steps taken by this process, over all seeds.
        stopped: number of the signal that stopped it before its end, else None.
        cut: whether who watched it ended it early.
    """

    plan: Plan
    directory: Path
    seeds: list[int]
    scores: list[evaluate.Score]
    evaluated_at: int
    frozen: dict[int, str]
    params: Any
    seed_steps: list[int]
    seconds: float
    compile_seconds: float
    train_seconds: float
    steps: int
    stopped: int | None = None
    cut: bool = False

    @property
    def card(self) -> Card:
        """Of the task that evaluations play."""
        return self.plan.evaluation_env.card

    @property
    def verdicts(self) -> list[str]:
        """The verdict on each seed."""
        return [self._verdict(index) for index in range(len(self.scores))]

    @property
    def together(self) -> evaluate.Score | None:
        """Over the seeds that stayed finite, with their interval; None without any."""
        kept = [s for i, s in enumerate(self.scores) if i not in self.frozen]
        return across_seeds(kept) if kept else None

    @property
    def verdict(self) -> str:
        """The verdict on all seeds together."""
        if self.frozen:
            return (
                f"no verdict ({len(self.frozen)} of {len(self.seeds)} seeds stopped "
                "being finite)"
            )
        if self.together is None:
            return "no verdict (not evaluated)"
        return self._unless_stopped(evaluate.verdict(self.together, self.card))

    @property
    def ended(self) -> str:
        """How it ended: 'complete', 'stopped ...' or 'not finite'."""
        if self.stopped is not None:
            return f"stopped by {name_of(self.stopped)}"
        if self.cut:
            return "stopped early"
        return "not finite" if len(self.frozen) == len(self.seeds) else "complete"

    def record(self) -> dict[str, Any]:
        """What `result.json` holds; docs/saved_runs.md explains each entry."""
        plan, card = self.plan, self.card
        return {
            "ended": self.ended,
            "task": plan.env_name,
            "memory": plan.memory_name,
            "agent": plan.agent_name,
            **sizes_of(plan),
            "total_steps": plan.num_updates * plan.agent.steps_per_update,
            "evaluated_at": self.evaluated_at if self.scores else None,
            "seconds": round(self.seconds, 3),
            "measure": card.measure,
            "references": {
                name: getattr(card, name).value
                for name in ("floor", "memoryless", "recall", "oracle")
            },
            "seeds": [self._seed(index) for index in range(len(self.seeds))],
            "together": {
                "seeds": len(self.seeds) - len(self.frozen),
                **score_record(self.together),
                "verdict": self.verdict,
            },
            "versions": versions(),
        }

    def _seed(self, index: int) -> dict[str, Any]:
        score = self.scores[index] if index < len(self.scores) else None
        verdict = "no verdict (not evaluated)"
        return {
            "seed": self.seeds[index],
            **score_record(score),
            "verdict": verdict if score is None else self._verdict(index),
            "steps": self.seed_steps[index],
            "not_finite": self.frozen.get(index),
        }

    def _verdict(self, index: int) -> str:
        if index in self.frozen:
            return f"no verdict (not finite in {self.frozen[index]})"
        return self._unless_stopped(evaluate.verdict(self.scores[index], self.card))

    def _unless_stopped(self, verdict: str) -> str:
        if self.stopped is None and not self.cut:
            return verdict
        return f"no verdict (stopped after {max(self.seed_steps):,} steps)"


def sizes_of(plan: Plan) -> dict[str, int]:
    """How large agent and memory are, found by tracing alone."""
    network = eqx.filter_eval_shape(plan.agent.build_network, jax.random.key(0))
    memory = next(iter(memories_of(network)), None)  # an agent may do without
    return {
        "parameters": learned(network),
        "memory_parameters": count(memory),
        "state_bytes": 0 if memory is None else state_bytes(memory),
    }


def write_result(result: Result) -> None:
    """Write `result.json`, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(finite(result.record()), indent=2, allow_nan=False) + "\n"
    write_whole(result.directory / RESULT_FILE, text)


def is_written(plan: Plan, directory: Path) -> bool:
    """Whether `result.json` is there and tells the end of this plan."""
    try:
        record = json.loads((directory / RESULT_FILE).read_text())
        return (
            not record["ended"].startswith("stopped")
            and record["total_steps"] == plan.num_updates * plan.agent.steps_per_update
            and len(record["seeds"]) == plan.config["num_seeds"]
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def finite(tree: Any) -> Any:
    """Plain values with None in place of numbers that JSON has no word for."""
    if isinstance(tree, dict):
        return {key: finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def score_record(score: evaluate.Score | None) -> dict[str, Any]:
    """A score in the words of `result.json`."""
    names = {
        "return": "mean",
        "return_lower": "lower",
        "return_upper": "upper",
        "success": "success",
        "success_lower": "success_lower",
        "success_upper": "success_upper",
        "episode_length": "length",
        "episodes": "episodes",
        "unfinished": "unfinished",
    }
    return {key: getattr(score, name, None) for key, name in names.items()}


def across_seeds(scores: Sequence[evaluate.Score]) -> evaluate.Score:
    """Mean over seeds with its 95 % interval (Student's t over the seeds' means).

    Of a single seed that is its own score, with the interval over its episodes.
    """
    if len(scores) == 1:
        return scores[0]
    mean, half = _over_seeds([score.mean for score in scores])
    told = [score.success for score in scores if score.success is not None]
    success, success_half = _over_seeds(told) if len(told) == len(scores) else (None, 0)
    return evaluate.Score(
        mean=mean,
        lower=mean - half,
        upper=mean + half,
        episodes=sum(score.episodes for score in scores),
        length=float(np.mean([score.length for score in scores])),
        success=success,
        unfinished=sum(score.unfinished for score in scores),
        success_lower=None if success is None else success - success_half,
        success_upper=None if success is None else success + success_half,
    )


def _over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """The mean of some seeds and half the width of its interval."""
    means = np.asarray(values, np.float64)
    half = t_95(len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means))
    return float(means.mean()), float(half)


def t_95(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, by bisection."""
    low, high = 0.0, 13.0  # 12.706 with one degree of freedom, less with more
    for _ in range(60):
        middle = (low + high) / 2
        if _t_within(middle, freedom) < 0.95:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_within(t: float, freedom: int) -> float:
    """P(|T| < t): Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
