"""Compare and explain runs: python -m analysis compare runs.

    python -m analysis compare runs            which memory works, how fast
    python -m analysis compare --help

Each command is a function of the same name in `analysis.<command>`.
"""

import argparse
import importlib
import sys
from typing import Protocol

from agents.convert import ConfigError

COMMANDS: dict[str, str] = {
    "compare": "which memory works, how fast and at what cost",
    "card": "a page per memory model: scores by kind of memory, half-life, cost",
    "retention": "how long the memory holds, on horizons longer than it was trained on",
    "verdict": "short-term or long-term memory, declarative or procedural",
    "saliency": "which past observations a decision depends on",
    "probe": "what the memory's state holds, for how long",
}
"""By name, what it answers. Each is a module `analysis.<name>` with `add_arguments`
and `main`."""


class Command(Protocol):
    """What the module of a command has."""

    __doc__: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what it takes."""

    def main(self, arguments: argparse.Namespace) -> None:
        """Do it.

        Raises:
            ConfigError: what was asked for cannot be.
        """


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    asked = sys.argv[1:2]
    for name, answer in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=answer,
            description=answer,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if asked == [name]:  # the others need not be imported
            module: Command = importlib.import_module(f"analysis.{name}")  # pyright: ignore
            own.description = module.__doc__
            module.add_arguments(own)
    arguments = parser.parse_args()
    try:
        module = importlib.import_module(f"analysis.{arguments.command}")  # pyright: ignore
        module.main(arguments)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
