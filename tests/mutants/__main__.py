"""Plant every bug of the tables, one at a time, and see that its tests see it.

    make mutants
    python -m tests.mutants --only "previous reward"

Ends with a status other than 0 if a bug survives, no longer applies or makes its tests
hang, or if one of its tests fails with nothing planted.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants import trial
from tests.mutants.table import Fault, Mutant, faults, read_all
from tests.mutants.trial import FAULT, KILLED, Copies, Copy, Outcome

ROOT = Path(__file__).parents[2]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", help="those whose line has this text")
    parser.add_argument("--file", default="", help="those planted in this file")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--limit", type=float, default=600, help="seconds per bug")
    parser.add_argument("--list", action="store_true", help="name them, run nothing")
    parser.add_argument("--check", action="store_true", help="see that all apply")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the tree")
    return parser.parse_args(words)


def main(words: list[str] | None = None, console: Console | None = None) -> int:
    """Run what is asked for; the exit status."""
    asked = arguments(words)
    console = console or Console(soft_wrap=True, highlight=False)
    try:
        mutants = read_all(asked.root / "tests" / "mutants")
    except Fault as fault:
        console.print(str(fault), markup=False)
        return 2
    mutants = [
        m for m in mutants if asked.only in str(m) and asked.file in ("", m.file)
    ]
    if asked.list or asked.check:
        wrong = faults(mutants, asked.root) if asked.check else {}
        for mutant in wrong if asked.check else mutants:
            told = f": {wrong[mutant]}" if mutant in wrong else ""
            console.print(f"{mutant}{told}", markup=False)
        console.print(f"{len(mutants)} planted bugs, {len(wrong)} that do not apply")
        return int(bool(wrong))
    if not mutants:
        console.print("no planted bug is meant by that; see --list")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(mutants, asked, Path(folder), console)
    return conclude(outcomes, time.monotonic() - began, console)


def run(
    mutants: list[Mutant], asked: argparse.Namespace, folder: Path, console: Console
) -> dict[Mutant, Outcome]:
    """What became of each bug."""
    copies = Copies(asked.root, folder, asked.workers)
    wrong = faults(mutants, asked.root)
    outcomes = {mutant: Outcome(FAULT, told=why) for mutant, why in wrong.items()}
    rest = [mutant for mutant in mutants if mutant not in wrong]
    by_file: dict[str, list[str]] = {}
    for test in dict.fromkeys(test for mutant in rest for test in mutant.tests):
        by_file.setdefault(test.partition("::")[0], []).append(test)
    console.print(f"{len(rest)} bugs; their tests, with nothing planted:")
    broken: dict[str, str] = {}

    def unedited(copy: Copy, tests: list[str]) -> dict[str, str]:
        return trial.failing(copy, tests, asked.limit)

    for tests, found in copies.each(unedited, by_file.values()):
        broken |= found
        file = tests[0].partition("::")[0]
        console.print(f"  {len(tests) - len(found)} of {len(tests)} pass in {file}")

    def one(copy: Copy, mutant: Mutant) -> Outcome:
        for test in mutant.tests:
            if test in broken:
                return Outcome(FAULT, told=f"with nothing planted: {broken[test]}")
        return trial.attempt(mutant, copy, asked.limit)

    for mutant, outcome in copies.each(one, rest):
        outcomes[mutant] = outcome
        line = f"{outcome.what:9} {outcome.seconds:4.0f} s  {mutant}"
        console.print(line, markup=False)
    return outcomes


def conclude(outcomes: dict[Mutant, Outcome], seconds: float, console: Console) -> int:
    """Tell what is not as it should be, and the counts; the exit status."""
    table = Table("bug", "outcome", "told")
    for mutant, outcome in outcomes.items():
        if outcome.what != KILLED:
            table.add_row(str(mutant), outcome.what, outcome.told)
    if table.row_count:
        console.print(table)
    counts = Counter(outcome.what for outcome in outcomes.values())
    told = ", ".join(f"{number} {what}" for what, number in counts.items())
    console.print(f"{len(outcomes)} planted bugs: {told}; {seconds / 60:.0f} min")
    return int(bool(table.row_count))


if __name__ == "__main__":
    sys.exit(main())
