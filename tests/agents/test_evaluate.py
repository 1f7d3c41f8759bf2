"""Evaluation counts every stream once, and the verdict follows its rule."""

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import evaluate
from agents.base import Inputs
from agents.evaluate import Episodes, Score
from agents.keys import Use, key_for, row_keys
from agents.running.configuration.config import Plan
from agents.running.evaluator import Evaluator
from agents.running.jobs.signals import StopRequest
from envs.base import exact, unknown
from tests.agents.algorithms.test_ratio_one import make_agent, redrawn
from tests.agents.toy import MaskedToy, Toy


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


@pytest.fixture(scope="module")
def every_input():
    """An agent that sees everything, and acts by it."""
    inputs = {"previous_action": True, "previous_reward": True}
    agent = make_agent("gru", env=MaskedToy(), **inputs)
    return agent, redrawn(agent)


def test_each_stream_plays_exactly_one_episode(trained):
    agent, params = trained
    result = play(agent, params, 64)
    starts = row_keys(key_for(jax.random.key(0), Use.FIRST_STATES), jnp.arange(64))
    lengths = jax.vmap(lambda key: agent.env.reset(key)[1].length)(starts)
    np.testing.assert_array_equal(result.episode_length, lengths)
    assert len(set(np.asarray(lengths))) > 4
    assert result.finished.all()


def one_by_one(agent, params, rows, exploration):
    """Returns of episodes played one at a time, in Python, every input as it is now."""
    env, key = agent.env, jax.random.key(0)
    act = jax.jit(partial(agent.act, exploration=exploration))
    reset, step, allowed = map(jax.jit, (env.reset, env.step, env.action_mask))
    batch = lambda x: jax.tree.map(lambda leaf: leaf[None], x)  # noqa: E731
    returns = []
    for row in range(rows):

        def key_of(parent, use, row=row):
            return jax.random.fold_in(key_for(parent, use), row)

        observation, state = reset(key_of(key, Use.FIRST_STATES))
        inputs = agent.first_inputs(batch(observation), batch(allowed(state)), 1)
        memory, total, time, ended = agent.initial_memory(params, 1), 0.0, 0, False
        while not ended:
            now = jax.random.fold_in(key_for(key, Use.STEPS), time)
            action, memory, _ = act(
                params, memory, inputs, key=batch(key_of(now, Use.ACTION))
            )
            observation, state, reward, terminated, truncated, _ = step(
                key_of(now, Use.TRANSITION), state, action[0]
            )
            total, time = total + float(reward), time + 1
            ended = bool(terminated | truncated)
            inputs = Inputs(
                observation=batch(observation),
                start=jnp.zeros(1, bool),
                previous_action=action,
                previous_reward=batch(reward),
                action_mask=batch(allowed(state)),
            )
        returns.append(total)
    return returns


@pytest.mark.parametrize("exploration", [None, 0.0])
def test_equals_playing_one_by_one(every_input, exploration):
    agent, params = every_input
    result = play(agent, params, 16, exploration=exploration)
    expected = one_by_one(agent, params, 16, exploration)
    np.testing.assert_allclose(result.episode_return, expected, atol=1e-5)


def test_every_seed_has_the_score_of_its_own_policy_and_episodes():
    agent = make_agent("gru", previous_reward=True)
    first = redrawn(agent)
    params = jax.tree.map(lambda x: jnp.stack([x, -x, 2 * x]), first)
    settings = {"episodes": 32, "exploration": 0.0, "step_limit": 100}
    config = {"evaluation": settings}
    plan = Plan(config, "toy", "gru", "ppo", agent.env, agent.env, agent, 1)
    seeds = [jax.random.key(seed) for seed in (4, 5, 6)]
    scores = Evaluator(plan, jnp.stack(seeds))(params, StopRequest())

    @jax.jit
    def alone(params, key):
        key = key_for(key, Use.EVALUATION)
        return evaluate.play_episodes(
            agent, params, key=key, episodes=32, exploration=0.0, step_limit=100
        )

    for index, seed in enumerate(seeds):
        one = jax.tree.map(lambda x, i=index: x[i], params)
        expected = evaluate.score(alone(one, seed))
        assert scores[index].mean == pytest.approx(expected.mean, abs=1e-5)
        assert scores[index].length == expected.length
    assert len({score.mean for score in scores}) == 3
    assert len({score.length for score in scores}) == 3


def test_unfinished_episodes_are_counted(trained):
    agent, params = trained
    played = play(agent, params, 64, limit=3)
    assert int(played.episode_length.max()) == 3
    result = evaluate.score(played)
    assert 0 < result.unfinished < 64


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


@pytest.mark.parametrize(
    ("success", "expected"),
    [
        ((0.6, 0.551, 0.65), "memory used"),
        ((0.6, 0.549, 0.65), "memory not shown"),
        ((None, None, None), "no verdict (the card speaks of success, and no"),
    ],
)
def test_verdict_on_success(success, expected):
    card = make_card(exact(0.5), exact(1.0))
    card = dataclasses.replace(card, measure="success")
    reached, lower, upper = success
    far = make_score(-100.0)
    score = dataclasses.replace(
        far, success=reached, success_lower=lower, success_upper=upper
    )
    assert evaluate.verdict(score, card).startswith(expected)
    told = evaluate.describe(score, card, "memory used")
    value = "unknown" if reached is None else "0.60"
    assert told.startswith(f"success {value} (floor 0.00, memoryless 0.50")
    unknown_card = dataclasses.replace(card, recall=unknown("hard"))
    told = evaluate.verdict(score, unknown_card)
    assert told == "no verdict (recall success unknown: hard)"


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
    assert result.success_lower == result.success_upper == 1
    some = np.arange(400) < 100
    result = evaluate.score(Episodes(returns, np.ones(400, np.int32), some, ones))
    half = 1.959964 * math.sqrt(0.25 * 0.75 / 399)
    np.testing.assert_allclose(
        [result.success_lower, result.success_upper], [0.25 - half, 0.25 + half]
    )


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
