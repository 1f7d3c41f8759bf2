"""Pictures: their shape, what changes them, and what they show only to the viewer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import draw

SCENE, STRIP = slice(0, draw.SCENE), slice(-draw.STRIP, None)


def other_goal(state):
    return state._replace(goal=-state.goal)


def other_suits(state):
    """Change the first card, and the one to be named with the sixth on show, k = 4."""
    changed = state.values.at[jnp.array([0, 2])].apply(lambda suit: 3 - suit)
    return state._replace(values=changed)


OTHER_CUE = {
    "TMaze-v0": other_goal,
    "TMazeNoisy-v0": other_goal,
    "MemoryChain-v0": lambda state: state._replace(context=-state.context),
    "RepeatFirstEasy-v0": other_suits,
    "RepeatPreviousEasy-v0": other_suits,
}
WIDTH = {
    "TMaze-v0": 168,
    "TMazeNoisy-v0": 320,
    "MemoryChain-v0": 63,
    "RepeatFirstEasy-v0": 24,
    "RepeatPreviousEasy-v0": 24,
}
PARAMETERS = {"TMazeNoisy-v0": {"length": 300}, "MemoryChain-v0": {"bits": 3}}


@pytest.mark.parametrize("id", OTHER_CUE)
def test_pictures(id):
    """At the start and, after five idle steps, once the cue is out of sight."""
    env = envs.make(id, **PARAMETERS.get(id, {}))
    key = jax.random.key(0)

    @jax.jit
    def pictures(key):
        _, state = env.reset(key)
        action = jnp.int32(0)
        later = jax.lax.fori_loop(0, 5, lambda _, s: env.step(key, s, action)[1], state)
        states = [state, OTHER_CUE[id](state), later, OTHER_CUE[id](later)]
        return [env.render(s) for s in states]

    start, start_other, later, later_other = map(np.asarray, pictures(key))
    assert start.shape == (draw.HEIGHT, WIDTH[id], 3) and start.dtype == np.uint8
    assert (start[SCENE] != start_other[SCENE]).any()
    assert (start[STRIP] != start_other[STRIP]).any()
    assert (start[SCENE] != later[SCENE]).any()
    assert (later[STRIP] != later_other[STRIP]).any()
    # The scene gives away nothing that is hidden.
    assert (later[SCENE] == later_other[SCENE]).all()


def test_a_long_corridor_is_drawn_around_the_agent():
    env = envs.make("TMaze-v0", length=300)
    _, state = env.reset(jax.random.key(0))
    image = jax.jit(env.render)
    for x, column in ((0, 0), (150, 20), (300, 39)):
        picture = np.asarray(image(state._replace(x=jnp.int32(x))))
        blue = (picture == draw.AGENT).all(-1)
        rows, columns = np.nonzero(blue)
        assert (rows.min(), rows.max()) == (19, 25)
        assert (columns.min(), columns.max()) == (8 * column + 1, 8 * column + 6)


@pytest.mark.parametrize("goal", [1, -1])
def test_the_strip_shows_the_side_of_the_goal(goal):
    env = envs.make("TMaze-v0", length=300)
    _, state = env.reset(jax.random.key(0))
    picture = np.asarray(jax.jit(env.render)(state._replace(goal=jnp.int32(goal))))
    colour = draw.PLUS if goal > 0 else draw.MINUS
    rows = np.nonzero((picture[STRIP] == colour).all(-1))[0]
    assert (rows.min(), rows.max()) == ((0, 7) if goal > 0 else (8, 15))


def test_memory_chain_marks_the_bit_asked_for():
    env = envs.make("MemoryChain-v0", length=2, bits=3)
    _, state = env.reset(jax.random.key(0))
    state = state._replace(query=jnp.int32(1))
    image = jax.jit(env.render)
    for time, marked in ((0, False), (1, False), (2, True), (3, False)):
        picture = np.asarray(image(state._replace(time=jnp.int32(time))))
        columns = np.nonzero((picture[SCENE] == draw.AGENT).all(-1))[1]
        assert len(columns) > 0 if marked else len(columns) == 0
        if marked:
            assert (columns.min(), columns.max()) == (21, 41)


def test_rectangles_are_cut_off_at_the_edge():
    image = np.asarray(draw.rectangle(draw.canvas(4, 5), (2, -1), (9, 3), draw.PLUS))
    painted = (image == draw.PLUS).all(-1)
    expected = np.zeros((4, 5), bool)
    expected[2:, :2] = True
    assert (painted == expected).all()
    assert (image[~painted] == draw.BACKGROUND).all()


def test_a_rod_is_drawn_between_its_ends():
    ends = jnp.array([[1.0, 1.0], [1.0, 4.0]])
    image = np.asarray(draw.rod(draw.canvas(4, 7), ends, 2.0, draw.AGENT))
    painted = (image == draw.AGENT).all(-1)
    expected = np.zeros((4, 7), bool)
    expected[1, 0:6] = expected[[0, 2], 1:5] = True
    assert (painted == expected).all()


def test_bars_grow_from_the_middle():
    image = np.asarray(draw.bars(jnp.array([0.5, -9.0]), 8))
    assert (image[:7, 4:6] == draw.PLUS).all() and (image[8:15, :4] == draw.MINUS).all()
    painted = (image != draw.BACKGROUND).any(-1)
    assert painted.sum() == 7 * (2 + 4)


def test_boards_have_gaps_where_there_is_room():
    colours = jnp.full((4, 4, 3), 200, jnp.uint8)
    for height, side, painted in ((16, 4, 9), (9, 2, 4), (3, 1, 1)):
        image = np.asarray(draw.board(colours, height))
        assert image.shape == (4 * side, 4 * side, 3)
        assert (image == 200).sum() == 3 * 16 * painted


def test_rows_have_a_gap_before_each_tile():
    image = np.asarray(draw.row(jnp.full((3, 3), 200, jnp.uint8), 5, 4))
    assert image.shape == (5, 12, 3)
    assert (image[:, ::4] == draw.BACKGROUND).all()
    assert (image == 200).sum() == 3 * 5 * 9


@pytest.mark.parametrize("count", [1, 4, 30])
def test_hues_differ(count):
    hues = draw.hues(count)
    assert hues.dtype == np.uint8 and len({tuple(hue) for hue in hues}) == count


def test_frame_centres_and_separates():
    scene, hidden = (jnp.full((4, w, 3), 200, jnp.uint8) for w in (6, 2))
    image = np.asarray(draw.frame(scene, hidden))
    assert image.shape == (draw.HEIGHT, 6, 3)
    assert (image[20:24] == 200).all() and (image[54:58, 2:4] == 200).all()
    assert (image == 200).sum() == 3 * (4 * 6 + 4 * 2)
    assert (image[draw.SCENE : draw.SCENE + draw.LINE] == draw.MARK).all()
