"""Bakker's T-maze against its rules written out as a plain loop, and its card."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.mazes.bakker_tmaze import ACTIONS, BakkerTMaze, random_return

MOVES = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
ROWS = 400


def reference(length, north, actions):
    """Bits, reward and end; `*` stands for what is noisy in the noisy corridor."""
    looks = {(x, 0): "101" for x in range(1, length)}
    looks[0, 0] = "011" if north else "110"
    looks[length, 0] = looks[length, 1] = looks[length, -1] = "010"
    place, goal = (0, 0), (length, 1 if north else -1)
    trace = [(looks[place], None, False)]
    for action in actions:
        dx, dy = MOVES[ACTIONS[action]]
        there = (place[0] + dx, place[1] + dy)
        ended = there in looks and there[1] != 0
        if there not in looks:
            reward = -0.1
        elif ended:
            reward = 4.0 if there == goal else -0.1
        else:
            reward = 0.0
        place = there if there in looks else place
        trace.append((looks[place], reward, ended))
        if ended:
            break
    return trace


@pytest.fixture(
    scope="module",
    params=[BakkerTMaze(1, steps=6), BakkerTMaze(4, noise=True, steps=40)],
    ids=str,
)
def played(request):
    """Random play that drifts east, with all observations `[time, stream, 3]`."""
    env = request.param
    actions = np.random.default_rng(0).choice(
        4, (ROWS, env.steps), p=(0.2, 0.5, 0.2, 0.1)
    )
    keys = jax.random.split(jax.random.key(0), ROWS)
    first, state = jax.jit(jax.vmap(env.reset))(keys)

    def body(state, inputs):
        key, action = inputs
        keys = jax.random.split(key, ROWS)
        step = jax.vmap(env.step)(keys, state, action)
        return step[1], (step[0], *step[2:], jax.vmap(env.hidden)(state)["goal"])

    inputs = (jax.random.split(jax.random.key(1), env.steps), jnp.asarray(actions.T))
    trace = jax.jit(lambda s, i: jax.lax.scan(body, s, i)[1])(state, inputs)
    goals = np.asarray(state.goal)
    return env, actions, goals, np.asarray(first), jax.tree.map(np.asarray, trace)


def same(env, seen, bits):
    """Whether three numbers are what the rules show; noise keeps the middle."""
    if env.noise and bits == "101":
        return seen[1] == 0 and 0 <= seen[0] <= 1 and 0 <= seen[2] <= 1
    return seen.tolist() == [float(bit) for bit in bits]


def test_agrees_with_the_rules(played):
    env, actions, goals, first, trace = played
    observation, reward, terminated, truncated, info, (value, age) = trace
    ends, read_again = set(), 0
    for i in range(ROWS):
        expected = reference(env.length, goals[i] > 0, actions[i])
        assert same(env, first[i], expected[0][0])
        place = since = 0
        for t, (bits, paid, ended) in enumerate(expected[1:]):
            before = expected[t][0]
            assert same(env, observation[t, i], bits), (i, t)
            assert reward[t, i] == pytest.approx(paid)
            assert (terminated[t, i], truncated[t, i]) == (ended, t == env.steps - 1)
            assert info["success"][t, i] == (paid == 4)
            phase = {"010": 2, "101": 1}.get(before, 0)
            assert info["phase"][t, i] == phase
            assert info["decision"][t, i] == (phase == 2)
            assert (value[t, i], age[t, i]) == (goals[i], since)
            step = MOVES[ACTIONS[actions[i, t]]][0]
            place = min(max(place + step, 0), env.length)
            since = since + 1 if place else 0
            ends.add((paid, ended))
            read_again += place == 0 and before == "101"
    assert read_again > 20 or env.length == 1  # of the cue, after walking back
    assert ends == {(4.0, True), (-0.1, True), (-0.1, False), (0.0, False)}


def test_noise_is_uniform_and_new_at_every_step(played):
    env, _, _, _, trace = played
    if not env.noise:
        return
    observation = trace[0]
    corridor = observation[observation[:, :, 1] == 0]
    for side in (0, 2):
        counts = np.histogram(corridor[:, side], 10, (0, 1))[0]
        expected = len(corridor) / 10
        assert ((counts - expected) ** 2 / expected).sum() < 9 + 5 * np.sqrt(18)
    assert len(np.unique(corridor[:, [0, 2]])) > 1.9 * len(corridor)
    assert abs(np.corrcoef(corridor[:, 0], corridor[:, 2])[0, 1]) < 5 / np.sqrt(
        len(corridor)
    )


@pytest.mark.parametrize("length, steps", [(1, 5), (2, 6)])
def test_floor_by_enumeration(length, steps):
    paid = [
        sum(reward or 0 for _, reward, _ in reference(length, True, actions))
        for actions in itertools.product(range(4), repeat=steps)
    ]
    assert random_return(length, steps) == pytest.approx(np.mean(paid))
    card = BakkerTMaze(length, steps=steps).card
    assert card.floor.value == random_return(length, steps)
    assert BakkerTMaze(10, steps=10**8).card.floor.value is None


def stationary_returns(length, steps, first, start, corridor, junction):
    """Exact returns of stochastic stationary policies by dynamic programming.

    Probabilities of north, east, south, west: `first` and `start` `[policies, cue, 4]`
    of the first observation and of the same without the start flag; `corridor` and
    `junction` `[policies, 4]`. What noise adds is one more way to be stochastic.
    """
    count = len(corridor)
    total = np.zeros(count)
    for cue in (0, 1):  # goal north, south
        cells = np.zeros((count, length + 1))
        cells[:, 0] = 1.0
        for time in range(steps):
            policy = np.repeat(corridor[:, None], length + 1, 1)
            policy[:, 0] = first[:, cue] if time == 0 else start[:, cue]
            policy[:, -1] = junction
            north, east, south, west = np.moveaxis(cells[:, :, None] * policy, 2, 0)
            right, wrong = (north, south) if cue == 0 else (south, north)
            stuck = (north + south)[:, :-1].sum(1) + east[:, -1] + west[:, 0]
            total += (4 * right[:, -1] - 0.1 * wrong[:, -1] - 0.1 * stuck) / 2
            cells = north + south
            cells[:, -1] = east[:, -1]
            cells[:, 0] += west[:, 0]
            cells[:, 1:] += east[:, :-1]
            cells[:, :-1] += west[:, 1:]
    return total


@pytest.mark.parametrize("length, steps", [(1, 2), (1, 4), (3, 4), (3, 9)])
def test_memoryless_by_search(length, steps):
    """Neither idling for one cue, until it is too late to turn, nor anything else."""
    rng = np.random.default_rng(0)
    corners = np.eye(4)[np.array(list(itertools.product(range(4), repeat=6)))]
    spread = rng.dirichlet(np.full(4, 0.3), (20_000, 6))
    spread[::2, [0, 2, 4]] = np.eye(4)[1]  # near the best: for one cue straight on
    policies = np.concatenate([corners, spread, np.full((1, 6, 4), 0.25)])
    returns = stationary_returns(
        length,
        steps,
        policies[:, :2],
        policies[:, 2:4],
        policies[:, 4],
        policies[:, 5],
    )
    memoryless = BakkerTMaze(length, steps=steps).card.memoryless.value
    assert returns.max() == pytest.approx(memoryless) == 1.95
    assert returns[-1] == pytest.approx(random_return(length, steps))


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"length": 0}, "BakkerTMaze needs a corridor"),
        ({"length": 7, "steps": 7}, "needs steps of at least 8"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        BakkerTMaze(**parameters)
