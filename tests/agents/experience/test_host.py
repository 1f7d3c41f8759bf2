"""Numpy environments fill the tape that compiled ones would have filled."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import agents
import envs
import memory_models
from agents.experience.host import TRAINING, HostSource
from agents.experience.rollout import play
from envs.gymnasium_api import GymnasiumEnv
from envs.host import spread_seeds
from tests.agents.experience import numpy_tasks

STREAMS, LENGTH = 3, 8
COUNTING = "tests.agents.experience.numpy_tasks:Counting"


def task(mode):
    """The counting environment, whose episodes begin in either of two ways."""
    numpy_tasks.register()
    if mode == "same step":
        return envs.HostTask(COUNTING, own=True)
    return envs.HostTask("engram-tests/Counting-v0", vectorization="own")


def agent_on(env, name="ppo", **settings):
    settings = {"num_envs": STREAMS, "rollout_length": LENGTH, **settings}
    if name in ("ppo", "pqn"):
        settings = {"sequence_length": 4, "num_minibatches": 2, **settings}
    return agents.make(
        name,
        env=env,
        memory=memory_models.builder("gru", output_size=4),
        encoder_size=4,
        head_size=4,
        **settings,
    )


def rollouts(agent, count, seed=0):
    """State, where the streams stand and what they played, `count` times over."""
    state = jax.jit(agent.init)(jax.random.key(seed))
    source = HostSource(agent, seed=seed)
    streams = source.begin(state.streams)
    gathering = jax.jit(lambda state: agent.gathering(state))
    played = []
    for number in range(count):
        state = state._replace(updates=jnp.asarray(number, jnp.int32))
        streams, rollout = source.collect(state.params, gathering(state), streams)
        played.append((streams, rollout))
    source.close()
    return state, played


def joined(played):
    """The transitions of successive rollouts as one tape, in numpy."""
    tapes = [rollout.transitions for _, rollout in played]
    return jax.tree.map(lambda *x: np.concatenate(x), *tapes)


def replayed(actions, seed):
    """What one environment alone makes of a stream's actions, in a plain loop."""
    env, rows = numpy_tasks.Counting(), []
    observation, _ = env.reset(seed=seed)
    start = True
    for action in actions:
        after, reward, terminated, truncated, _ = env.step(action)
        rows.append((observation, start, reward, terminated, truncated, after))
        observation, start = after, terminated or truncated
        if start:
            observation, _ = env.reset()
    return rows, env


@pytest.mark.parametrize("mode", ["same step", "next step"])
def test_tape_is_that_of_plain_loops_bit_for_bit(mode):
    agent = agent_on(task(mode), "dqn", sequence_length=4)
    _, played = rollouts(agent, 4)
    tape = joined(played)
    seeds = spread_seeds(TRAINING, 0, 0, STREAMS)
    ends = 0
    for stream in range(STREAMS):
        seed = seeds[stream] if mode == "same step" else seeds[0] + stream
        rows, _ = replayed(tape.action[:, stream], seed)
        for time, row in enumerate(rows):
            seen, start, reward, terminated, truncated, after = row
            at = (time, stream)
            for name in ("calls", "choice"):
                np.testing.assert_array_equal(
                    tape.inputs.observation[name][at], np.asarray(seen[name], "f4")
                )
                np.testing.assert_array_equal(
                    tape.finals.observation[name][at], np.asarray(after[name], "f4")
                )
            assert tape.inputs.start[at] == start
            assert tape.reward[at] == np.float32(reward)
            assert (tape.terminated[at], tape.truncated[at]) == (terminated, truncated)
            ends += terminated or truncated
    counted = sum(int(rollout.statistics.episodes) for _, rollout in played)
    assert ends > 20 and (counted == ends or mode == "next step")


@pytest.mark.parametrize("mode", ["same step", "next step"])
def test_acting_is_recomputed_from_the_tape(mode):
    """Values, memories, and values of what a time limit cut off, step by step."""
    agent = agent_on(task(mode), previous_action=True, previous_reward=True)
    state, played = rollouts(agent, 5)
    finals = final_observations(joined(played), mode)
    network = agent.network(state.params)
    memory = network.initial_state(STREAMS)
    step = jax.jit(lambda *x: network.step(*x))
    value_of = jax.jit(lambda *x: network.value(*x))
    cuts = 0
    for number, (streams, rollout) in enumerate(played):
        tape, entered = rollout.transitions, rollout.memory_states
        for time in range(LENGTH):
            now = jax.tree.map(lambda x, t=time: x[t], tape)
            if time % 4 == 0:  # where an episode begins, any memory is as good
                inside = ~np.asarray(now.inputs.start)
                close(
                    rows_of(jax.tree.map(lambda x, s=time // 4: x[s], entered), inside),
                    rows_of(memory, inside),
                )
            memory, _, value = step(memory, now.inputs)
            close(value, now.extras.value)
            final = rows_of(finals, number * LENGTH + time)
            continued = now.inputs._replace(
                observation=final,
                start=jnp.zeros(STREAMS, bool),
                previous_action=now.action,
                previous_reward=now.reward,
            )
            cut = now.truncated & ~now.terminated
            expected = jnp.where(cut, value_of(memory, continued), 0)
            close(now.bootstrap_value, expected)
            cuts += int(cut.sum())
        # What follows, unless an episode just ended: nobody looks at it then.
        goes_on = ~np.asarray(tape.terminated[-1] | tape.truncated[-1])
        assert not np.asarray(streams.inputs.start)[goes_on].any()
        close(rows_of(streams.memory_state, goes_on), rows_of(memory, goes_on))
        for _, after in played[number + 1 : number + 2]:
            first = rows_of(after.transitions.inputs, 0)
            close(rows_of(streams.inputs, goes_on), rows_of(first, goes_on))
    assert cuts > 2


def rows_of(tree, rows):
    return jax.tree.map(lambda x: np.asarray(x)[rows], tree)


def final_observations(tape, mode):
    """What every step led to before any reset, from plain loops."""
    seeds = spread_seeds(TRAINING, 0, 0, STREAMS)
    streams = []
    for stream in range(STREAMS):
        seed = seeds[stream] if mode == "same step" else seeds[0] + stream
        rows, _ = replayed(tape.action[:, stream], seed)
        streams.append(jax.tree.map(lambda *x: np.stack(x), *(row[-1] for row in rows)))
    stacked = jax.tree.map(lambda *x: np.stack(x, 1), *streams)
    return jax.tree.map(lambda x: x.astype("f4" if x.dtype == "f8" else "i4"), stacked)


def close(found, expected):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
        found,
        expected,
    )


@dataclasses.dataclass(frozen=True)
class Certain(envs.Environment):
    """Without chance: terminates on the second action after two steps, else cut off."""

    limit: int = 5

    def reset(self, key):
        return self._seen(jnp.zeros((), jnp.int32)), jnp.zeros((), jnp.int32)

    def _seen(self, state):
        return jnp.stack([state, state % 2]).astype(jnp.float32)

    def step(self, key, state, action):
        state = state + 1
        terminated = (state > 2) & (action == 1)
        reward = (action * state).astype(jnp.float32)
        return self._seen(state), state, reward, terminated, state >= self.limit, {}

    @property
    def observation_space(self):
        return spaces.Box(0, 10, (2,), np.float32)

    @property
    def action_space(self):
        return spaces.Discrete(2)

    @property
    def card(self):
        known = [envs.unknown("a test")] * 4
        return envs.Card("none", "", (0, 0), True, *known, self.limit)


def certain():
    """The same task, stepped on the host."""
    env = GymnasiumEnv(Certain())
    env.card = Certain().card  # type: ignore[attr-defined]
    return env


@pytest.mark.parametrize(
    "name",
    [
        *("ppo", "dqn"),
        pytest.param("pqn", marks=pytest.mark.slow),
        pytest.param("sac", marks=pytest.mark.slow),
    ],
)
def test_equals_the_compiled_rollout(name):
    """The same task in numpy: every array of the rollout, and of the state learned."""
    settings = {"normalize_reward": True, "previous_action": True}
    if name in ("dqn", "sac"):
        settings |= {"replay_size": 96, "learning_starts": 0, "batch_size": 4}
        settings |= {"sequence_length": 4, "gradient_steps": 2}
    compiled = agent_on(Certain(), name, **settings)
    hosted = dataclasses.replace(
        compiled, env=envs.HostTask(f"{__name__}:certain", own=True)
    )
    state = jax.jit(compiled.init)(jax.random.key(1))
    other = jax.jit(hosted.init)(jax.random.key(1))
    source = HostSource(hosted, seed=1)
    streams = source.begin(other.streams)
    update = jax.jit(compiled.update)
    learn = jax.jit(lambda *arguments: hosted.learn_from(*arguments))
    gathering = jax.jit(lambda state: hosted.gathering(state))
    for _ in range(3):
        state, metrics = update(state)
        collected = source.collect(other.params, gathering(other), streams)
        other, found = learn(other, *collected)
        streams = other.streams
        if name in ("ppo", "pqn"):
            close(found, metrics)
    source.close()
    close(other.params, state.params)
    for field in ("inputs", "memory_state", "discounted_return"):
        close(getattr(other.streams, field), getattr(state.streams, field))
    for field in ("index", "episode_return", "episode_length"):
        close(
            getattr(other.streams.env_state, field),
            getattr(state.streams.env_state, field),
        )
    if name in ("dqn", "sac"):
        close((other.replay, other.marks), (state.replay, state.marks))


def test_streams_that_are_ahead_wait_for_the_others():
    """Episodes of one step beside longer ones: what is missing are whole episodes."""
    numpy_tasks.register()
    env = envs.HostTask("engram-tests/Uneven-v0", vectorization="own")
    _, played = rollouts(agent_on(env, "dqn", sequence_length=4), 16)
    tape = joined(played)
    resets, _, time, _ = np.moveaxis(tape.inputs.observation["calls"], -1, 0)
    start, over = tape.inputs.start, tape.terminated | tape.truncated
    np.testing.assert_array_equal(start, time == 0)
    np.testing.assert_array_equal(start[1:], over[:-1])
    np.testing.assert_array_equal(time[1:][~start[1:]], time[:-1][~start[1:]] + 1)
    skipped = np.diff(resets, axis=0) - start[1:]
    assert (skipped >= 0).all() and not skipped[:, 0].any()
    assert skipped[:, 1:].any(), "no stream was ever so far ahead that it had to wait"


@pytest.mark.parametrize("action", ["box", "choices"])
def test_any_space_goes_through(action):
    path = "tests.agents.experience.numpy_tasks:Echoing"
    env = envs.HostTask(path, {"action": action}, own=True)
    _, played = rollouts(agent_on(env), 2)
    tape = joined(played)
    picture, flags, echoed = (
        tape.inputs.observation[0]["pixels"],
        *tape.inputs.observation[1:],
    )
    start = tape.inputs.start
    time = np.arange(2 * LENGTH)[:, None] % 3 + np.zeros(STREAMS, int)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[..., 0, 0, 0], 10 * time)
    np.testing.assert_array_equal(flags[..., 0], time % 2)
    expected = np.where(start[1:, :, None], 0, tape.action[:-1])
    np.testing.assert_array_equal(echoed[1:], expected.astype("f4"))
    np.testing.assert_array_equal(tape.truncated, time == 2)


def test_what_followed_an_episode_that_broke_off_is_unknown():
    """A replay that goes on after a run was resumed: no return crosses the place."""
    agent = agent_on(Certain(), "dqn", replay_size=96, sequence_length=4, burn_in=0)
    state = jax.jit(agent.init)(jax.random.key(0))
    _, rollout = jax.jit(lambda state: play(agent, state))(state)
    steps = rollout.transitions
    broken = steps.inputs.start.at[5].set(True)  # and nothing ended at row 4
    quiet = jnp.zeros_like(steps.terminated)
    steps = steps._replace(
        inputs=steps.inputs._replace(start=broken), terminated=quiet, truncated=quiet
    )

    @jax.jit
    def drawn(state, rollout):
        replay, marks = agent.windows.write(
            state.replay, state.marks, rollout, state.updates
        )
        window = agent.windows.sample(replay, marks, state.updates + 1, key=state.key)
        return window, *agent.windows.tape(replay, window)[1:]

    window, rows, layout = drawn(state, rollout._replace(transitions=steps))
    follows = window.rows.inputs.start[1:]
    np.testing.assert_array_equal(rows.truncated, follows)
    np.testing.assert_array_equal(layout.known[:-1], ~follows[:-1])
    assert follows[:-1].any()


def test_runs_share_no_seeds():
    found = [
        set(spread_seeds(use, seed, begun, 64))
        for use in (1, 2)
        for seed in range(4)
        for begun in (0, 1)
    ]
    assert len(set.union(*found)) == sum(map(len, found)) == 64 * len(found)
    assert spread_seeds(1, 3, 0, 8) == spread_seeds(1, 3, 0, 64)[:8]


def test_is_not_run_where_it_is_compiled():
    agent = agent_on(task("same step"))
    state = jax.jit(agent.init)(jax.random.key(0))
    with pytest.raises(Exception, match="stepped on the host and cannot be compiled"):
        jax.block_until_ready(jax.jit(agent.update)(state))
