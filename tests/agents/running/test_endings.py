"""However a run ends early: one sentence, and what was saved is whole."""

import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

import agents
import train
from agents.running import trainer
from agents.running.files.resume import saved_config
from agents.running.files.stored import Stored
from tests.agents.running import tiny


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory):
    with tiny.programs_kept(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run to its end."""
    return tiny.start(f"run_directory={tmp_path_factory.mktemp('runs')}")[0]


@pytest.fixture
def copy(whole, tmp_path):
    """The folder of that run, to spoil."""
    return Path(shutil.copytree(whole.directory, tmp_path / "copy"))


def started_in(parent):
    (directory,) = parent.glob("*/*/[0-9]*")
    return directory


def same(left, right):
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def while_training(monkeypatch, updates, act):
    """Do something once, after the call that reaches an update."""
    call, acted = trainer.Trainer._call, []

    def spoiled(self, *arguments):
        result = call(self, *arguments)
        if self.standing.updates >= updates and not acted:
            acted.append(act(self.directory))
        return result

    monkeypatch.setattr(trainer.Trainer, "_call", spoiled)


# Signals ------------------------------------------------------------------------


def test_ctrl_c_while_compiling(whole, tmp_path, monkeypatch):
    make_updates = trainer.make_updates

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return make_updates(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "make_updates", interrupted)
        with pytest.raises(agents.Stopped) as stopped:
            tiny.start(f"run_directory={tmp_path}")
    assert stopped.value.signal_number == signal.SIGINT
    directory = started_in(tmp_path)
    record = json.loads((directory / "result.json").read_text())
    assert record["ended"] == "stopped by SIGINT"
    assert record["seeds"][0]["steps"] == 0 and record["seeds"][0]["return"] is None
    result, text = tiny.resume(directory)
    assert "resumed at step 0" in text
    assert same(result.params, whole.params)
    record = json.loads((directory / "result.json").read_text())
    assert record["ended"] == "complete"


def test_ctrl_c_before_anything(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "check", interrupted)
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C before anything began.\n"
    monkeypatch.setattr(train, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        train.start({})
    assert ended.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


# Folders that are gone ----------------------------------------------------------


def test_the_folder_is_deleted_while_training(tmp_path, monkeypatch):
    while_training(monkeypatch, 5, shutil.rmtree)
    with pytest.raises(agents.RunError) as error:
        tiny.start(f"run_directory={tmp_path}")
    assert "was deleted or moved while it trained; it stops at step" in str(error.value)
    assert "\n" not in str(error.value) and not list(tmp_path.glob("*/*/[0-9]*"))


def test_checkpoints_are_deleted_while_training(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        while_training(patch, 5, lambda path: shutil.rmtree(path / "checkpoints"))
        with pytest.raises(agents.RunError) as error:
            tiny.start(f"run_directory={tmp_path}")
    directory = started_in(tmp_path)
    assert "of step 128 was deleted while" in str(error.value)
    assert f"step 192 is saved in its place, go on with resume={directory}." in str(
        error.value
    )
    assert same(tiny.resume(directory)[0].params, whole.params)


def test_checkpoints_are_deleted_before_resuming(copy, whole):
    shutil.rmtree(copy / "checkpoints" / "8")
    result, text = tiny.resume(copy)
    assert "resumed at step 192" in text
    assert "a newer checkpoint, of update 8, is gone" in text
    assert same(result.params, whole.params)
    for path in (copy / "checkpoints").iterdir():
        shutil.rmtree(path)
    events = sorted(copy.rglob("*tfevents*"))
    for act in (tiny.resume, lambda path: agents.load(path, seed=0)):
        with pytest.raises(agents.ConfigError, match=r"are gone \(one of update 8 was"):
            act(copy)
    assert sorted(copy.rglob("*tfevents*")) == events


# The configuration --------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gamma: 0.99", "gamma: [0.99", r"config\.yaml is not YAML \(line "),
        ("  gamma: 0.99\n", "", r"lacks agent\.gamma; put it back .*0\.99 by default"),
        ("gamma: 0.99", "gama: 0.99", r"sets agent\.gama, but .* 'agent\.gamma'"),
        ("num_seeds: 1", "num_seed: 1", r"sets num_seed, .* 'num_seeds'"),
        ("seed: 0\n", "", r"lacks seed; put it back"),
        ("  id: TMaze-v0\n", "", r"lacks env\.id; put it back"),
        ("  length: 3\n", "", r"lacks env\.length; put it back"),
        ("gamma: 0.99", "gamma: much", r"agent\.gamma='much' must be a number"),
    ],
)
def test_a_configuration_that_was_edited(copy, old, new, told):
    path = copy / "config.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(agents.ConfigError, match=told) as error:
        tiny.resume(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list\n", "\0", "a: \xff"])
def test_a_configuration_that_is_none(copy, text):
    (copy / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(agents.ConfigError, match=r"put (it )?back") as error:
        tiny.resume(copy)
    assert "\n" not in str(error.value)


def test_an_older_run_lacks_what_is_younger(copy):
    path = copy / "config.yaml"
    config = saved_config(copy)
    lines = [x for x in path.read_text().splitlines() if "start_from" not in x]
    path.write_text("\n".join(lines))
    assert "start_from" in config and "start_from" not in saved_config(copy)
    with pytest.raises(agents.ConfigError, match="is complete with 256 steps"):
        tiny.resume(copy)


# A result that could not be written ---------------------------------------------


def test_a_result_that_is_missing_is_written(copy, whole):
    (copy / "result.json").unlink()
    result, text = tiny.resume(copy)
    assert "compile" not in text and "saved" not in text
    assert result.scores == whole.scores and same(result.params, whole.params)
    record = json.loads((copy / "result.json").read_text())
    assert record["ended"] == "complete" and record["seconds"] > 0
    assert Stored(copy).latest() == 8
