"""What became of trained agents at one horizon."""

import dataclasses

from agents import evaluate
from agents.running.output.results import across_seeds
from analysis.interval import Interval, widened
from envs.base import Card


@dataclasses.dataclass(frozen=True)
class Point:
    """What became of the agents at one horizon.

    Attributes:
        horizon: steps that the cue lay back.
        value: of the task's parameter.
        card: of the task then.
        scores: one per seed.
    """

    horizon: int
    value: int
    card: Card
    scores: list[evaluate.Score]

    @property
    def together(self) -> evaluate.Score:
        """Over all seeds; of one, with the interval over its episodes."""
        return across_seeds(self.scores)

    @property
    def measured(self) -> Interval | None:
        """What the card's numbers are of; None where no success is told."""
        return measured(self.together, self.card)

    @property
    def success(self) -> Interval | None:
        """Share of episodes that succeeded, where the task says."""
        return measured(
            self.together, dataclasses.replace(self.card, measure="success")
        )

    @property
    def lines(self) -> tuple[float, float] | None:
        """Memoryless and recall, where both are known and differ."""
        memoryless, recall = self.card.memoryless.value, self.card.recall.value
        if memoryless is None or recall is None or recall - memoryless <= 1e-6:
            return None
        return memoryless, recall

    @property
    def kept(self) -> Interval | None:
        """Share of what memory can add: 0 is memoryless, 1 recall; None if unknown."""
        if self.measured is None or self.lines is None or self.together.unfinished:
            return None
        memoryless, recall = self.lines
        return Interval(
            *((x - memoryless) / (recall - memoryless) for x in self.measured)
        )


def measured(score: evaluate.Score, card: Card) -> Interval | None:
    """A score in the card's measure; None where that is success and none was told.

    Success is a share of episodes, whose interval is never narrower than Wilson's of
    these: seeds that all succeed leave no width between them.
    """
    if card.measure == "return":
        return Interval(score.mean, score.lower, score.upper)
    value, lower, upper = score.success, score.success_lower, score.success_upper
    if value is None or lower is None or upper is None:
        return None
    return widened(Interval(value, max(lower, 0.0), min(upper, 1.0)), score.episodes)


def why_unknown(point: Point) -> str:
    """Why it is not known how much of memory's gain was kept."""
    if point.together.unfinished:
        return (
            f"unknown: {point.together.unfinished} episodes hit the step limit at the "
            "training horizon"
        )
    if point.measured is None:
        return "unknown: the card speaks of success, and the task told none"
    for name in ("memoryless", "recall"):
        known = getattr(point.card, name)
        if known.value is None:
            return f"unknown: the card does not know {name} ({known.note})"
    return "unknown: memory cannot help in this task (memoryless equals recall)"
