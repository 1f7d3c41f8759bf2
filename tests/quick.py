"""What the changed files concern, in under two minutes: `make quick`.

First the tests that have changed; then those of which the table of planted bugs says
that they see mistakes in a changed file; then the tests beside it in the mirrored tree;
then those that import it. When the time is over the rest is left out, and counted.
"""

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.table import read_all

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 90.0
"""After which no test begins; the last one may take half a minute."""

WRITTEN = {
    ".md": ("tests/test_readme.py",),
    ".yaml": ("tests/agents/running/test_config.py",),
    ".toml": ("tests/test_mutants.py",),
    ".ipynb": ("tests/test_tutorial.py",),
}
"""Tests of files that are no Python, by ending."""


def changed(since: str, root: Path = ROOT) -> list[str]:
    """Files that differ from a commit, new ones included, from the root."""
    commands = (
        ("diff", "--name-only", "--diff-filter=d", since),
        ("ls-files", "--others", "--exclude-standard"),
    )
    names: list[str] = []
    for words in commands:
        found = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise SystemExit(f"error: git {' '.join(words)}: {found.stderr.strip()}")
        names += found.stdout.split("\n")
    return sorted({name for name in names if name})


def concerned(files: Sequence[str], root: Path = ROOT) -> list[str]:
    """Tests to run, as pytest names them, the closest first.

    Args:
        files: that have changed, from the root.
        root: of the repository.
    """
    tests = sorted(
        str(path.relative_to(root)) for path in (root / "tests").rglob("test_*.py")
    )
    found = [name for name in files if name in tests]
    sources = [name for name in files if name.endswith(".py") and name not in tests]
    for mutant in read_all(root / "tests" / "mutants"):
        if mutant.file in sources and not mutant.slow:
            found += mutant.tests
    for name in sources:
        found += [test for test in tests if _beside(name, test)]
    modules = {_module(name) for name in sources}
    found += [test for test in tests if modules & set(_imported(root / test))]
    for name in files:
        found += WRITTEN.get(Path(name).suffix, ())
    return list(_without_parts(found))


def _beside(source: str, test: str) -> bool:
    """Whether a test stands where the mirrored tree has it, or a folder around it."""
    path = Path(source)
    stem = path.parent.name if path.stem in ("__init__", "__main__") else path.stem
    where = Path("tests") / path.parent
    return Path(test).name == f"test_{stem}.py" and Path(test).parent in (
        where,
        where.parent,
    )


def _module(source: str) -> str:
    return source.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, and what may be one of a package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_parts(tests: Iterable[str]) -> Iterator[str]:
    """Each once, and no single test of a file that runs as a whole anyway."""
    listed = list(dict.fromkeys(tests))
    for name in listed:
        if name.partition("::")[0] not in listed or "::" not in name:
            yield name


class Budget:
    """A plugin of pytest: tests that would begin after some time are left out.

    Attributes:
        left_out: how many were.
    """

    def __init__(self, seconds: float):
        """Begin to count.

        Args:
            seconds: after which nothing begins.
        """
        self.ends, self.left_out = time.monotonic() + seconds, 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> bool | None:
        """Say that a test is dealt with, where the time is over."""
        if time.monotonic() < self.ends:
            return None
        self.left_out += 1
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the changed files concern; the exit status of pytest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since", default="HEAD", help="a commit to compare with")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--list", action="store_true", help="name them, run nothing")
    options = parser.parse_args(arguments)
    files = changed(options.since)
    tests = concerned(files)
    print(f"{len(files)} changed files concern {len(tests)} files or tests")
    if options.list:
        print("\n".join(tests))
    if not tests or options.list:
        return 0
    budget = Budget(options.seconds)
    status = pytest.main(["-q", *tests], plugins=[budget])
    if budget.left_out:
        print(f"{budget.left_out} tests are left out: the time is over; see make test")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
