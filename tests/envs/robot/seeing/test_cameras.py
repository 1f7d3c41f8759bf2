"""What a robot's cameras see, beside a walk along each ray."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import filmstrips
from envs.robot.seeing import cameras
from envs.robot.seeing.drawing import COLOURS
from envs.robot.seeing.seen import SHAPES, Appearance, Looks
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop import world as worlds
from envs.robot.tabletop.things import ball, cube, cylinder
from tests.conftest import as_x64

SIZE = 64
NAMES = ("red", "lime", "blue", "yellow", "magenta")
THINGS = (  # the first hangs before the fourth
    cube(0.02),
    cylinder("mug", 0.06, 0.053),
    ball(0.04),
    cube(0.05),
    cylinder("post", 0.015, 0.1),
)
PLACES = [
    (-0.01, -0.15, 0.15),
    (0.05, 0.15, 0.053),
    (-0.2, 0.0, 0.04),
    (-0.06, -0.18, 0.05),
    (0.1, 0.05, 0.1),
]
YAWS = [-0.3, 0.0, 0.0, 0.6, 0.0]
HAND = (-0.1, 0.04, 0.22), 0.5, 0.05


def scene(place=HAND[0], yaw=HAND[1], opening=HAND[2]):
    hand = arm.resting(jnp.asarray(place, jnp.float32), opening)
    hand = hand._replace(yaw=jnp.float32(yaw))
    positions, yaws = jnp.array(PLACES, jnp.float32), jnp.array(YAWS, jnp.float32)
    return worlds.at_rest(hand, positions, yaws, jnp.ones(len(THINGS), bool))


ALL = (True,) * len(THINGS)


def looks(visible=ALL):
    colours = jnp.arange(len(THINGS), dtype=jnp.int32)
    return Looks(visible=jnp.array(visible), colour=colours)


@functools.cache
def compiled(size=SIZE):
    def take(world, looks):
        return cameras.pictures(THINGS, world, looks, Appearance(NAMES), size)

    return jax.jit(take)


def turned(points, place, yaw):
    """Points as seen from a place that is turned."""
    x, y, z = np.moveaxis(points - np.asarray(place), -1, 0)
    return np.cos(yaw) * x + np.sin(yaw) * y, np.cos(yaw) * y - np.sin(yaw) * x, z


def inside(form, half, local):
    x, y, z = local
    if form == "box":
        return (abs(x) <= half[0]) & (abs(y) <= half[1]) & (abs(z) <= half[2])
    if form == "ball":
        return x**2 + y**2 + z**2 <= half[0] ** 2
    return (x**2 + y**2 <= half[0] ** 2) & (abs(z) <= half[2])


def hand_boxes(place, yaw, opening):
    """Middles and half extents of fingers and palm, which are 7.5 mm thick."""
    left = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    for side in (1, -1):
        middle = np.array(place) + side * (opening / 2 + 0.0075) * left
        yield middle + np.array([0, 0, 0.0225]), (0.00875, 0.0075, 0.0225)
    yield place + np.array([0, 0, 0.06]), (0.02, 0.055, 0.015)


def walked(eye, forward, up, left, pixels):
    """The number of what each ray meets first: -1 the ground, one more for the hand."""
    p = 1 - (2 * pixels + 1) / SIZE
    rays = forward + p[:, None, None] * up + p[None, :, None] * left
    met = np.full(rays.shape[:2], -1)
    for distance in np.arange(0.0021, 1.6, 0.0004):
        points = np.asarray(eye) + distance * rays
        here = np.full(met.shape, -1)
        for i, thing in enumerate(THINGS):
            local = turned(points, PLACES[i], YAWS[i])
            here[inside(thing.form, thing.half, local)] = i
        for middle, half in hand_boxes(*HAND):
            here[inside("box", half, turned(points, middle, HAND[1]))] = len(THINGS)
        # Whoever was met stays, and under the table nothing is met any more.
        met = np.where((met == -1) & (points[..., 2] <= 0), -2, met)
        met = np.where(met == -1, here, met)
    return np.maximum(met, -1)


def numbers(picture):
    """Which thing has the colour of each pixel, by its tops or its sides."""
    found = np.full(picture.shape[:2], -1)
    for i, name in enumerate(NAMES):
        colour = np.array(COLOURS[name])
        for shade in (colour, (0.65 * colour).astype(int)):
            found[(picture == shade).all(-1)] = i
    for grey in (40, 26, 90, 58):
        found[(picture == grey).all(-1)] = len(NAMES)
    return found


def test_equals_a_walk_along_each_ray():
    taken = jax.tree.map(np.asarray, compiled()(scene(), looks()))
    pixels = np.arange(13, 55, 2)
    forward = np.array([-0.4, 0, -0.5]) / np.sqrt(0.41)
    up = 0.7 * np.array([-0.5, 0, 0.4]) / np.sqrt(0.41)
    cosine, sine = np.cos(HAND[1]), np.sin(HAND[1])
    for name, camera in {
        "base_camera": ((0.3, 0, 0.6), forward, up, np.array([0, -0.7, 0])),
        "hand_camera": (
            HAND[0] + np.array([0.045 * cosine, 0.045 * sine, 0.067]),
            np.array([0, 0, -1]),
            np.array([cosine, sine, 0]),
            np.array([-sine, cosine, 0]),
        ),
    }.items():
        wanted = walked(*camera, pixels)
        found = numbers(taken[name][np.ix_(pixels, pixels)])
        assert len(set(wanted.ravel().tolist())) >= 5, "little to be seen"
        assert (wanted != found).sum() <= 1, name


def test_tops_are_bright_and_sides_dark():
    """Looked at from above only tops are seen; from the front both."""
    place = (-0.105, -0.18, 0.3)
    taken = compiled()(scene(place=place, yaw=0.0, opening=0.08), looks())
    paint = np.array(COLOURS[NAMES[3]])
    middle = np.asarray(taken["hand_camera"])[SIZE // 2, SIZE // 2]
    np.testing.assert_array_equal(middle, paint)
    seen = np.asarray(taken["base_camera"]).reshape(-1, 3)
    assert (seen == paint).all(-1).sum() > 10
    assert (seen == (0.65 * paint).astype(int)).all(-1).sum() > 10


def test_what_is_not_visible_leaves_no_trace():
    rng = np.random.default_rng(0)
    for hidden in range(len(THINGS)):
        visible = np.arange(len(THINGS)) != hidden
        one = compiled()(scene(), looks(visible))
        world, told = scene(), looks(visible)
        where = jnp.asarray(rng.normal(size=3), jnp.float32)
        world = world._replace(
            position=world.position.at[hidden].set(where),
            yaw=world.yaw.at[hidden].set(1.0),
        )
        colour = told.colour.at[hidden].set((hidden + 1) % len(NAMES))
        other = compiled()(world, told._replace(colour=colour))
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
        all_of_them = compiled()(scene(), looks())
        assert any((all_of_them[name] != one[name]).any() for name in one)


def test_shapes_differ_and_turn():
    """Of a thing right under the hand."""

    @jax.jit
    def take(shape, yaw):
        one = (cube(0.03),)
        world = worlds.at_rest(
            arm.resting(jnp.array([-0.045, 0.0, 0.1], jnp.float32)),
            jnp.array([[0.0, 0.0, 0.03]], jnp.float32),
            yaw[None],
            jnp.ones(1, bool),
        )
        told = Looks(visible=jnp.ones(1, bool), shape=shape[None])
        shapes = Appearance(shapes=SHAPES)
        return cameras.pictures(one, world, told, shapes, SIZE)["hand_camera"]

    straight = [
        np.asarray(take(jnp.int32(i), jnp.float32(0.0))).tobytes()
        for i in range(len(SHAPES))
    ]
    # From straight above a ball and a cylinder with its line differ, and all others.
    assert len(set(straight)) == len(SHAPES)
    tee = jnp.int32(SHAPES.index("T"))
    a, b = (take(tee, jnp.float32(yaw)) for yaw in (0.0, np.pi / 2))
    a, b = ((np.asarray(x) == COLOURS[""]).all(-1) for x in (a, b))
    # A quarter turn to the left turns the picture to the left.
    assert (np.rot90(a) != b).mean() < 0.02 < (a != b).mean()


@pytest.mark.parametrize("size", cameras.SIZES)
def test_sizes(size):
    env = envs.make("RememberColor3-v0", observation="rgb", image_size=size)
    observation = jax.eval_shape(env.reset, jax.random.key(0))[0]
    assert set(observation) == {"gripper", "base_camera", "hand_camera"}
    for name in cameras.NAMES:
        assert observation[name].shape == (size, size, 3)
        assert env.observation_space[name].shape == (size, size, 3)
        assert observation[name].dtype == env.observation_space[name].dtype == np.uint8
    with pytest.raises(ValueError, match="image_size to be one of 64, 128; not 96"):
        envs.make("RememberColor3-v0", image_size=96)


def test_double_precision_gives_the_same_picture(x64):
    one = compiled()(scene(), looks())
    other = compiled()(as_x64(scene()), looks())
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


IDS = filmstrips.groups().values()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(id, marks=[] if id == "ShellGameTouch-v0" else pytest.mark.slow)
        for id in IDS
    ],
)
def test_what_is_shown_can_be_seen(name):
    """Whatever is visible at some time is in the base camera's view at some time, and
    whatever colour is visible is drawn."""
    env = envs.make(name, observation="rgb")
    step, oracle = jax.jit(env.step), jax.jit(env.oracle)
    paints = [COLOURS[c] for c in env._appearance.colours or ("",)]

    @jax.jit
    def told(state):
        return env._looks(state.task, state.world, state.time)

    eye, forward, up, left = map(np.asarray, cameras.base(env._view))
    shown, drawn, things, viewed = set(), set(), set(), set()
    observation, state = jax.jit(env.reset)(jax.random.key(3))
    for _ in range(min(env.max_steps, 60)):
        now = told(state)
        colours = np.zeros(len(env._things), int) if now.colour is None else now.colour
        visible = np.flatnonzero(now.visible).tolist()
        shown |= {int(colours[i]) for i in visible}
        things |= set(visible)
        way = np.asarray(state.world.position) - eye
        across = [way @ axis / (way @ forward) / (axis @ axis) for axis in (up, left)]
        viewed |= {i for i in visible if max(abs(x[i]) for x in across) < 1}
        for colour in shown - drawn:
            for shade in (1, cameras.SHADE):
                paint = (shade * np.array(paints[colour], np.float32)).astype(int)
                if (np.asarray(observation["base_camera"]) == paint).all(-1).any():
                    drawn.add(colour)
        action = oracle(jax.random.key(0), state)
        observation, state, _, ended, *_ = step(jax.random.key(0), state, action)
        if ended:
            break
    assert shown == drawn and things == viewed
