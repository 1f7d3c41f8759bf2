"""A run that was stopped and resumed equals one that never stopped, bit for bit."""

import atexit
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import RunError
from agents.convert import ConfigError
from agents.run import run
from agents.running.files.arrays import leaves
from agents.running.files.checkpoint import Checkpoints
from agents.running.files.resume import locked
from agents.running.output.tensorboard import TIMING
from agents.running.overrides import check

WORDS = [
    *("env=custom", "env.target=tests.agents.toy:Toy", "memory=gru"),
    *("memory.output_size=8", "agent.encoder_size=8", "num_seeds=2"),
    *("agent.num_envs=8", "agent.rollout_length=16", "agent.num_minibatches=2"),
    *("agent.previous_action=true", "log_interval=7", "check=false"),
    *("total_steps=40000", "evaluation.interval=16000", "evaluation.episodes=16"),
    "checkpoint.interval=12000",
]


_CACHE = tempfile.TemporaryDirectory(prefix="engram-resume-")
atexit.register(_CACHE.cleanup)


def start(*words):
    command = [sys.executable, "-u", "train.py", *words]
    environment = {
        **os.environ,
        "PYTHONPATH": ".",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "XDG_CACHE_HOME": _CACHE.name,
    }
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment,
    )  # fmt: skip


def directory_of(parent):
    (directory,) = parent.glob("*/*/[0-9]*")
    return directory


def logged(directory):
    """All points of all seeds, except those of the machine: (tag, step) -> value."""
    points = {}
    for folder in sorted(directory.glob("seed_*")):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        for tag in set(events.Tags()["scalars"]) - set(TIMING):
            for point in events.Scalars(tag):
                key = (folder.name, tag, point.step)
                assert key not in points, f"{key} appears twice"
                points[key] = point.value
    return points


def arrays(directory):
    """Every leaf of the last checkpoint, as stored."""
    checkpoints = Checkpoints(directory)
    notes = checkpoints.notes()
    like = {
        part: {
            name: jax.ShapeDtypeStruct(shape, np.uint32 if "key" in dtype else dtype)
            for name, (shape, dtype) in notes["structure"][part].items()
        }
        for part in ("params", "state")
    }
    for named in like.values():
        for name, leaf in named.items():
            if notes and "key" in name.split(".")[-1] and leaf.dtype == np.uint32:
                named[name] = jax.ShapeDtypeStruct((*leaf.shape, 2), np.uint32)
    loaded = checkpoints._restore_arrays(like)
    checkpoints.close()
    return {k: np.asarray(v) for k, v in leaves(loaded).items()}


def assert_equal_runs(left, right, points=400):
    a, b = logged(left), logged(right)
    assert len(a) > points
    assert a.keys() == b.keys()
    different = [k for k in a if not np.array_equal(a[k], b[k], equal_nan=True)]
    assert not different, different[:3]
    a, b = arrays(left), arrays(right)
    assert a.keys() == b.keys() and len(a) > 30
    different = [k for k in a if a[k].tobytes() != b[k].tobytes()]
    assert not different, different[:3]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An uninterrupted run, and one that was told to stop in its middle."""
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    first = start(*WORDS, f"run_directory={whole}")
    text = first.communicate()[0]
    assert first.returncode == 0, text
    second = start(*WORDS, f"run_directory={cut}")
    lines, told = [], False
    with second:
        for line in second.stdout:
            lines.append(line)
            if line.startswith("saved") and not told:
                second.send_signal(signal.SIGTERM)  # a second one would end it at once
                told = True
    return directory_of(whole), directory_of(cut), second.returncode, "".join(lines)


def test_sigterm_saves_and_says_so(runs):
    _, cut, status, text = runs
    assert status == 128 + signal.SIGTERM, text
    assert f"go on with resume={cut}" in text.replace("\n", "")
    assert text.count("saved   step") == 2 and " MB in " in text


@pytest.mark.shows("resumed bit for bit", "ppo")
def test_resumed_equals_uninterrupted(runs, tmp_path):
    whole, cut, _, _ = runs
    directory = tmp_path / "copy"
    shutil.copytree(cut, directory)
    # A kill after the checkpoint leaves points that will be written again.
    for folder in directory.glob("seed_*"):
        (file,) = folder.glob("*tfevents*")
        with file.open("ab") as opened:
            opened.write(b"half a record")
        shutil.copy(file, folder / "events.out.tfevents.9999999999.later")
    resumed = start(f"resume={directory}")
    text = resumed.communicate()[0]
    assert resumed.returncode == 0, text
    assert "resumed at step" in text
    assert 0 < len(logged(cut)) < len(logged(directory))
    assert_equal_runs(whole, directory)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("memory=ffm", "memory=ffm cannot change on resume, where the run has memory="),
        (
            "agent.gamma=0.5",
            "where the run has agent.gamma=0.99; only total_steps, log",
        ),
        ("num_seeds=1", "num_seeds=1 cannot change on resume"),
        ("agent.gama=0.5", "Did you mean 'agent.gamma'?"),
        ("seed=1,2", "give one value per setting"),
        ("total_steps=soon", "total_steps='soon' must be a whole number."),
    ],
)
def test_what_may_not_change_is_refused(runs, words, told):
    with pytest.raises(ConfigError) as caught:
        config = check([f"resume={runs[1]}", *words.split()])[0]
        agents_build(config)
    assert told in str(caught.value)


def agents_build(config):
    from agents.running.configuration.config import build

    return build(config)


def test_what_may_change(runs):
    words = ["total_steps=2e5", "log_interval=3", "checkpoint.keep=5", "memory=gru"]
    words += ["distributed.coordinator=localhost:1234"]
    config = check([f"resume={runs[1]}", *words])[0]
    assert config["distributed"].pop("coordinator") == "localhost:1234"
    plan = agents_build(config)
    assert plan.config["total_steps"] == 200_000
    assert plan.config["log_interval"] == 3
    assert plan.config["checkpoint"] == {"interval": 12_000, "keep": 5}
    assert plan.memory_name == "gru" and plan.agent.num_envs == 8


def test_a_complete_run_and_no_run(runs, tmp_path):
    with pytest.raises(ConfigError, match="is complete with 40,064 steps"):
        run(check([f"resume={runs[0]}"])[0])
    with pytest.raises(ConfigError, match=r"has no config\.yaml"):
        check([f"resume={tmp_path}"])


def test_a_run_in_use_is_left_alone(runs):
    with locked(runs[1]), pytest.raises(ConfigError, match="in use by another proc"):
        run(check([f"resume={runs[1]}"])[0])


def test_files_that_cannot_be_written(runs, tmp_path, monkeypatch):
    directory = tmp_path / "copy"
    shutil.copytree(runs[1], directory)

    def full(*_):
        raise OSError(28, "No space left on device", "events")

    monkeypatch.setattr("agents.running.output.tensorboard.RecordWriter.write", full)
    with pytest.raises(RunError) as caught:
        run(check([f"resume={directory}"])[0])
    assert "No space left on device" in str(caught.value)
    assert "is whole" in str(caught.value)


OFTEN = ["total_steps=600000", "checkpoint.interval=4000"]
OFTEN += ["evaluation.interval=20000", "evaluation.episodes=16"]
REPLAY = ["agent.replay_size=640", "agent.batch_size=8", "agent.sequence_length=8"]
REPLAY += ["agent.gradient_steps=2", "agent.learning_starts=256"]
KILLED = {
    "ppo": (100, []),
    "pqn": (25, ["agent=pqn"]),
    "dqn": (25, ["agent=dqn", *REPLAY, "agent.priority_exponent=0.9"]),
    "sac": (25, ["agent=sac", *REPLAY]),
}
"""How often, and what the agent is asked for with; replays wrap every five updates."""


@pytest.mark.slow
@pytest.mark.parametrize("agent", KILLED)
def test_many_kills(agent, tmp_path):
    """kill -9 at random moments; the run goes on each time and ends the same."""
    random.seed(0)
    times, of_agent = KILLED[agent]
    words = [*WORDS[:-4], *OFTEN, *of_agent]
    if "agent.batch_size=8" in words:  # it has no minibatches
        words.remove("agent.num_minibatches=2")
    # A run goes on only if kills leave it the time to start and reach a checkpoint. All
    # of them find their programs compiled, and so must the one that tells this time.
    for name in ("compiled", "whole"):
        began, saved = time.monotonic(), None
        with start(*words, f"run_directory={tmp_path / name}") as reference:
            for line in reference.stdout:
                if saved is None and line.startswith("saved"):
                    saved = time.monotonic() - began
                    if name == "compiled":
                        reference.kill()
    assert reference.returncode == 0 and saved is not None
    whole = directory_of(tmp_path / "whole")
    directory, resumed, kills, parts = None, [], 0, 0
    while kills < times or directory is not None:
        folder = tmp_path / f"killed_{parts}"
        again = directory is not None
        process = start(
            *([f"resume={directory}"] if again else words),
            *([] if again else [f"run_directory={folder}"]),
        )
        if kills < times:
            time.sleep(random.uniform(0.5, 2 * saved))
            process.kill()
        text = process.communicate()[0]
        kills += process.returncode == -signal.SIGKILL
        complete = "is complete with" in text
        assert "Traceback" not in text and (complete or "error" not in text), text
        if again and "resumed at step" in text:
            line = next(x for x in text.splitlines() if x.startswith("resumed"))
            resumed.append((parts, int(line.split()[-1].replace(",", ""))))
        if directory is None:
            begun = [path.parent for path in folder.glob("*/*/*/config.yaml")]
            directory = begun[0] if begun else None
        if process.returncode == 0 or complete:
            assert_equal_runs(whole, directory)
            directory, parts = None, parts + 1
        else:
            assert process.returncode == -signal.SIGKILL, text
    # Not one kill lost anything that was saved.
    assert resumed == sorted(resumed) and len(set(resumed)) > times // 5
