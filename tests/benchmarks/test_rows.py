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


def test_the_stopwatch_stands_while_nothing_is_computed():
    times = [time.time()]
    with rows.Stopwatch() as watch:
        time.sleep(0.5)
        times.append(time.time())
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        times.append(time.time())
    before, idle, busy = watch.seconds(times)
    assert before == 0.0
    assert idle < 0.2
    assert busy - idle == pytest.approx(0.5, abs=0.2)
    assert watch.seconds([time.time() + 60.0]) == pytest.approx([busy], abs=0.2)
