"""Every wrong input in wrong_inputs.toml is answered in one sentence.

In this process, where that is the same code, a spread of them by default and the others
slow; and, slow, each command line as a process of its own.
"""

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agents import video
from agents.convert import ConfigError
from agents.devices import choose_devices
from agents.running.configuration.config import build
from agents.running.output.sizes import check_sizes
from agents.running.overrides import check

ROOT = Path(__file__).resolve().parents[3]
WRONG = tomllib.loads((Path(__file__).parent / "wrong_inputs.toml").read_text())
EVERY = 10
"""Of how many lines one is tried by default, beside those that come first."""
FIRST = {"train": 48, "video": 8, "python": 12}
"""Lines that each stand for a mend of their own, and are always tried."""


def by_default(section):
    return [
        line
        for number, line in enumerate(WRONG[section])
        if number < FIRST[section] or number % EVERY == 0
    ]


def spread(section):
    """All lines of a section, most of them slow."""
    quick = by_default(section)
    return [
        pytest.param(line, marks=() if line in quick else pytest.mark.slow)
        for line in WRONG[section]
    ]


def assert_one_sentence(message, words):
    assert words in message
    assert "\n" not in message and message.endswith((".", "?"))


def test_there_are_many():
    assert sum(map(len, WRONG.values())) >= 230


@pytest.mark.parametrize("line", spread("train"))
def test_train(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        for config in check(shlex.split(line)):
            plan = build(config)
            check_sizes(plan, choose_devices(plan.config["num_devices"], plan.agent))
    assert_one_sentence(str(caught.value), WRONG["train"][line])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", spread("video"))
def test_video(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["video", *shlex.split(line)])
    with pytest.raises(SystemExit) as caught:
        video.main()
    told = capsys.readouterr().err
    assert caught.value.code == 2 and told.startswith("error: ")
    assert_one_sentence(told.rstrip("\n"), WRONG["video"][line])


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_python(whole):
    """In a process of its own: here every annotation is checked before our code is."""
    expressions = list(WRONG["python"]) if whole else by_default("python")
    answered = run([Path(__file__).parent / "wrong_python.py"], json.dumps(expressions))
    assert answered.returncode == 0, answered.stderr
    for expression, answer in zip(
        expressions, json.loads(answered.stdout), strict=True
    ):
        assert answer is not None, expression
        kind, message = answer
        assert kind not in ("TypeError", "AttributeError", "AssertionError"), answer
        assert_one_sentence(message, WRONG["python"][expression])


def run(program, given):
    """A process of its own, that finds the packages of this checkout."""
    return subprocess.run(
        [sys.executable, *program],
        input=given,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("section", ["train", "process", "video"])
def test_as_processes(section):
    program = "agents.video" if section == "video" else str(ROOT / "train.py")
    commands = [[program, shlex.split(line)] for line in WRONG[section]]
    answered = run([Path(__file__).parent / "wrong_commands.py"], json.dumps(commands))
    assert answered.returncode == 0, answered.stderr
    answers = json.loads(answered.stdout)
    for (line, words), answer in zip(WRONG[section].items(), answers, strict=True):
        status, told, left = answer
        assert status == 2 and told.startswith("error: "), (line, told)
        assert_one_sentence(told.rstrip("\n"), words)
        assert left == []  # no run, and nothing of Hydra's
