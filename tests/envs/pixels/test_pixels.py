"""The twins: all but the picture is the task's own; cards, names and parameters."""

import dataclasses
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import spaces
from envs.pixels import FACES, cartpole_faces
from envs.popgym.control import balancing
from tests.envs.pixels import decode

IDS = [id for id in envs.names() if "Pixels-v" in id]


def make(id, **parameters) -> Any:
    return envs.make(id, **parameters)


def test_parameters_may_be_lists_as_they_are_in_files():
    face = make("BattleshipEasyPixels-v0", size=6, ships=[2, 3])
    assert face.ships == face.task.ships == (2, 3) and hash(face)
    wrapped = gymnasium.make("engram/BattleshipEasyPixels-v0", size=6, ships=[2, 3])
    assert wrapped.reset(seed=0)[0].shape == (64, 64, 3)


def test_every_task_of_a_class_with_a_face_has_an_id():
    tasks = {id for id in envs.names() if type(envs.make(id)) in FACES}
    assert {id.replace("Pixels", "") for id in IDS} == tasks and len(IDS) == 38


@pytest.mark.parametrize("partial_obs", [True, False])
def test_all_but_the_picture_is_the_tasks_own(partial_obs):
    task = envs.make("TMaze-v0", length=3)
    face = make("TMazePixels-v0", length=3, partial_obs=partial_obs)
    assert face.task == task and face.action_space == task.action_space

    @jax.jit
    def both(key):
        states = [env.reset(key)[1] for env in (task, face)]
        history = []
        for time in range(4):
            step_key = jax.random.fold_in(key, time)
            action = spaces.sample(task.action_space, step_key)
            pairs = list(zip((task, face), states, strict=True))
            hidden = [env.hidden(state) for env, state in pairs]
            best = [env.oracle(key, state) for env, state in pairs]
            steps = [env.step(step_key, state, action) for env, state in pairs]
            states = [step[1] for step in steps]
            history.append(([step[1:] for step in steps], hidden, best))
        return history

    for steps, hidden, best in both(jax.random.key(3)):
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), *steps))
        assert best[0] == best[1]
        value, age = hidden[1]["goal"]
        assert value == hidden[0]["goal"][0]
        assert age == (hidden[0]["goal"][1] if partial_obs else 0)


@pytest.mark.parametrize("id", IDS)
def test_cards(id):
    partial, full = (make(id, partial_obs=partial) for partial in (True, False))
    own = partial.task.card
    drawn: dict[str, Any] = (
        {} if "CartPole" not in id else {"recall": partial.card.recall}
    )
    if type(partial.task) in FACES and FACES[type(partial.task)].draws_action:
        assert own.needs_previous_action
        drawn["needs_previous_action"] = False
    assert partial.card == dataclasses.replace(own, **drawn)
    assert full.card.memory == "none" and full.card.horizon == (0, 0)
    assert full.card.memoryless == full.card.recall
    assert full.card.recall.value == own.oracle.value
    assert full.card.oracle == own.oracle and full.card.floor == own.floor
    assert not full.card.needs_previous_action
    if "Concentration" in id:  # Which card was turned is not in the partial picture.
        assert partial.card.needs_previous_action


@pytest.mark.parametrize(
    "id, parameters, message",
    [
        ("TMazePixels-v0", {"image_size": 84}, "64 or 128 pixels a side, not 84"),
        ("TMazePixels-v0", {"length": 0}, "length of at least 1"),
        ("BattleshipEasyPixels-v0", {"size": 22}, "leaves 2 for a tile"),
        ("LabyrinthEscapeEasyPixels-v0", {"size": 22}, "leaves 2 for a tile"),
        ("MiniGridMemoryPixels-v0", {"size": 23}, "leaves 2 for a tile"),
        ("AutoencodeEasyPixels-v0", {"decks": 4}, "leaves 2 for a tile"),
        ("ConcentrationEasyPixels-v0", {"decks": 9}, "leaves 2 for a tile"),
        ("CountRecallEasyPixels-v0", {"decks": 2}, "leaves 2 for a tile"),
    ],
)
def test_what_cannot_be_drawn_is_refused(id, parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make(id, **parameters)
    if "for a tile" in message:
        envs.make(id, image_size=128, **parameters)


def test_gymnasium():
    env = gymnasium.make("engram/TMazePixels-v0", length=2, partial_obs=False)
    picture, _ = env.reset(seed=0)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8


def read(position, angle, speed, turning):
    """The four numbers as the gauges of small pictures show them, written anew."""
    numbers = []
    for number, half in zip(
        (position, angle, speed, turning), (0.5, 0.05, 0.5, 0.5), strict=True
    ):
        pixels = abs(number) / (half + abs(number)) * 32
        part = np.round(80 + 165 * (pixels % 1)) - 80
        value = (np.floor(pixels) + part / 165) / 32
        numbers.append(np.sign(number) * half * value / (1 - value))
    return numbers


def test_reading_anew_is_what_the_pictures_show():
    face = make("PositionOnlyCartPoleEasyPixels-v0", partial_obs=False)
    _, state = face.reset(jax.random.key(0))
    state = state._replace(speed=jnp.float32(-1.7), turning=jnp.float32(0.9))
    picture = np.asarray(face.picture(jnp.zeros(2), state))
    numbers = (state.position, state.angle, state.speed, state.turning)
    expected = read(*map(np.float64, numbers))
    np.testing.assert_allclose(decode.cartpole(picture), expected, atol=2e-4)


def falls(seen, streams, steps):
    """How many fall of those who play by the oracle's rule from what they read.

    `seen` is 'all', 'positions' (velocities are differences) or 'velocities'
    (positions are sums, from zero).
    """
    rng = np.random.default_rng(0)
    position, speed, angle, turning = rng.uniform(-0.05, 0.05, (4, streams))
    before, sums = None, np.zeros((2, streams))
    down = np.zeros(streams, bool)
    for _ in range(steps):
        x, a, v, w = read(position, angle, speed, turning)
        if seen == "positions":
            now = np.stack([x, a])
            v, w = (now - (now if before is None else before)) / 0.02
            before = now
        elif seen == "velocities":
            x, a = sums
            sums = sums + 0.02 * np.stack([v, w])
        right = 0.1 * x + 0.3 * v + a + 0.4 * w > 0
        position, speed, angle, turning = balancing.advance(
            (position, speed, angle, turning), right, np
        )
        down |= balancing.fell(position, angle)
    return down.sum()


@pytest.mark.parametrize("seen", ["all", "positions", "velocities"])
def test_cartpole_can_be_balanced_from_pictures(seen):
    assert falls(seen, 256, 600) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seen", ["all", "positions", "velocities"])
def test_cartpole_as_often_as_its_card_says(seen):
    starts, steps = cartpole_faces._PLAYED_STARTS, cartpole_faces._PLAYED_STEPS
    assert falls(seen, starts, steps) == 0
    card = envs.make("PositionOnlyCartPoleEasyPixels-v0").card
    assert (card.recall.value, card.recall.episodes) == (1.0, starts)
    longer = envs.make("PositionOnlyCartPoleEasyPixels-v0", steps=steps + 1)
    assert longer.card.recall.value is None
