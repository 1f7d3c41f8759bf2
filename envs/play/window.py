"""A window, where pygame is installed."""

import importlib
import os
import textwrap
from typing import Any

import numpy as np

from envs.play.game import Game

_WIDTH, _HEIGHT, _TEXT = 960, 640, 320
_NAMES = {
    **{"UP": "up", "DOWN": "down", "LEFT": "left", "RIGHT": "right"},
    **{"PAGEUP": "pageup", "PAGEDOWN": "pagedown", "SPACE": "space"},
    **{"RETURN": "enter", "KP_ENTER": "enter", "BACKSPACE": "backspace"},
    "ESCAPE": "escape",
}


def play(game: Game) -> None:
    """Play in a window until it is closed.

    Raises:
        ValueError: pygame is not installed, or there is no display.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        pygame: Any = importlib.import_module("pygame")
    except ImportError:
        raise ValueError(
            "--window needs pygame, which is not installed: pip install pygame, or "
            "play in the terminal without --window."
        ) from None
    try:
        pygame.display.init()  # no more than is needed: no sound
        pygame.font.init()
        screen = pygame.display.set_mode((_WIDTH, _HEIGHT))
        pygame.display.set_caption(game.name)
        pygame.key.set_repeat(300, 50)
        font = pygame.font.SysFont("monospace", 14)
        while not game.ended:
            _draw(pygame, screen, font, game)
            _react(pygame, game, pygame.event.wait())
            for event in pygame.event.get():
                _react(pygame, game, event)
    except pygame.error as error:
        raise ValueError(
            f"--window cannot open a window here ({error}); play in the terminal "
            "without it."
        ) from None
    finally:
        pygame.quit()


def _react(pygame: Any, game: Game, event: Any) -> None:
    if event.type == pygame.QUIT:
        game.ended = True
    elif event.type == pygame.KEYDOWN:
        key = _key(pygame, event)
        if key:
            game.press(key)


def _key(pygame: Any, event: Any) -> str:
    """The name of the key of an event, as a terminal would give it."""
    for constant, name in _NAMES.items():
        if event.key == getattr(pygame, f"K_{constant}"):
            shifted = event.mod & pygame.KMOD_SHIFT and name.startswith(
                ("up", "down", "left", "right", "page")
            )
            return f"shift {name}" if shifted else name
    return event.unicode


def _draw(pygame: Any, screen: Any, font: Any, game: Game) -> None:
    screen.fill((30, 30, 30))
    wide = _WIDTH - _TEXT
    picture = game.picture(wide, _HEIGHT)
    if picture is not None:
        # pygame's first axis is the column.
        surface = pygame.surfarray.make_surface(np.swapaxes(picture, 0, 1))
        screen.blit(surface, (0, 0))
    text = [game.name, game.status(), *game.words(), "", *game.help()]
    lines = [part for line in text for part in textwrap.wrap(line, 36) or [""]]
    left = wide + 12 if picture is not None else 12
    for row, line in enumerate(lines):
        screen.blit(font.render(line, True, (235, 235, 235)), (left, 12 + 18 * row))
    pygame.display.flip()
