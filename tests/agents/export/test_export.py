"""An exported policy plays as the agent does, in a process that knows nothing of it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.convert import ConfigError
from agents.evaluate.policy import Policy
from agents.export import checking, export_policy, export_run
from agents.export.formats import FORMATS
from agents.export.step import step_of
from tests.agents import test_value_agents
from tests.agents.algorithms.test_ratio_one import make_agent, redrawn
from tests.agents.toy import MaskedToy, Toy

AGENTS = {"ppo": make_agent, **test_value_agents.AGENTS}


def policy_of(memory="gru", agent="ppo", **settings):
    """A policy of redrawn parameters.

    Those of xlstm are as they are drawn: at a scale of 0.3 it doubles a rounding error
    from step to step, so that one program of XLA and the next differ by 1e-5.
    """
    if agent != "ppo":
        settings["replay_size"] = 600
    made = AGENTS[agent](memory=memory, **settings)
    if memory == "xlstm":
        params = jax.jit(made.init)(jax.random.key(0)).params
    else:
        params = redrawn(made)
    return Policy(made, params, exploration=0.0, key=jax.random.key(0))


def exported(policy, folder, to, **options):
    """What was written, having been compared: opened file, description, state."""
    checked = export_policy(policy, folder, to=to, **options)
    assert checked.steps == 200
    assert checked.same_actions == 1 and checked.state_error <= 1e-5
    told = json.loads((folder / "policy.json").read_text())
    assert told["checked"] == checked._asdict()
    names = [x["name"] for x in told["inputs"]]
    player = FORMATS[to].open(folder / told["file"], names)
    return player, told, dict(np.load(folder / "initial_state.npz"))


DEFAULT = {("gru", "jax"), ("gru", "onnx")}


@pytest.mark.parametrize(
    ("memory", "to"),
    [
        *sorted(DEFAULT),
        *(
            pytest.param(memory, to, marks=pytest.mark.slow)
            for memory in memory_models.names()
            for to in FORMATS
            if (memory, to) not in DEFAULT
        ),
    ],
)
def test_every_memory(tmp_path, memory, to):
    exported(policy_of(memory), tmp_path, to)


SEEN = {"previous_action": True, "previous_reward": True}
DICT = ["observation/place", "observation/vector"]
TUPLE = ["observation/0", "observation/1"]
CASES = {
    "ppo": (Toy("box", "dict"), {**SEEN, "normalize_observation": True}, DICT),
    "dqn": (MaskedToy("multi", "tuple"), SEEN, [*TUPLE, "action_mask"]),
    "pqn": (MaskedToy("offset"), {}, ["observation", "action_mask"]),
    "sac": (Toy("discrete", "pixels"), {"previous_reward": True}, ["observation"]),
}
"""By agent, a task, settings, and the names of observations and mask."""


@pytest.mark.parametrize(
    ("agent", "to"),
    [
        ("ppo", "onnx"),
        ("dqn", "onnx"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("pqn", "onnx"), ("sac", "onnx"), *((x, "jax") for x in CASES)]
        ),
    ],
)
def test_every_agent_and_space(tmp_path, agent, to):
    env, settings, names = CASES[agent]
    policy = policy_of(agent=agent, env=env, **settings)
    player, told, state = exported(policy, tmp_path, to)
    beside = [x for x in ("previous_action", "previous_reward") if settings.get(x)]
    expected = [x for x in names if x != "action_mask"] + ["start", *beside]
    expected += [x for x in names if x == "action_mask"]
    assert [x["name"] for x in told["inputs"]] == [*expected, *state]
    assert [x["name"] for x in told["outputs"]] == [
        "action",
        *(f"next_{name}" for name in state),
    ]
    space = told["action_space"]
    assert space["type"] == type(env.action_space).__name__
    for field in ("n", "start", "nvec", "low", "high"):
        given = getattr(env.action_space, field, None)
        assert space.get(field) == (
            None if given is None else np.asarray(given).tolist()
        )
    given = [np.zeros(x["shape"], x["dtype"]) for x in told["inputs"]]
    for value, x in zip(player(*given), told["outputs"], strict=True):
        assert list(value.shape) == x["shape"] and str(value.dtype) == x["dtype"]


@pytest.mark.parametrize("to", FORMATS)
def test_several_streams_and_flags_as_uint8(tmp_path, to):
    policy = policy_of("frame_stack", env=MaskedToy())
    _, told, state = exported(policy, tmp_path, to, streams=3, uint8_flags=True)
    assert all(x["shape"][0] == 3 for x in (*told["inputs"], *told["outputs"]))
    dtypes = {x["name"]: x["dtype"] for x in (*told["inputs"], *told["outputs"])}
    assert dtypes["start"] == dtypes["action_mask"] == "uint8"
    flags = {name for name, x in state.items() if x.dtype == np.uint8}
    assert flags and "bool" not in dtypes.values()
    assert all(dtypes[f"next_{name}"] == "uint8" for name in flags)


def test_the_initial_state_is_the_memorys():
    policy = policy_of("rmt")
    state = step_of(policy).state
    leaves = jax.tree.leaves(policy.agent.initial_memory(policy.params, 1))
    assert len(state) == len(leaves) > 1
    for (name, x), leaf in zip(state.items(), leaves, strict=True):
        assert name.startswith("state/actor/")
        np.testing.assert_array_equal(x, leaf)
    assert any(np.any(x) for x in state.values())


def checked(policy, change):
    """How a step plays beside the agent, its arrays changed on the way."""
    step = step_of(policy)
    names, function = list(step.inputs), jax.jit(step.function)

    def player(*values):
        given = dict(zip(names, values, strict=True))
        outputs = dict(zip(step.outputs, function(*change(given)), strict=True))
        return [np.asarray(x) for x in outputs.values()]

    return checking.check(policy, step, player)


CHANGES = {
    "start": np.zeros_like,
    "previous_reward": lambda x: 0 * x,
    "state/actor": lambda x: 1.01 * np.asarray(x),
    "previous_action": lambda x: 0 * x,
    "action_mask": np.ones_like,
    "observation": lambda x: x.round(1),
}


@pytest.mark.parametrize(
    "name",
    [
        *list(CHANGES)[:2],
        *(pytest.param(name, marks=pytest.mark.slow) for name in list(CHANGES)[2:]),
    ],
)
def test_the_check_sees_every_input(name):
    policy, changed = policy_of(env=MaskedToy(), **SEEN), CHANGES[name]
    assert not checked(
        policy, lambda given: {**given, name: changed(given[name])}.values()
    ).passed


def test_the_check_passes_the_same():
    policy = policy_of(env=MaskedToy(), **SEEN)
    assert checked(policy, lambda given: given.values()).passed


def test_the_check_sees_a_wrong_state():
    assert checking.Checked(200, 1.0, 1e-5).passed
    assert not checking.Checked(200, 1.0, 1e-3).passed
    assert not checking.Checked(200, 0.5, 0.0).passed


def test_the_check_sees_numbers_that_are_none():
    assert checking._error(np.ones(2), np.asarray([1, np.nan])) == np.inf
    assert checking._error(np.ones(2), np.ones(3)) == np.inf
    assert checking._error(np.full(2, -np.inf), np.full(2, -np.inf)) == 0
    assert checking._error(np.asarray([100.0]), np.asarray([101.0])) == 0.01
    assert checking._error(np.asarray([0.1]), np.asarray([0.2])) == pytest.approx(0.1)


def test_what_plays_otherwise_is_not_written(tmp_path, monkeypatch):
    policy, form = policy_of(), FORMATS["jax"]
    params = jax.tree.map(lambda x: x + jnp.ones_like(x), policy.params)
    other = Policy(policy.agent, params, exploration=0.0, key=jax.random.key(0))
    wrong = form._replace(write=lambda _, path: form.write(step_of(other), path))
    monkeypatch.setitem(FORMATS, "jax", wrong)
    with pytest.raises(ConfigError, match=r"in 200 steps, .*its state is wrong by"):
        export_policy(policy, tmp_path / "out", to="jax")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_converted_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise NotImplementedError("no plugin for primitive 'mine'.\nAnd a long story.")

    monkeypatch.setattr("agents.export.formats.written_out", refuse)
    sentence = (
        "this policy cannot be exported to onnx: NotImplementedError: no plugin for "
        "primitive 'mine'; --to jax has every operation."
    )
    with pytest.raises(ConfigError) as error:
        export_policy(policy_of(), tmp_path / "out", to="onnx")
    assert str(error.value) == sentence and not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_a_missing_package_is_named(tmp_path, to, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"to={to} needs .*pip install .*\[export\]"):
        export_run(tmp_path, to=to)


def test_mistakes_are_told(tmp_path):
    with pytest.raises(ConfigError, match="--to='tf' must be jax or onnx"):
        export_run(tmp_path, to="tf")
    with pytest.raises(ConfigError, match="streams=0 must be at least 1"):
        export_policy(policy_of(), tmp_path, to="jax", streams=0)
    with pytest.raises(ConfigError, match="not the folder of a run"):
        export_run(tmp_path, to="jax")
