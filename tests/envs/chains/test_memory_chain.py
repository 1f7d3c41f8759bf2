"""The memory chain against bsuite's rules written out in numpy, and its card."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.chains.memory_chain import LENGTHS, SIZES, MemoryChain, MemoryChainState

SHAPES = [(1, 1), (1, 3), (2, 1), (2, 5), (7, 2)]


def reference(length, bits, context, query, actions):
    """Observations, rewards and ends by bsuite's rules; `context` in {0, 1}.

    The counter moves on only after the observation that a step returns is made.
    """
    counter = 0

    def look():
        row = np.zeros((1, bits + 2), np.float32)
        row[0, 0] = 1 - counter / length
        if counter == length - 1:
            row[0, 1] = query
        if counter == 0:
            row[0, 2:] = [1 if bit else -1 for bit in context]
        return row[0]

    trace = [(look(), None, False)]
    for action in actions:
        seen = look()
        counter += 1
        if counter <= length:
            trace.append((seen, 0.0, False))
            continue
        trace.append((seen, 1.0 if action == context[query] else -1.0, True))
        break
    return trace


def play(env, contexts, queries, actions):
    """Observations, rewards, ends and infos `[time, stream]` for given episodes."""
    count = len(queries)
    state = MemoryChainState(
        time=jnp.zeros(count, jnp.int32),
        context=jnp.asarray(2 * contexts - 1, jnp.int32),
        query=jnp.asarray(queries, jnp.int32),
    )

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))
        observation, after, *rest = step(jax.random.key(0), state, action)
        hidden = jax.vmap(env.hidden)(state)["context"]
        return after, (observation, *rest, hidden)

    scan = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1])
    return jax.tree.map(np.asarray, scan(state, jnp.asarray(actions.T, jnp.int32)))


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def played(request):
    length, bits = request.param
    rng = np.random.default_rng(bits)
    contexts = rng.integers(0, 2, (64, bits))
    queries = rng.integers(0, bits, 64)
    actions = rng.integers(0, 2, (64, length + 1))
    env = MemoryChain(length, bits)
    return env, contexts, queries, actions, play(env, contexts, queries, actions)


def test_agrees_with_bsuite_step_by_step(played):
    env, contexts, queries, actions, trace = played
    observation, reward, terminated, truncated, info, _ = trace
    assert not truncated.any()
    assert set(reward[-1]) == {-1.0, 1.0}
    for i in range(64):
        expected = reference(env.length, env.bits, contexts[i], queries[i], actions[i])
        assert len(expected) == env.length + 2  # observations: one more than actions
        for t, (seen, paid, ended) in enumerate(expected[1:]):
            np.testing.assert_allclose(observation[t, i], seen, atol=1e-7)
            assert (reward[t, i], terminated[t, i]) == (paid, ended), (i, t)
    assert (info["success"] == (reward == 1)).all()
    assert (info["decision"] == terminated).all()


def test_when_what_is_observed(played):
    """The context at the start and once more, the query before the last action."""
    env, contexts, queries, _, trace = played
    observation, _, _, _, info, (value, age) = trace
    length = env.length
    shown = (observation[:, :, 2:] != 0).all((1, 2))
    assert shown.tolist() == [True] + [False] * length
    asked = observation[length - 1, :, 1]  # seen before action length + 1
    assert (asked == queries).all()
    outside = [t for t in range(length + 1) if t != length - 1]
    assert (observation[outside, :, 1] == 0).all()
    # `hidden`: counted from the second showing, so length - 1 at the decision.
    assert age[:, 0].tolist() == [max(0, t - 1) for t in range(length + 1)]
    assert (value == 2 * contexts - 1).all()
    assert env.card.horizon == (age[-1, 0], age[-1, 0]) == (length - 1, length - 1)
    phases = [0, 0] + [1] * (length - 1)
    phases[length:] = [2]
    assert info["phase"][:, 0].tolist() == phases
    assert env.card.phases == ("context", "wait", "query")


def test_what_was_seen_length_minus_one_steps_ago_suffices(played):
    """`recall`: the answer is the asked bit of the second observation."""
    env, contexts, queries, actions, trace = played
    observation, streams = trace[0], np.arange(64)
    query = observation[env.length - 1, :, 1].astype(int)
    answer = observation[0, streams, 2 + query] > 0
    actions = np.concatenate([actions[:, :-1], answer[:, None]], 1)
    returned = sum(
        paid or 0
        for i in range(64)
        for _, paid, _ in reference(
            env.length, env.bits, contexts[i], queries[i], actions[i]
        )
    )
    assert returned / 64 == env.card.recall.value == 1.0


@pytest.mark.parametrize("length, bits", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)])
def test_memoryless_by_enumeration(length, bits):
    """The best map from the observation before the scored action to an action."""
    paid = {}
    contexts = list(itertools.product((0, 1), repeat=bits))
    for context, query in itertools.product(contexts, range(bits)):
        for action in (0, 1):
            trace = reference(length, bits, context, query, [0] * length + [action])
            seen = tuple(trace[length][0])
            paid[seen, action] = paid.get((seen, action), 0.0) + trace[-1][1]
    views = {seen for seen, _ in paid}
    best = sum(max(paid[view, 0], paid[view, 1]) for view in views)
    best /= len(contexts) * bits
    card = MemoryChain(length, bits).card
    assert card.memoryless.value == best == float(length == 1)
    assert (card.memory == "none") == (length == 1)


def test_bits_and_queries_are_fair_and_independent():
    env = MemoryChain(length=2, bits=3)
    keys = jax.random.split(jax.random.key(1), 4000)
    _, state = jax.jit(jax.vmap(env.reset))(keys)
    cells = (np.asarray(state.context) > 0) @ [1, 2, 4] + 8 * np.asarray(state.query)
    counts = np.bincount(cells, minlength=24)
    expected = 4000 / 24
    # Chi-squared of 23 degrees: mean 23, standard deviation 6.8; here mean + 5.
    assert ((counts - expected) ** 2 / expected).sum() < 23 + 5 * np.sqrt(46)


def test_all_settings_of_bsuite():
    """23 lengths with one bit, 17 sizes at length 2, each an id with its own card."""
    assert (len(LENGTHS), len(SIZES)) == (23, 17)
    assert LENGTHS[:10] == SIZES[:10] == tuple(range(1, 11))
    assert LENGTHS[10:16] == SIZES[10:16] == (12, 14, 17, 20, 25, 30)
    assert LENGTHS[16:] == (40, 50, 60, 70, 80, 90, 100) and SIZES[16:] == (40,)
    settings = {f"MemoryLength{n}-v0": MemoryChain(n, 1) for n in LENGTHS}
    settings |= {f"MemorySize{n}-v0": MemoryChain(2, n) for n in SIZES}
    prefixes = ("MemoryLength", "MemorySize")
    assert {name for name in envs.names() if name.startswith(prefixes)} == set(settings)
    for name, env in settings.items():
        assert envs.make(name) == env
        assert env.observation_space.shape == (env.bits + 2,)
        card = env.card
        assert card.max_episode_steps == env.length + 1
        assert card.memory == (
            "none" if env.length == 1 else "object" if env.bits == 1 else "capacity"
        )


@pytest.mark.parametrize("name", ["length", "bits"])
def test_parameters_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} of at least 1 and at most .*, not 0"):
        envs.make("MemoryChain-v0", **{name: 0})
