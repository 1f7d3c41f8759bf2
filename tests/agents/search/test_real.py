"""Searches that train: a run that is ended early, one trial, a kill, two processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import agents
from agents.running.overrides import compose_config
from agents.search.__main__ import main
from tests.agents.running.tiny import WORDS, programs_kept, resume

TRIED = [
    *(word for word in WORDS if not word.startswith("evaluation.interval")),
    *("evaluation.interval=64", "num_seeds=2", "device=cpu"),
    "agent.learning_rate=log(1e-4,1e-2)",
]


@pytest.fixture(scope="module", autouse=True)
def programs(tmp_path_factory):
    with programs_kept(tmp_path_factory.mktemp("programs")):
        yield


class Watcher:
    """Ends a run at a step."""

    def __init__(self, last):
        self.last, self.folder, self.steps = last, None, []

    def began(self, directory):
        assert (directory / "config.yaml").is_file() and not self.steps
        self.folder = directory

    def evaluated(self, step, scores):
        assert [score.episodes for score in scores] == [200]
        self.steps.append(step)
        return step < self.last


def test_who_watches_a_run_may_end_it_and_it_can_go_on(tmp_path):
    watcher = Watcher(last=128)
    words = [*WORDS, "evaluation.interval=64", f"run_directory={tmp_path}"]
    result = agents.run(compose_config(words), watcher=watcher)
    assert watcher.steps == [0, 64, 128] and watcher.folder == result.directory
    assert result.ended == "stopped early" and result.evaluated_at == 128
    assert result.verdict == "no verdict (stopped after 128 steps)"
    record = json.loads((result.directory / "result.json").read_text())
    assert record["ended"] == "stopped early"
    whole, _ = resume(result.directory)
    assert whole.ended == "complete" and whole.seed_steps == [256]


def test_a_search_trains(tmp_path, capsys):
    words = [*TRIED, f"run_directory={tmp_path}", "trials=1", "study=mine"]
    assert main(words) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("python train.py env.length=3 ")
    (row,) = rows(tmp_path)
    folder = Path(row["run"])
    assert json.loads((folder / "trial.json").read_text())["study"] == "mine"
    record = json.loads((folder / "result.json").read_text())
    mean = sum(seed["return"] for seed in record["seeds"]) / 2
    assert float(row["return"]) == pytest.approx(mean, abs=1e-3)
    assert list((folder / "seed_0").glob("*tfevents*"))


def started(folder, *words):
    """A search in a process of its own."""
    command = [sys.executable, "-m", "agents.search", *TRIED, *words]
    return subprocess.Popen(
        [*command, f"run_directory={folder}", "study=mine"],
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process):
    """What a search printed, once it has ended; one that hangs is killed."""
    try:
        return process.communicate(timeout=300)[0]
    finally:
        process.kill()
        process.communicate()


def rows(folder):
    text = (folder / "search" / "mine" / "trials.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.slow
def test_what_kill_left_goes_on_and_nothing_is_repeated(tmp_path):
    words = ("trials=3", "total_steps=2e4", "checkpoint.interval=1e3")
    words += ("evaluation.interval=5e3",)
    first = started(tmp_path, *words)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("tmaze*/*/*/checkpoints/*")):
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (left,) = [path.parent for path in tmp_path.glob("tmaze*/*/*/config.yaml")]
    again = started(tmp_path, *words)
    told = ended(again)
    assert again.returncode == 0, told
    assert "trial   0  goes on" in told
    found = rows(tmp_path)
    assert sorted(row["trial"] for row in found) == ["0", "1", "2"]
    assert left in {Path(row["run"]) for row in found}
    assert len(list(tmp_path.glob("tmaze*/*/*/config.yaml"))) == 3


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path):
    both = [started(tmp_path, "trials=4") for _ in range(2)]
    told = [ended(one) for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    numbers = [
        {
            line.split()[1]
            for line in text.splitlines()
            if line.startswith("trial ") and "  complete  " in line
        }
        for text in told
    ]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == {"0", "1", "2", "3"}
    rates = {row["agent.learning_rate"] for row in rows(tmp_path)}
    assert len(rates) == 4


@pytest.mark.slow
def test_a_signal_saves_and_tells(tmp_path):
    search = started(tmp_path, "trials=2", "total_steps=1e6")
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("tmaze*/*/*/seed_0/*tfevents*")):
        assert time.monotonic() < deadline and search.poll() is None
        time.sleep(0.1)
    search.send_signal(signal.SIGTERM)
    told = ended(search)
    assert search.returncode == 128 + signal.SIGTERM
    assert "1 running" in told and "the same command goes on" in told
    assert list(tmp_path.glob("tmaze*/*/*/checkpoints/*"))
