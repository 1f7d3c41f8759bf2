"""The table of robot tasks."""

import json

import pytest

from benchmarks import robots


def row_of(successes, task="RememberColor3", memory="gru"):
    return {
        "task": task,
        "memory": memory,
        "steps": [1_000_000, 2_000_000, 3_000_000],
        "successes": successes,
        "last": [seed[-1] for seed in successes],
        "seconds": 60,
        "settings": [],
    }


@pytest.mark.parametrize(
    ("successes", "expected"),
    [
        ([[0.96, 0.97, 1.0], [0.2, 0.95, 1.0]], "2 M"),
        ([[0.96, 0.97, 1.0], [0.97, 0.2, 1.0]], "3 M"),
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 0.94]], "-"),
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], "1 M"),
    ],
)
def test_solved_is_for_good_and_by_all_seeds(successes, expected):
    assert robots.solved_at(row_of(successes)) == expected


def test_a_row_of_the_table():
    rows = {"RememberColor3, gru": row_of([[0.0, 0.5, 0.9], [0.0, 0.5, 0.9]])}
    line = robots.table(rows).splitlines()[2]
    assert line == "| RememberColor3 | gru | 0.90 ± 0.00 | 0.333 | - | 3 M | 60 |"


@pytest.mark.slow
def test_a_row_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(robots.TASKS, "RememberColor3", 4_096)
    monkeypatch.setattr(robots, "SEEDS", 2)
    monkeypatch.setattr(robots, "POINTS", 2)
    path = tmp_path / "rows.json"
    words = [f"run_directory={tmp_path}", "agent.num_envs=16", "evaluation.episodes=8"]
    command = ["robots", "--results", str(path), "--tasks", "RememberColor3"]
    monkeypatch.setattr("sys.argv", [*command, "--memories", "gru", *words])
    robots.main()
    row = json.loads(path.read_text())["RememberColor3, gru"]
    assert len(row["last"]) == len(row["successes"]) == 2
    assert row["steps"][-1] >= 4_096 and row["settings"] == words[1:]
