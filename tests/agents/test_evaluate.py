"""Evaluation counts every stream once, and the verdict follows its rule."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import evaluate
from agents.evaluate import Episodes, Score
from envs.base import exact, unknown
from tests.agents.test_ratio_one import make_agent
from tests.agents.toy import Toy


def play(agent, params, episodes, key=0, limit=100, exploration=None):
    def run(params, key):
        return evaluate.play_episodes(
            agent,
            params,
            key=key,
            episodes=episodes,
            exploration=exploration,
            step_limit=limit,
        )

    return jax.jit(run)(params, jax.random.key(key))


@pytest.fixture(scope="module")
def trained():
    agent = make_agent("gru")
    return agent, jax.jit(agent.init)(jax.random.key(0)).params


def test_each_stream_plays_exactly_one_episode(trained):
    agent, params = trained
    result = play(agent, params, 64)
    reset_key, _ = jax.random.split(jax.random.key(0))
    lengths = [
        agent.env.reset(jax.random.fold_in(reset_key, i))[1].length for i in range(64)
    ]
    np.testing.assert_array_equal(result.episode_length, np.asarray(lengths))
    assert result.finished.all()


def test_equals_playing_one_episode_by_hand(trained):
    agent, params = trained
    result = play(agent, params, 3, exploration=0.0)
    reset_key, run_key = jax.random.split(jax.random.key(0))
    for i in range(3):
        observation, state = agent.env.reset(jax.random.fold_in(reset_key, i))
        batch = lambda x: jax.tree.map(lambda leaf: leaf[None], x)  # noqa: E731
        inputs = agent.first_inputs(batch(observation), None, 1)
        memory, total, time, ended = agent.initial_memory(params, 1), 0.0, 0, False
        while not ended:
            any_key = jax.random.split(jax.random.key(9), 1)
            action, memory, _ = agent.act(
                params, memory, inputs, key=any_key, exploration=0.0
            )
            env_key = jax.random.split(jax.random.fold_in(run_key, time))[1]
            observation, state, reward, terminated, truncated, _ = agent.env.step(
                jax.random.fold_in(env_key, i), state, action[0]
            )
            total, time = total + float(reward), time + 1
            ended = bool(terminated | truncated)
            inputs = inputs._replace(
                observation=batch(observation), start=jnp.zeros(1, bool)
            )
        np.testing.assert_allclose(result.episode_return[i], total, atol=1e-5)


def test_unfinished_episodes_are_counted(trained):
    agent, params = trained
    played = play(agent, params, 64, limit=3)
    assert int(played.episode_length.max()) == 3
    result = evaluate.score(played)
    assert 0 < result.unfinished < 64


def test_evaluation_keys_are_not_training_keys():
    """Updates fold small numbers into a key that is split from the seed's."""
    agent = make_agent("none")
    seed_key = jax.random.key(0)
    state = jax.jit(agent.init)(seed_key)
    evaluation = jax.random.key_data(evaluate.evaluation_key(seed_key))
    for part in jax.random.split(seed_key, 3):
        assert not np.array_equal(evaluation, jax.random.key_data(part))
    for number in range(50):
        training = jax.random.key_data(jax.random.fold_in(state.key, number))
        assert not np.array_equal(evaluation, training)


def make_card(memoryless, recall):
    card = Toy().card
    return dataclasses.replace(
        card, floor=exact(0.0), memoryless=memoryless, recall=recall
    )


def make_score(lower, episodes=512):
    return Score(lower + 0.05, lower, lower + 0.1, episodes, 5.0, None, 0)


@pytest.mark.parametrize(
    ("score", "card", "expected"),
    [
        (make_score(0.551), make_card(exact(0.5), exact(1.0)), "memory used"),
        (make_score(0.549), make_card(exact(0.5), exact(1.0)), "memory not shown"),
        (make_score(0.9, 200), make_card(exact(0.5), exact(1.0)), "memory used"),
        (make_score(0.9, 199), make_card(exact(0.5), exact(1.0)), "no verdict (199"),
        (make_score(0.9), make_card(exact(1.0), exact(1.0)), "no verdict (memory"),
        (
            make_score(0.9),
            make_card(unknown("nobody solved it"), exact(1.0)),
            "no verdict (memoryless return unknown: nobody solved it)",
        ),
        (
            dataclasses.replace(make_score(0.9), unfinished=3),
            make_card(exact(0.5), exact(1.0)),
            "no verdict (3 episodes hit the step limit)",
        ),
        (
            make_score(0.9),
            make_card(exact(0.5), unknown("hard")),
            "no verdict (recall return unknown: hard)",
        ),
    ],
)
def test_verdict(score, card, expected):
    assert evaluate.verdict(score, card).startswith(expected)


def test_interval():
    returns = np.random.default_rng(0).random(400).astype(np.float32)
    ones = np.ones(400, bool)
    result = evaluate.score(Episodes(returns, np.ones(400, np.int32), ones, ones))
    half = 1.959964 * returns.std(ddof=1) / math.sqrt(400)
    np.testing.assert_allclose(
        [result.lower, result.upper],
        [returns.mean() - half, returns.mean() + half],
        rtol=1e-5,
    )
    assert result.success == 1 and result.unfinished == 0


def test_success_is_that_of_the_last_step():
    """And nothing of a stream counts after its episode."""
    result = evaluate._none_yet(3, True)
    for reward, ended, success in (
        ([1.0, 2.0, 3.0], [False, True, False], [True, True, False]),
        ([1.0, 9.0, 1.0], [True, False, False], [False, False, True]),
    ):
        info = {"success": jnp.asarray(success)}
        result = evaluate._count(result, jnp.asarray(reward), jnp.asarray(ended), info)
    assert result.success.tolist() == [False, True, True]
    assert result.episode_return.tolist() == [2, 2, 4]
    assert result.episode_length.tolist() == [2, 1, 2]
    assert result.finished.tolist() == [True, True, False]


def test_one_episode_says_nothing_of_the_interval():
    one, yes = np.ones(1, np.float32), np.ones(1, bool)
    result = evaluate.score(Episodes(one, np.ones(1, np.int32), None, yes))
    assert (result.lower, result.upper) == (-math.inf, math.inf)
    two = Episodes(np.asarray([1.0, 2.0]), np.ones(2, np.int32), None, np.ones(2, bool))
    assert -math.inf < evaluate.score(two).lower < 1.5
    assert result.success is None
