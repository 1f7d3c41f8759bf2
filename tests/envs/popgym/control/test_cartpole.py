"""CartPole against the POPGym package, and the policies behind its card's returns."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.control.cartpole import _BALANCED_STEPS, _GAINS, _STARTS, CartPoleState

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    package = {
        family: pytest.importorskip(f"popgym.envs.{module}")
        for family, module in (
            ("PositionOnlyCartPole", "position_only_cartpole"),
            ("VelocityOnlyCartPole", "velocity_only_cartpole"),
            ("NoisyPositionOnlyCartPole", "noisy_position_only_cartpole"),
        )
    }

slow = pytest.mark.slow
LEVELS = [
    pytest.param(family, level, marks=() if level == "Easy" else slow)
    for family in package
    for level in ("Easy", "Medium", "Hard")
]


class Draws:
    """Stands in for the package's generator of noise."""

    def __init__(self, normals):
        self.normals = iter(normals)

    def normal(self, mean, sigma):
        return mean + sigma * next(self.normals)


def numbers(theirs):
    return [jnp.asarray(number) for number in theirs.unwrapped.state]


@pytest.mark.parametrize("family, level", LEVELS)
def test_agrees_with_popgym_step_by_step(family, level, x64):
    """Aimless play, which falls, and play that is right nine times in ten.

    Both take the same actions, so that the pole's instability multiplies rounding by
    e every 13 steps: the physical state is transplanted anew every 100.
    """
    ours = envs.make(f"{family}{level}-v0")
    rng = np.random.default_rng(1)
    keys = jax.random.split(jax.random.key(2), ours.steps)
    normals = jax.vmap(lambda key: jax.random.normal(key, (2,), jnp.float32))(keys)
    step = jax.jit(ours.step)
    ends = set()
    for mistakes in (1.0, 0.1):
        theirs = getattr(package[family], f"{family}{level}")()
        theirs.reset(seed=5)
        theirs.np_random = Draws(np.asarray(normals))
        state = CartPoleState(*numbers(theirs), time=jnp.zeros((), jnp.int32))
        for t in range(ours.steps):
            if t % 100 == 0:
                state = CartPoleState(*numbers(theirs), time=state.time)
            best = np.dot(_GAINS, theirs.unwrapped.state) > 0
            action = rng.integers(2) if rng.random() < mistakes else int(best)
            seen, state, *mine = step(keys[t], state, jnp.int32(action))
            their_seen, *expected = theirs.step(int(action))
            np.testing.assert_allclose(seen, their_seen, rtol=0, atol=1e-6)
            assert abs(float(mine[0]) - expected[0]) < 1e-9, t
            assert (bool(mine[1]), bool(mine[2])) == tuple(expected[1:3]), t
            np.testing.assert_allclose(
                jnp.stack(state[:4]), theirs.unwrapped.state, rtol=0, atol=1e-6
            )
            if expected[1] or expected[2]:
                break
        ends.add(tuple(expected[1:3]))
        assert bool(mine[3]["success"]) == (expected[1:3] == [False, True])
    assert ends == {(True, False), (False, True)}


def test_falling_in_the_last_step_is_both_ends():
    """As in the package: the reward is the same, the limit is reported as well."""
    env = envs.make("PositionOnlyCartPoleEasy-v0", steps=5)
    theirs = package["PositionOnlyCartPole"].PositionOnlyCartPole(max_episode_length=5)
    theirs.reset(seed=0)
    theirs.unwrapped.state = np.array([0.0, 0.0, 0.2, 0.1])
    theirs.num_steps = 4
    state = CartPoleState(*map(jnp.float32, (0.0, 0.0, 0.2, 0.1)), time=jnp.int32(4))
    for last in (False, True):
        if last:
            theirs.unwrapped.state[3] = 1.0
            theirs.num_steps = 4
            state = state._replace(turning=jnp.float32(1.0))
        _, reward, *ends, _ = theirs.step(1)
        _, _, mine, *my_ends, info = env.step(jax.random.key(0), state, jnp.int32(1))
        assert [bool(end) for end in my_ends] == ends == [last, True]
        assert float(mine) == pytest.approx(reward)
        assert bool(info["success"]) == (not last)


def test_the_package_shows_positions_at_the_start_of_velocity_only():
    """Which is what that task hides. Here its first observation is like the others."""
    theirs = package["VelocityOnlyCartPole"].VelocityOnlyCartPoleEasy()
    observation, _ = theirs.reset(seed=0)
    position, speed, angle, turning = theirs.unwrapped.state
    assert observation.tolist() == pytest.approx([position, angle])
    assert observation.tolist() != pytest.approx([speed, turning])
    env = envs.make("VelocityOnlyCartPoleEasy-v0")
    mine, state = env.reset(jax.random.key(0))
    assert mine.tolist() == [float(state.speed), float(state.turning)]


def test_starts_and_noise():
    env = envs.make("NoisyPositionOnlyCartPoleHard-v0")
    keys = jax.random.split(jax.random.key(0), 4000)
    seen, state = jax.jit(jax.vmap(env.reset))(keys)
    start = np.stack(state[:4]) / 0.05
    assert np.abs(start).max() < 1
    # Uniform: mean 0, variance 1/3 with fourth moment 1/5; independent; 5 sigma.
    assert np.abs(start.mean(1)).max() < 5 * np.sqrt(1 / 3 / 4000)
    variance = 5 * np.sqrt((1 / 5 - 1 / 9) / 4000)
    assert np.abs((start**2).mean(1) - 1 / 3).max() < variance
    products = (start @ start.T / 4000)[~np.eye(4, dtype=bool)]
    assert np.abs(products).max() < 5 / 3 / np.sqrt(4000)
    noise = np.asarray(seen) - start[[0, 2]].T * 0.05
    assert abs(noise[:, 0].std() - 0.3) < 5 * 0.3 / np.sqrt(2 * 4000)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 5 / np.sqrt(4000)
    # Of the angle's noise what leaves the Box is clipped, about one in six.
    clipped = np.abs(seen[:, 1]) == env.observation_space.high[1]
    expected = math.erfc(2 * math.radians(12) / 0.3 / math.sqrt(2))
    assert abs(clipped.mean() - expected) < 5 * np.sqrt(expected / 4000) + 0.01


def push(position, speed, angle, turning):
    pointer = jnp.stack([position, speed, angle, turning]) @ jnp.asarray(_GAINS)
    return (pointer > 0).astype(jnp.int32)


def by_differences(seen, memory, key):
    """Velocities from the last two positions; zero at the start."""
    speed, turning = (seen - jnp.where(jnp.isnan(memory), seen, memory)) / 0.02
    return push(seen[0], speed, seen[1], turning), seen


def by_sums(seen, memory, key):
    """Positions from the velocities so far, as if the start had been at zero."""
    memory = jnp.where(jnp.isnan(memory), 0, memory)
    return push(memory[0], seen[0], memory[1], seen[1]), memory + 0.02 * seen


def play(env, streams, policy, key):
    """Returns of the first episodes, and how many of them ended in a fall."""

    def one(key):
        seen, state = env.reset(key)

        def body(carry, key):
            seen, state, memory, total, fell = carry
            if policy is None:
                action = env.oracle(key, state)
            else:
                action, memory = policy(seen, memory, key)
            seen, state, reward, terminated, *_ = env.step(key, state, action)
            total = jnp.where(fell, total, total + reward)
            return (seen, state, memory, total, fell | terminated), None

        start = (seen, state, jnp.full(2, jnp.nan), jnp.zeros(()), jnp.zeros((), bool))
        keys = jax.random.split(key, env.steps)
        return jax.lax.scan(body, start, keys)[0][3:]

    returns, fell = jax.jit(jax.vmap(one))(jax.random.split(key, streams))
    return np.asarray(returns), int(fell.sum())


POLICIES = [
    ("PositionOnlyCartPoleEasy-v0", None),
    ("PositionOnlyCartPoleEasy-v0", by_differences),
    ("VelocityOnlyCartPoleEasy-v0", by_sums),
]


@pytest.mark.parametrize("id, policy", POLICIES)
def test_oracle_and_recall_never_fall(id, policy):
    env = envs.make(id)
    assert play(env, 1024, policy, jax.random.key(0))[1] == 0
    claim = env.card.oracle if policy is None else env.card.recall
    assert (claim.value, claim.episodes) == (1.0, _STARTS)


def test_returns_are_known_for_the_length_played():
    for id, _ in POLICIES:
        longer = envs.make(id, steps=_BALANCED_STEPS + 1).card
        assert longer.oracle.value is longer.recall.value is None


@pytest.mark.slow
@pytest.mark.parametrize("id, policy", POLICIES)
def test_oracle_and_recall_never_fall_from_very_many_starts(id, policy):
    """The runs that the card quotes."""
    env = envs.make(id, steps=_BALANCED_STEPS)
    for seed in range(16):
        assert play(env, _STARTS // 16, policy, jax.random.key(seed))[1] == 0


def at_random(seen, memory, key):
    return jax.random.randint(key, (), 0, 2, jnp.int32), memory


@pytest.mark.parametrize("steps", [15, 200])
def test_floor(steps):
    env = envs.make("PositionOnlyCartPoleEasy-v0", steps=steps)
    returns, _ = play(env, 2048, at_random, jax.random.key(1))
    claim = env.card.floor
    tolerance = 4 * returns.std() / np.sqrt(2048) + 2 * claim.half_width
    assert abs(returns.mean() - claim.value) < tolerance


def test_hidden_is_what_is_not_on_show():
    for id, names in (
        ("PositionOnlyCartPoleEasy-v0", {"velocities"}),
        ("VelocityOnlyCartPoleEasy-v0", {"positions"}),
        ("NoisyPositionOnlyCartPoleEasy-v0", {"positions", "velocities"}),
    ):
        env = envs.make(id)
        _, state = env.reset(jax.random.key(0))
        hidden = env.hidden(state)
        assert set(hidden) == names
        if "velocities" in hidden:
            expected = [float(state.speed), float(state.turning)]
            assert hidden["velocities"][0].tolist() == expected


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"observed": "speeds"}, "not 'speeds'"),
        ({"sigma": -0.1}, "not -0.1"),
        ({"sigma": math.nan}, "not nan"),
        ({"steps": 1}, "not 1"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("PositionOnlyCartPoleEasy-v0", **parameters)


@pytest.mark.filterwarnings("ignore")
def test_the_package_pays_after_the_end():
    theirs = package["PositionOnlyCartPole"].PositionOnlyCartPoleEasy()
    theirs.reset(seed=0)
    while not theirs.step(1)[2]:
        pass
    assert theirs.step(1)[1] == -1.0
