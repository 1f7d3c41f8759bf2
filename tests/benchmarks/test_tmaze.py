"""The table of the T-maze says what was not at its default, and when it was solved."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import tmaze


def test_settings_are_shown_beside_the_seconds():
    row = {"returns": [1.0, 0.5], "verdicts": ["memory used", "not used"]}
    solved = {"solved": [(507_904, 31), None]}
    rows = {
        "gru": row | {"seconds": [60, 61], "settings": []} | solved,
        "griffin": row | {"seconds": [258, 260], "settings": ["total_steps=6e5"]},
    }
    lines = tmaze.table(rows).splitlines()
    used = "1.00, 0.50 | memory used: 1 of 2"
    assert lines[2] == f"| griffin | {used} |  | 258, 260 (total_steps=6e5) |"
    assert lines[3] == f"| gru | {used} | 31 (0.51), - | 60, 61 |"


def test_solved_is_the_first_evaluation_that_is_high_enough():
    curves = {
        "steps": np.array([0, 50, 100, 150]),
        "returns": np.array([[0.5, 0.94, 0.95, 0.2]]),
        "times": np.array([[1001.0, 1002.0, 1003.4, 1004.0]]),
    }
    assert tmaze.first_at(0.95, curves, 1000.0) == (100, 3)
    assert tmaze.first_at(0.96, curves, 1000.0) is None


def test_a_run_is_measured_from_its_event_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tmaze, "SOLVED", -10.0)  # below any return
    settings = [f"run_directory={tmp_path}", "total_steps=1", "env.length=2"]
    settings += ["agent.num_envs=2", "agent.rollout_length=4"]
    settings += ["agent.num_minibatches=1", "evaluation.episodes=2"]
    row = tmaze.measure("none", [3], settings)
    [(steps, seconds)] = row["solved"]
    assert steps == 0
    assert 0 <= seconds <= row["seconds"][0] < 600
