"""Play a task by hand: python -m envs.play <id> [field=value ...].

    python -m envs.play tmaze length=5
    python -m envs.play RememberColor3-v0 max_steps=100 --seed 3
    printf 'aab' | python -m envs.play tmaze

The id as in envs.names(), or its short name. The keys are on the screen; r starts
over, h shows what is hidden, x or Esc ends. What must be remembered is not shown
until it is asked for. Robot tasks: arrows move in the plane, w and s (or the pages) up
and down, q and e turn, o and c open and close, space rests, shift slows down. Keys
that come through a pipe or --keys are played at once, special ones written <up>,
<space>, <enter>. At the end the card's returns stand beside one's own.
"""

import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

import envs
from command_line.words import Parser
from envs.base import Environment
from envs.film import save
from envs.play import screen, window
from envs.play.game import Game
from envs.play.telling import summary
from envs.registry import lookup
from envs.words import value_of


def task_of(name: str, words: Sequence[str]) -> tuple[Environment, str]:
    """The task that a command line means, and what to call it.

    Args:
        name: an id, or its short name.
        words: `field=value`, as on the command line of `train.py`.

    Raises:
        KeyError: there is no such task.
        ValueError: a word that sets nothing, or what it sets cannot be.
    """
    short = {envs.config_name(id): id for id in envs.names()}
    id = short.get(name, name)
    lookup(id)  # first: a wrong field is told by the right task
    given: dict[str, Any] = {}
    for word in words:
        field, equals, text = word.partition("=")
        field = field.removeprefix("env.")
        if not equals or not field:
            raise ValueError(f"{word!r} is not a setting: write field=value.")
        try:
            given[field] = _hashable(value_of(text))
        except HydraException:
            raise ValueError(
                f"{word!r} cannot be read: write field=value and quote values with "
                "spaces or commas."
            ) from None
    task = envs.make(id, **given)
    if isinstance(task, envs.HostTask):
        raise ValueError(
            f"{id} with {' '.join(words)} is stepped on the host, and only compiled "
            "tasks can be played by hand; leave backend=mujoco out."
        )
    return task, ", ".join([id, *words])


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    return value


def _play(game: Game, *, keys: str | None, windowed: bool) -> None:
    """Play with the keys given, those of a pipe, or a person's."""
    if windowed:
        window.play(game)
    elif keys is not None or not sys.stdin.isatty():
        text = sys.stdin.read() if keys is None else keys
        screen.replay(game, text, pictured=sys.stdout.isatty())
    elif not sys.stdout.isatty():
        raise ValueError(
            "the picture needs a terminal, and the output goes elsewhere; give the "
            "keys as --keys=TEXT, and each step is a line."
        )
    else:
        screen.play(game)


def _parser() -> Parser:
    parser = Parser("python -m envs.play", __doc__)
    parser.add_argument("id", nargs="?", help="such as TMaze-v0, or tmaze")
    parser.add_argument("words", nargs="*", metavar="field=value")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--keys", metavar="TEXT", help="keys to play, then the end")
    parser.add_argument("--window", action="store_true", help="a window, by pygame")
    parser.add_argument("--film", type=Path, metavar="PATH", help="a GIF of it all")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, let somebody play, and say how it went."""
    parser = _parser()
    asked = parser.parse_intermixed_args(arguments)
    film: Path | None = asked.film
    try:
        if asked.id is None:
            raise ValueError(
                "say what to play, for example tmaze; all tasks are in docs/tasks.md."
            )
        if not 0 <= asked.seed < 2**63:
            raise ValueError(f"--seed={asked.seed} must be from 0 to 2**63 - 1.")
        if film is not None and film.suffix.lower() != ".gif":
            raise ValueError(f"--film={film} must end in .gif, for an animated GIF.")
        if film is not None and not film.parent.is_dir():
            raise ValueError(f"--film={film}: there is no folder {film.parent}.")
        env, name = task_of(asked.id, asked.words)
        game = Game(env, name, seed=asked.seed, films=film is not None)
        with contextlib.suppress(KeyboardInterrupt):  # what was played counts
            _play(game, keys=asked.keys, windowed=asked.window)
        films = [frames for frames in game.film or [] if frames]
        if film is not None and films:
            save(film, films)
    except KeyError as error:
        parser.exit(2, f"error: {error.args[0]}\n")
    except (ValueError, TypeError, ArithmeticError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print("\n".join(summary(name, game.card, game.played)))
    if film is not None:
        print(film if films else f"{film}: no step was played, so there is no film")


if __name__ == "__main__":
    # A reader that has seen enough, such as `head`, ends this quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
