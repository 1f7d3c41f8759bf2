"""Tables that are measured row by row, and what is published of them."""

import json
import time

import pytest

from benchmarks import (
    accelerator,
    agents,
    bsuite,
    capability,
    leaderboard,
    memory,
    popgym,
    robots,
    spread,
    tmaze,
)
from benchmarks.common import rows

PUBLISHED = [
    *(accelerator, agents, bsuite, capability, leaderboard, memory),
    *(popgym, robots, spread, tmaze),
]


@pytest.mark.parametrize("module", PUBLISHED)
def test_the_readme_has_the_table_of_the_rows(module):
    """Otherwise: python -m benchmarks.<name> --publish."""
    name = module.__name__.split(".")[-1]
    _, _, table, _ = rows.published(name)
    assert table.strip() == module.table(rows.load(rows.RESULTS / f"{name}.json"))


def asked(tmp_path, *words):
    parser = rows.arguments("a table", "test")
    return parser.parse_args(["--results", str(tmp_path / "test.json"), *words])


def test_what_is_there_is_passed_over_and_what_is_named_is_not(tmp_path, capsys):
    measured = []

    def measure(name):
        measured.append(name)
        return {"count": len(measured)}

    rows.fill(asked(tmp_path, "--memories", "gru,ffm"), measure, str)
    rows.fill(asked(tmp_path, "--memories", "gru"), measure, str)
    assert measured == ["gru", "ffm", "gru"]
    kept = json.loads((tmp_path / "test.json").read_text())
    assert {name: row["count"] for name, row in kept.items()} == {"gru": 3, "ffm": 2}
    rows.fill(asked(tmp_path, "--publish"), measure, str)
    assert len(measured) == 3
    rows.fill(asked(tmp_path), measure, str)
    names = rows.memory_models.names()
    assert sorted(measured[3:]) == [n for n in names if n not in ("gru", "ffm")]


def test_a_table_without_its_marks_is_named():
    with pytest.raises(ValueError, match="<!-- nothing -->"):
        rows.published("nothing")


class Clocks:
    """In place of `time`: of the day, and of what was computed."""

    now, computed = 100.0, 7.0

    def time(self):
        return self.now

    def process_time(self):
        return self.computed


def test_the_stopwatch_stands_while_nothing_is_computed(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(rows, "time", clocks)
    monkeypatch.setattr(rows.Stopwatch, "period", 60.0)  # looks when it is told to
    with rows.Stopwatch() as watch:
        clocks.now = 110.0  # held up
        watch._look()
        clocks.now, clocks.computed = 114.0, 11.0
        watch._look()
        clocks.now, clocks.computed = 120.0, 14.0
    found = watch.seconds([100.0, 105.0, 110.0, 113.0, 114.0, 120.0, 500.0])
    assert found == [0.0, 0.0, 0.0, 3.0, 4.0, 7.0, 7.0]


def test_the_stopwatch_looks_by_itself():
    with rows.Stopwatch() as watch:
        time.sleep(1.0)
    assert len(watch._times) == len(watch._computed) > 3
    assert watch._times == sorted(watch._times)
