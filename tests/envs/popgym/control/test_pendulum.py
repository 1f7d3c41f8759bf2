"""Pendulum against the POPGym package, and the plans behind its card's returns."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.control import pendulum, swing_up
from envs.popgym.control.pendulum import PendulumState

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    package = {
        family: pytest.importorskip(f"popgym.envs.{module}")
        for family, module in (
            ("PositionOnlyPendulum", "position_only_pendulum"),
            ("NoisyPositionOnlyPendulum", "noisy_position_only_pendulum"),
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


@pytest.mark.parametrize("family, level", LEVELS)
def test_agrees_with_popgym_step_by_step(family, level, x64):
    """The state is transplanted anew every 25 steps: upright, rounding doubles in 4."""
    ours = envs.make(f"{family}{level}-v0")
    keys = jax.random.split(jax.random.key(2), ours.steps)
    normals = jax.vmap(lambda key: jax.random.normal(key, (2,), jnp.float32))(keys)
    step = jax.jit(ours.step)
    rng = np.random.default_rng(1)
    theirs = getattr(package[family], f"{family}{level}")()
    theirs.reset(seed=5)
    theirs.np_random = Draws(np.asarray(normals))
    state = PendulumState(jnp.float64(0), jnp.float64(0), jnp.int32(0))
    for t in range(ours.steps):
        if t % 25 == 0:
            angle, speed = map(jnp.asarray, theirs.unwrapped.state)
            state = state._replace(angle=angle, speed=speed)
        # Some lie outside the limits; pushing along with the speed reaches the top.
        action = rng.uniform(-2.5, 2.5, 1).astype(np.float32)
        if t % 3:
            action = np.copysign(action, np.float32(theirs.unwrapped.state[1]))
        seen, state, reward, *ends, info = step(keys[t], state, jnp.asarray(action))
        # In double precision: given float32, the package computes the torque's part
        # of the physics in it.
        their_seen, expected, *their_ends, _ = theirs.step(action.astype(np.float64))
        np.testing.assert_allclose(seen, their_seen, rtol=0, atol=1e-6)
        assert abs(float(reward) - expected) < 1e-9, t
        assert [bool(end) for end in ends] == their_ends, t
        np.testing.assert_allclose(
            jnp.stack(state[:2]), theirs.unwrapped.state, rtol=0, atol=1e-6
        )
        assert info == {}
    assert their_ends == [False, True]


def test_starts_and_noise():
    env = envs.make("NoisyPositionOnlyPendulumHard-v0")
    keys = jax.random.split(jax.random.key(0), 4000)
    seen, state = jax.jit(jax.vmap(env.reset))(keys)
    start = np.stack([np.asarray(state.angle) / np.pi, state.speed])
    assert np.abs(start).max() < 1 + 1e-6
    # Uniform: mean 0, variance 1/3 with fourth moment 1/5; independent; 5 sigma.
    assert np.abs(start.mean(1)).max() < 5 * np.sqrt(1 / 3 / 4000)
    variance = 5 * np.sqrt((1 / 5 - 1 / 9) / 4000)
    assert np.abs((start**2).mean(1) - 1 / 3).max() < variance
    assert abs((start[0] * start[1]).mean()) < 5 / 3 / np.sqrt(4000)
    angle = np.asarray(state.angle)
    noise = np.asarray(seen) - np.stack([np.cos(angle), np.sin(angle)], 1)
    free = np.abs(np.cos(angle)) < 0.1  # far from the limits at which it is clipped
    deviation = noise[free, 0].std()
    assert abs(deviation - 0.3) < 5 * 0.3 / np.sqrt(2 * free.sum())
    assert np.abs(seen).max() == 1


def played(costs, choices, steps, blind):
    """Mean cost of following a plan from starts on a grid, in plain numpy.

    `blind` takes the first torque without the speed: the one that is best on average.
    """
    angle = (np.arange(100) + 0.5) / 100 * 2 * np.pi - np.pi
    speed = (np.arange(20) + 0.5) / 20 * 2 - 1
    angle, speed = np.meshgrid(angle, speed, indexing="ij")
    total = np.zeros_like(angle)
    for time in range(steps):
        ahead = swing_up.outlook(costs, angle, speed, choices, np)
        if blind and time == 0:
            ahead = np.broadcast_to(ahead.mean(1, keepdims=True), ahead.shape)
        torque = swing_up.torques(choices)[ahead.argmin(-1)]
        wrapped = np.arctan2(np.sin(angle), np.cos(angle))
        total += wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2
        angle, speed = swing_up.advance(angle, speed, torque, np)
    return total.mean()


def costs_on_the_card(steps):
    """Oracle's and recall's, from their returns."""
    card = envs.make("PositionOnlyPendulumEasy-v0", steps=steps).card
    returns = (card.oracle.value, card.recall.value)
    return [(1 - value) * 8.1368022 * steps for value in returns]


def test_a_coarse_plan_is_nearly_as_good_as_the_card():
    oracle, recall = costs_on_the_card(100)
    coarse = played(swing_up.plan(), 9, 100, False)
    blind = played(swing_up.plan(), 9, 100, True)
    assert oracle < coarse < oracle + 3.0  # 0.4 % of the range of returns
    assert recall < blind < recall + 3.0
    assert coarse < blind


@pytest.mark.slow
def test_a_fine_plan_agrees_with_the_card():
    """To 0.0005 of a return, for the shortest episode and for a long one."""
    costs = swing_up.plan(401, 321, 9, 150)
    for steps in (100, 300):
        tolerance = 0.0005 * 8.1368022 * steps
        for claim, blind in zip(costs_on_the_card(steps), (False, True), strict=True):
            found = played(costs, 9, steps, blind)
            assert -0.1 < found - claim < tolerance, (steps, blind)


def test_two_positions_tell_the_speed():
    """So that history lacks the speed in the first step only (recall)."""
    env = envs.make("PositionOnlyPendulumEasy-v0")
    seen, state = env.reset(jax.random.key(0))
    step = jax.jit(env.step)
    for time in range(60):
        before = math.atan2(float(seen[1]), float(seen[0]))
        action = env.oracle(jax.random.key(0), state) if time == 0 else action
        seen, state, *_ = step(jax.random.key(0), state, action)
        turned = math.atan2(float(seen[1]), float(seen[0])) - before
        turned = math.remainder(turned, 2 * math.pi)
        assert turned / 0.05 == pytest.approx(float(state.speed), abs=1e-4)


@pytest.mark.parametrize("oracle", [True, False])
def test_oracle_and_floor(oracle):
    env = envs.make("PositionOnlyPendulumHard-v0")

    def one(key):
        _, state = env.reset(key)

        def body(state, key):
            if oracle:
                action = env.oracle(key, state)
            else:
                action = jax.random.uniform(key, (1,), jnp.float32, -2.0, 2.0)
            _, state, reward, *_ = env.step(key, state, action)
            return state, reward

        return jax.lax.scan(body, state, jax.random.split(key, 100))[1].sum()

    returns = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 1024))
    error = 4 * np.asarray(returns).std() / 32
    claim = env.card.oracle if oracle else env.card.floor
    error += 0.004 if oracle else 2 * claim.half_width  # its plan is a coarse one
    assert abs(np.asarray(returns).mean() - claim.value) < error


def test_returns_are_known_where_planned_or_played():
    short = envs.make("PositionOnlyPendulumEasy-v0", steps=99).card
    assert short.oracle.value is short.recall.value is None
    assert envs.make("PositionOnlyPendulumEasy-v0", steps=1001).card.floor.value is None
    noisy = envs.make("NoisyPositionOnlyPendulumEasy-v0").card
    assert noisy.recall.value is None and noisy.oracle.value > 0.9
    assert pendulum.random_return(200).half_width < 0.005


@pytest.mark.parametrize(
    "parameters, message",
    [({"sigma": -0.1}, "not -0.1"), ({"steps": 1}, "not 1")],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("PositionOnlyPendulumEasy-v0", **parameters)
