"""Where a run stands: what a checkpoint notes beside the arrays."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agents.evaluate import Score


@dataclasses.dataclass
class Standing:
    """Where a run stands.

    Attributes:
        updates: made so far.
        evaluated_at: step of the last evaluation, -1 before the first.
        saved_at: step of the last checkpoint, -1 before the first.
        scores: of the last evaluation, by seed; none before the first.
        frozen: by index of the seed, where it stopped being finite.
        frozen_after: by index of the seed, the last update that was finite.
        seconds: of training and evaluating, by all processes so far.
    """

    updates: int = 0
    evaluated_at: int = -1
    saved_at: int = -1
    scores: list[Score] = dataclasses.field(default_factory=list)
    frozen: dict[int, str] = dataclasses.field(default_factory=dict)
    frozen_after: dict[int, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def seed_steps(self, num_seeds: int, steps_per_update: int) -> list[int]:
        """Environment steps that each seed learned from."""
        updates = [self.frozen_after.get(i, self.updates) for i in range(num_seeds)]
        return [number * steps_per_update for number in updates]

    def notes(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {
            "updates": self.updates,
            "evaluated_at": self.evaluated_at,
            "scores": [dataclasses.asdict(score) for score in self.scores],
            "frozen": {str(i): where for i, where in self.frozen.items()},
            "frozen_after": {str(i): n for i, n in self.frozen_after.items()},
            "seconds": self.seconds,
        }

    @classmethod
    def of(cls, notes: Mapping[str, Any], steps_per_update: int) -> "Standing":
        """From the notes of a checkpoint; older ones know less."""
        frozen = {int(i): where for i, where in notes["frozen"].items()}
        after = notes.get("frozen_after", {})
        return cls(
            updates=notes["updates"],
            evaluated_at=notes["evaluated_at"],
            saved_at=notes["updates"] * steps_per_update,
            scores=[Score(**score) for score in notes.get("scores", ())],
            frozen=frozen,
            frozen_after={i: after.get(str(i), notes["updates"]) for i in frozen},
            seconds=notes.get("seconds", 0.0),
        )
