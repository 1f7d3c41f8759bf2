"""What every agent shares, for those that value actions."""

import dataclasses

import jax
import numpy as np
import pytest

import envs
from agents.experience.rollout import play
from tests.agents.algorithms import test_pqn, test_q_one, test_sac
from tests.agents.algorithms.test_masks import PROBE, evaluations_never_pay
from tests.agents.algorithms.test_ratio_one import first_state, redrawn

AGENTS = {
    "dqn": lambda **settings: test_q_one.make_agent(**settings),
    "pqn": lambda replay_size, **settings: test_pqn.make_agent(**settings),
    "sac": lambda **settings: test_sac.make_agent(**settings),
}


def some_of(*kept):
    """The agents as parameters, those not kept marked slow."""
    return [
        name if name in kept else pytest.param(name, marks=pytest.mark.slow)
        for name in AGENTS
    ]


@pytest.mark.shows("staggered starts")
@pytest.mark.parametrize("name", some_of("dqn"))
def test_starts_are_spread_before_training(name):
    """The agent itself plays; those that explore do so as in their first update."""
    corridor = envs.make("TMaze-v0", length=11)
    agent = AGENTS[name](env=corridor, num_envs=48, replay_size=48 * 48)
    agent = dataclasses.replace(agent, staggered_starts=True, normalize_reward=True)
    streams = jax.jit(agent.init)(jax.random.key(0)).streams
    played = np.asarray(streams.env_state.episode_length)
    assert set(played) == set(range(12))
    np.testing.assert_array_equal(streams.inputs.start, played == 0)
    returns = np.asarray(streams.env_state.episode_return)
    one_step = played == 1
    np.testing.assert_allclose(streams.discounted_return[one_step], returns[one_step])
    if name == "sac":
        return
    # The same without exploring: some streams would have done otherwise.
    settings = {x.name: getattr(agent, x.name) for x in dataclasses.fields(agent)}
    kind = type("Sure", (type(agent),), {"exploration": lambda *_: None})
    sure = jax.jit(kind(**settings).init)(jax.random.key(0)).streams
    assert not np.array_equal(sure.env_state.episode_return, returns)


@pytest.mark.shows("masks")
@pytest.mark.parametrize("name", some_of("dqn", "sac"))
def test_masks_are_kept_in_play_and_in_evaluation(name):
    agent = AGENTS[name](memory="none", env=PROBE, num_envs=8, replay_size=8 * 48)
    state = first_state(agent, params=redrawn(agent))
    steps = jax.jit(lambda state: play(agent, state)[1])(state).transitions
    mask = np.asarray(steps.inputs.action_mask)
    assert (mask.sum(-1) == 1).all() and not np.asarray(steps.reward).any()

    for exploration in (None, 0.0):
        evaluations_never_pay(agent, state.params, exploration)
