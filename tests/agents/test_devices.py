"""A run split over devices, processes and seeds is the run of one device."""

import os
import pickle
import re
import socket
import subprocess
import sys
import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

import agents
from agents import devices
from agents.convert import ConfigError
from agents.running.configuration.config import CONFIG_DIRECTORY
from agents.running.jobs import processes
from tests.agents import split_run
from tests.agents.algorithms.test_ratio_one import make_agent


@pytest.fixture(scope="module")
def one():
    """Seed 1 alone on one device."""
    return split_run.measure(split_run.split_agent(), None, (1,))[0]


@pytest.fixture(scope="module")
def four():
    """Seeds 0 and 1 as a group on four devices: agent, mesh, and `measure`'s."""
    agent = split_run.split_agent()
    mesh = devices.choose_devices(4, agent)
    return agent, mesh, *split_run.measure(agent, mesh, (0, 1))


def assert_close(actual, expected, tolerance):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance),
        actual,
        expected,
    )


def assert_same_run(actual, expected):
    """Environments bit for bit, the policy to 1e-6, the update to 1e-5."""
    for name in ("streams", "new_streams"):
        ours, theirs = actual[name], expected[name]
        jax.tree.map(
            np.testing.assert_array_equal,
            (ours.env_state, ours.inputs),
            (theirs.env_state, theirs.inputs),
        )
        assert_close(ours.memory_state, theirs.memory_state, 1e-6)
    ours, theirs = (x["rollout"].transitions for x in (actual, expected))
    assert theirs.terminated.any() and theirs.truncated.any()
    assert len(np.unique(theirs.extras.raw_action)) == 3
    for name in ("inputs", "reward", "terminated", "truncated"):
        jax.tree.map(
            np.testing.assert_array_equal, getattr(ours, name), getattr(theirs, name)
        )
    np.testing.assert_array_equal(ours.extras.raw_action, theirs.extras.raw_action)
    assert_close(ours.extras, theirs.extras, 1e-6)
    assert_close(ours.bootstrap_value, theirs.bootstrap_value, 1e-6)
    assert_close(
        actual["rollout"].memory_states, expected["rollout"].memory_states, 1e-6
    )
    assert_close(actual["metrics"], expected["metrics"], 1e-5)
    assert_close(actual["gradients"], expected["gradients"], 1e-5)


@pytest.mark.shows("several devices", "ppo")
@pytest.mark.shows("seeds in one program", "ppo")
def test_a_seed_of_a_group_on_four_devices_is_a_run_of_its_own(one, four):
    """The group is vmapped inside each device's share; neither changes a seed."""
    first, second = (jax.tree.map(lambda x, i=i: x[i : i + 1], four[2]) for i in (0, 1))
    assert_same_run(second, one)
    assert not np.allclose(first["metrics"]["loss/total"], one["metrics"]["loss/total"])
    sizes = [np.abs(x).max() for x in jax.tree.leaves(one["gradients"]) if x.size]
    assert max(sizes) > 1e-2
    assert len(np.unique(one["streams"].env_state.index)) == 8


class Small(NamedTuple):
    streams: dict
    params: jax.Array


def test_arrays_without_elements_are_split_too():
    """They do not go through `shard_map`, and yet every device finds its part."""
    mesh = Mesh(np.array(jax.devices()[:4]), (devices.AXIS,))
    agent = types.SimpleNamespace(stream_fields=("streams",))
    streams = {"full": jnp.arange(8.0)[None], "empty": jnp.zeros((1, 8, 0))}
    state = Small(streams, jnp.zeros((1, 0)))
    seen = []

    def double(state):
        seen.append(jax.tree.map(jnp.shape, state))
        return jax.tree.map(lambda x: 2 * x, state), {}

    new, _ = jax.jit(devices.split(double, agent, state, mesh))(state)
    assert seen[0] == Small({"full": (1, 2), "empty": (1, 2, 0)}, (1, 0))
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)
    np.testing.assert_array_equal(new.streams["full"], 2 * streams["full"])


def test_streams_are_split_and_the_rest_is_equal_everywhere(four):
    agent, mesh, _, update, _, state = four
    state = devices.place(devices.gather(state, mesh), agent, mesh)
    split, whole = jax.tree.leaves(state.streams), jax.tree.leaves(state.params)
    assert all(x.addressable_data(0).shape[1] * 4 == x.shape[1] for x in split)
    again, metrics = update(state, jnp.asarray(2, jnp.int32))
    assert np.isfinite(metrics["loss/total"]).all()
    for leaf in jax.tree.leaves((again.params, again.optimizer_state)):
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert len(others) == 3
        for other in others:
            np.testing.assert_array_equal(first, other)
    assert all(x.is_deleted() for x in (*split, *whole))  # donated


def test_placing_and_gathering_are_inverse(four):
    agent, mesh, *_ = four
    state = split_run.first_state(agent, (0, 1))
    back = devices.gather(devices.place(state, agent, mesh), mesh)
    assert jax.tree.structure(back) == jax.tree.structure(state)

    def same(x, y):
        assert len(y.devices()) == 1 and x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)

    jax.tree.map(same, state, back)


def test_one_device_is_left_alone():
    agent = make_agent()
    assert devices.choose_devices(None, agent) is None  # CPU, unless asked
    assert devices.choose_devices(1, agent) is None
    assert devices.share_of(agent, None) is agent
    assert devices.split(len, agent, None, None) is len
    assert devices.place(agent, agent, None) is agent
    assert devices.gather(agent, None) is agent


def test_accelerators_are_taken_as_far_as_they_split_the_work(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for num_envs, minibatches, expected in (
        (8, 1, 4),
        (6, 3, 3),
        (6, 9, 2),
        (8, 24, 1),
    ):
        agent = make_agent(num_envs=num_envs, num_minibatches=minibatches)
        mesh = devices.choose_devices(None, agent)
        assert (1 if mesh is None else mesh.size) == expected


@pytest.mark.parametrize(
    ("count", "settings", "words"),
    [
        (
            5,
            {"num_envs": 8},
            "=5, but JAX finds 4 cpu device(s) here; use num_devices=4.",
        ),
        (
            4,
            {},
            "=4 does not split agent.num_envs=6 into equal shares; use num_devices=3.",
        ),
        (
            2,
            {"num_envs": 4, "num_minibatches": 12},
            "num_devices=2 gives each device 2 environments, but agent.num_minibatches="
            "12 does not divide the 6 sequences of a rollout (2 environments x 3 "
            "sequences each); nearest that does: 6; use num_devices=1.",
        ),
    ],
)
def test_devices_that_do_not_fit(count, settings, words):
    with pytest.raises(ConfigError) as caught:
        devices.choose_devices(count, make_agent(**settings))
    message = str(caught.value)
    assert words in message and message.endswith(".") and "\n" not in message


# Two processes ------------------------------------------------------------------


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def same_optimisation():
    """This process's XLA_FLAGS without its number of devices.

    Programs optimised differently differ in the last bit.
    """
    flags = os.environ["XLA_FLAGS"].split()
    return " ".join(flag for flag in flags if "device_count" not in flag)


def run_both(commands, timeout=300):
    """Two processes at once; what each printed."""
    started = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=CONFIG_DIRECTORY.parent,
            text=True,
        )
        for command in commands
    ]
    try:
        printed = [process.communicate(timeout=timeout)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], printed
    return printed


def test_joining_comes_before_everything_else():
    jax.devices()
    joined = {"coordinator": "localhost:1234", "num_processes": 2, "process_id": 0}
    with pytest.raises(ConfigError, match=r"process 0 cannot join \(.+\); start 2 fre"):
        processes.start([{"distributed": joined}])
    other = {**joined, "process_id": 1}
    with pytest.raises(ConfigError, match="the jobs of a sweep share a process"):
        processes.start([{"distributed": joined}, {"distributed": other}])


@pytest.mark.shows("several processes", "ppo")
def test_two_processes_are_one(one, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", same_optimisation())
    port, files = free_port(), [tmp_path / "0", tmp_path / "1"]
    module = [sys.executable, "-m", split_run.__name__]
    run_both([[*module, str(i), str(port), str(f)] for i, f in enumerate(files)])
    structure = jax.tree.structure(one)
    for file in files:
        leaves = pickle.loads(file.read_bytes())
        assert_same_run(jax.tree.unflatten(structure, leaves), one)


@pytest.mark.shows("several processes")
@pytest.mark.slow  # by default test_two_processes_are_one stands for all
@pytest.mark.parametrize("agent", ["ppo", "dqn", "pqn", "sac"])
def test_two_processes_from_the_command_line(agent, tmp_path, monkeypatch):
    """As documented: one plan, one verdict, one directory."""
    monkeypatch.setenv("XLA_FLAGS", same_optimisation())
    words = [
        *("memory=none", "env.length=5", "total_steps=1500", "agent.num_envs=16"),
        *("agent.rollout_length=32", "evaluation.interval=null", f"agent={agent}"),
        *("device=cpu", f"run_directory={tmp_path}", "num_devices=2"),
        "agent.learning_starts=512"
        if agent in ("dqn", "sac")
        else "agent.num_minibatches=4",
        f"distributed.coordinator=localhost:{free_port()}",
        "distributed.num_processes=2",
    ]
    first, second = run_both(
        [sys.executable, "train.py", *words, f"distributed.process_id={i}"]
        for i in range(2)
    )
    assert "device  cpu (cpu), 4 of 4 in 2 processes, 4 environments each" in first
    assert first.count("task    tmaze") == first.count("return ") // 2 == 1, first
    assert "tmaze" not in second and "return" not in second
    assert len(list(tmp_path.glob("*/*/[0-9]*"))) == 1
    assert len(list(tmp_path.glob("*/*/[0-9]*/seed_0/*"))) == 1


@pytest.mark.slow
def test_two_processes_resume(tmp_path, monkeypatch):
    """Stopped at a checkpoint and resumed, they end where two that went on end."""
    monkeypatch.setenv("XLA_FLAGS", same_optimisation())
    flags = ["env.length=5", "num_devices=2", "distributed.num_processes=2"]

    def both(*words):
        where = f"distributed.coordinator=localhost:{free_port()}"
        return run_both(
            [sys.executable, "train.py", *words, where, f"distributed.process_id={i}"]
            for i in range(2)
        )

    def run(folder, *words):
        words = ["experiment=smoke", "memory=gru", "device=cpu", *flags, *words]
        both(*words, f"run_directory={tmp_path / folder}", "memory.output_size=8")
        (found,) = (tmp_path / folder).glob("*/*/[0-9]*")
        return found

    frozen = ["agent.anneal_learning_rate=false"]
    whole = run("whole", "total_steps=3000", *frozen)
    parts = run("parts", "total_steps=1500", *frozen)
    again = both(f"resume={parts}", "total_steps=3000", "num_devices=2", *flags[2:])
    steps = re.search(r"resumed at step ([\d,]+)", "".join(again))
    assert steps and 1500 <= int(steps[1].replace(",", "")) < 3000
    one, other = (agents.load(folder, seed=0).params for folder in (whole, parts))
    jax.tree.map(np.testing.assert_array_equal, one, other)
