"""One study, several processes: whose trial it is, and who is at work.

Every process holds a file of its own for as long as it lives; the system lets go of it
however the process ends. So a trial that is said to be running, whose process holds its
file no more, is free to be gone on with.
"""

import contextlib
import fcntl
import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_numbers = itertools.count()


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait for the other processes of a study, and keep them waiting meanwhile."""
    with (folder / "turn.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Worker:
    """A process at a study; while entered, its file is held.

    Attributes:
        name: of this process among those of the study.
        leaves: whether it leaves a trial to whoever comes next.
    """

    def __init__(self, folder: Path):
        """Of the folder of a study."""
        self._folder = folder / "workers"
        self.name = f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
        self.leaves = False

    def __enter__(self) -> "Worker":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / self.name
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.leaves:
            self._path.unlink(missing_ok=True)
        self._file.close()

    def may_take_over(self, owner: str | None) -> bool:
        """Whether the process that had a trial is gone; call it in `turn`.

        Args:
            owner: its name; None where it ended before it gave one.

        Returns:
            False, too, where its file is not here: it is at work on another machine.
        """
        if owner is None:
            return True
        try:
            with (self._folder / owner).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it is held, or not there
            return False
        (self._folder / owner).unlink(missing_ok=True)
        return True
