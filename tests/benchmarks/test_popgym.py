"""The table of POPGym: its interval, its lines, and the tasks in it."""

import math

import pytest
from scipy import stats

import envs
from benchmarks import popgym


def test_interval_is_that_of_students_t():
    # Five values with standard deviation sqrt(2.5).
    exact = stats.t.ppf(0.975, 4) * math.sqrt(2.5 / 5)
    mean, half = popgym.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0 and half == pytest.approx(exact, abs=1e-8)
    assert popgym.interval([0.5, 0.5])[1] == 0.0
    assert math.isinf(popgym.interval([0.5])[1])


def test_table():
    row = {"returns": [0.4, 0.6], "task": "RepeatFirstEasy", "memory": "gru"}
    lines = popgym.table({"RepeatFirstEasy gru": row}).splitlines()
    assert "| RepeatFirstEasy | -0.461 |  | 0.500 ± 1.271 | 1.000 | 0.860 |" in lines
    assert lines.index("") == 2 + len(popgym.TASKS)


def test_every_return_that_a_card_does_not_know_has_its_reason():
    text = popgym.table({})
    for task in popgym.TASKS:
        card = envs.make(f"{task.removesuffix(popgym.UNSEEN)}-v0").card
        for name in ("memoryless", "recall"):
            known = getattr(card, name)
            told = f"- {task}, {name}: {known.note}." in text
            assert told == (known.value is None)
            assert known.note or known.value is not None


def test_the_cards_are_compared_with_policies_of_the_same_inputs():
    without = [task for task in popgym.TASKS if task.endswith(popgym.UNSEEN)]
    for task in popgym.THIRD_PARTY:
        card = envs.make(f"{task}-v0").card
        known = card.memoryless.value is not None and not card.needs_previous_action
        assert (task + popgym.UNSEEN in without) == known
    assert popgym.memories_of(without[0]) == popgym.MEMORIES
    assert all(popgym.memories_of(task) == ("none",) for task in without[1:])


def test_tasks_are_registered():
    assert {f"{x.removesuffix(popgym.UNSEEN)}-v0" for x in popgym.TASKS} <= set(
        envs.names()
    )


@pytest.mark.slow
def test_rows_of_two_updates(tmp_path):
    words = ["total_steps=100", "agent.num_envs=8", "agent.rollout_length=8"]
    words += [f"run_directory={tmp_path}", "compilation_cache=null"]
    row = popgym.measure(f"RepeatFirstEasy{popgym.UNSEEN}", "none", words)
    assert len(row["returns"]) == popgym.SEEDS
    assert all(-1.0 <= value <= 1.0 for value in row["returns"])
