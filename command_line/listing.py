"""Listings: one line per entry of a registry, and filters.

    python -m envs --kind object
    python -m memory_models --context all
    python -m agents --actions continuous

Each package describes its columns and filters in its own `__main__`.
"""

import argparse
import dataclasses
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from command_line.words import Parser, nearest

_NARROWEST = 80
"""Characters of a line, however narrow the terminal says that it is."""

_LONGEST = 40
"""Characters that a column is aligned for; what is longer moves its own line alone."""


class Column:
    """One column: what stands above it, and its text for an entry."""

    def __init__(self, title: str, text: Callable[[Any], str]):
        """Describe it."""
        self.title, self.text = title, text


@dataclasses.dataclass(frozen=True)
class Filter:
    """A flag that keeps some entries.

    Attributes:
        flag: such as `--kind`.
        help: what it keeps, for `--help`.
        keep: whether an entry stays, given the entry and the flag's value.
        values: those there are; None where any text will do, () for a flag without.
    """

    flag: str
    help: str
    keep: Callable[[Any, str], bool]
    values: Sequence[str] | None = ()

    @property
    def name(self) -> str:
        """Of the attribute that argparse keeps its value in."""
        return self.flag.lstrip("-").replace("-", "_")

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Declare the flag."""
        if self.values == ():
            parser.add_argument(self.flag, action="store_true", help=self.help)
            return
        told = f"{self.help}: {', '.join(self.values)}" if self.values else self.help
        name = "TEXT" if self.values is None else self.name.upper()
        parser.add_argument(self.flag, metavar=name, help=told)


def by_name(told: str, text_of: Callable[[Any], str]) -> Filter:
    """`--name`, which keeps the entries that have some text.

    Args:
        told: where they have it, such as 'name'.
        text_of: that of an entry.
    """

    def keep(entry: Any, text: str) -> bool:
        return text.lower() in text_of(entry).lower()

    return Filter("--name", f"those with this text in {told}", keep, values=None)


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a package lists.

    Attributes:
        package: its name.
        about: text of `--help`.
        noun: what an entry is called.
        entries: all of them, in order; they are made when the words were understood.
        columns: first to last. A line is cut where the terminal ends; into a pipe it
            goes whole.
        filters: the cheapest first, since each sees only what those before it keep.
        ids: in place of the first column with `--ids`, where names have another form.
    """

    package: str
    about: str
    noun: str
    entries: Callable[[], Iterable[Any]]
    columns: Sequence[Column]
    filters: Sequence[Filter]
    ids: Column | None = None

    def parser(self) -> Parser:
        """Of the command line."""
        parser = Parser(f"python -m {self.package}", self.about)
        for one in self.filters:
            one.add_to(parser)
        if self.ids is not None:
            told = "names as Python and Gymnasium take them"
            parser.add_argument("--ids", action="store_true", help=told)
        return parser

    def asked(self, words: Sequence[str] | None) -> argparse.Namespace:
        """The command line, or one sentence and exit status 2."""
        parser = self.parser()
        asked, unknown = parser.parse_known_args(words)
        flags = [*(one.flag for one in self.filters), "--help"]
        flags += ["--ids"] if self.ids else []
        for word in unknown:
            name = word.partition("=")[0]
            if word.startswith("-"):
                _refuse(f"{name} is no flag here.{nearest(name, flags)}")
            _refuse(f"{word!r} is not expected here; flags are {', '.join(flags)}.")
        for one in self.filters:
            value = getattr(asked, one.name)
            if one.values and value is not None and value not in one.values:
                hint = nearest(value, one.values)
                _refuse(
                    f"{one.flag} {value} must be one of {', '.join(one.values)}.{hint}"
                )
        return asked

    def show(self, words: Sequence[str] | None = None) -> None:
        """Read the command line, and print what it asks for.

        Args:
            words: those after the command; by default of this process.
        """
        asked = self.asked(words)
        given = {one: getattr(asked, one.name) for one in self.filters}
        given = {one: x for one, x in given.items() if x not in (None, False)}
        kept = [
            entry
            for entry in self.entries()
            if all(one.keep(entry, value) for one, value in given.items())
        ]
        if not kept:
            told = " ".join(
                one.flag if value is True else f"{one.flag} {value}"
                for one, value in given.items()
            )
            print(f"no {self.noun} fits {told or 'this: none is registered'}.")
            return
        columns = list(self.columns)
        if self.ids is not None and asked.ids:
            columns[0] = self.ids
        rows = [[column.text(entry) for column in columns] for entry in kept]
        table = [[column.title for column in columns], *rows]
        print("\n".join(_lines(table, _width())))


def run(listing: Listing) -> None:
    """Show a listing as a process of its own."""
    # A reader that has seen enough, such as `head`, ends this quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    listing.show()


def _width() -> int | None:
    """Characters of a line of the terminal; None where the output goes elsewhere."""
    if not sys.stdout.isatty():
        return None
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def _lines(table: list[list[str]], width: int | None) -> list[str]:
    """The table as text, each column as wide as its widest cell, but for long ones."""
    *rest, _ = zip(*table, strict=True)
    widths = [min(max(map(len, cells)), _LONGEST) for cells in rest]
    lines = []
    for *cells, last in table:
        padded = [x.ljust(n) for x, n in zip(cells, widths, strict=True)]
        lines.append(_cut("  ".join([*padded, last]).rstrip(), width))
    return lines


def _cut(line: str, width: int | None) -> str:
    if width is None or len(line) <= width:
        return line
    return line[: width - 3].rstrip() + "..."


def _refuse(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    sys.exit(2)
