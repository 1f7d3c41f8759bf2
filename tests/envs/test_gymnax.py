"""Gymnax's tasks through the adapter: no starting over, and two kinds of end."""

import sys

import jax
import numpy as np
import pytest

import envs
from agents.running.configuration.config import build
from agents.running.overrides import check
from envs import gymnax_api

MODULE = "tests.envs.gymnax_stub"


def play(env, goal, actions):
    """Rewards and both flags of one episode, by hand."""
    _, (state, time) = env.reset(jax.random.key(0))
    state = (state._replace(goal=np.int32(goal)), time)
    step = jax.jit(env.step)
    trace = []
    for action in actions:
        _, state, reward, terminated, truncated, info = step(
            jax.random.key(1), state, np.int32(action)
        )
        trace.append((float(reward), bool(terminated), bool(truncated)))
        assert info == {}
    return trace


@pytest.mark.parametrize("name", ["FiveValues", "TellsTruncation"])
def test_a_goal_terminates_and_a_limit_truncates(name):
    env = envs.Gymnax(f"{MODULE}:{name}")
    assert play(env, 2, [1, 0, 1]) == [
        *((0.0, False, False), (0.0, False, False), (1.0, True, False)),
    ]
    assert play(env, 3, [0] * 5)[-2:] == [(0.0, False, False), (0.0, False, True)]
    # Both at once are told as both.
    assert play(env, 5, [1] * 5)[-1] == (1.0, True, True)
    shorter = envs.Gymnax(f"{MODULE}:{name}", max_steps=2)
    assert play(shorter, 3, [1, 1])[-1] == (0.0, False, True)
    assert (env.card.max_episode_steps, shorter.card.max_episode_steps) == (5, 2)


def test_without_a_limit_every_end_is_a_termination():
    env = envs.Gymnax(f"{MODULE}:WithoutLimit")
    assert env.card.max_episode_steps is None
    with pytest.raises(ValueError, match="has no max_steps_in_episode"):
        envs.Gymnax(f"{MODULE}:WithoutLimit", max_steps=3)


def test_a_truncation_of_the_tasks_own_rule():
    env = envs.Gymnax(f"{MODULE}:GivesUp")
    assert env.card.max_episode_steps is None
    expected = [(0.0, False, False)] * 2 + [(0.0, False, True)]
    assert play(env, 2, [0] * 3) == expected
    limited = envs.Gymnax(f"{MODULE}:GivesUpBeforeTheLimit")
    assert limited.card.max_episode_steps == 5
    assert play(limited, 2, [0] * 3) == expected


def test_a_task_first_made_while_tracing_can_be_used_afterwards():
    gymnax_api._load.cache_clear()
    env = envs.Gymnax(f"{MODULE}:TellsTruncation")
    jax.jit(env.reset)(jax.random.key(0))
    observation, _ = env.reset(jax.random.key(0))
    assert (observation == 0).all()


@pytest.mark.parametrize("limit", [None, 4])
def test_what_is_observed_of_the_limit_is_of_the_one_in_force(limit):
    env = envs.Gymnax(f"{MODULE}:ShowsTheTimeLeft", max_steps=limit)
    seen, state = env.reset(jax.random.key(0))
    np.testing.assert_allclose(seen, (limit or 5) / 8)
    for time in range(1, 4):
        seen, state, *_ = env.step(jax.random.key(1), state, np.int32(0))
        np.testing.assert_allclose(seen, time / (limit or 5), rtol=1e-6)


@pytest.mark.parametrize("name", ["FiveValues", "TellsTruncation"])
def test_contract(name):
    envs.check_env(envs.Gymnax(f"{MODULE}:{name}"))


def test_final_observations_are_not_lost():
    batch = envs.VectorEnv(envs.Gymnax(f"{MODULE}:FiveValues"), 3)
    _, state = batch.reset(jax.random.key(0))
    for _ in range(5):
        state, step = batch.step(jax.random.key(1), state, np.zeros(3, np.int32))
    assert step.truncated.all() and not step.terminated.any()
    _, state = batch.reset(jax.random.key(0))
    inner = state.env_state[0]._replace(goal=np.ones(3, np.int32))
    state = state._replace(env_state=(inner, state.env_state[1]))
    _, step = batch.step(jax.random.key(1), state, np.ones(3, np.int32))
    assert step.terminated.all() and (step.final_observation == 1 / 8).all()
    assert (step.observation == 0).all()


def test_from_the_command_line():
    words = [
        "env=gymnax",
        f"env.args.name={MODULE}:TellsTruncation",
        "env.args.max_steps=4",
    ]
    plan = build(check(words)[0])
    assert plan.env == envs.Gymnax(f"{MODULE}:TellsTruncation", 4)
    assert plan.env_name == "tells_truncation"


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(ValueError, match="pip install gymnax"):
        _ = envs.Gymnax("Acrobot-v1").observation_space


def test_a_package_that_lacks_another(monkeypatch, tmp_path):
    (tmp_path / "gymnax.py").write_text("import nowhere_to_be_found")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gymnax", raising=False)
    with pytest.raises(ValueError, match="No module named 'nowhere_to_be_found'"):
        _ = envs.Gymnax("Acrobot-v1").observation_space
