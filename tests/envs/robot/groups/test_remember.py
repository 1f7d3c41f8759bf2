"""Remember and FindImposter."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot.episodes.clock import CUE
from envs.robot.groups.remember import Remember, items
from tests.envs.robot.playing import (
    go_to,
    observed,
    oracle,
    same,
    start,
    step,
    until,
    until_acting,
    with_task,
)

COLOUR = Remember(cue=(2, 2), empty=(2, 2), reward_mode="sparse")
ORIGINAL = Remember(cue=(2, 2), empty=(2, 2), reward_mode="sparse", committed=False)
IMPOSTER = Remember(shown="others", cue=(2, 2), empty=(2, 2), reward_mode="sparse")


def slot_of(state, item):
    return int(np.argmax(np.asarray(state.task.items) == item))


@pytest.mark.parametrize("right", [True, False])
def test_first_touch_is_the_answer(right):
    state = until_acting(COLOUR, start(COLOUR, 3)[1])[1]
    item = (int(state.task.target) + (not right)) % 3
    place = state.world.position[slot_of(state, item)]
    _, after, reward, terminated, truncated, info = go_to(COLOUR, state, place)
    assert terminated and not truncated
    assert bool(info["success"]) == right and bool(info["fail"]) == (not right)
    assert float(reward) == right
    assert int(after.time) < COLOUR.max_steps


def test_the_original_goes_on_after_a_wrong_touch():
    state = until_acting(ORIGINAL, start(ORIGINAL, 3)[1])[1]
    wrong = (int(state.task.target) + 1) % 3
    place = state.world.position[slot_of(state, wrong)]
    _, state, _, terminated, _, info = go_to(ORIGINAL, state, place, 9)
    assert not terminated and not info["fail"]
    place = state.world.position[slot_of(state, int(state.task.target))]
    *_, terminated, _, info = go_to(ORIGINAL, state, place, 20)
    assert terminated and info["success"]


def test_passing_by_is_no_touch():
    env = Remember(cue=(1, 1), empty=(1, 1), max_steps=60, reward_mode="sparse")
    state = until_acting(env, start(env, 3)[1])[1]
    target = np.asarray(state.world.position[slot_of(state, int(state.task.target))])
    state = go_to(env, state, target - (0.25, 0, 0), 20)[1]
    distances = []
    for _ in range(12):
        _, state, _, terminated, _, info = step(env, state, [1, 0, 0, 0, 0])
        hand = np.asarray(state.world.gripper.position)
        distances.append(np.linalg.norm(hand - target))
        assert not terminated and not info["success"]
    assert min(distances) < 0.03 and distances[-1] > 0.06


def test_nothing_moves_while_things_are_shown_or_hidden():
    first = start(COLOUR, 5)[1]
    state = first
    for time in range(4):
        assert int(state.time) == time and not COLOUR.acts(state)
        _, state, *_, info = step(COLOUR, state, np.ones(5))
        assert int(info["phase"]) == (0, 0, 1, 1)[time] and not info["decision"]
    assert np.array_equal(state.world.gripper.position, first.world.gripper.position)
    assert float(state.world.gripper.opening) == float(first.world.gripper.opening)
    _, state, *_, info = step(COLOUR, state, np.ones(5))
    assert info["decision"] and int(info["phase"]) == 2
    assert float(state.world.gripper.position[0]) > float(
        first.world.gripper.position[0]
    )


def test_in_the_originals_long_variant_touching_the_cue_counts():
    long = Remember(
        cue=(60, 60), empty=(2, 2), max_steps=600, committed=False, reward_mode="sparse"
    )
    state = start(long, 1)[1]
    *_, terminated, _, info = go_to(long, state, (0, 0, 0.02))
    assert terminated and info["success"]
    closed = Remember(cue=(60, 60), empty=(2, 2), max_steps=600, reward_mode="sparse")
    *_, terminated, _, info = go_to(closed, start(closed, 1)[1], (0, 0, 0.02))
    assert not terminated and not info["success"]


@pytest.mark.parametrize("env", [COLOUR, IMPOSTER])
def test_what_is_hidden_leaves_no_trace(env):
    state = start(env, 2)[1]
    shown = []
    for time in range(6):
        others = [with_task(state, target=jnp.int32(t)) for t in range(3)]
        # What is on show at reset was put there for the target: put it anew.
        others = [
            o._replace(world=env._scripted(o.task, o.world, o.time)) for o in others
        ]
        seen = [observed(env, other) for other in others]
        alike = all(same(seen[0], other) for other in seen[1:])
        assert alike == (time >= 2), time
        shown.append(int(seen[0]["things"][:, 0].sum()))
        state = step(env, state)[1]
    cue = 1 if env is COLOUR else 2
    assert shown == [cue, cue, 0, 0, 3, 3]


def test_the_cue_is_the_target_or_all_others():
    for seed in range(6):
        observation, state = start(COLOUR, seed)
        rows = np.asarray(observation["things"])
        assert rows[3, 8:].argmax() == int(state.task.target) and not rows[:3].any()
        observation, state = start(IMPOSTER, seed)
        rows = np.asarray(observation["things"])
        seen = rows[:3][rows[:3, 0] > 0, 8:].argmax(1)
        assert set(seen) == {0, 1, 2} - {int(state.task.target)}


def deals(env, count=3000):
    """(target, before, items) of many episodes."""
    keys = jax.random.split(jax.random.key(0), count)
    task = jax.jit(jax.vmap(lambda key: env._deal(key)[0]))(keys)
    return [np.asarray(x) for x in (task.target, task.before, task.items)]


def test_colours_and_slots_are_drawn_independently():
    target, before, order = deals(IMPOSTER)
    drawn = zip(target, map(tuple, before), map(tuple, order), strict=True)
    counts = collections.Counter(drawn)
    assert len(counts) == 3 * 6 * 6
    expected = len(target) / len(counts)
    chi2 = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi2 < 107 + 5 * np.sqrt(2 * 107)


def best_blind_guess(env):
    """The best share by a rule that sees the choices and, of the cue, one slot.

    That slot, where the imposter was not, could be kept in the gripper's place. By
    enumeration of all deals; without the original's rule all orders are as likely.
    """
    orders = list(itertools.permutations(range(3)))
    counts = collections.defaultdict(collections.Counter)
    for target, before, order in itertools.product(range(3), orders, orders):
        if not env.committed and before == order:
            continue
        empty = before.index(target)
        counts[empty, order][target] += 1
    right = sum(c.most_common(1)[0][1] for c in counts.values())
    return right / sum(sum(c.values()) for c in counts.values())


def test_the_originals_orders_say_something_and_ours_do_not():
    original = Remember(shown="others", committed=False)
    assert best_blind_guess(IMPOSTER) == pytest.approx(1 / 3)
    assert best_blind_guess(original) == pytest.approx(0.4)
    _, before, order = deals(original)
    assert not (before == order).all(1).any()
    _, before, order = deals(IMPOSTER)
    assert abs((before == order).all(1).mean() - 1 / 6) < 0.03


def test_lengths_are_drawn_for_each_episode():
    env = Remember(cue=(1, 3), empty=(2, 4))
    keys = jax.random.split(jax.random.key(1), 500)
    clocks = jax.jit(jax.vmap(lambda key: env._deal(key)[0].clock))(keys)
    cues = np.asarray(clocks.hides)
    waits = np.asarray(clocks.asks) - cues
    assert set(cues) == {1, 2, 3} and set(waits) == {2, 3, 4}
    assert len(set(zip(cues, waits, strict=True))) == 9


def reference_reward(env, state, after, action, outcome):
    """The dense reward by the formulas, in numpy."""
    success, failure = outcome
    value = 3.0
    if success:
        return value * (env.max_steps - int(state.time))
    if failure:
        return 0.0
    hand = np.asarray(after.world.gripper.position, np.float64)
    velocity = np.linalg.norm(np.asarray(after.world.gripper.velocity, np.float64))
    goal = np.asarray(after.world.position)[slot_of(after, int(after.task.target))]
    distance = np.linalg.norm(goal - hand)
    joints = velocity / 0.75
    placed = distance <= 0.05 and velocity <= 0.15
    reward = 1 - np.tanh(10 * distance) + 0.5 * (1 - np.tanh(5 * joints)) + 0.5 * placed
    before = np.asarray(state.action, np.float64)
    change = np.linalg.norm(action - before)
    rough = 0.02 * np.tanh(2 * np.linalg.norm(action)) + 0.05 * np.tanh(5 * change)
    return reward - rough - 0.01 * np.tanh(2 * joints)


@pytest.mark.parametrize("mode", ["dense", "normalized_dense"])
def test_dense_rewards(mode):
    env = Remember(cue=(2, 2), empty=(2, 2), reward_mode=mode)
    state = until(env, start(env, 7)[1], lambda s: int(s.time) == 2)[1]
    scale = 1.0 if mode == "dense" else 1 / 3
    ended = False
    while not ended:
        frozen = not bool(env.acts(state))
        action = np.asarray(oracle(env, state), np.float64)
        _, after, reward, ended, _, info = step(env, state, action)
        outcome = bool(info["success"]), bool(info["fail"])
        used = action * (not frozen)
        expected = scale * reference_reward(env, state, after, used, outcome)
        assert float(reward) == pytest.approx(expected, abs=2e-5)
        state = after
    assert info["success"] and float(reward) > 5 * scale * 3


def test_kinds_and_numbers():
    both = items("both", 15)
    assert both[0].shapes == ("cube", "ball", "T", "cross", "torus")
    pairs = set(zip(both[1].tolist(), both[2].tolist(), strict=True))
    assert len(pairs) == 15 and items("both", 6)[0].shapes == ("cube", "ball")
    assert envs.make("RememberShape9-v0").observation_space["things"].shape == (10, 17)
    assert envs.make("RememberColor9Long-v0").cue == (100, 100)
    assert envs.make("FindImposterShapeAndColor5x3-v0").max_steps == 40


def test_bad_parameters():
    with pytest.raises(ValueError, match="6, 9 or 15; not 4 by 'both'"):
        Remember(kind="both", number=4)
    with pytest.raises(ValueError, match="leaves none of max_steps=25 to act"):
        Remember(cue=(1, 20))
    with pytest.raises(ValueError, match="cue to be the fewest and the most"):
        Remember(cue=(3, 2))
    with pytest.raises(ValueError, match="max_steps from 1"):
        Remember(max_steps=0)


def test_state_mode_adds_the_answer_and_nothing_else_changes():
    env = Remember(observation="state", cue=(2, 2), empty=(2, 2))
    observation, state = start(env, 4)
    assert observation["secret"].argmax() == int(state.task.target)
    assert same(observation["things"], start(COLOUR, 4)[0]["things"])
    assert env.observation_space["secret"].shape == (3,)


def test_hidden_counts_steps_since_the_cue():
    state = start(COLOUR, 0)[1]
    told = []
    for _ in range(5):
        value, since = COLOUR.hidden(state)["item"]
        assert int(value) == int(state.task.target)
        told.append((int(since), int(COLOUR._phase(state.task, state.time) == CUE)))
        state = step(COLOUR, state)[1]
    assert told == [(0, 1), (0, 1), (1, 0), (2, 0), (3, 0)]
