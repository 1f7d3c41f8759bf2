"""What is wrong in a class of the user's own is told in a sentence, with its place."""

import importlib
import json
import re

import jax
import jax.numpy as jnp
import pytest

import agents
import envs
import memory_models
import train
from agents.registry import lookup
from agents.running.configuration.config import CONFIG_DIRECTORY, build, build_env
from agents.running.files.resume import resumed_config
from agents.running.overrides import compose_config

HEAD = """
import dataclasses
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
import envs
from tests.agents.running.own_classes import Colour, Leaky
frozen = dataclasses.dataclass(frozen=True)

def helper(key):
    return {}["colour"]

"""


def task(method, arguments, *body):
    """A class of one's own with that method, which begins at line 15."""
    lines = "\n".join(f"        {line}" for line in body)
    return (
        f"{HEAD}@frozen\nclass Mine(Colour):\n    def {method}({arguments}):\n{lines}"
    )


def memory(method, arguments, *body):
    lines = "\n".join(f"        {line}" for line in body)
    return f"{HEAD}\nclass Mine(Leaky):\n    def {method}({arguments}):\n{lines}"


STEP = ("step", "self, key, state, action")
CALL = ("__call__", "self, state, inputs, starts")
SUPER = "found = Colour.step(self, key, state, action)"
READ = "state, outputs = Leaky.__call__(self, state, inputs, starts)"

TOLD = {
    "reset": (
        task("reset", "self, key", "return helper(key)"),
        r"Mine.reset raised KeyError: 'colour'",
        ["line 17, in reset", "return helper(key)", "line 12, in helper"],
    ),
    "step": (
        task(*STEP, "return jnp.zeros(3) @ jnp.zeros(4)"),
        r"Mine.step raised TypeError: .*\(3,\) and \(4,\)",
        ["line 17, in step", "return jnp.zeros(3) @ jnp.zeros(4)"],
    ),
    "__post_init__": (
        task("__post_init__", "self", 'raise ValueError("delay must be odd")'),
        "Mine.__post_init__ raised ValueError: delay must be odd",
        ["line 17, in __post_init__"],
    ),
    "a tuple of five": (
        task(*STEP, SUPER, "return found[:5]"),
        "Mine returns tuple of length 5 from step, not 6 values.",
        ["line 16, in step", "def step(self, key, state, action):"],
    ),
    "wrong order": (
        task(*STEP, SUPER, "return found[1], found[0], *found[2:]"),
        "Mine returns the state before the observation from step.",
        ["line 16, in step"],
    ),
    "wrong shape": (
        task(*STEP, SUPER, "return found[0][None], *found[1:]"),
        r"Mine returns from step: observation is int32\[1\], not .*Discrete\(4\) says",
        ["line 16, in step"],
    ),
    "if in a task": (
        task(*STEP, "if state['time'] > 1:", "    pass", SUPER, "return found"),
        r"Mine.step asks a Python `if`.*use jax.numpy.where or jax.lax.cond",
        ["line 17, in step", "if state['time'] > 1:"],
    ),
    "int in a task": (
        task(*STEP, "range(int(state['time']))"),
        r"Mine.step needs the value of an array.*int\(",
        ["line 17, in step"],
    ),
    "nan": (
        task("reset", "self, key", "x = jnp.full((), jnp.nan)", "return x, x")
        + """
    def step(self, key, state, action):
        x = jnp.full((), jnp.nan)
        false = jnp.zeros((), bool)
        return x, x, jnp.zeros(()), false, false, {}
    observation_space = property(lambda self: spaces.Box(0.0, 1.0, (), np.float32))
""",
        "Mine returned from reset an observation with nan in it.",
        ["line 16, in reset"],
    ),
    "outside the space": (
        task("observation_space", "self", "return spaces.Discrete(3)").replace(
            "    def observation", "    @property\n    def observation"
        ),
        r"Mine returned from reset an observation outside Discrete\(3\): its numbers "
        "were 1 to 3.",
        ['own_classes.py", line 19, in reset'],
    ),
    "an array in a field": (
        HEAD + "@frozen\nclass Mine(Colour):\n"
        "    sizes: object = dataclasses.field(default_factory=lambda: jnp.zeros(3))",
        r"Mine holds an array, float32\[3\], in its field 'sizes'",
        ["line 15, in Mine"],
    ),
    "card": (
        task(
            "card",
            "self",
            "return dataclasses.replace(Colour().card, recall=envs.exact(0.1))",
        ).replace("    def card", "    @property\n    def card"),
        r"Mine has memoryless 0.3\d* above recall 0.1 on its card.",
        ["line 17, in card"],
    ),
    "__init__": (
        memory("__init__", "self, input_size, output_size, *, key", "1 / 0"),
        "Mine.__init__ raised ZeroDivisionError: division by zero",
        ["line 17, in __init__"],
    ),
    "initial_state": (
        memory("initial_state", "self", "return helper(0)"),
        "Mine.initial_state raised KeyError: 'colour'",
        ["line 17, in initial_state", "line 12, in helper"],
    ),
    "__call__": (
        memory(
            *CALL,
            "def body(state, x):",
            "    return state + x[:3], state",
            "return jax.lax.scan(body, state, inputs)",
        ),
        "Mine.__call__ raised .*Error: .*shape",
        ["line 19, in __call__", "line 18, in body"],
    ),
    "memory step": (
        memory("step", "self, state, input, start", "return helper(0)"),
        "Mine.step raised KeyError: 'colour'",
        ["line 17, in step", "line 12, in helper"],
    ),
    "outputs without time": (
        memory(*CALL, READ, "return state, outputs[-1]"),
        r"Mine: 1 inputs give outputs of shape \(128,\), not \(1, output_size\).",
        ["line 16, in __call__"],
    ),
    "a Python number in the state": (
        memory("initial_state", "self", "return (Leaky.initial_state(self), 0)"),
        r"Mine.initial_state\(\)\[1\] holds 0, a Python int, where arrays are wanted.",
        ["line 16, in initial_state"],
    ),
    "if in a memory": (
        memory(*CALL, "if starts[0]:", "    pass", READ, "return state, outputs"),
        r"Mine.__call__ asks a Python `if`.*use jax.numpy.where or jax.lax.cond",
        ["line 17, in __call__", "if starts[0]:"],
    ),
    "never resets": (
        memory(*CALL, "starts = starts & False", READ, "return state, outputs"),
        "Mine.__call__ never resets: a start changes nothing.",
        ["line 16, in __call__"],
    ),
    "import": (
        "import no_such_module",
        r"target='.*:Mine' cannot be imported: ModuleNotFoundError: No module named",
        ["line 1, in <module>", "import no_such_module"],
    ),
    "syntax": (
        "x = 1\ndef f(:\n",
        r"target='.*:Mine' cannot be imported: SyntaxError: invalid syntax",
        ["line 2", "def f(:"],
    ),
}
LATER = ("a tuple of five", "wrong order", "outputs without time")
"""Those of which nothing is left in the traceback, when they were not checked."""

ROOT = CONFIG_DIRECTORY.parent
OURS = (*(f"{ROOT}/{name}/" for name in ("agents", "envs", "memory_models")), "/jax/")


def configured(tmp_path, monkeypatch, name, *words):
    source = TOLD[name][0] if name in TOLD else name
    module = "own_" + re.sub(r"\W", "_", str(tmp_path.name))
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    group = "memory" if "(Leaky)" in source else "env"
    small = ["agent.num_envs=4", "agent.num_minibatches=1", "total_steps=512"]
    chosen = [f"{group}=custom", f"{group}.target={module}:Mine"]
    words = [*chosen, *small, "device=cpu", f"run_directory={tmp_path}/runs", *words]
    return compose_config(words)


@pytest.fixture(autouse=True)
def no_job_before(monkeypatch):
    """What `train` keeps of the jobs of a process is kept for each test alone."""
    monkeypatch.setattr(train, "ended", [])
    monkeypatch.setattr(train, "statuses", [])


@pytest.mark.parametrize("name", TOLD)
def test_mistake(name, tmp_path, monkeypatch, capsys):
    config = configured(tmp_path, monkeypatch, name)
    train.start(config)
    told = capsys.readouterr().err
    assert train.statuses == [2]
    first, *place = told.splitlines()
    assert re.match(f"error: .*{TOLD[name][1]}", first), told
    for text in TOLD[name][2]:
        assert any(text in line for line in place), told
    files = [line for line in place if line.startswith("  File ")]
    assert len(files) == sum("line " in text for text in TOLD[name][2])
    assert not any(text in line for line in files for text in OURS), told


@pytest.mark.parametrize("name", LATER)
def test_without_the_check_the_cause_is_found_afterwards(
    name, tmp_path, monkeypatch, capsys
):
    config = configured(tmp_path, monkeypatch, name, "check=false")
    train.start(config)
    assert train.statuses == [2]
    assert re.match(f"error: .*{TOLD[name][1]}", capsys.readouterr().err)


def test_our_own_errors_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(train, "run", lookup)  # of a dictionary
    with pytest.raises(TypeError):
        train.start(compose_config([]))


def test_a_sound_class_is_checked_once(tmp_path, monkeypatch):
    asked = []

    def spy(*arguments, **settings):
        asked.append(settings)

    monkeypatch.setattr(envs, "check_env", spy)
    monkeypatch.setattr(memory_models, "check_memory", spy)
    for kind in ("@frozen\nclass Mine(Colour): ...", "class Mine(Leaky): ..."):
        folder = tmp_path / str(len(asked))
        folder.mkdir()
        config = configured(folder, monkeypatch, HEAD + kind)
        build({**config, "check": False})
        count = len(asked)
        build(config)
        build({**config, "seed": 1})
        assert len(asked) == count + 1 and asked[-1]["fast"]
    assert asked[-1]["input_size"] == 65  # 64 features of the observation, and starts


def test_the_classes_of_the_repository_are_not_checked(monkeypatch):
    monkeypatch.setattr(envs, "check_env", None)
    monkeypatch.setattr(memory_models, "check_memory", None)
    build(compose_config([]))


def test_resume_may_leave_the_check_out(tmp_path):
    saved = (CONFIG_DIRECTORY / "config.yaml").read_text()
    assert "check: true" in saved
    old = compose_config([])
    del old["check"]  # a setting younger than the run
    (tmp_path / "config.yaml").write_text(json.dumps(old))
    found = resumed_config(str(tmp_path), ["check=false"], compose_config)
    assert found["check"] is False
    assert resumed_config(str(tmp_path), [], compose_config)["check"] is True


def test_a_class_that_has_trained_is_loaded_unchecked(monkeypatch):
    def asked(config):
        raise LookupError(f"check={config['check']}")

    module = importlib.import_module("agents.load")
    config = {"check": True, "agent": {"name": "ppo"}}
    monkeypatch.setattr(module, "resumed_config", lambda *words: config)
    monkeypatch.setattr(module, "build", asked)
    with pytest.raises(LookupError, match="check=False"):
        module.load_plan("a run")


def test_in_python_the_original_error_stays(tmp_path, monkeypatch):
    """With its file and line: nothing is caught there."""
    config = configured(tmp_path, monkeypatch, "step")
    env = build_env(config["env"])
    batch = envs.VectorEnv(env, 2)
    memory = memory_models.builder("none", output_size=8)
    agent = agents.make("ppo", env=env, memory=memory)
    for fails in (
        lambda: jax.eval_shape(
            lambda key: batch.step(key, batch.reset(key)[1], jnp.zeros(2, int)),
            jax.random.key(0),
        ),
        lambda: jax.eval_shape(
            lambda key: agent.update(agent.init(key)), jax.random.key(0)
        ),
    ):
        with pytest.raises(TypeError, match="contracting dimensions") as caught:
            fails()
        last = caught.traceback
        assert any(str(entry.path).startswith(str(tmp_path)) for entry in last)
    with pytest.raises(agents.ConfigError) as caught:
        folder = tmp_path / "again"
        folder.mkdir()
        build(configured(folder, monkeypatch, "__post_init__"))
    assert isinstance(caught.value.__cause__, ValueError)
