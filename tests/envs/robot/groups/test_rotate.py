"""Turning a peg by an angle that is told."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.groups.rotate import APART, NEAR, TASKS, Rotate
from envs.robot.hand import handling
from tests.envs.robot.playing import observed, oracle, same, start, step, with_task

LENIENT = Rotate(reward_mode="dense")
STRICT = Rotate(reward_mode="dense", strict=True, both_ways=True, max_steps=90)
ORIGINAL = Rotate(committed=False)


@functools.cache
def _judging(env):
    return jax.jit(env._judge)


def judge(env, state):
    outcome = _judging(env)(state.task, state.world, state.time)[1]
    return bool(outcome.success), bool(outcome.failure)


@functools.cache
def played(env, policy):
    """States, actions and what came of them, from the first to the last."""
    state, kept, ended = start(env, 3)[1], jnp.zeros((), jnp.int32), False
    sweep = jax.jit(env.sweep)
    steps = []
    while not ended:
        if policy == "sweep":
            kept, action = sweep(jax.random.key(0), state, kept)
        elif policy == "lift" and int(state.task.moved_at) >= 0:
            action = handling.lift(state.world)
        else:
            action = oracle(env, state)
        observation, after, reward, ended, _, info = step(env, state, action)
        steps.append((state, action, after, float(reward), observation, info))
        state = after
    return steps


def laid(off=0.0, x=0.0, y=0.0, height=0.15, yaw=2.0, angle=1.0, **changes):
    """An episode in which the hand has turned the peg and gone up: as it lies now."""
    state = start(LENIENT, 0)[1]
    task = {"yaw": jnp.float32(yaw), "angle": jnp.float32(angle)}
    state = with_task(state, moved_at=jnp.int32(1), **task)
    world = state.world
    place = world.position.at[0, :2].set(state.task.place + jnp.array([x, y]))
    now = jnp.mod(jnp.float32(yaw + angle + off) + np.pi, 2 * np.pi) - np.pi
    tool = world.gripper.position.at[2].set(height)
    gripper = world.gripper._replace(position=tool)
    if "hand_spin" in changes:
        gripper = gripper._replace(spin=jnp.float32(changes.pop("hand_spin")))
    world = world._replace(position=place, yaw=now[None], gripper=gripper, **changes)
    return state._replace(world=world)


@pytest.mark.parametrize("env", [LENIENT, STRICT])
def test_the_first_rise_is_the_answer(env):
    right, wrong = played(env, "script"), played(env, "lift")
    assert right[-1][-1]["success"] and not right[-1][-1]["fail"]
    assert wrong[-1][-1]["fail"] and not wrong[-1][-1]["success"]
    for steps in (right, wrong):
        height = [float(s[2].world.gripper.position[2]) for s in steps]
        assert height[-1] >= 0.1 > height[-2] and len(steps) < env.max_steps


def test_turning_slowly_through_all_angles_is_of_no_use():
    """By the original's rules some rest on the way succeeds; here none does."""
    steps = played(LENIENT, "sweep")
    assert len(steps) == LENIENT.max_steps
    assert not any(s[-1]["success"] or s[-1]["fail"] for s in steps)
    assert any(judge(ORIGINAL, s[2])[0] for s in steps)


@pytest.mark.parametrize("yaw", [0.3, 2.9, -3.0])
@pytest.mark.parametrize("angle", [1.0, -0.5])
def test_within_a_tenth_of_a_radian(yaw, angle):
    for off in (-0.11, -0.09, 0.09, 0.11):
        right = abs(off) < NEAR
        given = laid(off, yaw=yaw, angle=angle)
        assert judge(LENIENT, given) == (right, not right)
        assert judge(ORIGINAL, given) == (right, False)


def test_a_strict_peg_stays_at_its_place():
    for x, y in ((0.04, -0.04), (0.06, 0), (-0.06, 0), (0, 0.06), (0, -0.06)):
        stays = abs(x) < APART and abs(y) < APART
        assert judge(STRICT, laid(x=x, y=y)) == (stays, not stays)
        assert judge(LENIENT, laid(x=x, y=y)) == (True, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 0.09},
        {"held": jnp.int32(0)},
        {"spin": jnp.array([0.1], jnp.float32)},
        {"velocity": jnp.array([[0.02, 0, 0]], jnp.float32)},
        {"fallen": jnp.ones(1, bool)},
    ],
)
def test_what_is_not_yet_an_answer(changes):
    assert judge(LENIENT, laid(off=0.5)) == (False, True)
    assert judge(LENIENT, laid(off=0.5, **changes)) == (False, False)
    assert judge(LENIENT, laid(**changes)) == (False, False)


def test_a_peg_that_nobody_touched_is_no_answer():
    state = start(LENIENT, 1)[1]
    for _ in range(3):
        _, state, _, ended, _, info = step(LENIENT, state)
        assert not ended and not info["fail"] and int(state.task.moved_at) == -1


def test_by_the_originals_rules_a_hand_that_turns_is_not_at_rest():
    assert judge(ORIGINAL, laid(height=0.03, hand_spin=0.1)) == (True, False)
    assert judge(ORIGINAL, laid(height=0.03, hand_spin=0.3)) == (False, False)


def deal(env, count=2000):
    keys = jax.random.split(jax.random.key(5), count)
    return jax.tree.map(
        np.asarray, jax.jit(jax.vmap(lambda key: env._deal(key)[0]))(keys)
    )


def test_angles_places_and_yaws():
    task = deal(LENIENT)
    assert 0.1 <= task.angle.min() < 0.11 and 1.56 < task.angle.max() <= np.pi / 2
    assert task.angle.mean() == pytest.approx((0.1 + np.pi / 2) / 2, abs=0.03)
    assert np.abs(task.place).max() <= 0.1 and np.abs(task.place).max(0).min() > 0.098
    assert task.yaw.min() < -3.1 and task.yaw.max() > 3.1


def test_the_sign_tells_the_size_in_the_original_only():
    signs = {}
    for committed in (True, False):
        angle = deal(Rotate(both_ways=True, committed=committed)).angle
        size, positive = np.abs(angle), angle > 0
        assert size.min() >= 0.1 and size.max() <= np.pi / 4
        assert positive.mean() == pytest.approx(0.5, abs=0.04)
        signs[committed] = size[positive], size[~positive]
    middle = 0.1 + 0.5 * (np.pi / 4 - 0.1)
    larger, smaller = signs[False]
    assert larger.min() >= middle >= smaller.max()
    for size in signs[True]:
        assert size.mean() == pytest.approx(middle, abs=0.02)


def test_the_angle_is_told_at_every_step():
    for _, _, after, _, observation, _ in played(LENIENT, "script"):
        assert observation["prompt"] == after.task.angle
    assert LENIENT.observation_space["prompt"].shape == (1,)
    other = envs.make("RememberColor3-v0")
    assert "prompt" not in other.observation_space.spaces
    assert "prompt" not in observed(other, start(other)[1])


def test_how_the_peg_lay_leaves_no_trace():
    for index in (0, 20, -1):
        state = played(LENIENT, "script")[index][2]
        other = with_task(
            state, yaw=state.task.yaw + 1, place=-state.task.place, moved_at=0
        )
        assert same(observed(LENIENT, state), observed(LENIENT, other))


def test_what_is_hidden_is_how_the_peg_lay():
    steps = played(LENIENT, "script")
    first = steps[0][0].world
    since = []
    for state, *_ in steps:
        hidden = LENIENT.hidden(state)
        yaw, place = np.asarray(hidden["yaw"][0]), np.asarray(hidden["place"][0])
        turned = np.arctan2(yaw[0], yaw[1]) - float(first.yaw[0])
        assert np.sin(turned) == pytest.approx(0, abs=1e-5) and np.cos(turned) > 0
        np.testing.assert_allclose(place, first.position[0, :2], atol=1e-6)
        assert int(hidden["yaw"][1]) == int(hidden["place"][1])
        since.append(int(hidden["yaw"][1]))
    lay = since.count(0)
    assert 5 < lay < len(since) and since[lay:] == [*range(1, len(since) - lay + 1)]
    assert int(steps[lay][0].world.held) == 0


def formula(env, state):
    """The dense reward of the original, of the state after a step."""
    world, task = state.world, state.task
    peg = np.asarray(world.position[0], np.float64)
    tool = np.asarray(world.gripper.position, np.float64)
    distance = np.linalg.norm(peg - tool)
    turned = float(world.yaw[0]) - float(task.yaw)
    off = abs((float(task.angle) - turned + np.pi) % (2 * np.pi) - np.pi)
    speed = np.linalg.norm(np.asarray(world.gripper.velocity))
    rests = speed <= 0.15 and abs(float(world.gripper.spin)) <= 0.2
    if not env.strict:
        near = 15 * np.exp(-1.5 * off) * (distance < 0.1)
        reward = np.exp(-5 * distance) + near
        return reward + (5 + 2 * rests) * (off < 0.1)
    moved = np.abs(peg[:2] - np.asarray(task.place))
    reached = distance < 0.04
    placed = (moved < 0.05).all()
    reward = 0.5 * np.exp(-3 * distance) + reached * 5 * np.exp(-5 * moved).sum()
    reward += reached * placed * 35 * np.exp(-off)
    return reward + reached * placed * (off < 0.1) * (10 + 5 * rests)


@pytest.mark.parametrize(("env", "value"), [(LENIENT, 60.0), (STRICT, 100.0)])
def test_dense_reward_by_the_formula(env, value):
    steps = played(env, "script")
    for _, _, after, reward, _, _ in steps[:-1]:
        assert reward == pytest.approx(formula(env, after), abs=2e-3)
    left = env.max_steps - int(steps[-1][0].time)
    assert steps[-1][3] == pytest.approx(value * left)
    assert played(env, "lift")[-1][3] == 0


def test_dense_reward_of_a_peg_that_was_moved():
    """Out of its place neither its angle nor its rest is paid for."""
    for x in (0.03, 0.06):
        state = laid(x=x, height=0.15)
        tool = state.world.position[0] + jnp.array([0, 0, 0.02])
        gripper = state.world.gripper._replace(position=tool)
        state = state._replace(world=state.world._replace(gripper=gripper))
        shaped = _judging(STRICT)(state.task, state.world, state.time)[1].shaped
        assert float(shaped) == pytest.approx(formula(STRICT, state), abs=1e-3)
        assert (float(shaped) > 40) == (x < APART)


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_blind_share_by_brute_force(both_ways):
    most = np.pi / 4 if both_ways else np.pi / 2
    angle = np.linspace(0.1, most, 1001)
    # A turn of one size; or an exponential one, of the best mean for each angle.
    fixed = max((np.abs(angle - turn) < 0.1).mean() for turn in angle[::5])
    mean = np.geomspace(1e-4, 10, 4000)[:, None]
    stops = np.exp(-(angle - 0.1) / mean) - np.exp(-(angle + 0.1) / mean)
    best = max(fixed, np.trapezoid(stops.max(0), angle) / (most - 0.1))
    blind = Rotate(both_ways=both_ways)._blind().value
    assert blind == pytest.approx(best, abs=2e-3)
    assert blind == pytest.approx(0.292 if both_ways else 0.143, abs=1e-3)


def test_cards():
    for committed in (True, False):
        card = envs.make("RotateStrictPosNeg-v0", committed=committed).card
        assert card.outside_memory and card.memory == "spatial"
        share = 0.2918 if committed else 1.0
        assert card.memoryless.value == pytest.approx(share, abs=1e-3)


def test_the_script_succeeds():
    """In 64 episodes; the slow test plays every task."""
    env = envs.make("RotateStrictPosNeg-v0", reward_mode="sparse")
    assert returns.success(env, returns._by_script(env), 64) == 1


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("id", TASKS)
def test_script_and_sweep(id, committed):
    env = envs.make(id, committed=committed, reward_mode="sparse")
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99
    swept = returns.success(env, returns._by_sweep(env), 1000)
    assert swept == 0 if committed else swept >= 0.99
