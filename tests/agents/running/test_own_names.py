"""What a user wrote is called by its name, and works like what is ours."""

import io
import sys

import equinox as eqx
import gymnasium
import jax
import pytest
import yaml
from rich.console import Console

import agents
import envs
from agents import registry as agents_registry
from agents.convert import ConfigError
from agents.running.configuration import choices, plugins
from agents.running.configuration.config import build
from agents.running.files.records import flat
from agents.running.files.resume import resumed_config
from agents.running.output.tensorboard import FIRST
from agents.running.overrides import check, compose_config
from envs import registry as envs_registry
from memory_models import registry as memory_registry
from memory_models.matching import state_floats
from memory_models.stack import Stack
from tests.agents.running.own import OwnAgent, OwnMemory, OwnTask

OWN = OwnTask.__module__
CUSTOM = (
    *("env=custom", f"env.target={OWN}:OwnTask", "env.args.steps=5"),
    *("memory=custom", f"memory.target={OWN}:OwnMemory", "memory.output_size=8"),
    *("agent=custom", f"agent.target={OWN}:OwnAgent", "agent.args.num_envs=2"),
)


@pytest.fixture
def own_registry(monkeypatch):
    """Registries that forget what a test adds."""
    for registry in (envs_registry, memory_registry, agents_registry):
        monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    stored = {group: dict(names) for group, names in choices._stored.items()}
    monkeypatch.setattr(choices, "_stored", stored)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    gymnasium.registry.pop("engram/OwnTask-v0", None)


def test_runs_are_called_after_the_classes(tmp_path):
    text = io.StringIO()
    words = [f"run_directory={tmp_path}", "total_steps=16", "evaluation.episodes=4"]
    result = agents.run(
        compose_config([*CUSTOM, *words]), Console(file=text, width=200)
    )
    model = "own_memory-own_agent+agent.args.num_envs=2+memory.output_size=8"
    folder = tmp_path / "own_task+env.args.steps=5" / f"{model}+total_steps=16"
    assert result.directory.parent == folder
    assert "task    own_task (" in text.getvalue()
    assert "memory  own_memory: not used by this agent" in text.getvalue()
    assert "agent   own_agent: 2 environments" in text.getvalue()
    saved = yaml.safe_load((result.directory / "config.yaml").read_text())
    names = ("OwnTask", "own_memory", "own_agent")
    assert tuple(flat(saved)[key] for key in FIRST[:3]) == names
    again = build(resumed_config(str(result.directory), CUSTOM[::3], compose_config))
    assert (again.env_name, again.memory_name) == ("own_task", "own_memory")
    assert isinstance(agents.load(result.directory).agent, OwnAgent)


def test_names_may_be_chosen():
    words = ["env.id=Maze9", "memory.name=mine", "agent.name=slow"]
    plan = build(compose_config([*CUSTOM, *words]))
    names = (plan.env_name, plan.memory_name, plan.agent_name)
    assert names == ("maze9", "mine", "slow")


def test_an_own_agent_gets_its_settings():
    plan = build(compose_config([*CUSTOM, "agent.args.steps=6"]))
    assert isinstance(plan.agent, OwnAgent) and isinstance(plan.env, OwnTask)
    assert plan.agent.steps_per_update == 12 and plan.env.steps == 5


def memory_of(*words):
    agent = build(compose_config([*CUSTOM[3:6], *words])).agent
    return eqx.filter_eval_shape(agent.build_network, jax.random.key(0)).actor.memory


def test_every_memory_has_the_common_options():
    stack = memory_of("memory.num_layers=2", "memory.glu=true")
    assert isinstance(stack, Stack) and len(stack.layers) == 2
    assert isinstance(stack.layers[0], OwnMemory) and None not in stack.feed_forward
    assert isinstance(memory_of(), OwnMemory)
    assert state_floats(memory_of("memory.match=state")) == 256
    with pytest.raises(ConfigError, match=r"memory\.num_layers and memory\.args\.num"):
        memory_of("memory.num_layers=2", "memory.args.num_layers=3")


def test_a_plugin_adds_choices(own_registry, tmp_path, monkeypatch):
    """From the current folder, which is not on the path."""
    (tmp_path / "own_plugin.py").write_text(f"import {OWN} as own\nown.register()\n")
    monkeypatch.chdir(tmp_path)
    words = ["env=own_task", "memory=own_memory", "agent=own_agent"]
    with pytest.raises(ConfigError, match="there is no env 'own_task'"):
        check(words)
    (config,) = check([*words, "plugins=[own_plugin]", "env.steps=7"])
    plan = build(config)
    assert plan.env == OwnTask(steps=7) and isinstance(plan.agent, OwnAgent)
    assert plan.config["memory"]["timescale"] == 128
    assert plan.config["plugins"] == ("own_plugin",)  # for resume, load and films
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    composed = []

    def compose(words):
        composed.extend(words)
        return compose_config(words)

    assert build(resumed_config(str(tmp_path), [], compose)).env_name == "own_task"
    assert "plugins=[own_plugin]" in composed  # or it is no choice in a new process


def test_an_installed_package_adds_choices(own_registry, tmp_path, monkeypatch):
    (tmp_path / "own_installed.py").write_text(f"import {OWN} as own\nown.register()\n")
    info = tmp_path / "own_installed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: own-installed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[engram]\nown = own_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins._load_entry_points.cache_clear()
    assert check(["env=own_task"])[0]["env"]["id"] == "OwnTask-v0"
    (info / "entry_points.txt").write_text("[engram]\nown = not_there\n")
    plugins._load_entry_points.cache_clear()
    with pytest.raises(ConfigError, match="entry point 'own' of own-installed cannot"):
        check([])
    (info / "entry_points.txt").unlink()
    plugins._load_entry_points.cache_clear()


def test_gymnax_tasks_are_called_by_their_name():
    module = "tests.envs.gymnax_stub:TellsTruncation"
    plan = build(check(["env=gymnax", f"env.args.name={module}"])[0])
    assert plan.env_name == "tells_truncation"
    assert plan.config["env"]["id"] == "TellsTruncation"
    assert isinstance(plan.env, envs.Gymnax)
