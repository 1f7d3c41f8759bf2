"""No two uses of chance in a run share a key, nor draw from what another one draws.

Task and agent tell every key that they are given while a run of three seeds begins,
learns, is evaluated, acts and is filmed.
"""

import collections
import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.algorithms.ppo import PPO
from agents.keys import Use, key_for, row_keys
from agents.load import Policy
from agents.running.configuration.config import Plan
from agents.running.evaluator import Evaluator
from agents.running.jobs.signals import StopRequest
from agents.running.updates import over_seeds
from agents.video import record
from envs.checking.watch import play_streams
from tests.agents.algorithms.test_ratio_one import make_agent
from tests.agents.toy import Toy

SEEDS, STREAMS, STEPS, EPISODES, LENGTH = 3, 4, 6, 5, 3
told = collections.defaultdict(list)
"""Keys as pairs of numbers, by phase and use."""
phase = "nothing yet"


def tell(use, keys):
    """Note keys when the program runs, not when it is traced."""

    def note(data):
        told[phase, use].append(np.asarray(data).reshape(-1, 2))

    jax.debug.callback(note, jax.random.key_data(keys))


def during(name, function, *arguments):
    """What `function` returns, its keys noted under the name of a phase."""
    global phase
    phase = name
    result = jax.block_until_ready(function(*arguments))
    jax.effects_barrier()
    return result


@dataclasses.dataclass(frozen=True)
class Telling(Toy):
    """Every episode has three steps."""

    def reset(self, key):
        tell("start", key)
        observation, state = super().reset(key)
        return observation, state._replace(length=jnp.full((), LENGTH, jnp.int32))

    def step(self, key, state, action):
        tell("step", key)
        return super().step(key, state, action)

    def oracle(self, key, state):
        tell("act", key)  # which random actions are drawn with too
        return jnp.zeros((), jnp.int32)

    def render(self, state):
        return jnp.zeros((8, 8, 3), jnp.uint8)


class TellingAgent(PPO):
    def build_network(self, key):
        tell("network", key)
        return super().build_network(key)

    def act(self, *arguments, key, exploration=None):
        tell("act", key)
        return super().act(*arguments, key=key, exploration=exploration)

    def learn(self, *arguments, **settings):
        tell("learn", arguments[-1])
        return super().learn(*arguments, **settings)


def plan_of(agent):
    settings = {"episodes": EPISODES, "exploration": None, "step_limit": 100}
    config = {"evaluation": settings}
    return Plan(config, "toy", "none", "ppo", agent.env, agent.env, agent, 2)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Distinct keys as whole numbers, by phase and use."""
    agent = TellingAgent(
        env=Telling(),
        memory=memory_models.builder("none", output_size=8),
        num_envs=STREAMS,
        rollout_length=STEPS,
        sequence_length=3,
        num_minibatches=2,
        num_epochs=2,
        encoder_size=8,
        staggered_starts=True,
    )
    seeds = jnp.stack([jax.random.key(seed) for seed in range(SEEDS)])
    state = during("init", jax.jit(over_seeds(agent.init, SEEDS)), seeds)
    update = jax.jit(over_seeds(lambda state: agent.update(state)[0], SEEDS))
    params = state.params
    for name in ("first update", "second update"):
        state = during(name, update, state)
    evaluator = Evaluator(plan_of(agent), seeds)
    during("evaluation", evaluator, params, StopRequest())
    policy = Policy(
        agent,
        jax.tree.map(lambda x: x[0], params),
        exploration=None,
        key=key_for(seeds[0], Use.POLICY),
    )
    path = tmp_path_factory.mktemp("film") / "film.gif"
    during("film", lambda: record(policy, path, episodes=2))
    for name, given in {
        "seed": seeds,
        "run": state.key,
        "evaluation": evaluator.keys,
        "policy": policy._key,
    }.items():
        during("derived", tell, name, given)
    pairs = {name: np.concatenate(data) for name, data in told.items()}
    return {name: np.unique(as_numbers(pair)) for name, pair in pairs.items()}


def as_numbers(pairs):
    pairs = np.asarray(pairs, np.uint64)
    return pairs[..., 0] << np.uint64(32) | pairs[..., 1]


def as_keys(numbers):
    pairs = np.stack([numbers >> np.uint64(32), numbers & np.uint64(2**32 - 1)], -1)
    return jax.random.wrap_key_data(jnp.asarray(pairs.astype(np.uint32)))


def test_every_use_has_keys_of_its_own(keys):
    for (one, first), (other, second) in itertools.combinations(keys.items(), 2):
        assert not np.intersect1d(first, second).size, (one, other)


def test_within_a_use_every_seed_stream_and_step_has_one(keys):
    """As many distinct keys as there are draws."""
    counts = {name: len(numbers) for name, numbers in keys.items()}
    steps, evaluated = SEEDS * STREAMS * STEPS, SEEDS * EPISODES * LENGTH
    for update in ("first update", "second update"):
        assert counts[update, "act"] == counts[update, "step"] == steps
        # Surplus slots of a round of resets draw too, and are thrown away.
        assert counts[update, "start"] >= steps // LENGTH
        assert counts[update, "learn"] == SEEDS
    assert counts["init", "network"] == SEEDS
    assert counts["evaluation", "start"] == SEEDS * EPISODES
    assert counts["evaluation", "act"] == evaluated
    assert counts["evaluation", "step"] == evaluated
    assert counts["film", "start"] == 2
    assert counts["film", "act"] == counts["film", "step"] == 2 * LENGTH
    assert {counts["derived", x] for x in ("seed", "run", "evaluation")} == {SEEDS}


def test_what_one_use_draws_no_other_is_given(keys):
    """Each splits the key that it is given; the parts are nobody else's."""
    split = jax.jit(jax.vmap(lambda key: jax.random.split(key, 16)))
    for one, numbers in keys.items():
        parts = as_numbers(jax.random.key_data(split(as_keys(numbers))))
        for other, given in keys.items():
            assert not np.intersect1d(parts, given).size, (one, other)


def test_a_split_is_a_count_and_no_use_is_among_either():
    """Why uses are told apart by numbers that neither reaches."""
    key = jax.random.key(5)

    def data(keys):
        return as_numbers(jax.random.key_data(keys))

    counted = data(row_keys(key, jnp.arange(1024)))
    np.testing.assert_array_equal(data(jax.random.split(key, 1024)), counted)
    np.testing.assert_array_equal(data(jax.random.split(key)), counted[:2])
    last = data(row_keys(key, jnp.arange(2**31 - 1024, 2**31 - 1)))
    uses = data(jnp.stack([key_for(key, use) for use in Use]))
    assert len(np.unique(uses)) == len(Use.__members__)
    assert not np.intersect1d(uses, np.concatenate([counted, last])).size


def test_seeds_and_streams_begin_in_states_of_their_own():
    agent = make_agent("none")
    seeds = jnp.stack([jax.random.key(seed) for seed in range(SEEDS)])
    streams = jax.jit(over_seeds(agent.init, SEEDS))(seeds).streams
    noise = np.asarray(streams.env_state.env_state.noise).reshape(-1, 3)
    assert len(np.unique(noise, axis=0)) == SEEDS * agent.num_envs


def test_check_env_draws_actions_and_starts_from_different_keys():
    play = jax.jit(lambda key: play_streams(Telling(), 4, 6, np.bool_(False), key))
    during("check", play, jax.random.key(0))
    drawn = {
        use: np.concatenate(told["check", use]) for use in ("act", "start", "step")
    }
    for one, other in itertools.combinations(drawn.values(), 2):
        assert not np.intersect1d(as_numbers(one), as_numbers(other)).size
