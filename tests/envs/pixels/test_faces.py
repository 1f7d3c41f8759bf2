"""Pictures against what they stand for: nothing lost, nothing added.

A picture of the partial face must be a name of the observation: the same one the same
picture, another one another. That of the full face must be a name of the part of the
state that the best action depends on.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import draw, spaces
from envs.pixels import FACES, tiles
from tests.envs.pixels import decode

STREAMS = 8
STEPS = {"AutoencodeEasy": 103}
LEVELS = ["AutoencodeEasy", "CountRecallEasy", "BattleshipEasy", "TMaze"]
OTHERS = [
    id.removesuffix("Pixels-v0")
    for id in envs.names()
    if "Pixels" in id and "CartPole" not in id and id[:-9] not in LEVELS
]


def played(name, image_size=64, steps=None):
    """States that play passes through, half of it the oracle's, and their pictures."""
    task = envs.make(f"{name}-v0")
    faces: list[Any] = [
        envs.make(f"{name}Pixels-v0", image_size=image_size, partial_obs=partial)
        for partial in (True, False)
    ]
    start = spaces.sample(task.action_space, jax.random.key(0))

    def stream(key):
        play_key, key = jax.random.split(key)

        def body(carry, key):
            seen, state, before, running = carry
            keys = jax.random.split(key, 4)
            best = task.oracle(keys[0], state)
            pictures = [face.picture(seen, state) for face in faces]
            out = (running, (seen, state, before, best, pictures))
            drawn = spaces.sample(task.action_space, keys[1])
            follows = jax.random.bernoulli(keys[2])
            action = jnp.where(follows, best, drawn.astype(best.dtype))
            seen, state, _, terminated, truncated, _ = task.step(keys[3], state, action)
            running = running & ~terminated & ~truncated
            return (seen, state, action, running), out

        carry = (*task.reset(play_key), jnp.full_like(start, -1), jnp.ones((), bool))
        count = steps or STEPS.get(name, 40)
        return jax.lax.scan(body, carry, jax.random.split(key, count))[1]

    options = {"xla_backend_optimization_level": 0}
    run = jax.jit(jax.vmap(stream), compiler_options=options)
    running, result = run(jax.random.split(jax.random.key(1), STREAMS))
    return task, jax.tree.map(lambda x: np.asarray(x)[np.asarray(running)], result)


def turned(state):
    """Cards turned in vain or in play, and whether there is one in play."""
    places = {int(state.first), int(state.second)} - {-1}
    down = sorted(place for place in places if not state.up[place])
    return down, len(down) > 0 and state.second < 0


def maze(state):
    """Squares and which of them were visited, but for the agent's own."""
    grid = state.grid.copy()
    grid[state.row, state.column] = 0
    return grid, state.row, state.column


WHOLE = {
    "Autoencode": lambda state, seen: (state.values, state.cursor, seen[0]),
    "CountRecall": lambda state, seen: (state.counts, seen),
    "Concentration": lambda state, seen: (state.values, state.up, *turned(state)),
    "Battleship": lambda state, seen: (state.board, state.last, seen),
    "MineSweeper": lambda state, seen: (state.board, state.last),
    "LabyrinthEscape": lambda state, seen: maze(state),
    "LabyrinthExplore": lambda state, seen: maze(state),
    "MiniGridMemory": lambda state, seen: state[:6],
    "TMaze": lambda state, seen: (state.x, state.goal, seen),
}


def name_of(*parts):
    return b"|".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(parts))


def row(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def assert_names_each_other(names, pictures):
    pictures = [picture.tobytes() for picture in pictures]
    pairs = set(zip(names, pictures, strict=True))
    assert len({name for name, _ in pairs}) == len(pairs), "equal, drawn differently"
    assert len({picture for _, picture in pairs}) == len(pairs), "different, but equal"


PLAYERS = {
    "AutoencodeEasy": lambda picture, task: decode.autoencode(picture)[1],
    "CountRecallEasy": lambda picture, task: decode.count_recall(picture),
    "BattleshipEasy": lambda picture, task: decode.first_ship(picture, task.size),
    "MineSweeperEasy": lambda picture, task: decode.first_clear(picture, task.size),
    "ConcentrationEasy": lambda picture, task: decode.concentration(picture),
}
"""The oracle's action, read off the full picture."""


def check(name, image_size=64):
    task, (seen, states, actions, best, (partial, full)) = played(name, image_size)
    drawn = FACES[type(task)].draws_action
    rows = range(len(best))
    observed = [name_of(row(seen, i), actions[i] if drawn else ()) for i in rows]
    assert len(set(observed)) > 1
    assert_names_each_other(observed, partial)
    whole = WHOLE[type(task).__name__]
    state = [name_of(whole(row(states, i), row(seen, i))) for i in rows]
    assert_names_each_other(state, full)
    assert partial.shape[1:] == full.shape[1:] == (image_size, image_size, 3)
    if name in PLAYERS:
        for i in range(0, len(best), 7):
            assert (PLAYERS[name](full[i], task) == best[i]).all()


@pytest.mark.parametrize("shape, canvas", [((2, 3), (13, 17)), ((3, 2), (12, 6))])
def test_both_ways_to_draw_a_map_give_the_same_picture(shape, canvas):
    """And that which numpy gives, with and without something around the tiles."""
    random = np.random.default_rng(0)
    sheet = random.integers(0, 256, (5, 4, 3, 3), np.uint8)
    numbers = random.integers(0, 5, shape)
    lines = [np.concatenate([sheet[i] for i in line], axis=1) for line in numbers]
    image = np.concatenate(lines)
    down, right = (canvas[i] - image.shape[i] for i in (0, 1))
    around = ((down // 2, down - down // 2), (right // 2, right - right // 2))
    expected = [
        np.pad(image[..., i], around, constant_values=draw.BACKGROUND[i])
        for i in range(3)
    ]
    for drawn in (tiles.placed, tiles.gathered, tiles.tiled):
        found = drawn(jnp.asarray(numbers, jnp.int32), sheet, *canvas)
        np.testing.assert_array_equal(found, np.stack(expected, -1))
    beyond = jnp.asarray([[-1, 5]], jnp.int32)
    nearest = tiles.tiled(jnp.asarray([[0, 4]], jnp.int32), sheet, 4, 6)
    np.testing.assert_array_equal(tiles.tiled(beyond, sheet, 4, 6), nearest)


@pytest.mark.parametrize("name", LEVELS)
def test_pictures_say_what_they_should(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_pictures_of_the_other_tasks_do_too(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*LEVELS, "MineSweeperEasy", "ConcentrationEasy", "LabyrinthExploreEasy"]
)
def test_large_pictures_do_too(name):
    check(name, 128)


@pytest.mark.parametrize(
    "name, drawn",
    [
        pytest.param("VelocityOnlyCartPoleEasy", (2, 3), marks=pytest.mark.slow),
        pytest.param("PositionOnlyCartPoleEasy", (0, 1), marks=pytest.mark.slow),
        ("NoisyPositionOnlyCartPoleHard", (0, 1)),
    ],
)
def test_gauges_show_the_numbers(name, drawn):
    """The partial face what is observed, noise included; the full one the state."""
    _, (seen, states, _, _, (partial, full)) = played(name)
    for i in range(0, len(seen), 5):
        numbers = decode.cartpole(partial[i])
        np.testing.assert_allclose(numbers[list(drawn)], seen[i], rtol=0.01, atol=1e-4)
        assert np.isnan(np.delete(numbers, drawn)).all()
        state = row(states, i)
        expected = [state.position, state.angle, state.speed, state.turning]
        np.testing.assert_allclose(
            decode.cartpole(full[i]), expected, rtol=0.01, atol=1e-4
        )
