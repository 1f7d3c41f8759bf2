"""The table of agents: what is read off the curves, and who is named for cheating."""

import numpy as np
import pytest

import envs
from benchmarks import agents as benchmark


def row_of(agent, task="TMaze", memory="gru", *, seconds, returns):
    seeds = [[0.0, value / 2, value] for value in returns]
    return {
        "agent": agent,
        "task": task,
        "memory": memory,
        "steps": [0, 500_000, 2_000_000],
        "seconds": [1.0, seconds / 2, seconds],
        "returns": seeds,
        "last": list(returns),
        "all_seconds": round(seconds),
        "settings": [],
    }


def test_returns_are_those_of_the_last_evaluation_in_time():
    row = row_of("ppo", seconds=100.0, returns=[1.0, 0.5])
    assert benchmark.at_step(row, 500_000) == [0.5, 0.25]
    assert benchmark.at_step(row, 499_999) == [0.0, 0.0]
    assert benchmark.at_second(row, 99.9) == [0.5, 0.25]
    assert benchmark.at_second(row, 0.0) == [0.0, 0.0]


def test_equal_time_is_when_the_first_agent_is_done():
    rows = {
        benchmark.name_of("ppo", "TMaze", "gru"): row_of(
            "ppo", seconds=100.0, returns=[1.0, 1.0]
        ),
        benchmark.name_of("dqn", "TMaze", "gru"): row_of(
            "dqn", seconds=150.0, returns=[0.8, 0.8]
        ),
        benchmark.name_of("dqn", "TMaze", "ffm"): row_of(
            "dqn", memory="ffm", seconds=10.0, returns=[0.2, 0.2]
        ),
    }
    lines = benchmark.table(rows).splitlines()
    cells = [[x.strip() for x in line.split("|")[1:-1]] for line in lines[2:]]
    way, end = "0.50 ± 0.00 (0.5 M)", "1.00 ± 0.00 (2 M)"
    assert cells == [
        ["TMaze", "gru", "ppo", way, end, "1.00 ± 0.00 (100 s)", "100"],
        ["TMaze", "gru", "dqn", way.replace("5", "4", 1), end.replace("1.0", "0.8"),
         "0.40 ± 0.00 (100 s)", "150"],
        ["TMaze", "ffm", "dqn", way.replace("0.5", "0.1", 1), end.replace("1.0", "0.2"),
         "0.20 ± 0.00 (10 s)", "10"],
    ]  # fmt: skip


def test_more_than_memoryless_without_memory_is_named():
    known = envs.make("TMaze-v0").card.memoryless.value
    honest = row_of("ppo", memory="none", seconds=1.0, returns=[known, known + 0.02])
    too_good = row_of("dqn", memory="none", seconds=1.0, returns=[known + 0.1] * 2)
    remembers = row_of("pqn", seconds=1.0, returns=[1.0, 1.0])
    rows = {
        benchmark.name_of("ppo", "TMaze", "none"): honest,
        benchmark.name_of("pqn", "TMaze", "gru"): remembers,
    }
    assert "none of 1 exceeds" in benchmark.table(rows)
    rows[benchmark.name_of("dqn", "TMaze", "none")] = too_good
    assert "More than memoryless without memory: dqn, TMaze, none." in benchmark.table(
        rows
    )


def test_rows_are_measured_once(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(agent, task, memory, words):
        measured.append((agent, task, memory))
        return row_of(agent, task, memory, seconds=2.0, returns=[0.0, 0.0])

    monkeypatch.setattr(benchmark, "measure", measure)
    words = ["agents", "--results", str(tmp_path / "rows.json")]
    monkeypatch.setattr("sys.argv", words)
    benchmark.main()
    whole = len(benchmark.AGENTS) * len(benchmark.TASKS) * len(benchmark.MEMORIES)
    whole -= 2 * 2 * len(benchmark.MEMORIES)  # dqn and pqn cannot swing a pendulum
    assert len(measured) == len(set(measured)) == whole
    assert not {("dqn", x) for x in benchmark.TASKS[5:]} & {x[:2] for x in measured}
    benchmark.main()
    assert len(measured) == whole
    monkeypatch.setattr("sys.argv", [*words, "--agents", "dqn", "--tasks", "TMaze"])
    benchmark.main()
    assert measured[whole:] == [("dqn", "TMaze", m) for m in benchmark.MEMORIES]


@pytest.mark.parametrize("what", ["tasks", "agents", "memories"])
def test_unknown_names(what, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["agents", f"--{what}", "nothing"])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert f"no 'nothing' among {what}" in capsys.readouterr().err


def test_a_row_of_a_few_updates(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SEEDS", 2)
    words = ["total_steps=64", "evaluation.interval=32", "log_interval=1"]
    words += [
        "env.length=3",
        "agent.num_envs=4",
        "agent.rollout_length=8",
        "agent.num_minibatches=2",
    ]
    words += ["evaluation.episodes=4", f"run_directory={tmp_path}"]
    row = benchmark.measure("pqn", "TMaze", "none", words)
    assert row["steps"] == [0, 32, 64]
    assert np.shape(row["returns"]) == (2, 3) and np.shape(row["last"]) == (2,)
    assert sorted(row["seconds"]) == row["seconds"] and row["seconds"][0] > 0
    np.testing.assert_allclose(row["last"], np.asarray(row["returns"])[:, -1], 1e-3)
    assert row["settings"] == words[:-1]
