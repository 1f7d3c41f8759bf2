"""Torch and Stable-Baselines3 are an extra: imported late, and missed in a sentence."""

import subprocess
import sys

import pytest

import agents.sb3


def test_nothing_imports_the_extra_before_it_is_used():
    code = (
        "import sys, agents, agents.sb3, agents.run, analysis, memory_models, envs;"
        "agents.names(); agents.sb3.__all__;"
        "sys.exit(str({'torch', 'stable_baselines3', 'sb3_contrib'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stderr.strip() == "set()"


@pytest.mark.parametrize("package", ["torch", "stable_baselines3", "sb3_contrib"])
def test_a_missing_extra_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"needs {package}.*engram-rl\[sb3\]"
    ):
        _ = agents.sb3.MemoryRecurrentPPO


def test_every_name_is_there():
    for name in agents.sb3.__all__:
        assert getattr(agents.sb3, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'PPO'"):
        _ = agents.sb3.PPO
