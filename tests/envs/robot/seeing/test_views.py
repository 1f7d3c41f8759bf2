"""The large picture of a robot task, and the filmstrips made of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import filmstrips
from envs.robot.seeing import outlines, views
from envs.robot.seeing.drawing import COLOURS
from tests.envs.robot import playing

SIZE = 120
TASK = envs.make("ShellGameTouch-v0", max_steps=200)


@functools.cache
def hiding():
    """A state in which mugs have just covered the ball, the hand at home."""
    return playing.until_acting(TASK, playing.start(TASK)[1])[1]


def columns_of(image, colour):
    """Rows and columns of a colour."""
    return np.argwhere((image == np.array(colour, np.uint8)).all(-1))


def hand_at(state, place, yaw=0.0, opening=0.08):
    hand = state.world.gripper
    hand = hand._replace(
        position=jnp.asarray(place, jnp.float32),
        yaw=jnp.float32(yaw),
        opening=jnp.float32(opening),
    )
    return state._replace(world=state.world._replace(gripper=hand))


def test_what_comes_from_far_is_in_the_picture():
    env = envs.make("InterceptSlow-v0")
    state = jax.jit(env.reset)(jax.random.key(0))[1]
    assert float(state.world.position[1, 1]) < -0.6
    images = np.asarray(env.render(state))[:64], views.views(env, state, SIZE)[:SIZE]
    for image in images:
        rows = columns_of(image, COLOURS["red"])
        assert len(rows) and rows[:, 1].min() > 0.8 * image.shape[1]


def test_things_are_where_they_are():
    """A mug's middle, by hand: 1 pixel is .84 m / 120; up is away, left is left."""
    state = hiding()
    mug = (0.1, -0.2, 0.053)
    away = jnp.asarray(state.world.position).at[:3].set(jnp.asarray(mug))
    state = state._replace(world=state.world._replace(position=away))
    image = views.views(TASK, hand_at(state, (-0.3, 0.3, 0.2)), SIZE)
    assert image.shape == (views.height(SIZE), SIZE, 3) == (164, 120, 3)
    seen = columns_of(image[:SIZE], COLOURS[""])
    pixel = 0.84 / SIZE
    np.testing.assert_allclose(
        seen.mean(0), [59.5 - 0.1 / pixel, 59.5 + 0.2 / pixel], atol=0.6
    )
    # A disc without its rim of a pixel.
    assert abs(len(seen) - np.pi * (0.06 / pixel - 1) ** 2) < 25
    front = columns_of(image[-43:], COLOURS[""])
    # Cut off by the table, the rim around: 10.6 cm high and 12 cm wide.
    assert abs(np.ptp(front[:, 0]) + 1 - (0.106 / pixel - 2)) < 1.5
    assert abs(np.ptp(front[:, 1]) + 1 - (0.12 / pixel - 2)) < 1.5


def test_the_hand_is_seen_high_and_low_turned_and_open():
    blue = (30, 60, 200)

    def both(*pose):
        image = views.views(TASK, hand_at(hiding(), *pose), SIZE)
        return columns_of(image[:SIZE], blue), columns_of(image[-43:], blue)

    over, high = both((-0.3, 0.0, 0.2))
    low = both((-0.3, 0.0, 0.02))[1]
    assert abs(low[:, 0].min() - high[:, 0].min() - 0.18 * SIZE / 0.84) < 1.5
    turned = both((-0.3, 0.0, 0.2), np.pi / 2)[0]
    assert np.ptp(over[:, 1]) == np.ptp(turned[:, 0]) > 2 * np.ptp(turned[:, 1])
    closed = both((-0.3, 0.0, 0.2), 0.0, 0.0)[0]
    assert np.ptp(over[:, 1]) - np.ptp(closed[:, 1]) == pytest.approx(
        0.08 / 0.007, abs=1
    )
    holds = hand_at(hiding(), (-0.3, 0.0, 0.2))
    holds = holds._replace(world=holds.world._replace(held=jnp.int32(0)))
    assert not len(columns_of(views.views(TASK, holds, SIZE), blue))


def test_the_front_has_the_same_sides():
    state = hand_at(hiding(), (-0.3, 0.3, 0.1))
    image = views.views(TASK, state, SIZE)
    blue = (30, 60, 200)
    over, front = (
        columns_of(x, blue)[:, 1].mean() for x in (image[:SIZE], image[-43:])
    )
    assert over == pytest.approx(59.5 - 0.3 * SIZE / 0.84, abs=1)
    assert front == pytest.approx(over, abs=1)


def test_what_is_hidden_is_not_drawn():
    state = hiding()
    pictures = []
    for target in range(3):
        other = playing.with_task(state, target=jnp.int32(target))
        ball = jnp.array([0.3, 0.1 * target, 0.02])  # where nothing stands over it
        world = other.world._replace(position=other.world.position.at[3].set(ball))
        pictures.append(views.views(TASK, other._replace(world=world), SIZE))
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])
    shown = playing.start(TASK)[1]
    assert (views.views(TASK, shown, SIZE) != pictures[0]).any()


def test_every_shape_looks_different():
    side = np.linspace(1.3, -1.3, 27)
    a, b = np.meshgrid(side, side, indexing="ij")
    alike = {"ball", "disc"}
    seen = {
        name: outline(a, b).tobytes()
        for name, outline in outlines.OUTLINES.items()
        if name not in alike
    }
    assert len(set(seen.values())) == len(seen)
    assert set(envs.robot.seeing.seen.SHAPES) <= set(outlines.OUTLINES)


def test_higher_things_cover_lower_ones():
    state = hiding()
    place = jnp.array([0.1, 0.1, 0.053])
    at = state.world.position.at[0].set(place).at[3].set(place.at[2].set(0.02))
    both = state.world._replace(
        position=at, present=state.world.present.at[3].set(True)
    )
    alone = both._replace(present=both.present.at[3].set(False))
    images = [views.views(TASK, state._replace(world=w), SIZE) for w in (both, alone)]
    np.testing.assert_array_equal(images[0][:SIZE], images[1][:SIZE])


def test_every_class_has_a_filmstrip():
    drawn = {id: target for id, (target, _) in envs.robot.TASKS.items()}
    groups = filmstrips.groups()
    assert {drawn[id] for id in groups.values()} == set(drawn.values())
    assert groups["shell_game"] == "ShellGameTouch-v0"


@functools.cache
def film():
    return filmstrips.episodes(envs.make("RememberColor3-v0"))


def test_filmstrip():
    """Both ends are there, and every phase looks different from the others."""
    task = envs.make("RememberColor3-v0")
    good, bad = film()
    assert good.success and good.ending == "success"
    assert bad is not None and bad.failed and bad.ending == "wrong"
    # The same episode: it is only the answer that is mistaken.
    first = [episode.shots[0].state for episode in (good, bad)]
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, *first)))
    shots = filmstrips.chosen(task, good)
    assert [shot.phase for shot in shots] == ["cue", "empty"] + ["act"] * 4
    assert shots[-1] is good.shots[-1]
    pictures = [np.asarray(filmstrips.frame(task, shot, "", 96)) for shot in shots]
    for i, picture in enumerate(pictures):
        assert all((picture != other).any() for other in pictures[:i])
    image = filmstrips.row(task, good, 96)
    assert image.size == (6 * 100 - 4, filmstrips.LABEL + views.height(96))
    np.testing.assert_array_equal(
        np.asarray(image)[filmstrips.LABEL :, 100:196],
        pictures[1][filmstrips.LABEL :],
    )
    labelled = np.asarray(image)[: filmstrips.LABEL]
    assert (labelled[:, :96] != labelled[:, 100:196]).any()


def test_filmstrip_says_how_it_ended():
    task = envs.make("RememberColor3-v0")
    good = film()[0]
    worse = good._replace(success=False)
    one, other = (np.asarray(filmstrips.row(task, x, 96)) for x in (good, worse))
    differ = (one != other).any((0, 2)).nonzero()[0]
    assert len(differ) and differ.min() >= 500


def test_the_cameras_film_is_what_they_see():
    """The first column shows the start, from in front above, from the hand below."""
    image = np.asarray(filmstrips.seen("RememberColor3-v0", 64))
    assert image.shape == (2 * 64 + 4, 6 * 68 - 4, 3)
    task = envs.make("RememberColor3-v0", observation="rgb")
    observation = jax.jit(task.reset)(jax.random.key(1))[0]
    for top, name in ((0, "base_camera"), (68, "hand_camera")):
        np.testing.assert_array_equal(image[top : top + 64, :64], observation[name])


def test_progress_is_not_mistaken():
    """Only what is drawn at the start is another's; what was done since stays."""
    task = envs.make("BunchOfColors3-v0")
    reset = jax.jit(task.reset)
    mine, other = (reset(jax.random.key(seed))[1].task for seed in (0, 1))
    names = mine._fields
    moved = jax.tree.map(lambda x: x + jnp.ones((), x.dtype), mine)
    believed = filmstrips.mistaken(moved, mine, other, whole=False)
    for name in names:
        if name == "clock":
            assert playing.same(believed.clock, moved.clock)
            continue
        pairs = zip(
            *(
                jax.tree.leaves(getattr(x, name))
                for x in (believed, moved, mine, other)
            ),
            strict=True,
        )
        for now, kept, start, drawn in pairs:
            swapped = not np.array_equal(start, drawn) and start.dtype.kind != "f"
            assert np.array_equal(now, drawn if swapped else kept), name
