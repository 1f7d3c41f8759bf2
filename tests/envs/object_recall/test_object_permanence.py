"""Object permanence against its rules, told from what is observed alone."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.object_recall.object_permanence import ObjectPermanence
from tests.envs.object_recall.playing import assert_uniform, episode, play

STREAMS = 250
SETTINGS = {
    "moved": ObjectPermanence(boxes=4, objects=3, swaps=3, delay=4),
    "still": ObjectPermanence(boxes=3, objects=2, swaps=0, delay=0),
    "two": ObjectPermanence(boxes=2, objects=2, swaps=4, delay=1),
}


@pytest.fixture(scope="module", params=SETTINGS)
def played(request):
    env = SETTINGS[request.param]
    return env, play(env, STREAMS)


def follow(env, steps):
    """The rules, as one who watches the boxes applies them; the asked object's age."""
    where, news = {}, {}
    assert len(steps) == env.objects + env.swaps + env.delay + 1
    for time, step in enumerate(steps):
        seen, info = step["seen"], step["info"]
        object, boxes = int(seen["object"]), seen["boxes"].tolist()
        looks = sorted(boxes)[-2:]
        last = time == len(steps) - 1
        if time < env.objects:
            phase = 0
            assert looks == [0, 1] and object not in where
            assert boxes.index(1) not in where.values(), "one to a box"
            where[object], news[object] = boxes.index(1), time
        elif time < env.objects + env.swaps:
            phase = 1
            assert looks == [2, 2] and object == 0
            one, other = [i for i, look in enumerate(boxes) if look == 2]
            for moved, box in list(where.items()):
                if box in (one, other):
                    where[moved], news[moved] = one + other - box, time
        elif not last:
            phase = 2
            assert looks == [0, 3] and object == 0
        else:
            phase = 3
            assert looks == [0, 0] and object in where
        right = last and int(step["action"]) == where[object]
        assert step["reward"] == float(right) == float(info["success"])
        assert (step["terminated"], step["truncated"]) == (last, False)
        assert (info["phase"], info["decision"]) == (phase, last)
    value, age = step["hidden"]["box"]
    assert (value, age) == (where[object], time - news[object])
    assert not any(np.any(part) for part in step["after"].values())
    return int(age), where[object], object


def test_agrees_with_the_rules_step_by_step(played):
    env, trace = played
    ends = [follow(env, episode(trace, stream)) for stream in range(STREAMS)]
    ages, boxes, objects = zip(*ends, strict=True)
    assert (min(ages), max(ages)) == env.card.horizon
    together = np.array(boxes) * env.objects + np.array(objects) - 1
    assert_uniform(together, env.boxes * env.objects)
    assert env.card.max_episode_steps == len(trace["reward"])


def test_actions_leave_no_trace(played):
    env, trace = played
    other = play(env, STREAMS, action_seed=1)
    for part in ("seen", "after", "hidden"):
        jax.tree.map(np.testing.assert_array_equal, trace[part], other[part])


def test_hidden_follows_the_box_all_the_way():
    """Before its object is hidden, its age is -1."""
    env = SETTINGS["moved"]
    trace = play(env, STREAMS)
    for stream in range(100):
        steps = episode(trace, stream)
        asked = int(steps[-1]["seen"]["object"])
        box, news = None, None
        for time, step in enumerate(steps):
            seen = step["seen"]
            if int(seen["object"]) == asked and time < env.objects:
                box, news = seen["boxes"].tolist().index(1), time
            moved = np.flatnonzero(seen["boxes"] == 2)
            if box in moved:
                box, news = int(moved.sum()) - box, time
            age = -1 if news is None else time - news
            assert step["hidden"]["box"][1] == age
            assert box is None or step["hidden"]["box"][0] == box


def test_events_are_drawn_alike():
    """Pairs that are swapped, and lamps; the lamps know nothing of the answer."""
    env = SETTINGS["moved"]
    boxes = play(env, STREAMS)["seen"]["boxes"]
    numbers = {p: i for i, p in enumerate(itertools.combinations(range(env.boxes), 2))}
    swaps = boxes[env.objects : env.objects + env.swaps].reshape(-1, env.boxes)
    assert_uniform([numbers[tuple(np.flatnonzero(row == 2))] for row in swaps], 6)
    lamps = (boxes[env.objects + env.swaps : -1] == 3).argmax(-1)
    assert_uniform(lamps.ravel(), env.boxes)
    answer = play(env, STREAMS)["hidden"]["box"][0][-1]
    assert_uniform(lamps[-1] * env.boxes + answer, env.boxes**2)


@pytest.mark.parametrize("boxes, objects, swaps", [(3, 2, 2), (3, 1, 0), (2, 2, 3)])
def test_memoryless_by_enumeration(boxes, objects, swaps):
    """All ways to hide and to swap: the best guess of a box for each object."""
    pairs = list(itertools.combinations(range(boxes), 2))
    ends = collections.Counter()
    for hidden in itertools.permutations(range(boxes), objects):
        for moves in itertools.product(pairs, repeat=swaps):
            where = list(hidden)
            for one, other in moves:
                where = [{one: other, other: one}.get(box, box) for box in where]
            ends.update(enumerate(where))
    best = sum(max(ends[o, b] for b in range(boxes)) for o in range(objects))
    card = ObjectPermanence(boxes, objects, swaps).card
    assert card.memoryless.value == card.floor.value == best / sum(ends.values())
    assert card.recall.value == card.oracle.value == 1.0


def test_pictures():
    """Contents stand in the strip only; the boxes' looks above."""
    env = SETTINGS["moved"]
    _, state = jax.jit(env.reset)(jax.random.key(0))
    later = state._replace(time=jnp.int32(3), look=jnp.array([0, 2, 0, 2], jnp.int32))
    picture = jax.jit(env.render)
    start, moving = picture(state), picture(later)
    other = picture(later._replace(box=(later.box + 1) % 4))
    assert start.shape == (64, 80, 3)
    assert (start[:45] != moving[:45]).any()
    assert (moving[:48] == other[:48]).all() and (moving[48:] != other[48:]).any()
    # The objects not hidden yet are not in the strip.
    assert (start[48:] != moving[48:]).any()


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"boxes": 1}, "boxes from 2 to"),
        ({"objects": 0}, "objects from 1 to"),
        ({"objects": 5}, "objects from 1 to 4"),
        ({"swaps": -1}, "swaps from 0 to"),
        ({"delay": -1}, "delay from 0 to"),
        ({"delay": 2**31}, "fits into 32 bits"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        ObjectPermanence(**parameters)
