"""Asked to stop: signals are noted, so that a run can save first.

A batch system sends SIGTERM before it takes a machine away, and SIGUSR1 or SIGUSR2
before the time of a job is over, if told to (`sbatch --signal=USR1@120`).
"""

import signal
import threading
from types import FrameType
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""Of these the second one acts as if nothing were noted."""

WARNING = (signal.SIGUSR1, signal.SIGUSR2)
"""Those of batch systems; of any number of them the last one counts."""


def name_of(signal_number: int) -> str:
    """The name of a signal, such as SIGTERM."""
    return signal.Signals(signal_number).name


class Stopped(Exception):
    """A run was asked to stop, and has saved.

    Attributes:
        signal_number: what asked; a process that stops for it exits with 128 plus it.
    """

    def __init__(self, signal_number: int):
        """Stop because of a signal."""
        super().__init__(f"stopped by {name_of(signal_number)}")
        self.signal_number = signal_number

    def __reduce__(self) -> tuple[Any, ...]:
        """By its number, so that it can be sent to another process."""
        return Stopped, (self.signal_number,)


class StopRequest:
    """While entered, notes signals instead of ending the process.

    These are SIGTERM and SIGINT, of which the second one acts as if this were not here,
    so a run that hangs can still be ended; and SIGUSR1 and SIGUSR2. Outside the main
    thread, where Python allows no handlers, nothing is noted.

    Attributes:
        received: number of the signal, None while there was none. A warning of a batch
            system stands before SIGTERM, which may come with it.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                self._before[number] = signal.signal(number, self._note)
            for number in WARNING:
                self._before[number] = signal.signal(number, self._note_warning)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore((*STOPPING, *WARNING))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received not in WARNING:
            self.received = number
        self._restore(STOPPING)

    def _note_warning(self, number: int, frame: FrameType | None) -> None:
        self.received = number

    def _restore(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            if number in self._before:
                signal.signal(number, self._before.pop(number))
