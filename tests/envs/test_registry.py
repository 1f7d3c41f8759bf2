"""Ids, parameters, configuration files and the guard against namesakes."""

import dataclasses
import pathlib
import re
import sys

import gymnasium
import pytest
import yaml

import envs
from envs import registry
from envs._siblings import check_siblings
from envs.mazes.tmaze import TMaze

SETTINGS = {id for id in envs.names() if re.search(r"(\d|Pixels)-v", id)}
SETTINGS |= set(envs.robot.TASKS)
"""Ids that are settings of a task, or the same seen otherwise: they have no file."""
"""Settings of one task that differ in a number, and tasks as pictures: no files."""
CONFIGS = pathlib.Path(__file__).parents[2] / "configs" / "env"


def test_make_and_names():
    assert "TMaze-v0" in envs.names()
    assert envs.make("TMaze-v0", length=7) == TMaze(length=7)
    assert envs.make("TMazeActive-v0").active


def test_errors_name_the_nearest():
    with pytest.raises(KeyError, match="Did you mean 'TMaze-v0'"):
        envs.make("Tmaze-v0")
    with pytest.raises(ValueError, match="Did you mean 'length'"):
        envs.make("TMaze-v0", lenght=3)


@pytest.mark.parametrize(
    "id, target, defaults, message",
    [
        ("tmaze", TMaze, {}, "malformed"),
        ("TMaze-v0", TMaze, {"length": 3}, "taken"),
        ("Mine-v0", int, {}, "not a subclass"),
        ("Mine-v0", TMaze, {"size": 3}, "no parameter 'size'"),
    ],
)
def test_register_refuses(id, target, defaults, message):
    with pytest.raises(ValueError, match=message):
        envs.register(id, target, **defaults)


def test_register_adds_a_gymnasium_id(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(gymnasium.envs.registration, "registry", {})
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    envs.register("LongMaze-v3", TMaze, length=99)
    assert envs.make("LongMaze-v3").length == 99
    assert gymnasium.make("engram/LongMaze-v3").unwrapped.task.length == 99


def test_every_task_is_a_gymnasium_id():
    assert all(f"engram/{id}" in gymnasium.registry for id in envs.names())


@pytest.mark.parametrize("id", sorted(set(envs.names()) - SETTINGS))
def test_config_file_agrees_with_the_registry(id):
    path = CONFIGS / f"{envs.config_name(id)}.yaml"
    config = yaml.safe_load(path.read_text())
    env = envs.make(id)
    expected = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(env).items()
    }
    assert config == {"id": id, **expected}
    assert envs.make(**config) == env


def test_every_config_file_has_a_task_and_documents_its_keys():
    names = {envs.config_name(id) for id in set(envs.names()) - SETTINGS}
    outside = {"custom", "gymnax", "gymnasium"}
    assert {path.stem for path in CONFIGS.glob("*.yaml")} - outside == names
    for name in (*names, *outside):
        lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
        for above, line in zip(["", *lines], map(str.strip, lines), strict=False):
            assert line[0] == "#" or above.strip().startswith("# "), (name, line)


def test_config_names():
    assert envs.config_name("TMazeActive-v0") == "tmaze_active"
    assert envs.config_name("RepeatFirstEasy-v0") == "repeat_first_easy"
    assert envs.config_name("MemoryLength30-v0") == "memory_length30"


def test_namesakes_are_refused(tmp_path, monkeypatch):
    (tmp_path / "engram_namesake").mkdir()
    (tmp_path / "engram_namesake" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    check_siblings(str(tmp_path / "other" / "__init__.py"), ("engram_namesake",))
    with pytest.raises(ImportError, match=str(tmp_path / "engram_namesake")):
        check_siblings(envs.__file__, ("engram_namesake",))
    assert "engram_namesake" not in sys.modules  # looked for, not imported
    check_siblings(envs.__file__, ("engram_no_such_package",))
