"""Each probe does what makes its value known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.probing.probe import KINDS, Probe

DISCRETE = tuple(name for name, kind in KINDS.items() if not kind.continuous)


def play(env, policy, streams=64, steps=40, key=0):
    """Steps `[time, streams]` under `policy(key, state, observation, previous)`."""
    batch = envs.VectorEnv(env, streams)

    def body(carry, key):
        state, observation, previous = carry
        keys = jax.random.split(key, streams)
        action = jax.vmap(policy)(keys, state.env_state, observation, previous)
        state, step = batch.step(key, state, action)
        return (state, step.observation, action), (step, action, state.env_state)

    def run(key):
        observation, state = batch.reset(key)
        start = (state, observation, jnp.zeros(streams, jnp.int32))
        return jax.lax.scan(body, start, jax.random.split(key, steps))[1]

    options = {"xla_backend_optimization_level": 0}
    trace = jax.jit(run, compiler_options=options)(jax.random.key(key))
    return jax.tree.map(np.asarray, trace)


def test_all_discrete_kinds_in_one_program():
    """`start` takes a traced kind: one compiled program runs every probe."""
    env = Probe(DISCRETE, lag=3)
    index = jnp.arange(len(DISCRETE), dtype=jnp.int32)
    keys = jax.random.split(jax.random.key(0), len(DISCRETE))

    def episode(kind, key):
        _, state = env.start(kind, key)

        def body(carry, _):
            state, over, total = carry
            action = env.oracle(key, state)
            _, state, reward, terminated, truncated, _ = env.step(key, state, action)
            total = total + jnp.where(over, 0, reward)
            return (state, over | terminated | truncated, total), None

        start = (state, jnp.zeros((), bool), jnp.zeros(()))
        return jax.lax.scan(body, start, None, 8)[0][1:]

    over, total = jax.jit(jax.vmap(episode))(index, keys)
    assert over.all()
    for name, got in zip(DISCRETE, total, strict=True):
        single = Probe((name,), lag=3)
        if name == "observation_value":
            assert abs(got) == 1
        else:
            assert got == pytest.approx(single.card.oracle.value), name


def test_streams_keep_their_kind():
    step, _, states = play(
        Probe(DISCRETE), lambda key, state, *_: jnp.zeros((), jnp.int32)
    )
    assert step.ended.any(0).all()
    assert (states.kind == states.kind[0]).all()
    assert set(states.kind[0]) == set(range(len(DISCRETE)))


def test_flip_alternates_from_episode_to_episode():
    step, _, _ = play(Probe(("flip",)), lambda key, state, *_: state.bit * 0)
    answers = step.final_observation[::2, :, 0]  # revealed by every other step
    assert set(np.unique(answers)) == {-1, 1}
    assert (answers[1:] == -answers[:-1]).all()
    assert (step.observation[1::2] == 0).all()  # a start reveals nothing
    # A memory that leaks across the reset answers the opposite, and is right.
    assert (step.reward[2::2] == np.where(answers[:-1] < 0, -1, 1)).all()


def test_copy_bit_shows_cue_and_mark_once():
    lag = 5
    step, _, _ = play(Probe(("copy_bit",), lag), lambda k, state, *_: state.bit)
    decisions = np.arange(40) % (lag + 1) == lag
    assert (step.info["decision"] == decisions[:, None]).all()
    assert (step.reward == decisions[:, None]).all()
    cues = np.arange(40) % (lag + 1) == lag  # the start follows in the same step
    assert (np.abs(step.observation[..., 0]) == cues[:, None]).all()
    marks = np.arange(40) % (lag + 1) == lag - 1
    assert (step.observation[..., 1] == marks[:, None]).all()


def test_truncation_truncates_and_never_terminates():
    step, _, _ = play(Probe(("truncation",)), lambda key, state, *_: state.bit)
    assert not step.terminated.any()
    assert (step.truncated == (np.arange(40) % 5 == 4)[:, None]).all()
    assert (step.reward == 1).all() and (step.final_observation == 0).all()


def test_previous_action_pays_for_alternating():
    step, _, _ = play(
        Probe(("previous_action",)), lambda key, state, seen, previous: 1 - previous
    )
    assert np.allclose(step.episode_return[7::8], 1)

    # Without that input: the best stationary chance of action 1 after a fixed start.
    chance = np.linspace(0, 1, 10001)
    value = ((1 - chance) + 6 * 2 * chance * (1 - chance)) / 7
    assert "0.503" in Probe(("previous_action",)).card.memoryless.note
    assert value.max() == pytest.approx(0.503, abs=5e-4)


def test_action_mask_costs_one_unless_it_is_the_mask_of_the_moment():
    env = Probe(("action_mask",))

    def first(state):
        return jnp.argmax(env.action_mask(state)).astype(jnp.int32)

    step, action, states = play(env, lambda key, state, *_: first(state))
    assert (step.reward == 0).all()
    ends = np.arange(40) % 5 == 4
    assert (step.terminated == ends[:, None]).all() and not step.truncated.any()
    np.testing.assert_array_equal(action[1:][~ends[:-1]], 1 - action[:-1][~ends[:-1]])
    starts = action[::5]
    assert set(np.unique(starts)) == {0, 1} and (starts != starts[0]).any()
    # One action is left in every state, and the other one costs 1.
    masks = np.asarray(jax.vmap(jax.vmap(env.action_mask))(states))
    assert (masks.sum(-1) == 1).all()
    step, _, _ = play(env, lambda key, state, *_: 1 - first(state))
    assert (step.reward == -1).all()
    # The mask of the step before, and the one from before the reset.
    late, _, _ = play(env, lambda key, state, seen, previous: previous)
    assert (late.reward[1:][~ends[:-1]] == -1).any(1).all()
    assert env.card.floor.note.endswith("over both it returns -2.5")
    step, _, _ = play(
        env, lambda key, *_: jax.random.randint(key, (), 0, 2, jnp.int32), streams=512
    )
    assert step.episode_return[ends].mean() == pytest.approx(-2.5, abs=0.1)


def test_only_kinds_with_a_mask_have_one():
    assert Probe(("copy_bit", "flip")).action_mask is None
    mixture = Probe(("copy_bit", "action_mask"))
    masks = []
    for kind in (0, 1):
        _, state = mixture.start(jnp.asarray(kind), jax.random.key(0))
        masks.append(np.asarray(mixture.action_mask(state)))
    assert masks[0].all() and masks[1].sum() == 1


def test_random_play_of_the_continuous_probe():
    env = envs.make("ProbeContinuousAction-v0")
    *_, reward, terminated, truncated, _ = env.step(
        jax.random.key(0), env.reset(jax.random.key(0))[1], jnp.array([0.25])
    )
    assert reward == pytest.approx(-0.0625) and terminated and not truncated


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="mixes continuous and discrete"):
        Probe(("copy_bit", "continuous_action"))
    with pytest.raises(ValueError, match="known kinds"):
        Probe(("copy_bits",))
    with pytest.raises(ValueError, match="lag of at least 1"):
        Probe(("copy_bit",), lag=0)
    mixture = Probe(("copy_bit", "flip"))
    assert hash(Probe(["copy_bit", "flip"])) == hash(mixture)
    assert mixture.card.recall.how == "unknown"
