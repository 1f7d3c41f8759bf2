"""Asked to stop: SIGTERM and Ctrl-C are noted, so that a run can save first."""

import signal
import threading
from types import FrameType
from typing import Any


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


class StopRequest:
    """While entered, notes the first SIGTERM or SIGINT instead of ending the process.

    The second one acts as if this were not here, so a run that hangs can still be
    ended. Outside the main thread, where Python allows no handlers, nothing is noted.

    Attributes:
        received: number of the signal, None while there was none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
