"""Completion by the shell: what is offered, when JAX is imported, mistakes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import completion

TRAIN = Path(__file__).parents[2] / "train.py"


def offered(line, *flags):
    """What completes a line, and what Python says it imports."""
    ran = subprocess.run(
        [sys.executable, *flags, TRAIN, "-sc", "query=bash"],
        env={**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split(), ran.stderr


def test_settings_are_completed_without_jax():
    words, imports = offered("python train.py agent.learn", "-X", "importtime")
    assert words == ["agent.learning_rate="]
    modules = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert "hydra" in modules and not {"jax", "envs", "agents"} & modules


def test_choices_with_a_file_are_completed_without_jax():
    words, _ = offered("python train.py memory=g")
    names = ("gated_delta_net", "griffin", "gru", "gtrxl")
    assert words == [f"memory={name}" for name in names]


def test_tasks_without_a_file_have_settings():
    words, _ = offered("python train.py env=memory_length30 env.l")
    assert words == ["env.length="]


@pytest.mark.parametrize(
    "line, needed",
    [
        ("python train.py ", False),
        ("python train.py env", False),
        ("python train.py env=", True),
        ("python train.py env=tm", True),
        ("python train.py env=tmaze ", False),
        ("python train.py env=tmaze agent.le", False),
        ("python train.py env=memory_length30 agent.le", True),
        ("python train.py memory=g", False),
        ("python train.py plugins=[mine] memory=g", True),
        ("python train.py memory=mine agent.le", True),
    ],
)
def test_what_has_to_be_registered_first(line, needed, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    assert completion.needs_registered(line) is needed


def test_an_installed_plugin_has_to_be_registered_first(monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ("one",))
    assert completion.needs_registered("python train.py memory=g")


def test_other_command_lines_are_none_of_its_business():
    assert not completion.complete([])
    assert not completion.complete(["memory=gru"])


@pytest.mark.parametrize(
    "words, told",
    [
        (["-sc"], "--shell-completion alone installs nothing"),
        (["--shell-completion", "install=bsh"], "Did you mean 'install=bash'?"),
        (["--shell-completion=instal=zsh"], "Did you mean 'install=zsh'?"),
    ],
)
def test_mistakes_are_one_sentence(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        completion.complete(words)
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and told in printed and printed.count("\n") == 1


def test_bash_offers_what_the_page_says():
    """The command of docs/runs.md, and what pressing tab then does."""
    script = f"""
    cd {TRAIN.parent}
    PATH="{Path(sys.executable).parent}:$PATH"
    eval "$(python train.py --shell-completion install=bash)"
    COMP_LINE="python train.py memory=lst" COMP_CWORD=2
    hydra_bash_completion
    echo "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["memory=lstm"]
