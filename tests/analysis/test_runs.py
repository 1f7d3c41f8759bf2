"""Folders of runs: what is read, and what is said of those that cannot be."""

import json
import shutil

import numpy as np
import pytest

import agents
from agents.convert import ConfigError
from analysis import find_runs, read_run
from analysis.board import Board
from analysis.probe import probe_run
from analysis.retention import retention
from analysis.saliency import saliency
from analysis.verdict import verdict
from tests.analysis.made import make_run

WORDS = ["env.length=7", "memory=gru"]


def test_a_run_is_what_training_left(solved):
    run = read_run(solved)
    assert (run.task, run.seeds, run.measure) == (
        "tmaze+env.length=4",
        [0, 1],
        "return",
    )
    assert run.model.startswith("ffm-ppo")
    result = json.loads((solved / "result.json").read_text())
    for seed, told in zip(run.seeds, result["seeds"], strict=True):
        curve = run.curve(seed, "evaluation/return")
        assert curve.steps[0] == 0 and curve.steps[-1] == result["evaluated_at"]
        assert curve.values[-1] == pytest.approx(told["return"])
        assert (np.diff(curve.times) >= 0).all()
        assert run.curve(seed, "loss/total") is not None
    assert run.references["recall"] == 1.0
    assert run.curve(0, "policy/temperature") is None


def test_tags_of_older_runs_are_read(tmp_path):
    run = make_run(tmp_path, WORDS, {})
    board = Board(run / "seed_3")
    board.scalar("evaluation/return", 0.5, 10)
    board.close()
    curve = read_run(run).curve(3, "evaluation/return")
    assert (curve.steps.tolist(), curve.values.tolist()) == ([10], [0.5])


def test_a_run_that_goes_on_has_the_numbers_of_its_card(tmp_path):
    run = read_run(make_run(tmp_path, WORDS, {0: [0.1]}, ended=None))
    assert run.result is None and run.measure == "return"
    assert run.references["memoryless"] == 0.5


def test_every_run_below_is_found_once(tmp_path):
    made = [
        make_run(tmp_path, [*WORDS, f"memory={memory}"], {0: [0.1]})
        for memory in ("gru", "ffm")
    ]
    found = find_runs([tmp_path, made[0]])
    assert sorted(run.directory for run in found.runs) == sorted(made)
    assert not found.faults


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("config.yaml", "a: [", "cannot be read as the configuration of a run"),
        ("config.yaml", "- 1", "cannot be read as the configuration of a run"),
        ("config.yaml", "env: 3", "cannot be read as the configuration of a run"),
        ("result.json", "{", "cannot be read as the result of a run"),
        ("result.json", "[]", "cannot be read as the result of a run"),
        ("result.json", '{"ended": "complete"}', "as the result of a run"),
    ],
)
def test_a_broken_run_is_one_sentence_and_the_others_are_read(
    tmp_path, name, text, told
):
    whole = make_run(tmp_path, WORDS, {0: [0.1]})
    bad = tmp_path / "bad"
    shutil.copytree(whole, bad)
    (bad / name).write_text(text)
    found = find_runs([tmp_path])
    assert [run.directory for run in found.runs] == [whole]
    (sentence,) = found.faults
    assert told in sentence and str(bad) in sentence and "\n" not in sentence


def test_folders_without_runs_are_refused(tmp_path):
    with pytest.raises(agents.ConfigError, match="there is no such folder"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(agents.ConfigError, match="holds no run"):
        find_runs([tmp_path])
    with pytest.raises(agents.ConfigError, match="is no run"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "command", [retention, verdict, saliency, probe_run], ids=lambda x: x.__name__
)
def test_a_run_of_stable_baselines_is_refused_by_what_plays_it(tmp_path, command):
    words = ["agent=sb3_ppo", "memory=none"]
    run = make_run(tmp_path, words, {0: [0.1, 0.4]})
    with pytest.raises(ConfigError) as caught:
        command(run)
    assert str(caught.value) == (
        f"{run} was trained by Stable-Baselines3 (agent=sb3_ppo), whose runs keep no "
        "checkpoint that could be loaded here; python -m analysis compare takes such "
        "runs, and `load` of Stable-Baselines3 their seed_<n>/model.zip."
    )
