"""The table of planted bugs: what an entry says, and whether it still applies."""

import dataclasses
import re
import tomllib
from pathlib import Path

ENDINGS = ("failure", "import", "hang")
"""How a bug may show itself: a failed test, a broken import, a test without end."""


class Fault(Exception):
    """An entry that says something that is not so."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Attributes:
        table: the table that has it.
        file: the file it is planted in, from the root.
        old: the text it replaces, which the file has exactly once.
        new: the text it puts there.
        reason: what is broken.
        tests: ids of the tests of which at least one must fail.
        slow: whether tests marked slow are among them.
        by: how it shows itself, one of ENDINGS.
    """

    table: str
    file: str
    old: str
    new: str
    reason: str
    tests: tuple[str, ...]
    slow: bool = False
    by: str = "failure"

    def __str__(self) -> str:
        return f"{self.table}: {self.file}: {self.reason}"

    def planted(self, root: Path) -> str:
        """The text of the file with the bug.

        Raises:
            Fault: it no longer applies.
        """
        path = root / self.file
        if not path.is_file():
            raise Fault(f"there is no {self.file}")
        text = path.read_text()
        count = text.count(self.old)
        if count != 1:
            raise Fault(f"its old text occurs {count} times, not once")
        if self.old == self.new:
            raise Fault("its new text is the old one")
        return text.replace(self.old, self.new)

    def check(self, root: Path) -> None:
        """See that it applies, stays Python and names tests that are there.

        Raises:
            Fault: it does not.
        """
        text = self.planted(root)
        if self.file.endswith(".py"):
            try:
                compile(text, self.file, "exec")
            except SyntaxError as error:
                raise Fault(f"what it leaves is no Python: {error}") from None
        if not self.tests:
            raise Fault("it names no test")
        for test in self.tests:
            path, _, name = test.partition("::")
            function = name.partition("[")[0].split("::")[-1]
            there = (root / path).is_file() and re.search(
                rf"^ *def {re.escape(function)}\(", (root / path).read_text(), re.M
            )
            if not (function and there):
                raise Fault(f"there is no test {test}")


def read(path: Path) -> list[Mutant]:
    """The entries of one table.

    Raises:
        Fault: an entry with other keys than those of `Mutant`.
    """
    mutants = []
    for entry in tomllib.loads(path.read_text()).get("mutant", []):
        entry["tests"] = tuple(entry.get("tests", ()))
        try:
            mutant = Mutant(path.stem, **entry)
        except TypeError as error:
            raise Fault(f"{path.name}: {entry.get('reason')}: {error}") from None
        if mutant.by not in ENDINGS:
            raise Fault(f"{mutant}: by={mutant.by!r} is none of {', '.join(ENDINGS)}")
        mutants.append(mutant)
    return mutants


def read_all(folder: Path) -> list[Mutant]:
    """The entries of all tables in a folder."""
    return [mutant for path in sorted(folder.glob("*.toml")) for mutant in read(path)]


def faults(mutants: list[Mutant], root: Path) -> dict[Mutant, str]:
    """What is wrong with which entries; nothing is run."""
    found = {}
    for mutant in mutants:
        try:
            mutant.check(root)
        except Fault as fault:
            found[mutant] = str(fault)
    return found
