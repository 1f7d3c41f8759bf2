"""Who watches a run: told of its folder and its evaluations, and may end it early."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from agents.evaluate import Score


@runtime_checkable
class Watcher(Protocol):
    """What `agents.run` tells of a run while it lasts.

    Of several processes each has its own watcher, and a run ends early if any says so.
    """

    def began(self, directory: Path) -> None:
        """The folder is there, and nothing is trained yet, or no more than before.

        Args:
            directory: of the run.
        """
        ...

    def evaluated(self, step: int, scores: Sequence[Score]) -> bool:
        """An evaluation was made.

        Args:
            step: environment steps per seed before it.
            scores: of each seed that is finite.

        Returns:
            Whether to go on. A run that does not is saved, and can be resumed.
        """
        ...
