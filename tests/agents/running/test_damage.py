"""A damaged checkpoint is told by its arrays' names, and the one before is offered."""

import json
import shlex
import subprocess

import jax
import numpy as np
import pytest

from agents.convert import ConfigError
from agents.running.files.arrays import data, leaves
from agents.running.files.checkpoint import Checkpoints
from agents.running.files.stored import Checkpoint, Stored


def make_state(scale=1.0):
    weight = jax.random.normal(jax.random.key(0), (2, 30, 30)) * scale
    return {
        "params": {"weight": weight, "bias": weight[:, 0] + 1},
        "key": jax.random.split(jax.random.key(7), 2),
    }


@pytest.fixture
def run(tmp_path):
    """The checkpoints of updates 1 and 2."""
    checkpoints = Checkpoints(tmp_path)
    for updates in (1, 2):
        pending = {"loss/total": np.asarray([[0.1, np.nan]] * 2, np.float32)}
        notes = {"updates": updates, "scores": [{"mean": 0.25, "lower": -np.inf}]}
        checkpoints.save(updates, Checkpoint(make_state(updates), pending, notes))
    checkpoints.close()
    return tmp_path


def restore(directory):
    return Stored(directory).restore(jax.eval_shape(make_state))


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


WAYS = {
    "flipped": flipped,
    "truncated": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_file_is_damaged(run, way, capfd):
    """Everything comes back as it was saved, or it is one sentence with what is not."""
    saved, told = make_state(2), []
    for path in sorted((run / "checkpoints" / "2").rglob("*")):
        if path.is_dir():
            continue
        content = path.read_bytes()
        path.write_bytes(WAYS[way](content))
        try:
            found = restore(run)
            for name, leaf in leaves(found.state).items():
                assert np.array_equal(data(leaf), data(leaves(saved)[name])), path
            assert found.notes["updates"] == 2
        except ConfigError as error:
            told.append(str(error))
        path.write_bytes(content)
    restore(run)
    assert all("the one of update 1 is whole" in text for text in told)
    assert not any("\n" in text for text in told)
    assert any("(1 of 4 arrays, params.weight);" in text for text in told)
    for name in ("params.bias", "key", "loss/total"):  # small: several in one file
        assert any(name in text for text in told), name
    assert any("(notes);" in text for text in told)
    assert "Traceback" not in capfd.readouterr().err


def test_the_offer_can_be_taken(run):
    for path in (run / "checkpoints" / "2" / "params").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"2 of 4 arrays, params.bias, params.w") as e:
        restore(run)
    command = str(e.value).partition("move the damaged one away (")[2].rstrip(").")
    subprocess.run(shlex.split(command), check=True)
    assert restore(run).notes["updates"] == 1


def test_only_whole_ones_are_offered(run):
    (run / "checkpoints" / "3").mkdir()  # emptied
    (run / "checkpoints" / "2" / "notes" / "metadata").write_text("{}")
    with pytest.raises(ConfigError, match=r"update 3 .* of update 1 is whole"):
        restore(run)
    (run / "checkpoints" / "1" / "notes" / "metadata").unlink()
    with pytest.raises(ConfigError, match="no whole one is before it, so the run must"):
        restore(run)


def test_the_notes_have_a_checksum(run):
    path = run / "checkpoints" / "2" / "notes" / "metadata"
    path.write_text(path.read_text().replace('"updates": 2', '"updates": 3'))
    with pytest.raises(ConfigError, match=r"is damaged \(notes\)"):
        restore(run)


def test_a_checkpoint_from_before_there_were_checksums(run):
    path = run / "checkpoints" / "2" / "notes" / "metadata"
    notes = json.loads(path.read_text())
    del notes["checksums"]
    path.write_text(json.dumps(notes))
    weight = restore(run).state["params"]["weight"]
    assert np.array_equal(weight, make_state(2)["params"]["weight"])


def test_replacing_a_checkpoint_keeps_the_old_one_until_the_new_one_is_whole(
    run, monkeypatch
):
    checkpoints = Checkpoints(run)
    state = Checkpoint(make_state(5), {}, {"updates": 2})

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints._manager, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(2, state)
    assert Stored(run).latest() == 1  # for the moment
    checkpoints.close()
    again = Checkpoints(run)
    assert again.latest() == 2
    weight = restore(run).state["params"]["weight"]
    assert np.array_equal(weight, make_state(2)["params"]["weight"])
    again.save(2, state)
    again.close()
    weight = restore(run).state["params"]["weight"]
    assert np.array_equal(weight, make_state(5)["params"]["weight"])
    assert not list(run.glob(".replaced*"))
