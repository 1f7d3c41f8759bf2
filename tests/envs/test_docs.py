"""The example of docs/adding_an_environment.md is run as it stands."""

import pathlib
import re

import gymnasium

import envs
from envs import registry

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "adding_an_environment.md"


def test_the_example_runs(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3 and "envs.check_env(" in blocks[1]
    try:
        exec(compile("\n".join(blocks), str(PAGE), "exec"), {"__name__": "example"})
    finally:
        gymnasium.registry.pop("engram/NameTheColour-v0", None)
    assert "NameTheColour-v0" in envs.names()
