"""Encoders, weights of their own for every seed and critic, memory columns."""

import gymnasium
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.base import Inputs
from agents.networks.encoder import ImageEncoder
from agents.networks.hidden import numbers_of
from agents.networks.torso import memory_norm
from agents.running.updates import over_seeds
from agents.spaces import flatten_leaf, observation_keys
from tests.agents.algorithms.test_ratio_one import make_agent
from tests.agents.toy import OBSERVATIONS, Toy


def test_observation_keys():
    assert list(observation_keys(OBSERVATIONS["dict"])) == ["place", "vector"]
    assert list(observation_keys(OBSERVATIONS["tuple"])) == ["0", "1"]
    assert list(observation_keys(OBSERVATIONS["box"])) == ["observation"]


def test_choices_become_one_hot():
    encoded = flatten_leaf(OBSERVATIONS["multi"], jnp.asarray([[2, 1], [0, 3]]))
    np.testing.assert_array_equal(
        encoded, [[0, 0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 1]]
    )


def test_columns_say_which_feature_comes_from_where():
    env = Toy(observations="dict")
    agent = make_agent(
        env=env, raw_keys=("place",), previous_action=True, previous_reward=True
    )
    encoder = agent.build_network(jax.random.key(0)).actor.encoder
    assert encoder.columns == {
        "place": (0, 8),
        "vector": (8, 16),
        "raw/place": (16, 21),
        "start": (21, 22),
        "previous_action": (22, 25),
        "previous_reward": (25, 26),
    }
    observation, _ = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2))
    # The second stream starts: what led there belongs to the episode before.
    inputs = Inputs(
        observation=observation,
        start=jnp.asarray([False, True]),
        previous_action=jnp.asarray([2, 1]),
        previous_reward=jnp.asarray([0.5, -0.25]),
    )
    features = encoder(inputs)
    assert features.shape == (2, 26)
    np.testing.assert_array_equal(features[:, 21], [0, 1])
    np.testing.assert_array_equal(features[:, 22:25], [[0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(features[:, 25], [0.5, 0])
    np.testing.assert_array_equal(
        features[:, 16:21], jax.nn.one_hot(observation["place"], 5)
    )


def leaves_by_shape(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree) if x.ndim > 1]


def differ(first, second):
    pairs = zip(leaves_by_shape(first), leaves_by_shape(second), strict=True)
    return all(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("memory", ["gru", "ffm", "frame_stack", "none"])
def test_every_seed_and_critic_has_weights_of_its_own(memory):
    agent = make_agent(memory, separate_memories=True)
    build = jax.jit(jax.vmap(lambda key: agent.init(key).params))
    params = build(jnp.stack([jax.random.key(0), jax.random.key(1)]))
    first, second = (jax.tree.map(lambda x, i=i: x[i], params) for i in (0, 1))
    assert differ(first.actor, second.actor)
    assert differ(first.critic, second.critic)
    assert differ(first.actor, first.critic)


def test_seed_n_of_a_group_starts_as_the_single_run_with_that_seed():
    agent = make_agent("gru")
    keys = jnp.stack([jax.random.key(3), jax.random.key(4)])
    group = jax.jit(over_seeds(agent.init, 2))(keys)
    single = jax.jit(over_seeds(agent.init, 1))(keys[1:])
    for a, b in zip(jax.tree.leaves(group), jax.tree.leaves(single), strict=True):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(a[1], b[0], atol=1e-6)


class PlaceMemory(memory_models.MemoryModel):
    """Needs an observation key named 'place'."""

    linear: memory_models.Linear

    def __init__(self, input_size, output_size, *, key, columns):
        memory_models.column(columns, "place", needed_by="place_memory")
        self.linear = memory_models.Linear(input_size, output_size, key=key)

    def initial_state(self):
        return ()

    def __call__(self, state, inputs, starts):
        return state, self.linear(inputs)

    @property
    def card(self):
        return memory_models.Card("a test", "none", 0)


def test_memory_that_needs_a_key():
    build = memory_models.builder_of(PlaceMemory, "place_memory", output_size=8)
    fits = make_agent(env=Toy(observations="dict"))
    fits.__class__(env=fits.env, memory=build, num_envs=8).check()
    lacks = fits.__class__(env=Toy(), memory=build, num_envs=8)
    with pytest.raises(ValueError, match="needs the observation key 'place'"):
        lacks.check()


def test_choices_that_do_not_begin_at_zero():
    discrete = gymnasium.spaces.Discrete(3, start=-1)
    encoded = flatten_leaf(discrete, jnp.asarray([-1, 1]))
    np.testing.assert_array_equal(encoded, [[1, 0, 0], [0, 0, 1]])
    multi = gymnasium.spaces.MultiDiscrete([2, 3], start=[4, -2])
    encoded = flatten_leaf(multi, jnp.asarray([[4, 0], [5, -2]]))
    np.testing.assert_array_equal(encoded, [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]])


def test_pixels_are_scaled():
    encoder = ImageEncoder((8, 8, 1), 4, key=jax.random.key(0))
    white = jnp.full((1, 8, 8, 1), 255, jnp.uint8)
    (kernel,) = encoder.kernels
    x = jax.lax.conv_general_dilated(
        jnp.ones((1, 8, 8, 1)),
        kernel,
        (2, 2),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    expected = encoder.output(jax.nn.relu(x).reshape(1, -1))
    np.testing.assert_allclose(encoder(white), expected, rtol=1e-5)


def test_an_observation_of_zeros_is_seen_and_the_first_policy_is_nearly_uniform():
    agent = make_agent("gru")
    network = agent.build_network(jax.random.key(0))
    observation = jnp.zeros((1, 3))
    features = network.actor.encoder(agent.first_inputs(observation, None, 1))
    assert np.count_nonzero(features[0, :-1]) > 1
    inputs = agent.first_inputs(jax.random.normal(jax.random.key(1), (64, 3)), None, 64)
    _, policy, _ = network.step(network.initial_state(64), inputs)
    off = np.abs(np.asarray(policy.logits[0]) - np.log(1 / 3)).max()
    assert 0 < off < 0.05


def test_the_norm_of_a_memory_state_by_hand():
    state = {
        "actor": (jnp.asarray([[3.0, 4.0], [0.0, 1.0]]), jnp.asarray([9, 9])),
        "critic": jnp.asarray([[[12.0]], [[0.0]]]),
    }
    assert float(memory_norm(state)) == pytest.approx((13 + 1) / 2)


def test_hidden_variables_become_numbers():
    """Sizes with their signs, and whole numbers from 0 to 15 as choices too."""
    hidden = {"cell": (jnp.asarray([2, -3], jnp.int32), jnp.asarray([0.5, -7.0]))}
    numbers = np.asarray(numbers_of(hidden, ((), ())))
    assert numbers.shape == (2, 1 + 16 + 1)
    sizes = np.sign([2, -3]) * np.log1p([2, 3])
    np.testing.assert_allclose(numbers[:, 0], sizes, rtol=1e-6)
    np.testing.assert_array_equal(numbers[:, 1:17], [np.eye(16)[2], np.zeros(16)])
    np.testing.assert_allclose(numbers[:, 17], [np.log1p(0.5), -np.log1p(7)], rtol=1e-6)


def factorised(jaxpr):
    """Shapes of what a program factorises, wherever in it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("qr", "geqrf", "householder_product"):
            yield equation.invars[0].aval.shape
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from factorised(inner)


def test_weights_of_several_seeds_are_not_factorised_side_by_side():
    """Two batches at a time can wait for each other for ever: JAX 0.10.2 on a CPU."""
    agent = make_agent("gru", separate_memories=True)
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    program = jax.make_jaxpr(jax.vmap(lambda key: agent.init(key).params))(keys)
    shapes = list(factorised(program.jaxpr))
    assert shapes and all(len(shape) == 2 for shape in shapes)
