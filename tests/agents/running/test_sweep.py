"""A sweep closes with a table, whatever became of its jobs; Ctrl-C is one sentence."""

import os
import signal
import subprocess
import sys
import types

import pytest
from rich.console import Console

import train
from agents import RunError, Stopped
from agents.evaluate import Score
from agents.running.output.report import Ended, tell_sweep
from agents.running.overrides import compose_config
from tests.agents.running import tiny

SCORE = Score(0.75, 0.5, 1.0, 200, 4.0, 0.5, 0)


@pytest.fixture
def sweep(monkeypatch, capsys):
    """Run a sweep over four seeds whose jobs end as they are told."""

    def run(*endings):
        def ended(config):
            ending = endings[config["seed"]]
            if isinstance(ending, BaseException):
                raise ending
            return types.SimpleNamespace(together=SCORE, verdict=ending)

        monkeypatch.setattr(train, "run", ended)
        monkeypatch.setattr(train, "compare_sweep", lambda *_: None)
        monkeypatch.setattr(train, "ended", [])
        monkeypatch.setattr(train, "statuses", [])
        words = ["env.length=3", "memory=none", "seed=0,1,2,3"]
        monkeypatch.setattr(sys, "argv", ["train.py", "-m", *words])
        try:
            train.main()
            status = 0
        except SystemExit as exit:
            status = exit.code
        printed = capsys.readouterr()
        rows = [line.split() for line in printed.out.splitlines() if "tmaze" in line]
        assert all(row[:3] == ["tmaze", "none", "ppo"] for row in rows)
        return status, [" ".join(row[3:]) for row in rows], printed.err

    return run


def test_all_jobs_end(sweep):
    status, rows, _ = sweep(*["memory used"] * 4)
    settings = "env.length=3"
    assert status == 0
    assert rows[0] == f"{settings} 0.75 0.50 to 1.00 50% memory used"
    assert rows[3] == f"seed=3 {settings} 0.75 0.50 to 1.00 50% memory used"


def test_a_job_fails_and_the_others_go_on(sweep):
    status, rows, told = sweep("a", RunError("the disk is full."), "c", "d")
    assert status == 1 and told == "error: the disk is full.\n"
    assert rows[1].endswith("env.length=3 failed: the disk is full.")
    assert [row[-1] for row in (rows[0], rows[2], rows[3])] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("ending", "expected", "told"),
    [
        (Stopped(signal.SIGTERM), 143, "stopped by SIGTERM"),
        (KeyboardInterrupt(), 130, "stopped by SIGINT"),
    ],
)
def test_a_signal_ends_the_sweep(sweep, ending, expected, told):
    status, rows, printed = sweep("a", ending, "c", "d")
    assert status == expected and "Traceback" not in printed
    assert rows[1].endswith(told)
    assert [row.split()[-2:] for row in rows[2:]] == [["not", "run"]] * 2


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run train.py's command line here, on the smallest run there is."""

    def run(*words):
        monkeypatch.setattr(train, "ended", [])
        monkeypatch.setattr(train, "statuses", [])
        words = [*tiny.WORDS, *words, f"run_directory={tmp_path}"]
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        train.main()
        return capsys.readouterr().out

    return run


def test_a_sweep_ends_with_its_comparison(command, tmp_path):
    text = command("-m", "seed=0,1")
    page = tmp_path / "comparison" / "comparison.html"
    assert f"compare {page}" in text and page.is_file()
    table = (tmp_path / "comparison" / "comparison.md").read_text()
    assert "| none-ppo | 2 |" in table
    assert not list(tmp_path.glob("*/*/*/mean"))


def test_several_seeds_end_with_their_mean(command, tmp_path):
    text = command("num_seeds=2")
    (mean,) = tmp_path.glob("*/*/*/mean")
    assert len(list(mean.glob("*tfevents*"))) == 1
    assert "together" in text and not (tmp_path / "comparison").exists()


@pytest.mark.slow
def test_ctrl_c_while_compiling_in_a_process(tmp_path):
    command = [sys.executable, "-u", "train.py", *tiny.WORDS]
    process = subprocess.Popen(
        [*command, f"run_directory={tmp_path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": ".", "JAX_PLATFORMS": "cpu"},
    )
    lines = []
    with process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("run "):  # compiling comes next
                process.send_signal(signal.SIGINT)
    text = "".join(lines)
    assert process.returncode == 130 and "Traceback" not in text, text
    assert "stopped at step 0; go on with resume=" in text or (
        "stopped by Ctrl-C; a run keeps what its checkpoints hold.\n" in text
    )


def test_a_class_of_ones_own_that_was_not_run_is_told(capsys):
    """It has no other name before it is built."""
    words = ["env=custom", "env.target=tests.agents.toy:Toy", "memory=custom"]
    config = compose_config([*words, "memory.target=a:B"])
    tell_sweep([Ended(config, None)], [config], Console(markup=False))
    row = capsys.readouterr().out.splitlines()[-2].split()
    assert row[:3] == ["tests.agents.toy:Toy", "a:B", "ppo"]
    assert row[-2:] == ["not", "run"]
