"""The leaderboard: scores from returns, models that have every task, one search."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import envs
from benchmarks import leaderboard
from benchmarks.common.rows import Rows, Stopwatch
from benchmarks.leaderboard import MEMORIES, SIZES, TASKS, UNSIZED


def card_of(task):
    return envs.make(f"{task}-v0", **TASKS[task]).card


def rows_of(scores, size="default", tasks=tuple(TASKS)) -> Rows:
    """Rows of models whose five seeds all have a score."""
    rows = {}
    for memory, score in scores.items():
        for task in tasks:
            card = card_of(task)
            low, high = card.memoryless.value, card.recall.value
            rows[leaderboard.name_of(size, memory, task)] = {
                **{"size": size, "memory": memory, "task": task, "factor": 1.0},
                **{"last": [low + score * (high - low)] * 5, "parameters": 1000},
                **{"state_bytes": 64, "steps_per_second": 9000},
            }
    return rows


@pytest.mark.parametrize("task", TASKS)
def test_the_score_is_between_the_cards_numbers(task):
    card = card_of(task)
    row = {"task": task, "last": [card.memoryless.value, card.recall.value]}
    np.testing.assert_allclose(leaderboard.score_of(row), [0, 1])


@pytest.mark.parametrize(
    ("found", "factor"),
    [((0.1, 0.2, 0.3), 3), ((0.3, 0.2, 0.1), 1 / 3), ((0, 0, 0), 1), ((0, 1, 1), 1)],
)
def test_the_best_learning_rate_or_the_default(found, factor):
    names = ("0.33", "1", "3")
    assert leaderboard.best_of(dict(zip(names, found, strict=True))) == factor


def test_the_tasks_are_of_four_kinds():
    kinds = [card_of(task).memory for task in TASKS]
    assert kinds == ["object", "spatial", "sequential", "capacity"]


def test_the_best_is_first_and_a_part_is_not_ranked():
    rows = rows_of({"gru": 0.25, "ffm": 0.75}) | rows_of(
        {"lru": 1.0}, tasks=[*TASKS][:3]
    )
    found = leaderboard.ranked(rows, "default")
    assert [name for name, _, _ in found] == ["ffm", "gru"]
    assert found[0][1].value == pytest.approx(0.75) and found[0][1].is_interval
    assert leaderboard.ranked(rows, "state") == []


def test_a_line_of_the_table():
    rows = rows_of({"gru": 0.5}, "state")
    text = leaderboard.table(rows)
    assert text.startswith("Size: state.") and "Size: default." not in text
    score = "0.50 (0.50 to 0.50)"
    line = f"| gru | {' | '.join([score] * 5)} | 1, 1, 1, 1 | 1,000 | 64 | 9,000 |"
    assert text.splitlines()[-1] == line


def test_a_size_is_a_budget_of_the_memory():
    assert "memory.match=state" in leaderboard.settings("state", "gru", "TMaze")
    words = leaderboard.settings("default", "gru", "TMaze")
    experiment = ["env=tmaze", "experiment=card", "env.length=10", "memory=gru"]
    assert words[:4] == experiment
    assert not any("match" in word for word in words)


@pytest.mark.slow
def test_what_cannot_be_sized_is_passed_over():
    from agents.convert import ConfigError
    from agents.running.configuration.config import build
    from agents.running.overrides import compose_config

    def refused(size, memory):
        words = leaderboard.settings(size, memory, "TMaze")
        try:
            build(compose_config([*words, "check=false"]))
        except ConfigError:
            return True
        return False

    sized = [(size, memory) for size in SIZES[1:] for memory in MEMORIES]
    assert tuple(x for x in sized if refused(*x)) == UNSIZED


class Held(Stopwatch):
    """Of a process that may compute for a quarter of the time."""

    def seconds(self, times):
        return [0.25 * (when - self._times[0]) for when in times]


def test_the_search_has_other_seeds_and_the_best_is_trained(monkeypatch):
    asked = []

    def run(config, console):
        rate, seed = config["agent"]["learning_rate"], config["seed"]
        asked.append((rate, seed, config["num_seeds"], config["total_steps"]))
        mean = -abs(rate - 3e-3)  # the largest of the three is the best
        scores = [SimpleNamespace(measured=lambda _: (mean, 0))] * config["num_seeds"]
        record = {"parameters": 7, "state_bytes": 8}
        return SimpleNamespace(
            scores=scores,
            steps=100,
            train_seconds=2.0,
            record=lambda: record,
            card=SimpleNamespace(measure="success"),
        )

    monkeypatch.setattr(leaderboard, "Stopwatch", Held)
    monkeypatch.setattr(leaderboard.agents, "run", run)
    row = leaderboard.measure("state", "gru", "TMaze", ["agent.learning_rate=1e-3"])
    chosen, tried = asked[-1], asked[:-1]
    assert [x[0] for x in tried] == [3.33e-4, 1e-3, 3e-3]
    assert {x[1:] for x in tried} == {(100, 2, 2.5e5)}
    assert chosen == (3e-3, 0, 5, 5e5)
    assert row["factor"] == 3.0 and len(row["last"]) == 5
    assert row["search"] == {"0.33": -0.0027, "1": -0.002, "3": 0.0}
    assert row["steps_per_second"] == 200  # 100 in 2 s, of which it ran for a quarter
    assert row["seconds"] == 0


def test_the_picture_is_drawn(tmp_path):
    rows = rows_of({"gru": 0.5, "ffm": 0.7})
    leaderboard.picture(rows, "default", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_row_is_measured(tmp_path, monkeypatch):
    path = tmp_path / "rows.json"
    words = [f"run_directory={tmp_path}", "agent.num_envs=8", "evaluation.episodes=8"]
    words += ["total_steps=2048", "agent.num_minibatches=1"]
    command = ["x", "--results", str(path), "--tasks", "TMaze", "--sizes", "default"]
    monkeypatch.setattr("sys.argv", [*command, "--memories", "none", *words])
    leaderboard.main()
    (row,) = json.loads(path.read_text()).values()
    assert len(row["last"]) == 5 and set(row["search"]) == {"0.33", "1", "3"}
    assert row["parameters"] > 0 and row["state_bytes"] == 0
