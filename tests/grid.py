"""What was seen to work with which agent: `python -m tests.grid` writes the table.

A test that shows something for an agent says so beside it:

    @pytest.mark.shows("masks", "ppo", "dqn")

Where the agents are the parameter `agent` or `name` of the test they need not be named;
`answer="refused"` says that the test sees a clear error. The command runs these tests,
the slow ones too, and writes what they showed between two marks in docs/agents.md. A
default test sees that the table there has what is marked.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

AGENTS = ("ppo", "dqn", "pqn", "sac")
FEATURES = (
    "learns from memory (a probe)",
    "a memory of every mechanism",
    "all 42 memories",
    "Discrete actions",
    "MultiDiscrete actions",
    "Box actions",
    "Dict and Tuple observations",
    "pixels",
    "masks",
    "previous action and reward",
    "exact truncation",
    "staggered starts",
    "seeds in one program",
    "several devices",
    "several processes",
    "resumed bit for bit",
    "a seed that is not finite",
    "numpy environments",
)
PAGE = Path(__file__).resolve().parent.parent / "docs" / "agents.md"
BEGIN, END = "<!-- grid -->", "<!-- end of grid -->"
OUTCOMES, COLLECT = "ENGRAM_GRID", "ENGRAM_GRID_COLLECT"
"""The file that a run of the tests adds what it showed to; whether it only collects."""

Shown = dict[tuple[str, str], set[str]]


def shown_by(item) -> Iterator[tuple[str, str, str]]:
    """Feature, agent and answer of each mark of a collected test.

    Raises:
        ValueError: the mark names what the table has not.
    """
    for mark in item.iter_markers("shows"):
        feature, *agents = mark.args
        if not agents:
            given = getattr(getattr(item, "callspec", None), "params", {})
            agents = [given[x] for x in ("agent", "name") if given.get(x) in AGENTS]
        if feature not in FEATURES or not agents or set(agents) - set(AGENTS):
            raise ValueError(
                f"{item.nodeid} shows {feature!r} of {agents}, which are not among the "
                "features and agents of tests/grid.py."
            )
        for agent in agents:
            yield feature, agent, mark.kwargs.get("answer", "yes")


def keep(item, passed: bool) -> None:
    """Add what a test showed to the file that `OUTCOMES` names, if it names one."""
    if path := os.environ.get(OUTCOMES):
        with Path(path).open("a") as file:
            for feature, agent, answer in shown_by(item):
                shown = answer if passed else "fails"
                file.write(json.dumps([item.nodeid, feature, agent, shown]) + "\n")


def gathered(lines: Iterable[str]) -> Shown:
    """What the tests showed, by feature and agent, when each of them last ran."""
    last = {}
    for line in lines:
        *what, answer = json.loads(line)
        last[tuple(what)] = answer
    found: Shown = collections.defaultdict(set)
    for (_, feature, agent), answer in last.items():
        found[feature, agent].add(answer)
    return found


def table(shown: Shown) -> str:
    """One line per feature; a cell is empty where no test showed anything."""
    lines = [f"| | {' | '.join(AGENTS)} |", f"|---|{'---|' * len(AGENTS)}"]
    for feature in FEATURES:
        cells = [_cell(shown.get((feature, agent), set())) for agent in AGENTS]
        lines.append(f"| {feature} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(answers: set[str]) -> str:
    return "fails" if "fails" in answers else " and ".join(sorted(answers))


def on_page() -> str:
    """The table as docs/agents.md has it, without the line of its date."""
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def files() -> list[str]:
    """Test files with marks."""
    root = PAGE.parent.parent
    found = (root / "tests").rglob("test_*.py")
    return sorted(
        str(path.relative_to(root))
        for path in found
        if "mark.shows(" in path.read_text()
    )


def marked() -> Shown:
    """What the marks promise, by collecting the tests and running none."""
    with tempfile.NamedTemporaryFile("r") as file:
        environment = {**os.environ, OUTCOMES: file.name, COLLECT: "1"}
        words = ["--collect-only", "-q", "-m", "shows", "-p", "no:cacheprovider"]
        _pytest([*words, *files()], environment, check=True, quiet=True)
        return gathered(file)


def _pytest(words, environment, *, check=False, quiet=False):
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=PAGE.parent.parent,
        env=environment,
        check=check,
        stdout=subprocess.DEVNULL if quiet else None,
    )


def main() -> int:
    """Run the marked tests and write the table; the exit status is pytest's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kept",
        type=Path,
        help="a file for what every test showed, to which a later run adds: after one "
        "failed, it alone need be run again",
    )
    parser.epilog = "What else is given is for pytest: -n 2, or the tests to run."
    asked, words = parser.parse_known_args()
    part = any(".py" in word for word in words)
    words += [] if part else files()
    with tempfile.NamedTemporaryFile("r") as file:
        path = Path(asked.kept or file.name)
        environment = {**os.environ, OUTCOMES: str(path.absolute())}
        status = _pytest(["-q", "-m", "shows", *words], environment).returncode
        shown = gathered(path.read_text().splitlines())
    print(table(shown))
    if part and not asked.kept:
        print("Not all of them ran, so docs/agents.md stays as it is; see --kept.")
        return status
    from jax import __version__  # only for the date below the table

    stamp = f"{time.strftime('%Y-%m-%d')}, JAX {__version__}."
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    text = f"{before}{BEGIN}\n{table(shown)}\n\n{stamp}\n{END}{after}"
    PAGE.write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
