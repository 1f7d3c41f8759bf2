"""The Memory & Planning Game against its rules in plain Python, and its returns."""

import functools
import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.planning import memory_planning_returns as returns
from envs.planning.memory_planning_game import MemoryPlanningGame

STREAMS = 1200
AT_RANDOM, BY_ORACLE, STRAIGHT = range(3)
DIRECTIONS = {0: (0, 1), 1: (0, -1), 2: (-1, 0), 3: (1, 0), 4: (0, 0)}
TURNS = np.array([[3, 2], [2, 3], [0, 1], [1, 0]])  # right and left of each move


@pytest.fixture(scope="module")
def played():
    """States, actions, results `[time, stream]`; a third of them by each player."""
    env = MemoryPlanningGame()

    def run(key, players):
        keys = jax.random.split(key, (env.length + 1, STREAMS))
        first, state = jax.vmap(env.reset)(keys[0])

        def choose(key, state, seen, previous, player):
            any_key, turn_key, side_key = jax.random.split(key, 3)
            drawn = jax.random.randint(any_key, (), 0, 5, jnp.int32)
            turn = jax.random.bernoulli(turn_key, 0.7)
            side = jax.random.bernoulli(side_key).astype(jnp.int32)
            turned = jnp.asarray(TURNS, jnp.int32)[previous % 4, side]
            on = jnp.where(turn, turned, previous)
            on = jnp.where(previous == 4, drawn % 4, on)
            straight = jnp.where(seen["goal"] == seen["position"], 4, on)
            best = env.oracle(key, state)
            return jnp.select(
                [player == AT_RANDOM, player == BY_ORACLE], [drawn, best], straight
            )

        def body(carry, keys):
            seen, state, previous = carry
            choice, step_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
            action = jax.vmap(choose)(choice, state, seen, previous, players)
            seen, after, *rest = jax.vmap(env.step)(step_keys, state, action)
            hidden = jax.vmap(env.hidden)(state)["way"]
            return (seen, after, action), (state, action, seen, *rest, hidden)

        start = (first, state, jnp.full(STREAMS, 4, jnp.int32))
        return first, jax.lax.scan(body, start, keys[1:])[1]

    players = np.arange(STREAMS) % 3
    trace = jax.jit(run)(jax.random.key(0), jnp.asarray(players, jnp.int32))
    return env, players, *jax.tree.map(np.asarray, trace)


def reference(size, length, labels, start, goals, actions):
    """Names seen, rewards and ends; `goals` are the places drawn, one after another."""
    names = dict(zip(itertools.product(range(size), repeat=2), labels, strict=True))
    place, (goal, *coming) = start, goals
    trace = []
    for time, action in enumerate(actions, start=1):
        moved = np.add(place, DIRECTIONS[action]) % size
        place = tuple(int(x) for x in moved)
        reward = 0
        if action == 4 and place == goal:
            reward, goal = 1, coming.pop(0)
            assert goal != place
        trace.append((names[place], names[goal], reward, time == length))
    return trace


def test_agrees_with_the_rules(played):
    _, _, first, trace = played
    state, action, seen, reward, terminated, truncated, _, _ = trace
    assert not truncated.any()
    assert (np.sort(state.labels[0]) == np.arange(16)).all()
    for i in range(60):
        start = (int(state.x[0, i]), int(state.y[0, i]))
        names = state.labels[0, i]
        places = [divmod(int(goal), 4) for goal in state.goal[:, i]]
        last = int(np.flatnonzero(names == seen["goal"][-1, i])[0])
        places.append(divmod(last, 4))
        paid = np.flatnonzero(reward[:, i])
        goals = [places[0], *(places[t + 1] for t in paid)]
        assert first["position"][i] == names[start[0] * 4 + start[1]]
        assert first["goal"][i] == names[goals[0][0] * 4 + goals[0][1]]
        expected = reference(4, 100, names, start, goals, action[:, i])
        columns = (seen["position"], seen["goal"], reward, terminated)
        assert [tuple(c[t, i] for c in columns) for t in range(100)] == expected


def test_what_is_hidden(played):
    """The way to the goal, and the steps since its place was visited."""
    _, _, first, trace = played
    state, seen, info, (way, age) = trace[0], trace[2], trace[6], trace[7]
    for i in range(60):
        position = [first["position"][i], *seen["position"][:-1, i]]
        goal = [first["goal"][i], *seen["goal"][:-1, i]]
        for t in range(100):
            visits = [k for k in range(t + 1) if position[k] == goal[t]]
            assert age[t, i] == (t - visits[-1] if visits else -1)
            assert info["decision"][t, i] == bool(visits and visits[-1] != t)
            x, y = divmod(int(state.goal[t, i]), 4)
            expected = (x - state.x[t, i]) % 4, (y - state.y[t, i]) % 4
            assert tuple(way[t, i]) == expected


def test_chances(played):
    """Starts, names and goals are drawn evenly; five sigma each."""
    _, _, _, trace = played
    state, reward = trace[0], trace[3]
    error = 5 * np.sqrt(1 / 16 / STREAMS)
    start = state.x[0] * 4 + state.y[0]
    for sample in (start, *state.labels[0].T[[0, 7, 15]]):
        share = np.bincount(sample, minlength=16) / STREAMS
        assert np.abs(share - 1 / 16).max() < error
    fresh = np.zeros(reward.shape, bool)
    fresh[0], fresh[1:] = True, reward[:-1] > 0
    here = state.x * 4 + state.y
    away = ((state.goal - here) % 16)[fresh]
    share = np.bincount(away, minlength=16) / away.size
    assert share[0] == 0
    assert np.abs(share[1:] - 1 / 15).max() < 5 * np.sqrt(1 / 15 / away.size)


def test_returns_are_attained(played):
    """Random, by the oracle, and straight on, which `memoryless` quotes."""
    env, players, _, trace = played
    paid = trace[3].sum(0)
    claims = {
        AT_RANDOM: env.card.floor.value,
        BY_ORACLE: env.card.oracle.value,
        STRAIGHT: returns.straight_on(4, 100),
    }
    for player, claim in claims.items():
        sample = paid[players == player]
        assert abs(sample.mean() - claim) < 4 * sample.std() / sample.size**0.5
    assert f"{claims[STRAIGHT]:.2f}" in env.card.memoryless.note
    turns = np.linspace(0, 1, 11)
    best = max(turns, key=lambda turn: returns.straight_on(4, 100, turn))
    assert best == pytest.approx(0.7)


def best_by_beliefs(length):
    """The best return on 2 by 2 places, over sets of names that are still possible."""

    @functools.cache
    def value(place, goal, possible, left):
        """`goal` is a name; possible: namings that agree with all that was seen."""
        if left == 0:
            return 0.0
        worths = []
        for action, (x, y) in DIRECTIONS.items():
            if action == 4:
                name = next(iter(possible))[place[0] * 2 + place[1]]
                if name != goal:
                    continue
                others = [new for new in range(4) if new != name]
                later = sum(value(place, new, possible, left - 1) for new in others)
                worths.append(1 + later / 3)
                continue
            to = (place[0] + x) % 2, (place[1] + y) % 2
            seen = {}
            for names in possible:
                seen.setdefault(names[to[0] * 2 + to[1]], set()).add(names)
            worths.append(
                sum(
                    len(names) * value(to, goal, frozenset(names), left - 1)
                    for names in seen.values()
                )
                / len(possible)
            )
        return max(worths)

    possible = [names for names in itertools.permutations(range(4)) if names[0] == 0]
    return (
        sum(value((0, 0), goal, frozenset(possible), length) for goal in (1, 2, 3)) / 3
    )


def best_by_places(size, length):
    """The best return over places visited, where the agent is and a known goal."""
    everywhere = set(itertools.product(range(size), repeat=2))

    @functools.cache
    def value(here, visited, goal, left):
        if left == 0:
            return 0.0
        new = everywhere - visited
        worths = [0.0]
        if goal == here:
            later = sum(value(here, visited, g, left - 1) for g in visited - {here})
            if new:
                later += len(new) * value(here, visited, None, left - 1)
            worths.append(1 + later / (size**2 - 1))
        for x, y in list(DIRECTIONS.values())[:4]:
            to = (here[0] + x) % size, (here[1] + y) % size
            after = visited | {to}
            if to in new and goal is None:
                found = value(to, after, to, left - 1) / len(new)
                rest = 1 - 1 / len(new)
                if rest:
                    found += rest * value(to, after, None, left - 1)
                worths.append(found)
            else:
                worths.append(value(to, after, goal, left - 1))
        return max(worths)

    return value((0, 0), frozenset({(0, 0)}), None, length)


def test_recall_by_beliefs():
    for length in (2, 5, 9):
        claim = MemoryPlanningGame(2, length).card.recall
        assert claim.value == pytest.approx(best_by_beliefs(length), abs=1e-9)


def test_recall_by_places():
    claim = MemoryPlanningGame(3, 9).card.recall
    assert claim.value == pytest.approx(best_by_places(3, 9), abs=1e-9)


def nearest_first(rng):
    """Goals of who maps: the shortest known way, else to the nearest new place."""
    everywhere = list(itertools.product(range(4), repeat=2))

    def steps(a, b):
        return sum(min((p - q) % 4, (q - p) % 4) for p, q in zip(a, b, strict=True))

    here, paid = (0, 0), 0
    visited, goal = {here}, rng.choice(everywhere[1:])
    for _ in range(100):
        if here == goal:
            paid += 1
            goal = rng.choice([place for place in everywhere if place != here])
            continue
        new = [place for place in everywhere if place not in visited]
        target = goal if goal in visited else min(new, key=lambda p: steps(here, p))
        ways = [
            ((here[0] + x) % 4, (here[1] + y) % 4)
            for x, y in list(DIRECTIONS.values())[:4]
        ]
        here = min(ways, key=lambda place: steps(place, target))
        visited.add(here)
    return paid


def test_a_plain_explorer_comes_close():
    """Between two thirds and all of `recall`, whose last tenth takes looking ahead."""
    rng = random.Random(0)
    paid = np.mean([nearest_first(rng) for _ in range(200)])
    claim = MemoryPlanningGame().card.recall.value
    assert 0.9 * claim < paid < claim


@pytest.mark.slow
def test_recall_of_the_default():
    env = MemoryPlanningGame()
    found = returns.explore(env.size, env.length)
    assert env.card.recall.value == pytest.approx(found, abs=1e-9)


def test_larger_maps_are_not_computed():
    card = MemoryPlanningGame(5).card
    assert card.recall.value is None
    assert card.floor.value < card.oracle.value


def test_picture():
    env = MemoryPlanningGame()
    image = jax.eval_shape(lambda key: env.render(env.reset(key)[1]), jax.random.key(0))
    assert image.shape[0] == 64


@pytest.mark.parametrize(
    "parameters, message", [({"size": 1}, "not 1"), ({"length": 1}, "not 1")]
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("MemoryPlanningGame-v0", **parameters)
