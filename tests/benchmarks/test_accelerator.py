"""The table of an accelerator, measured small on a CPU."""

import json

import pytest

from benchmarks import accelerator


def run(monkeypatch, path, *words):
    results = [] if path is None else ["--results", str(path)]
    monkeypatch.setattr("sys.argv", ["accelerator", *results, *words])
    accelerator.main()


def test_lines_are_measured_and_kept(tmp_path, monkeypatch, capsys):
    path = tmp_path / "rows.json"
    run(monkeypatch, path, "--small", "--only", "streams at random")
    rows = json.loads(path.read_text())
    assert len(rows) == 2
    for name, row in rows.items():
        assert name == f"{accelerator.hardware()}: {row['line']}"
        assert 0 < row["slowest"] <= row["rate"] <= row["fastest"]
    told = capsys.readouterr().out
    assert "| RepeatPreviousEasy, 16 streams at random |" in told
    assert f"{accelerator.hardware()}, " in told


def test_what_is_small_is_not_published(monkeypatch, capsys):
    def refused(*_):
        raise AssertionError("small sizes are not a result")

    monkeypatch.setattr(accelerator, "save", refused)
    monkeypatch.setattr(accelerator, "publish", refused)
    run(monkeypatch, None, "--small", "--only", "16 streams at random")
    assert "16 streams at random: " in capsys.readouterr().out


@pytest.mark.slow
def test_every_line_runs(tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    run(monkeypatch, path, "--small", "--limit", "9999")
    rows = json.loads(path.read_text())
    expected = [name for name, _ in accelerator.lines(accelerator.SMALL)]
    assert {row["line"] for row in rows.values()} == set(expected)
    assert len(expected) == 17


def test_what_there_was_no_time_for_is_told(tmp_path, monkeypatch, capsys):
    run(monkeypatch, tmp_path / "rows.json", "--small", "--limit", "-1")
    told = capsys.readouterr().out
    assert "not begun within -1 s: RepeatPreviousEasy, 16 streams at random; " in told
    assert "No accelerator has been at hand yet." in told


def test_without_an_accelerator(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "lines", lambda sizes: [])
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path / "rows.json")
    assert "there is no accelerator here; --small" in capsys.readouterr().err


def test_lines_keep_their_order_and_devices_their_tables():
    row = {"rate": 2e6, "slowest": 1e6, "fastest": 3e6, "first": 9.5}
    rows = {
        "b": row | {"line": "b", "place": 1, "hardware": "X", "date": "2026-01-02"},
        "a": row | {"line": "a", "place": 0, "hardware": "X", "date": "2026-01-01"},
        "c": row | {"line": "c", "place": 0, "hardware": "Y", "date": "2026-01-03"},
    }
    lines = accelerator.table(rows).splitlines()
    assert lines[0] == "X, 2026-01-01 to 2026-01-02:"
    assert lines[4:6] == [
        "| a | 2,000 | 1,000 | 3,000 | 9.5 |",
        "| b | 2,000 | 1,000 | 3,000 | 9.5 |",
    ]
    assert lines[7] == "Y, 2026-01-03:"
