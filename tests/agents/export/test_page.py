"""What docs/export.md says, with a run that was trained."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import agents
from agents.export.__main__ import main
from tests.agents.running import tiny

PAGE = Path(__file__).resolve().parents[3] / "docs" / "export.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of two seeds with a memory."""
    words = ["memory=gru", "num_seeds=2", "agent.normalize_observation=true"]
    folder = tmp_path_factory.mktemp("runs")
    return tiny.start(*words, f"run_directory={folder}")[0].directory


def told(monkeypatch, capsys, *words):
    """What the command prints."""
    monkeypatch.setattr("sys.argv", ["export", *map(str, words)])
    main()
    return capsys.readouterr().out


def test_the_examples_run_and_act_as_the_agent(run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    for to in ("onnx", "jax"):
        words = (run, "--to", to, "--seed", "1", "--out", f"exported/{to}")
        said = told(monkeypatch, capsys, *words)
        assert said.startswith(f"exported/{to}: 100.0% of the actions of 200 steps")
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len([line for line in first.splitlines() if line.strip()]) <= 20
    alone = first + "\nimport sys; assert not {'jax', 'agents'} & set(sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", alone], capture_output=True, text=True, check=True
    ).stdout
    policy = agents.load(run, seed=1)
    space = policy.agent.env.observation_space
    expected = [
        int(policy(np.ones(space.shape, space.dtype), time == 0)) for time in range(5)
    ]
    assert output == "".join(f"{t} [{action}]\n" for t, action in enumerate(expected))
    namespace: dict = {}
    exec(first + second, namespace)
    assert namespace["action"].tolist() == expected[:1]
    np.testing.assert_allclose(namespace["state"][0], _state_after_one(run), atol=1e-6)


def _state_after_one(run):
    policy = agents.load(run, seed=1)
    space = policy.agent.env.observation_space
    policy(np.ones(space.shape, space.dtype), True)
    return policy.memory_state["actor"]


def test_where_a_policy_is_from_is_told(run, monkeypatch, capsys):
    assert "exported/jax_seed_1: " in told(
        monkeypatch, capsys, run, "--to", "jax", "--seed=1"
    )
    text = (run / "exported" / "jax_seed_1" / "policy.json").read_text()
    description = json.loads(text)
    expected = {"task": "tmaze", "memory": "gru", "agent": "ppo", "seed": 1}
    assert {name: description[name] for name in expected} == expected
    assert description["state"] == {"next_state/actor": "state/actor"}
    assert {"jax", "numpy", "flatbuffers"} <= description["versions"].keys()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "onnx"], "holds the seeds 0 to 1; name one of them"),
        (["--to", "onnx", "--seed=7"], "holds the seeds 0 to 1, not 7."),
        (["--to", "onnx", "--streams=many"], "--streams='many' must be a whole number"),
        (["--to", "tflite"], "--to='tflite' must be jax or onnx."),
        ([], "required: --to"),
    ],
)
def test_mistakes_are_told(run, words, sentence, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        told(monkeypatch, capsys, run, *words)
    assert sentence in capsys.readouterr().err
