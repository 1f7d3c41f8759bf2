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


def test_what_exceeds_memoryless_without_memory_is_named():
    row = row_of([[0.0, 0.3]] * 3, memory="none")
    told = robots.table({"RememberColor3, none": row})
    assert told.endswith("none of 1 exceeds what memoryless policies reach.")
    told = robots.table({"RememberColor3, none": row | {"last": [0.4, 0.41, 0.4]}})
    assert told.endswith("without memory: RememberColor3, none.")


@pytest.mark.slow
def test_a_row_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(robots.TASKS, "RememberColor3", 4_096)
    monkeypatch.setattr(robots, "SEEDS", 2)
    monkeypatch.setattr(robots, "POINTS", 2)
    path = tmp_path / "rows.json"
    words = [f"run_directory={tmp_path}", "agent.num_envs=16", "evaluation.episodes=8"]
    words += ["agent.num_minibatches=4"]
    command = ["robots", "--results", str(path), "--tasks", "RememberColor3"]
    monkeypatch.setattr("sys.argv", [*command, "--memories", "gru,none", *words])
    robots.main()
    row, blind = json.loads(path.read_text()).values()
    assert len(row["last"]) == len(row["successes"]) == 2
    assert row["steps"][-1] >= 4_096 and row["settings"] == words[1:]
    assert 4_096 <= row["steps"][-1] < 3 * 4_096 <= blind["steps"][-1]
