"""Numpad against its rules in plain Python, and its returns by other ways."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.mikasa import numpad_returns as returns
from envs.mikasa.numpad import Numpad

STREAMS = 900
AT_RANDOM, BY_ORACLE, TRYING = range(3)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


class Pads:
    """MIKASA-Base's rules, with lights on a board and counters as they are there."""

    def __init__(self, size, sequence, ball):
        self.size = size
        self.sequence = [divmod(pad, size) for pad in sequence]
        self.ball = divmod(ball, size)
        self.lights = np.zeros((size, size), int)
        self.count, self.most = 0, -1

    def roll(self, action):
        """The reward, and the lights that are shown."""
        inside = [
            min(max(x + dx, 0), self.size - 1)
            for x, dx in zip(self.ball, MOVES[action], strict=True)
        ]
        self.ball, reward = tuple(inside), 0
        if self.ball != self.sequence[self.count]:
            self.lights[:] = 0
            self.count = 0
        if self.ball == self.sequence[self.count]:
            self.lights[self.ball] = 1
            if self.count > self.most:
                reward, self.most = 1, self.count
            self.count += 1
            if self.most == len(self.sequence) - 1:
                shown = self.lights.copy()
                self.lights[:] = 0
                self.count, self.most = 0, -1
                return reward, shown
        return reward, self.lights.copy()


@pytest.fixture(scope="module")
def played():
    """States, actions and results `[time, stream]`; a third of them by each player."""
    env = Numpad(steps=120)

    def run(key, players):
        keys = jax.random.split(key, (env.steps + 1, STREAMS))
        first, state = jax.vmap(env.reset)(keys[0])
        table = jnp.asarray(returns.rolls(3), jnp.int32)

        def choose(key, state, seen, player):
            to = table[seen["ball"]]
            free = (to != seen["ball"]) & (seen["lights"][to] == 0)
            free = (free | ~free.any()) & (player == TRYING) | (player == AT_RANDOM)
            noise = jax.random.uniform(key, (4,), jnp.float32)
            drawn = jnp.where(free, noise, -1.0).argmax().astype(jnp.int32)
            return jnp.where(player == BY_ORACLE, env.oracle(key, state), drawn)

        def body(carry, keys):
            seen, state = carry
            action = jax.vmap(choose)(keys, state, seen, players)
            seen, after, *rest = jax.vmap(env.step)(keys, state, action)
            hidden = jax.vmap(env.hidden)(state)["next"]
            return (seen, after), (state, action, seen, *rest, hidden)

        return first, jax.lax.scan(body, (first, state), keys[1:])[1]

    players = np.arange(STREAMS) % 3
    trace = jax.jit(run)(jax.random.key(0), jnp.asarray(players, jnp.int32))
    return env, players, *jax.tree.map(np.asarray, trace)


def test_agrees_with_the_rules(played):
    env, _, first, trace = played
    state, action, seen, reward, terminated, truncated, info, (following, age) = trace
    assert not terminated.any()
    assert (truncated == (np.arange(env.steps) == env.steps - 1)[:, None]).all()
    assert not first["lights"].any() and (first["ball"] == state.pad[0]).all()
    for i in range(90):
        pads = Pads(3, state.sequence[0, i].tolist(), int(first["ball"][i]))
        last = {}
        for t in range(env.steps):
            sought = pads.sequence[pads.count]
            assert following[t, i] == sought[0] * 3 + sought[1]
            assert age[t, i] == (t - last[sought] if sought in last else -1)
            assert info["decision"][t, i] == (sought in last)
            before = pads.lights.copy()
            paid, lights = pads.roll(action[t, i])
            assert reward[t, i] == paid
            assert seen["ball"][t, i] == pads.ball[0] * 3 + pads.ball[1]
            assert np.array_equal(seen["lights"][t, i], lights.ravel()), (i, t)
            if lights[pads.ball] and (pads.ball == sought or not before.any()):
                last[pads.ball] = t + 1
            elif lights[pads.ball]:
                last[pads.sequence[0]] = t + 1


def test_chances(played):
    """Sequences by their weights, the ball anywhere whatever the first pad."""
    _, _, first, trace = played
    sequence = trace[0].sequence[0]
    paths, weights = returns.sequences(3, 4)
    assert len(paths) == 80
    index = [paths.tolist().index(path) for path in sequence.tolist()]
    count = np.bincount(index, minlength=80)
    # Chi-squared of 79 degrees: mean 79, standard deviation 12.6; mean + 5 of them.
    expected = weights * STREAMS
    assert ((count - expected) ** 2 / expected).sum() < 79 + 5 * np.sqrt(158)
    for sample in (first["ball"], sequence[:, 0], (first["ball"] - sequence[:, 0]) % 9):
        share = np.bincount(sample, minlength=9) / STREAMS
        assert np.abs(share - 1 / 9).max() < 5 * np.sqrt(8 / 81 / STREAMS)


def test_sequences_by_drawing_them():
    """As the original draws them, beginning again where there is no way on."""
    rng = np.random.default_rng(0)
    paths, weights = returns.sequences(3, 6)
    counts = dict.fromkeys(map(tuple, paths.tolist()), 0)
    table = returns.rolls(3)
    drawn = 0
    while drawn < 4000:
        path = [int(rng.integers(9))]
        while len(path) < 6:
            free = sorted(set(table[path[-1]].tolist()) - set(path))
            if not free:
                break
            path.append(int(rng.choice(free)))
        if len(path) == 6:
            counts[tuple(path)] += 1
            drawn += 1
    expected, degrees = weights * drawn, len(paths) - 1
    found = np.array(list(counts.values()))
    statistic = ((found - expected) ** 2 / expected).sum()
    assert statistic < degrees + 5 * np.sqrt(2 * degrees)


def test_returns_are_attained(played):
    env, players, _, trace = played
    paid = trace[3].sum(0)
    claims = {
        AT_RANDOM: env.card.floor.value,
        BY_ORACLE: env.card.oracle.value,
        TRYING: returns.trying(3, 4, env.steps),
    }
    for player, claim in claims.items():
        sample = paid[players == player]
        assert abs(sample.mean() - claim) < 4 * sample.std() / sample.size**0.5
    assert f"{claims[TRYING]:.1f}" in env.card.memoryless.note


def test_the_oracle_is_the_best():
    """From every start and for every sequence, step by step against the dynamic
    program: the shortest way to the first pad, through all, and back again."""
    after, pays = returns._known(3, 4)
    steps = 30
    paths, _ = returns.sequences(3, 4)
    value = np.zeros(len(after))
    for _ in range(steps):
        value = (pays + value[after]).max(1)
    best = value.reshape(80, 9, 16)[:, :, 0]
    for path, start in itertools.product(range(0, 80, 7), range(9)):
        sequence = [divmod(int(pad), 3) for pad in paths[path]]
        ball, paid, left, target = divmod(start, 3), 0, steps, 0
        inner = ball == sequence[0] == (1, 1)
        here = ball == sequence[0]
        while left > 0:
            far = sum(abs(a - b) for a, b in zip(ball, sequence[target], strict=True))
            far = far or (2 if inner else 1 if here else 0)
            left -= far
            paid += left >= 0
            ball, target = sequence[target], (target + 1) % 4
            here = inner = False
        assert best[path, start] == paid


def best_by_beliefs(size, length, steps):
    """The best return over sets of sequences, each played on by the rules."""
    paths, weights = returns.sequences(size, length)
    weight = dict(zip(map(tuple, paths.tolist()), weights, strict=True))

    @functools.cache
    def value(ball, belief, left):
        if left == 0:
            return 0.0
        worths = []
        for action in range(4):
            seen = {}
            for sequence, count, most in belief:
                pads = Pads(size, sequence, ball)
                pads.count, pads.most = count, most
                for pad in pads.sequence[:count]:
                    pads.lights[pad] = 1
                paid, lights = pads.roll(action)
                to = pads.ball[0] * size + pads.ball[1]
                key = (to, paid, tuple(lights.ravel()))
                seen.setdefault(key, []).append((sequence, pads.count, pads.most))
            worth = 0.0
            for (to, paid, _), group in seen.items():
                mass = sum(weight[sequence] for sequence, *_ in group)
                worth += mass * paid + value(to, tuple(group), left - 1)
            worths.append(worth)
        return max(worths)

    belief = tuple((sequence, 0, -1) for sequence in weight)
    return np.mean([value(ball, belief, steps) for ball in range(size**2)])


@pytest.mark.parametrize("shape", [(2, 3, 9), (3, 2, 5)], ids=str)
def test_recall_by_beliefs(shape):
    claim = Numpad(*shape).card.recall
    assert claim.value == pytest.approx(best_by_beliefs(*shape), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 4, 14), (3, 3, 6), (3, 4, 6)], ids=str)
def test_recall_by_beliefs_further(shape):
    claim = Numpad(*shape).card.recall
    assert claim.value == pytest.approx(best_by_beliefs(*shape), abs=1e-9)


def test_many_sequences_are_not_searched():
    card = Numpad(size=4, length=5, steps=20).card
    assert card.recall.value is None and "sequences" in card.recall.note


def test_picture():
    env = Numpad()
    image = jax.eval_shape(lambda key: env.render(env.reset(key)[1]), jax.random.key(0))
    assert image.shape[0] == 64


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"size": 6}, "not 6"),
        ({"length": 1}, "not 1"),
        ({"size": 2, "length": 5}, "from 2 to 4"),
        ({"steps": 1}, "not 1"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("Numpad-v0", **parameters)
