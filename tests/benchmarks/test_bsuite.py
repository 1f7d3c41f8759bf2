"""The scores of bsuite, against numbers worked out by hand."""

import math

import pytest
from rich.console import Console

import agents
from agents.running.output.names import task_name
from agents.running.output.tensorboard import Writer
from agents.running.overrides import compose_config
from analysis import Run, read_run
from benchmarks import bsuite


@pytest.mark.parametrize(
    "episodes, success, limit, expected",
    [
        # Ten episodes, three of them wrong: 3 / 5.
        ([4, 6], [0.5, 5 / 6], 10, 0.6),
        # Only the first five count: two of four wrong, then a sixth of one.
        ([4, 6], [0.5, 5 / 6], 5, (2 + 1 / 6) / 2.5),
        # Fewer than asked for: all there are.
        ([4, 6], [0.5, 5 / 6], 100, 0.6),
        # An update in which no episode ended says nothing.
        ([0, 4, 0, 6], [math.nan, 0.5, math.nan, 5 / 6], 10, 0.6),
        # An agent that guesses, and one that is always right.
        ([10], [0.5], 10, 1.0),
        ([10], [1.0], 10, 0.0),
        # 7,500 guesses, then no mistake: just too late.
        ([7500, 2500], [0.5, 1.0], 10_000, 0.75),
    ],
)
def test_regret(episodes, success, limit, expected):
    assert bsuite.regret(episodes, success, limit) == pytest.approx(expected)


def test_score():
    assert bsuite.score([0.0, 0.749, 0.75, 1.0]) == 0.5
    assert bsuite.score([0.2]) == 1.0


def test_families_are_those_of_bsuite():
    assert [len(settings) for settings in bsuite.FAMILIES.values()] == [23, 17]
    ids = ["MemoryLength3-v0", *bsuite.FAMILIES["memory_size"]]
    assert bsuite.chosen("MemoryLength3-v0,memory_size") == ids
    with pytest.raises(ValueError, match=r"'TMaze-v0' is neither memory_len nor"):
        bsuite.chosen("TMaze-v0")


def row(setting, regret):
    return {
        "memory": "gru",
        "setting": setting,
        "episodes": 10_000,
        "regret": regret,
        "trained": 0.0,
    }


def test_table():
    rows = [row("MemoryLength10-v0", 0.8), row("MemoryLength2-v0", 0.25)]
    rows = {str(i): x for i, x in enumerate([*rows, row("MemorySize1-v0", 0.1)])}
    assert bsuite.table(rows).splitlines()[2:] == [
        "| gru | memory_len | 0.50 | 2 of 23 | 10,000 | 2: 0.25 (0.00) | "
        "10: 0.80 (0.00) |",
        "| gru | memory_size | 1.00 | 1 of 17 | 10,000 | 1: 0.10 (0.00) |  |",
    ]


def test_curves_are_read_update_by_update(tmp_path):
    config = compose_config(["env=memory_chain"])
    writer = Writer(tmp_path / "seed_3", task_name(config))
    for step, count, share in ((8, 0.0, math.nan), (16, 4.0, 0.5), (24, 6.0, 5 / 6)):
        writer.scalars({"train/episodes": count, "train/success": share}, step)
    writer.finish(True)
    run = Run(tmp_path, config, None)
    episodes, success = bsuite.read_curves(run, 3)
    assert episodes == [0.0, 4.0, 6.0] and math.isnan(success[0])
    assert bsuite.regret(episodes, success) == pytest.approx(0.6)


@pytest.mark.slow
def test_curves_of_a_run(tmp_path):
    """Every update is in the files, with whole numbers of episodes and answers."""
    words = ["memory=none", "env=memory_chain", "env.length=1", "total_steps=600"]
    words += ["log_interval=1", "evaluation.interval=null", "memory.output_size=4"]
    words += ["agent.num_envs=4", "agent.rollout_length=5", "agent.num_minibatches=1"]
    words += [f"run_directory={tmp_path}", "compilation_cache=null"]
    words += ["evaluation.episodes=4"]
    result = agents.run(compose_config(words), Console(quiet=True))
    episodes, success = bsuite.read_curves(read_run(result.directory), 0)
    # 30 updates of 5 steps in 4 streams; episodes take 2 steps.
    assert len(episodes) == 30 and episodes == [8.0, 12.0] * 15
    right = [count * share for count, share in zip(episodes, success, strict=True)]
    assert all(abs(x - round(x)) < 1e-4 for x in right)
    assert 0 <= bsuite.regret(episodes, success, 100) <= 2
