"""More of a saved run: other settings, new runs from its parameters, more seeds."""

import json
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import agents
from agents.evaluate.__main__ import main
from agents.running import added_seeds
from agents.running.files.checkpoint import CheckpointError, Checkpoints
from agents.running.files.resume import saved_config
from agents.running.files.stored import Stored
from tests.agents.running import tiny

WORDS = ["memory=gru", "agent.normalize_observation=true", "total_steps=192"]


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory):
    with tiny.programs_kept(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run of three seeds."""
    folder = tmp_path_factory.mktemp("three")
    return tiny.start(*WORDS, "num_seeds=3", f"run_directory={folder}")[0]


@pytest.fixture
def copy(three, tmp_path):
    return Path(shutil.copytree(three.directory, tmp_path / "copy"))


def assert_close(left, right):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6)


def evaluate(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, words)])
    main()
    return capsys.readouterr().out


# python -m agents.evaluate --------------------------------------------------------


def test_the_runs_own_evaluation_again(three, monkeypatch, capsys):
    played = json.loads(evaluate(monkeypatch, capsys, three.directory, "--json"))
    record = three.record()
    for seed, known in zip(played["seeds"], record["seeds"], strict=True):
        assert seed == {key: known[key] for key in seed}
    assert played["together"]["verdict"] == record["together"]["verdict"]
    assert played["steps"] == 192 and played["references"] == record["references"]


def test_other_settings(three, monkeypatch, capsys):
    words = ["env.length=5", "episodes=250", "exploration=null", "seed=1"]
    text = evaluate(monkeypatch, capsys, three.directory, *words)
    assert (
        "tmaze (length=5, active=False), 250 episodes per seed, as the policy" in text
    )
    assert "returns (floor -0.9" in text and "memoryless 0.50" in text
    assert "seed 1" in text and "seed 0" not in text and "together" not in text
    played = json.loads(
        evaluate(monkeypatch, capsys, three.directory, *words, "--json")
    )
    (seed,) = played["seeds"]
    assert seed["seed"] == 1 and seed["episodes"] == 250
    assert played["evaluation"]["env"] == {"length": 5}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["env.lenght=5"], "no setting of an evaluation. Did you mean 'env.length'?"),
        (["episodes=0"], "episodes=0 must be at least 1."),
        (["episodes"], "'episodes' is no setting"),
        (["seed=3"], "holds the seeds 0 to 2, not 3."),
        (["seed=[0]"], "holds the seeds 0 to 2, not [0]."),
        (["exploration=2"], "exploration=2.0 must be 0.0 (greedy) or null"),
        (["env.length=long"], "env.length='long' must be a whole number."),
        (["memory=ffm"], "'memory=ffm' is no setting of an evaluation."),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(three, monkeypatch, capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        evaluate(monkeypatch, capsys, three.directory, *words)
    text = capsys.readouterr().err
    assert ended.value.code == 2 and text.count("\n") == 1
    assert text.startswith("error: ") and told in text


def test_what_is_not_a_run(three, tmp_path, monkeypatch, capsys):
    for path in (tmp_path, three.directory / "seed_0"):
        with pytest.raises(SystemExit):
            evaluate(monkeypatch, capsys, path)
        text = capsys.readouterr().err
        assert "is not the folder of a run" in text and text.count("\n") == 1
    assert f"Did you mean {str(three.directory)!r}" in text


# start_from -----------------------------------------------------------------------


def test_a_run_from_the_parameters_of_another(three, tmp_path):
    words = [*WORDS, "num_seeds=3", "env.length=4", f"start_from={three.directory}"]
    result, _ = tiny.start(*words, "checkpoint.keep=9", f"run_directory={tmp_path}")
    first = Stored(shutil.copytree(result.directory, tmp_path / "first"))
    for updates in first.updates()[1:]:
        shutil.rmtree(first.folder / str(updates))
    assert first.latest() == 0
    for seed in range(3):
        params = agents.load(first.directory, seed=seed).params
        expected = jax.tree.map(lambda x, i=seed: x[i], three.params)
        for a, b in zip(
            jax.tree.leaves(params), jax.tree.leaves(expected), strict=True
        ):
            assert np.array_equal(a, b)
    assert saved_config(result.directory)["start_from"] == str(three.directory)
    # The run it started from is not needed to go on.
    path = first.directory / "config.yaml"
    path.write_text(path.read_text().replace(str(three.directory), "/nowhere"))
    again, text = tiny.resume(first.directory)
    assert "resumed at step 0" in text
    for a, b in zip(
        jax.tree.leaves(again.params), jax.tree.leaves(result.params), strict=True
    ):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["num_seeds=2"], "holds 3 seed(s) and this run trains 2, but each seed"),
        (["num_seeds=3", "memory.output_size=5"], "params.actor.memory."),
        (["num_seeds=3", "agent.normalize_observation=false"], "params.statistics."),
        (["num_seeds=3", "env=tmaze_noisy"], "here; start_from="),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_made(
    three, tmp_path, words, told
):
    with pytest.raises(agents.ConfigError) as error:
        words = [*WORDS, *words, f"start_from={three.directory}"]
        tiny.start(*words, f"run_directory={tmp_path}")
    assert told in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


# More seeds -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A run of five seeds at once."""
    folder = tmp_path_factory.mktemp("five")
    return tiny.start(*WORDS, "num_seeds=5", f"run_directory={folder}")[0]


def assert_five(directory, result, three, five):
    assert result.seeds == [0, 1, 2, 3, 4] and len(result.scores) == 5
    assert_close(result.params, five.params)
    assert result.scores[:3] == three.scores
    record = json.loads((directory / "result.json").read_text())
    assert [seed["steps"] for seed in record["seeds"]] == [192] * 5
    assert saved_config(directory)["num_seeds"] == 5
    for seed in range(5):
        loaded = agents.load(directory, seed=seed).params
        assert_close(loaded, jax.tree.map(lambda x, i=seed: x[i], five.params))
        assert len(list((directory / f"seed_{seed}").glob("*tfevents*"))) == 1
    assert not (directory / added_seeds.ADDED).exists()
    with pytest.raises(agents.ConfigError, match="is complete with 192 steps"):
        tiny.resume(directory)


def test_seeds_are_added_to_a_finished_run(copy, three, five):
    before = {p: p.read_bytes() for p in copy.glob("seed_*/*tfevents*")}
    result, text = tiny.resume(copy, "num_seeds=5")
    assert "added   seeds 3 to 4" in text and "together" in text
    assert all(path.read_bytes() == content for path, content in before.items())
    assert_five(copy, result, three, five)
    more, _ = tiny.resume(copy, "total_steps=256")  # all of them go on as one
    assert more.seed_steps == [256] * 5


def test_adding_seeds_that_is_cut_off_goes_on(copy, three, five, monkeypatch):
    save = Checkpoints.save

    def full(self, updates, checkpoint):
        if self.directory == copy:
            raise CheckpointError("No space left on device")
        return save(self, updates, checkpoint)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", full)
        with pytest.raises(agents.RunError, match="could not be joined: No space left"):
            tiny.resume(copy, "num_seeds=5")
    assert_close(agents.load(copy, seed=2).params, jax.tree.map(
        lambda x: x[2], three.params
    ))  # fmt: skip
    with pytest.raises(agents.ConfigError, match="holds the seeds 0 to 2"):
        agents.load(copy, seed=4)  # not yet
    result, text = tiny.resume(copy)
    assert "compile" not in text
    assert_five(copy, result, three, five)


def test_seeds_are_never_taken_away(copy):
    with pytest.raises(agents.ConfigError, match="num_seeds=2 cannot change on resume"):
        tiny.resume(copy, "num_seeds=2")
    path = copy / "config.yaml"
    path.write_text(path.read_text().replace("num_seeds: 3", "num_seeds: 2"))
    with pytest.raises(
        agents.ConfigError, match="holds 3 seeds, more than num_seeds=2"
    ):
        tiny.resume(copy)
