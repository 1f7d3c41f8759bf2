"""Running tests in a copy of the tree, with a bug planted in it or without."""

import contextlib
import dataclasses
import itertools
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutants.table import Fault, Mutant

LEFT_OUT = (".git", ".venv*", "runs", "multirun", "outputs", "build", "__pycache__")
"""What a copy of the tree has no need of; hidden caches beside."""

KILLED, SURVIVED, FAULT, HUNG = "killed", "survived", "fault", "timed out"

_edits = itertools.count(10)

HANG = -1
"""In place of an exit status."""

_ENDING = {1: "failure", 2: "import", 4: "import", HANG: "hang"}
"""What an exit status of pytest says; 2 and 4 are errors of collection."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a bug.

    Attributes:
        what: KILLED, SURVIVED, FAULT (of the table) or HUNG.
        seconds: how long the tests took.
        told: the test that saw it, or what is wrong.
    """

    what: str
    seconds: float = 0.0
    told: str = ""


class Copy(NamedTuple):
    """A copy of the tree, and the environment variables of what runs in it."""

    root: Path
    environment: dict[str, str]


def copy_tree(root: Path, copy: Path) -> Path:
    """A copy of the working tree, without what Git and runs keep in it."""
    ignored = shutil.ignore_patterns(*LEFT_OUT, ".*_cache", ".hypothesis")
    return Path(shutil.copytree(root, copy, ignore=ignored, symlinks=True))


def environment_of(root: Path, programs: Path) -> dict[str, str]:
    """Variables with which a process of pytest takes less time.

    Compiled files are kept, and compiled programs in the folder `programs`, so that
    what a bug leaves as it was is compiled once; plugins that no test here needs are
    not looked for, and the flags of XLA that the tests choose are found once, not once
    per process.
    """
    given = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    given["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if not (root / "tests" / "conftest.py").exists():
        return given
    program = "import os, tests.conftest; print(os.environ['XLA_FLAGS'])"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True
    )
    flags = told.stdout.strip().splitlines()
    kept = {"ENGRAM_TESTS_CACHE": str(programs)}
    return {**given, **kept, "XLA_FLAGS": flags[-1] if flags else ""}


def pytest(
    copy: Copy, tests: Iterable[str], *options: str, limit: float
) -> tuple[int, str]:
    """Exit status and output of pytest in a copy; HANG where it took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, "--tb=short", "-rfE", *options, *tests],
        cwd=copy.root,
        env=copy.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # to end what the tests have started with it
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return HANG, f"no end after {limit:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def marks(slow: bool) -> tuple[str, ...]:
    """Options that let slow tests run."""
    return ("-m", "slow or not slow") if slow else ()


def failing(copy: Copy, tests: list[str], limit: float) -> dict[str, str]:
    """Which tests fail, or are not there, with nothing planted, and what was told."""
    status, output = pytest(copy, tests, *marks(True), limit=limit * len(tests))
    if status == 0:
        return {}
    if len(tests) == 1:
        return {tests[0]: _last(output)}
    found = {}
    for test in tests:
        found |= failing(copy, [test], limit)
    return found


@contextlib.contextmanager
def planted(mutant: Mutant, copy: Copy) -> Iterator[None]:
    """A copy with a bug in it, and afterwards without."""
    path = copy.root / mutant.file
    before, stamp = path.read_bytes(), path.stat()
    path.write_text(mutant.planted(copy.root))
    # Compiled files are known by length and second: no two edits share the second.
    os.utime(path, (stamp.st_atime, stamp.st_mtime + next(_edits)))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def attempt(mutant: Mutant, copy: Copy, limit: float) -> Outcome:
    """Plant a bug in a copy and run the tests that must see it."""
    began = time.monotonic()
    try:
        mutant.check(copy.root)
        with planted(mutant, copy):
            status, output = pytest(
                copy, mutant.tests, "-x", *marks(mutant.slow), limit=limit
            )
    except Fault as fault:
        return Outcome(FAULT, told=str(fault))
    return outcome_of(mutant, status, output, time.monotonic() - began)


def outcome_of(mutant: Mutant, status: int, output: str, seconds: float) -> Outcome:
    """What an exit status of pytest says of a bug."""
    if status == 0:
        return Outcome(SURVIVED, seconds)
    if _ENDING.get(status) in ("failure", mutant.by):
        return Outcome(KILLED, seconds, _last(output))
    return Outcome(HUNG if status == HANG else FAULT, seconds, _last(output))


def _last(output: str) -> str:
    """The line of pytest's output that names what failed, else its last."""
    lines = [line for line in output.splitlines() if line.strip()]
    named = [x for x in lines if re.match(r"(FAILED|ERROR)", x)]
    return (named or lines or [""])[-1]


class Copies:
    """Copies of one tree, each used by one thread at a time."""

    def __init__(self, root: Path, folder: Path, count: int):
        environment = environment_of(root, folder / "programs")
        self._count = count
        self._free: queue.Queue[Copy] = queue.Queue()
        for number in range(count):
            copy = copy_tree(root, folder / str(number))
            self._free.put(Copy(copy, environment))

    def each(
        self, function: Callable[[Copy, Any], Any], items: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        """`(item, function(copy, item))` of every item, in their order."""

        def run(item: Any) -> tuple[Any, Any]:
            copy = self._free.get()
            try:
                return item, function(copy, item)
            finally:
                self._free.put(copy)

        with ThreadPoolExecutor(self._count) as pool:
            yield from pool.map(run, items)
