"""What agents with a replay share: starts of windows, priorities, targets, the gate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.algorithms.replaying import followed
from agents.experience.replay import Marks
from agents.experience.rollout import Rollout, play
from agents.running.updates import FINITE, make_update_loop
from tests.agents.algorithms.test_q_one import case_of, make_agent
from tests.agents.toy import Toy


def test_what_windows_start_with_follows_the_memory():
    free = {"burn_in": None, "replay_start": None, "sequence_length": 24}
    free["replay_size"] = 6 * 16 * 8

    def found(memory, **settings):
        windows = make_agent(memory, **{**free, **settings}).windows
        return windows.start, windows.burn_in

    assert found("none") == ("zero", 0)
    start, burn_in = found("frame_stack")
    context = make_agent("frame_stack", **free).windows.burn_in
    assert start == "zero" and 0 < burn_in == context < 24
    assert found("frame_stack", sequence_length=burn_in - 1)[0] == "stored"
    assert found("gru") == ("stored", 6)
    assert found("gru", burn_in=3) == ("stored", 3)
    assert found("gru", replay_start="zero") == ("zero", 6)
    assert found("gru", replay_start="episode") == ("episode", 0)


def test_a_replay_without_states_is_smaller_and_says_so():
    stored, empty = (make_agent(replay_start=x) for x in ("stored", "zero"))
    assert "stored memory states" in stored.describe()
    assert "an empty memory" in empty.describe()
    sizes = [agent.footprint()["replay"] for agent in (stored, empty)]
    items = stored.windows.ring.items * stored.num_envs
    state = 8 * 4  # the GRU's, in float32
    assert sizes[0].bytes - sizes[1].bytes == items * state
    assert "memory.output_size" in sizes[0].lower
    assert "memory.output_size" not in sizes[1].lower


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"replay_period": 3}, "agent.replay_period=3 does not divide"),
        ({"replay_size": 100}, "use at least 144."),
        ({"target_rate": 1.5}, "agent.target_rate must be in 0 to 1"),
        ({"n_step": 0}, "agent.n_step must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_one_sentence(settings, told):
    with pytest.raises(ValueError, match=r"\.$") as caught:
        make_agent(**settings)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_priorities_mix_the_largest_and_the_mean_error():
    case = case_of("gru", priority_exponent=0.9, priority_peak=0.75)
    windows, window = case.agent.windows, case.window
    rng = np.random.default_rng(0)
    error = rng.normal(size=(12, 24)).astype(np.float32)
    known = rng.random((12, 24)) < 0.7
    known[:, 5] = False
    before = jnp.full((6, windows.ring.items), 3.5)
    marks = Marks(before, jnp.zeros(6, jnp.int32))
    found = np.asarray(
        windows.marked(marks, window, jnp.asarray(error), jnp.asarray(known)).priority
    )
    stream, item = np.asarray(window.stream), np.asarray(window.item)
    drawn = {}
    for i in range(24):
        sizes = np.abs(error[known[:, i], i])
        value = 3.5 if i == 5 else 0.75 * sizes.max() + 0.25 * sizes.mean()
        drawn.setdefault((stream[i], item[i]), []).append(value)
    for at, values in drawn.items():
        assert np.abs(found[at] - values).min() < 1e-5
    untouched = [at for at in np.ndindex(found.shape) if at not in drawn]
    assert all(found[at] == 3.5 for at in untouched)
    uniform = dataclasses.replace(windows, priority_exponent=0.0)
    assert (
        uniform.marked(marks, window, jnp.asarray(error), jnp.asarray(known)) is marks
    )
    assert uniform.correction(window) == 1.0


def test_what_is_drawn_too_often_weighs_less():
    windows = make_agent(priority_exponent=0.9, priority_correction=0.6).windows
    window = case_of("gru").window
    probability = jnp.asarray(np.linspace(0.01, 0.3, 24), jnp.float32)
    found = np.asarray(windows.correction(window._replace(probability=probability)))
    expected = (0.01 / np.linspace(0.01, 0.3, 24)) ** 0.6
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)


def test_target_networks_follow():
    old, new = {"w": jnp.asarray([0.0, 2.0])}, {"w": jnp.asarray([1.0, 4.0])}
    step = jnp.asarray(6, jnp.int32)
    slow = followed(old, new, step, period=None, rate=0.25)
    np.testing.assert_allclose(slow["w"], [0.25, 2.5])
    copied = followed(old, new, step, period=3, rate=0.25)
    np.testing.assert_array_equal(copied["w"], new["w"])
    kept = followed(old, new, step + 1, period=3, rate=0.25)
    np.testing.assert_array_equal(kept["w"], old["w"])


@dataclasses.dataclass(frozen=True)
class Failing(Toy):
    """Its reward is not a number from the 20th update or so on."""

    def step(self, key, state, action):
        observation, state, reward, *rest = super().step(key, state, action)
        bad = jax.random.uniform(key) < 0.002
        return observation, state, jnp.where(bad, jnp.nan, reward), *rest


@pytest.fixture(scope="module")
def loop():
    """Ten updates at a time of an agent that soon learns from what is not a number."""
    agent = make_agent(
        env=Failing(), learning_starts=6 * 8 * 4, gradient_steps=2, batch_size=8
    )
    run = jax.jit(make_update_loop(agent, 40))

    def updates(state, count):
        state, metrics = run(state, jnp.asarray(count, jnp.int32))
        return state, jax.tree.map(np.asarray, metrics)

    return jax.jit(agent.init)(jax.random.key(0)), updates


def test_nothing_is_learned_before_enough_is_written(loop):
    state, updates = loop
    three, metrics = updates(state, 3)
    same = jax.tree.map(
        np.array_equal, (three.params, three.target), (state.params, state.target)
    )
    assert all(jax.tree.leaves(same)) and (metrics["loss/total"][:3] == 0).all()
    four, metrics = updates(state, 4)
    assert metrics["loss/total"][3] > 0
    differ = jax.tree.map(np.array_equal, four.params, state.params)
    assert not all(jax.tree.leaves(differ))


def test_an_update_that_is_not_taken_is_written_again_alike(loop):
    state, updates = loop
    _, metrics = updates(state, 40)
    taken = metrics[FINITE]
    count = int(taken.sum())
    assert 6 < count < 38 and taken[:count].all()
    good, _ = updates(state, count)
    one, two = (updates(state, count + more)[0] for more in (1, 2))
    for name in agent_fields(state):
        left, right = getattr(good, name), getattr(one, name)
        jax.tree.map(bits, left, right)
    jax.tree.map(bits, one.replay, two.replay)


def agent_fields(state):
    return [name for name in state._fields if name not in ("replay", "key")]


def bits(left, right):
    assert np.asarray(left).tobytes() == np.asarray(right).tobytes()


def test_the_rollout_is_written_with_the_states_that_entered():
    """Of every period, before its first row."""
    case = case_of("gru")
    agent, state = case.agent, case.state
    streams, rollout = jax.jit(lambda state: play(agent, state))(state)
    assert isinstance(rollout, Rollout) and streams is not None
    first = jax.tree.map(lambda x: x[0], rollout.memory_states)
    jax.tree.map(np.testing.assert_array_equal, first, state.streams.memory_state)
