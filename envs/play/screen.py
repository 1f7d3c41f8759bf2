"""The terminal: keys as they are pressed, and a page that is drawn over and over."""

import os
import select
import shutil
import signal
import sys
import termios
import textwrap
import tty
from types import FrameType
from typing import Any, NoReturn

from envs.play import keys, pictures
from envs.play.game import Game

_OPEN = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""Another screen, no cursor, empty."""
_CLOSE = "\x1b[0m\x1b[?25h\x1b[?1049l"
_BESIDE = 42
"""Columns for text beside a picture."""
_GAP = 2
_LATE = 0.05
"""Seconds in which the rest of a key's sequence comes; an Esc alone has none."""


class Terminal:
    """While entered, keys come one by one and unseen, on a screen of its own.

    Whatever ends it, Ctrl-C, a signal or an error, the terminal is as it was.
    """

    def __init__(self) -> None:
        self._file = sys.stdin.fileno()
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Terminal":
        self._before = termios.tcgetattr(self._file)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _leave)
        tty.setcbreak(self._file)
        _write(_OPEN)
        return self

    def __exit__(self, *_: object) -> None:
        _write(_CLOSE)
        termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def read(self) -> list[str]:
        """The keys pressed since, at least one; Esc when nothing can come any more."""
        text = self._more()
        while keys.incomplete(text) and select.select([self._file], [], [], _LATE)[0]:
            more = self._more()
            if not more:
                break
            text += more
        return keys.split(text) if text else ["escape"]

    def _more(self) -> str:
        return os.read(self._file, 1024).decode(errors="ignore")

    def show(self, lines: list[str]) -> None:
        """Draw a page over the one before."""
        _write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def page(game: Game, columns: int, rows: int) -> list[str]:
    """What a terminal of a size shows: the picture, and text beside or below it."""
    columns, rows = max(20, columns), max(6, rows - 1)
    text = [game.name, game.status(), *game.words(), "", *game.help()]
    below = _wrapped(text, columns)
    shape = game.shape
    if shape is None:
        return below[:rows]
    high, wide = shape
    left = columns - _BESIDE - _GAP
    scale_below = min(columns / wide, 2 * max(3, rows - len(below)) / high)
    if left > 0 and min(left / wide, 2 * rows / high) > scale_below:
        picture = game.picture(left, 2 * rows)
        assert picture is not None  # it has a shape
        return _beside(picture, _wrapped(text, _BESIDE))[:rows]
    picture = game.picture(columns, 2 * max(3, rows - len(below)))
    assert picture is not None
    return [*pictures.half_blocks(picture), *below][:rows]


def _beside(picture: pictures.Picture, text: list[str]) -> list[str]:
    drawn, width = pictures.half_blocks(picture), picture.shape[1]
    lines = []
    for row in range(max(len(drawn), len(text))):
        left = drawn[row] if row < len(drawn) else " " * width
        right = text[row] if row < len(text) else ""
        lines.append(f"{left}{' ' * _GAP}{right}")
    return lines


def _wrapped(text: list[str], columns: int) -> list[str]:
    return [part for line in text for part in textwrap.wrap(line, columns) or [""]]


def play(game: Game) -> None:
    """Play until the player ends it."""
    with Terminal() as terminal:
        while not game.ended:
            terminal.show(page(game, *shutil.get_terminal_size()))
            for key in terminal.read():
                game.press(key)


def replay(game: Game, text: str, *, pictured: bool) -> None:
    """Play what a script has written: one line for each step, or pages.

    Args:
        game: to be played.
        text: keys; see `keys.split`.
        pictured: whether to draw pages instead.
    """
    _tell(game, pictured)
    for key in keys.split(text):
        if game.ended:
            return
        if game.press(key) or game.note or key in ("r", "h"):
            _tell(game, pictured)


def _tell(game: Game, pictured: bool) -> None:
    if pictured:
        print("\n".join(page(game, *shutil.get_terminal_size())))
    else:
        print("  |  ".join([game.status(), *game.words(), *filter(None, [game.note])]))
