"""SwitchingBandit against its rules in plain Python, and players by enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.bandits import bandit_returns
from envs.bandits.switching_bandit import SwitchingBandit


def play(env, policy, streams, seed=0):
    """States, uniforms, arms and results `[stream, time]` of `policy(payout, arm)`."""
    keys = jax.random.split(jax.random.key(seed), (streams, env.length + 1))
    random = np.random.default_rng(seed).integers(0, env.arms, (streams, env.length))

    def one(keys, random):
        first, state = env.reset(keys[0])

        def body(state, inputs):
            key, random = inputs
            arm = policy(env, state, random).astype(jnp.int32)
            seen, after, reward, terminated, truncated, info = env.step(key, state, arm)
            uniforms = jax.random.uniform(key, (3,), jnp.float32)
            kept = (uniforms, arm, seen, reward, terminated, truncated, info)
            private = (env.oracle(key, state), *env.hidden(state)["best"])
            return after, (state, *kept, private)

        return first, jax.lax.scan(body, state, (keys[1:], random))[1]

    run = jax.jit(jax.vmap(one))
    return jax.tree.map(np.asarray, run(keys, jnp.asarray(random, jnp.int32)))


def at_random(env, state, random):
    return random


def stay_or_leave(env, state, random):
    """Stationary, given the previous action and the payout."""
    return jnp.where(state.payout == 1, state.arm, (state.arm + 1) % env.arms)


def reference(env, best, uniforms, arms):
    """The good arm, its age, the payout and the reward, step by step."""
    age, rows = 0, []
    for (luck, change, which), arm in zip(uniforms, arms, strict=True):
        pays = luck < (env.good if arm == best else env.bad)
        rows.append((best, age, int(pays), (1 if pays else -1) / env.length))
        age += 1
        if change < env.hazard:
            others = [(best + k) % env.arms for k in range(1, env.arms)]
            best, age = others[int(which * len(others))], 0
    return rows


@pytest.fixture(scope="module")
def played():
    env = SwitchingBandit(arms=3, length=30, hazard=0.1, good=0.8, bad=0.3)
    return env, play(env, at_random, 2000)


def test_agrees_with_the_rules(played):
    env, (first, trace) = played
    state, uniforms, arms, seen, reward, terminated, truncated, info, private = trace
    oracle, best, age = private
    assert (first == 2).all()
    for i in range(20):
        rows = reference(env, best[i, 0], uniforms[i], arms[i])
        found = zip(best[i], age[i], seen[i], reward[i], strict=True)
        for row, mine in zip(rows, found, strict=True):
            np.testing.assert_allclose(mine, row, atol=1e-6)
    assert (terminated == (np.arange(env.length) == env.length - 1)).all()
    assert not truncated.any()
    assert (info["decision"] == (np.arange(env.length) > 1)).all()
    assert set(info) == {"decision"}  # no pull makes a whole episode a success
    assert (state.arm[:, 1:] == arms[:, :-1]).all()
    assert (oracle == best).all()


def test_chances(played):
    """Start, hazard, where the good arm goes, payouts and floor; five sigma each."""
    env, (_, trace) = played
    arms, seen, reward, (_, best, age) = trace[2], trace[3], trace[4], trace[-1]
    changes = age[:, 1:] == 0
    assert abs(changes.mean() - 0.1) < 5 * np.sqrt(0.09 / changes.size)
    onward = ((best[:, 1:] - best[:, :-1]) % env.arms)[changes]
    assert (onward > 0).all()
    for sample, kinds in ((best[:, 0], env.arms), (onward - 1, env.arms - 1)):
        share = np.bincount(sample, minlength=kinds) / sample.size
        assert share.size == kinds
        assert np.abs(share - 1 / kinds).max() < 5 * np.sqrt(0.25 / sample.size)
    for right, odds in ((True, env.good), (False, env.bad)):
        pays = seen[(arms == best) == right]
        assert abs(pays.mean() - odds) < 5 * np.sqrt(0.25 / pays.size)
    paid = reward.sum(1)
    assert abs(paid.mean() - env.card.floor.value) < 5 * paid.std() / paid.size**0.5


CASES = [
    (5, 0.1, 0.75, 0.25),
    (6, 0.03, 0.9, 0.6),
    (6, 0.2, 0.4, 0.1),
    (3, 0.1, 0.8, 0.2),
    (5, 0.9, 0.75, 0.25),
]


def best_player(steps, hazard, good, bad, joint):
    """Worth of the best plan for a past, given its probability with each good arm."""
    if steps == 0:
        return 0.0
    worths = []
    for arm in (0, 1):
        worth = 0.0
        for pays in (True, False):
            after = []
            for best in (0, 1):
                odds = good if arm == best else bad
                after.append(joint[best] * (odds if pays else 1 - odds))
            worth += (1 if pays else -1) * sum(after)
            moved = [
                (1 - hazard) * after[0] + hazard * after[1],
                (1 - hazard) * after[1] + hazard * after[0],
            ]
            worth += best_player(steps - 1, hazard, good, bad, moved)
        worths.append(worth)
    return max(worths)


def worth_of(policy, length, hazard, good, bad):
    """Return of a stationary policy, over all histories of both arms and payouts.

    policy[arm][payout] is the probability of the second arm; the first is pulled first.
    """
    total = 0.0
    for bests in itertools.product((0, 1), repeat=length):
        chance = 0.5
        for one, other in itertools.pairwise(bests):
            chance *= hazard if one != other else 1 - hazard
        arms = {0: 1.0}
        for best in bests:
            after = {0: 0.0, 1: 0.0}
            for arm, share in arms.items():
                odds = good if arm == best else bad
                total += chance * share * (2 * odds - 1)
                for payout, odd in ((1, odds), (0, 1 - odds)):
                    after[1] += share * odd * policy[arm][payout]
                    after[0] += share * odd * (1 - policy[arm][payout])
            arms = after
    return total / length


@pytest.mark.parametrize("case", CASES, ids=str)
def test_returns_by_enumeration(case):
    length, hazard, good, bad = case
    card = SwitchingBandit(2, *case).card
    best = best_player(length, hazard, good, bad, (0.5, 0.5)) / length
    assert card.recall.value == pytest.approx(best, abs=1e-5)
    rule = [[1, 0], [0, 1]] if hazard < 0.5 else [[0, 1], [1, 0]]
    assert card.memoryless.value == pytest.approx(worth_of(rule, *case), abs=1e-12)
    useful = best > card.memoryless.value + 1e-6
    assert card.memory == ("meta" if useful else "none")
    assert useful == (card.recall != card.memoryless)


def test_three_pulls_need_no_memory():
    assert SwitchingBandit(length=3).card.memory == "none"
    assert SwitchingBandit(length=6).card.memory == "meta"


def test_no_stationary_policy_is_better():
    """At the default length, against mixed policies off the grid of the card."""
    env = SwitchingBandit()
    best = env.card.memoryless.value
    edge = (1 - 2 * env.hazard) * (env.good - env.bad) ** 2
    assert best == pytest.approx(edge * (env.length - 1) / env.length)
    rng = np.random.default_rng(0)
    corner = np.array([1.0, 0.0, 0.0, 1.0])[:, None]
    anywhere = rng.random((4, 4000))
    near = np.clip(corner + rng.normal(0, 0.03, (4, 4000)), 0, 1)
    second = np.concatenate([corner, anywhere, near], axis=1)
    count = second.shape[1]
    # Probabilities of (good arm, arm pulled), with the first arm pulled first.
    chance = {(0, 0): 0.5, (1, 0): 0.5, (0, 1): 0.0, (1, 1): 0.0}
    worth = np.zeros(count)
    for _ in range(env.length):
        after = {place: np.zeros(count) for place in chance}
        for (good, arm), share in chance.items():
            odds = env.good if good == arm else env.bad
            worth += share * (2 * odds - 1) / env.length
            to_second = odds * second[2 * arm + 1] + (1 - odds) * second[2 * arm]
            for to, part in ((1, to_second), (0, 1 - to_second)):
                after[good, to] += share * part * (1 - env.hazard)
                after[1 - good, to] += share * part * env.hazard
        chance = after
    assert worth[0] == pytest.approx(best)
    assert worth.max() <= best + 1e-12


def test_recall_is_what_the_filter_returns():
    """The more probable arm is the best here, as good + bad = 1; plain numpy."""
    env = SwitchingBandit()
    rng, streams = np.random.default_rng(0), 20_000
    best = rng.integers(0, 2, streams)
    belief, paid = np.full(streams, 0.5), np.zeros(streams)
    for _ in range(env.length):
        arm = (belief < 0.5).astype(int)
        pays = rng.random(streams) < np.where(arm == best, env.good, env.bad)
        paid += np.where(pays, 1, -1) / env.length
        odds = [np.where(arm == k, env.good, env.bad) for k in (0, 1)]
        joint = [np.where(pays, x, 1 - x) for x in odds]
        belief = belief * joint[0] / (belief * joint[0] + (1 - belief) * joint[1])
        belief = (1 - env.hazard) * belief + env.hazard * (1 - belief)
        best = np.where(rng.random(streams) < env.hazard, 1 - best, best)
    assert abs(paid.mean() - env.card.recall.value) < 4 * paid.std() / streams**0.5


def test_memoryless_is_attained():
    env = SwitchingBandit(length=32)
    paid = play(env, stay_or_leave, 4000)[1][4].sum(1)
    expected = env.card.memoryless.value
    assert abs(paid.mean() - expected) < 4 * paid.std() / 4000**0.5


def test_more_arms_are_not_computed():
    card = SwitchingBandit(arms=5).card
    assert card.recall.value is card.memoryless.value is None
    assert card.floor.value == pytest.approx(2 * (0.75 + 4 * 0.25) / 5 - 1)


def test_finer_beliefs_change_little(monkeypatch):
    args = (40, 0.05, 0.8, 0.3)
    least = bandit_returns.memoryless(*args)
    coarse = bandit_returns.recall.__wrapped__(*args, at_least=least).value
    monkeypatch.setattr(bandit_returns, "_BELIEFS", 4001)
    fine = bandit_returns.recall.__wrapped__(*args, at_least=least).value
    assert coarse == pytest.approx(fine, abs=2e-5)


def test_picture():
    env = SwitchingBandit(arms=3)
    image = jax.eval_shape(lambda key: env.render(env.reset(key)[1]), jax.random.key(0))
    assert image.shape[0] == 64


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"arms": 1}, "not 1"),
        ({"length": 2}, "not 2"),
        ({"hazard": 1.5}, "not 1.5"),
        ({"good": 0.2}, "bad < good"),
        ({"bad": 0.0}, "bad < good"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("SwitchingBandit-v0", **parameters)
