"""Wrappers that show less, against the task that they wrap."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import envs
from agents.convert import ConfigError
from agents.running.configuration.config import build
from agents.running.overrides import check
from envs.partial import Delayed, Flicker, Noisy, WithoutKeys
from envs.partial.blank import _nothing
from envs.popgym.control.cartpole import CartPole
from tests.agents.toy import MaskedToy, Toy
from tests.envs.test_vector import Chained

STEPS, STREAMS = 12, 256
CARTPOLE = CartPole(steps=20)


def trace(env):
    """Observations `[time, stream]` (the first included), rewards, ends; fixed keys.

    The keys that reach the task are the same for a wrapper and for the task itself.
    """
    wrapped = isinstance(env, envs.partial.Partial)

    def own(key):
        return key if wrapped else jax.random.split(key)[0]

    def episode(key):
        first, state = env.reset(own(key))

        def body(state, step):
            action = step % 2
            out = env.step(own(jax.random.fold_in(key, step)), state, action)
            observation, state, reward, terminated, truncated, _ = out
            return state, (observation, reward, terminated, truncated)

        steps = jnp.arange(STEPS, dtype=jnp.int32)
        return first, jax.lax.scan(body, state, steps)[1]

    keys = jax.random.split(jax.random.key(3), STREAMS)
    first, (rest, *ends) = jax.jit(jax.vmap(episode, out_axes=(0, 1)))(keys)
    seen = jax.tree.map(lambda a, b: np.concatenate([a[None], b]), first, rest)
    return seen, [np.asarray(x) for x in ends]


@pytest.fixture(scope="module")
def plain():
    return trace(CARTPOLE)


def assert_same_ends(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("steps", [1, 3])
def test_delayed(plain, steps):
    seen, ends = trace(Delayed(CARTPOLE, steps))
    assert_same_ends(ends, plain[1])
    assert not seen["visible"][:steps].any() and seen["visible"][steps:].all()
    assert not seen["observation"][:steps].any()
    np.testing.assert_array_equal(seen["observation"][steps:], plain[0][:-steps])


def test_flicker(plain):
    seen, ends = trace(Flicker(CARTPOLE, 0.3))
    assert_same_ends(ends, plain[1])
    visible = seen["visible"] == 1
    np.testing.assert_array_equal(seen["observation"][visible], plain[0][visible])
    assert not seen["observation"][~visible].any()
    # 3,328 draws: a standard deviation of 0.8 %.
    assert abs(1 - visible.mean() - 0.3) < 0.04
    assert abs(1 - visible[0].mean() - 0.3) < 0.15  # the first one too
    both = visible[1:] & visible[:-1]
    assert abs(both.mean() - 0.7**2) < 0.05  # independently of each other


def test_noisy(plain):
    seen, ends = trace(Noisy(CARTPOLE, 0.1))
    assert_same_ends(ends, plain[1])
    high = CARTPOLE.observation_space.high
    inside = (np.abs(seen) < high).all(-1)
    assert inside.mean() > 0.9 and (np.abs(seen) <= high).all()
    noise = (seen - plain[0])[inside]
    assert np.abs(noise.mean(0)).max() < 0.01
    assert abs(noise[:, 0].std() - 0.1) < 0.01
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.06


def test_without_keys():
    task = envs.make("TMazePlaces-v0", length=4)
    env = WithoutKeys(task, ("place",))
    assert list(env.observation_space.spaces) == ["cue"]
    (seen, ends), (all_seen, expected) = trace(env), trace(task)
    assert_same_ends(ends, expected)
    assert list(seen) == ["cue"]
    np.testing.assert_array_equal(seen["cue"], all_seen["cue"])


@pytest.mark.parametrize(
    "env",
    [
        Delayed(envs.make("TMazePlaces-v0", length=3), 2),
        Flicker(Noisy(CartPole(steps=8), 0.2), 0.5),
        Flicker(envs.make("ProbeTruncation-v0"), 0.5),  # has next_episode
    ],
    ids=["delayed", "flicker-noisy", "next-episode"],
)
def test_contract(env):
    envs.check_env(env)


def test_blank_lies_in_the_space():
    task = envs.make("MemoryChain-v0")  # numbers from -1, from 0
    env = Flicker(task, 0.5)
    blank = env._blank(task.reset(jax.random.key(0))[0])
    assert task.observation_space.contains(np.asarray(blank["observation"]))
    for low, high, nearest in ((1.0, 2.0, 1.0), (-3.0, -2.0, -2.0), (-1.0, 1.0, 0.0)):
        space = spaces.Box(low, high, (2,), np.float32)
        np.testing.assert_array_equal(_nothing(space, jnp.zeros(2)), nearest)
    choice = _nothing(spaces.Discrete(3, start=2), jnp.zeros((), jnp.int32))
    assert int(choice) == 2


def test_noise_stays_in_the_space():
    env = Noisy(Toy(), 3.0)
    seen = np.asarray(jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 64))[0])
    assert np.abs(seen).max() == 4 and (np.abs(seen) < 4).any()


@pytest.mark.parametrize("start", [-7, 4])
def test_blank_lies_in_a_space_that_does_not_begin_at_zero(start):
    for space, shape in (
        (gymnasium.spaces.Discrete(3, start=start), ()),
        (gymnasium.spaces.MultiDiscrete([3, 2], start=[start, start]), (2,)),
    ):
        blank = np.asarray(_nothing(space, jnp.zeros(shape, jnp.int32)))
        assert space.contains(blank if shape else np.int64(blank))


def test_cards():
    task = envs.make("TMaze-v0", length=4)
    card, inner = Delayed(task, 2).card, task.card
    assert card.horizon == tuple(min(h + 2, 5) for h in inner.horizon)
    assert (card.floor, card.oracle) == (inner.floor, inner.oracle)
    assert card.memoryless.value is None and card.recall.value is None
    assert card.memory == inner.memory == "object"
    observed = envs.make("ProbeObservationValue-v0")
    assert observed.card.memory == "none"
    assert Flicker(observed, 0.1).card.memory == "filtering"
    assert Delayed(observed, 1).card.memory == "sequential"
    assert Noisy(CARTPOLE, 0.1).card.horizon == (1, 19)


OPTIONAL = ("oracle", "hidden", "render", "action_mask", "next_episode")


@pytest.mark.parametrize(
    ("id", "lacks"),
    [
        ("ProbeActionMask-v0", {"render"}),
        ("TMaze-v0", {"action_mask", "next_episode"}),
        ("DiscountingChain-v0", {"hidden", "action_mask", "next_episode"}),
    ],
)
def test_optional_methods_are_those_of_the_task(id, lacks):
    """They give for a wrapped state what the task gives for its own."""
    task = envs.make(id)
    env = Flicker(task, 0.5)
    assert {name for name in OPTIONAL if getattr(env, name) is None} == lacks
    keys = jax.random.split(jax.random.key(1), 16)
    state = jax.vmap(env.reset)(keys)[1]
    for name in sorted(set(OPTIONAL) - lacks):
        drawn = [jax.random.split(jax.random.key(2), 16)]
        drawn = drawn if name in ("oracle", "next_episode") else []
        found = jax.vmap(getattr(env, name))(*drawn, state)
        if name == "next_episode":  # the task's own key is the first part
            found = found[1].inner
            drawn = [jax.vmap(jax.random.split)(*drawn)[:, 0]]
        expected = jax.vmap(getattr(task, name))(*drawn, state.inner)
        expected = expected[1] if name == "next_episode" else expected
        jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    "words, told",
    [
        ("partial.flicker=1.5", "flicker needs a probability between 0"),
        ("partial.noise=-1 env=position_only_cart_pole_easy", "deviation above 0"),
        ("partial.noise=0.1 env=repeat_first_easy", "nothing to add noise to"),
        ("partial.delay=-1", "delay needs at least 1 step"),
        ("partial.drop=[cue]", "no keys to drop"),
        ("partial.drop=[clue] env=tmaze_places", "cannot drop clue: the task observes"),
        ("partial.drop=[cue,place] env=tmaze_places", "at least one must remain"),
        ("partial.flickr=0.5", "Did you mean 'partial.flicker'?"),
    ],
)
def test_mistakes_are_one_sentence(words, told):
    with pytest.raises(ConfigError) as caught:
        build(check(words.split())[0])
    assert told in str(caught.value)


def test_from_the_command_line():
    words = ["env=tmaze_places", "partial.delay=2", "partial.flicker=0.25"]
    env = build(check([*words, "partial.drop=[place]"])[0]).env
    task = envs.make("TMazePlaces-v0")
    assert env == Delayed(Flicker(WithoutKeys(task, ("place",)), 0.25), 2)


def test_what_a_task_keeps_and_allows_is_its_own_when_wrapped():
    key = jax.random.key(0)
    env = Flicker(Chained(), 0.5)
    state = env.reset(key)[1]
    state = state._replace(inner={**state.inner, "deck": state.inner["deck"][::-1]})
    _, after = env.next_episode(key, state)
    np.testing.assert_array_equal(after.inner["deck"], state.inner["deck"])
    task = MaskedToy()
    env = Noisy(task, 0.1)
    state = env.reset(key)[1]
    np.testing.assert_array_equal(env.action_mask(state), task.action_mask(state.inner))
