"""Compaction is bit for bit the same as resetting every row at every step."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from jax.sharding import Mesh, PartitionSpec

import envs
from envs import Card, Environment, exact
from envs.rows import update_rows
from tests.agents.toy import MaskedToy


@dataclasses.dataclass(frozen=True)
class Ragged(Environment):
    """Episodes of random lengths that end either way, with noise at every step."""

    longest: int = 6

    def reset(self, key):
        length_key, noise_key = jax.random.split(key)
        length = jax.random.randint(length_key, (), 1, self.longest + 1, jnp.int32)
        noise = jax.random.uniform(noise_key, (3,), jnp.float32)
        return noise, {"left": length, "deck": jnp.arange(5, dtype=jnp.int8) * 3}

    def step(self, key, state, action):
        noise = jax.random.uniform(key, (3,), jnp.float32)
        state = {"left": state["left"] - 1, "deck": jnp.roll(state["deck"], 1)}
        over = state["left"] == 0
        terminated = over & (noise[0] < 0.5)
        info = {"left": state["left"]}
        reward = noise.sum() + action.astype(noise.dtype)
        return noise, state, reward, terminated, over & ~terminated, info

    @property
    def observation_space(self):
        return spaces.Box(0.0, 1.0, (3,), np.float32)

    @property
    def action_space(self):
        return spaces.Discrete(2)

    def hidden(self, state):
        return {"left": (state["left"], jnp.zeros((), jnp.int32))}

    @property
    def card(self):
        value = exact(0.0)
        return Card("none", "", (0, 0), True, value, value, value, value, self.longest)


class Chained(Ragged):
    """A stream whose next episode continues the deck of the last one."""

    def next_episode(self, key, state):
        observation, start = self.reset(key)
        return observation, {"left": start["left"], "deck": state["deck"]}


def naive_step(env, key, state, actions):
    """The specification: reset every row at every step and select."""
    step_key, reset_key = jax.random.split(key)
    fold = jax.vmap(jax.random.fold_in, (None, 0))
    observation, env_state, reward, terminated, truncated, info = jax.vmap(env.step)(
        fold(step_key, state.index), state.env_state, actions
    )
    ended = terminated | truncated
    if env.next_episode is None:
        fresh = jax.vmap(env.reset)(fold(reset_key, state.index))
    else:
        fresh = jax.vmap(env.next_episode)(fold(reset_key, state.index), env_state)

    def select(new, old):
        return jnp.where(ended.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    next_observation, next_state = jax.tree.map(select, fresh, (observation, env_state))
    total = state.episode_return + reward
    length = state.episode_length + 1
    new_state = envs.VectorState(
        next_state,
        state.index,
        jnp.where(ended, 0, total),
        jnp.where(ended, 0, length),
    )
    step = (next_observation, reward, terminated, truncated, observation, info)
    return new_state, (*step, total, length)


def rollout(env, num_envs, step, key, steps=20):
    reset_key, key = jax.random.split(key)
    observation, state = envs.VectorEnv(env, num_envs).reset(reset_key)

    def body(state, key):
        actions = jax.random.randint(key, (num_envs,), 0, 2, jnp.int32)
        return step(key, state, actions)

    return observation, *jax.lax.scan(body, state, jax.random.split(key, steps))


def assert_same(one, other):
    one, other = jax.tree.leaves(one), jax.tree.leaves(other)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


def plain(step):
    """A Step without what the naive reference does not compute."""
    return tuple(step)[:8]


def quick(function):
    """Compile in a hurry: the programs here run once."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.parametrize(
    "env, rounds",
    [
        (Ragged(), (1, 7, 32, 1024)),
        (Chained(), (7,)),
        (envs.make("RepeatPreviousEasy-v0"), (None,)),
    ],
)
def test_equals_resetting_everything(env, rounds):
    num_envs, steps = 96, 60
    key = jax.random.key(0)
    run = partial(rollout, env, num_envs, key=key, steps=steps)
    expected = quick(lambda: run(partial(naive_step, env)))()
    ended = np.asarray(expected[2][2] | expected[2][3])
    assert ended.any()
    for rows in rounds:
        batch = envs.VectorEnv(env, num_envs, rows_per_round=rows)
        observation, state, step = quick(lambda b=batch: run(b.step))()
        assert_same(expected, (observation, state, plain(step)))


def test_equals_resetting_everything_under_vmapped_seeds():
    keys = jax.random.split(jax.random.key(1), 3)
    env = Ragged()
    naive = quick(jax.vmap(lambda k: rollout(env, 33, partial(naive_step, env), k)))
    batch = envs.VectorEnv(env, 33, rows_per_round=4)
    ours = quick(jax.vmap(lambda k: rollout(env, 33, batch.step, k)))
    observation, state, step = ours(keys)
    assert_same(naive(keys), (observation, state, plain(step)))


@pytest.mark.parametrize("env", [Ragged(), envs.make("ProbeConstantReward-v0")])
def test_shards_draw_what_the_whole_batch_would(env):
    num_envs, steps = 64, 20
    key = jax.random.key(2)
    whole = envs.VectorEnv(env, num_envs)
    shard = envs.VectorEnv(env, num_envs // 4, rows_per_round=3)
    _, state = quick(whole.reset)(key)
    actions = jax.random.randint(key, (steps, num_envs), 0, 2, jnp.int32)
    keys = jax.random.split(key, steps)

    def play(batch, state, actions):
        return jax.lax.scan(
            lambda s, x: batch.step(x[0], s, x[1]), state, (keys, actions)
        )

    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    rows, time_rows = PartitionSpec("data"), PartitionSpec(None, "data")
    sharded = jax.shard_map(
        partial(play, shard),
        mesh=mesh,
        in_specs=(rows, time_rows),
        out_specs=(rows, time_rows),
    )
    expected = quick(partial(play, whole))(state, actions)
    assert_same(expected, quick(sharded)(state, actions))


def test_final_observation_and_statistics():
    batch = envs.VectorEnv(Ragged(), 50, hidden=True)
    _, _, step = quick(lambda: rollout(Ragged(), 50, batch.step, jax.random.key(3)))()
    step = jax.tree.map(np.asarray, step)
    ended = step.ended
    assert ended.any() and not (step.terminated & step.truncated).any()
    assert np.array_equal(step.final_observation[~ended], step.observation[~ended])
    differs = (step.final_observation != step.observation).any(-1)
    assert differs[ended].all()
    assert (step.final_hidden["left"][0][ended] == 0).all()
    for stream in range(50):
        total, length = 0.0, 0
        for t in range(20):
            total, length = total + step.reward[t, stream], length + 1
            assert step.episode_length[t, stream] == length
            assert step.episode_return[t, stream] == pytest.approx(total, rel=1e-5)
            if ended[t, stream]:
                total, length = 0.0, 0


def test_masks_are_those_of_the_next_observation():
    """Where an episode ended, that is the first of the next one."""
    env, streams = envs.make("ProbeActionMask-v0"), 32
    batch = envs.VectorEnv(env, streams, action_mask=True)

    def play(key):
        _, state = batch.reset(key)

        def body(carry, key):
            state, mask = carry
            action = jnp.argmax(mask, axis=-1).astype(jnp.int32)
            state, step = batch.step(key, state, action)
            return (state, step.action_mask), (step, state.env_state)

        carry = (state, batch.mask(state))
        return jax.lax.scan(body, carry, jax.random.split(key, 12))[1]

    step, states = quick(play)(jax.random.key(4))
    assert step.ended.any() and not step.reward.any()
    expected = jax.vmap(jax.vmap(env.action_mask))(states)
    np.testing.assert_array_equal(step.action_mask, expected)


def test_masks_at_final_observations_are_those_before_the_reset():
    env, streams = MaskedToy(), 16
    batch = envs.VectorEnv(env, streams, action_mask=True)

    def play(key):
        _, state = batch.reset(key)

        def body(state, key):
            action = jnp.zeros(streams, jnp.int32)
            state, step = batch.step(key, state, action)
            return state, step

        return jax.lax.scan(body, state, jax.random.split(key, 12))[1]

    step = jax.tree.map(np.asarray, quick(play)(jax.random.key(4)))
    assert step.ended.any()
    time = step.episode_length[..., None] % 3
    np.testing.assert_array_equal(step.final_action_mask, np.arange(3) != time)
    first = step.action_mask[step.ended]
    np.testing.assert_array_equal(
        first, np.broadcast_to(np.arange(3) != 0, first.shape)
    )


def test_rows_beyond_the_last_are_not_written():
    """Surplus slots of a round repeat a row; it must keep its value."""
    where = jnp.array([False, True, False])
    operands = jnp.array([1.0, 2.0, 3.0])
    out = update_rows(lambda x: x * 10, where, operands, operands, rows_per_round=2)
    assert out.tolist() == [1.0, 20.0, 3.0]


def test_parameters_are_checked():
    env = Ragged()
    with pytest.raises(ValueError, match="num_envs must be at least 1, not 0"):
        envs.VectorEnv(env, 0)
    with pytest.raises(ValueError, match="rows_per_round must be at least 1, not 0"):
        envs.VectorEnv(env, 4, rows_per_round=0)
    with pytest.raises(ValueError, match="defines no action_mask"):
        envs.VectorEnv(env, 4, action_mask=True)
    assert envs.VectorEnv(env, 1).num_envs == 1


def test_hidden_variables_are_told_where_they_are_asked_for():
    env = envs.make("TMaze-v0", length=3)
    key = jax.random.key(0)
    for asked in (True, False):
        vector = envs.VectorEnv(env, 2, hidden=asked)
        state = vector.reset(key)[1]
        told = vector.hidden_variables(state)
        assert (told is not None) == asked
    assert told is None
