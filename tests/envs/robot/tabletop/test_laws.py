"""What things do on the table, against the closed forms of mechanics, to 2 %."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from envs.robot.tabletop import grasp
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.scene import friction_radius
from envs.robot.tabletop.things import GRAVITY
from tests.envs.robot.tabletop.playing import STEPS, TOYS, commands, play, times

MU = 0.3
SLOWS = MU * GRAVITY
close = pytest.approx


def test_the_gripper_follows_with_its_lag():
    gripper, k = arm.resting(jnp.array([0.0, 0.0, 0.3])), 5
    for _ in range(k):
        gripper = arm.advance(gripper, jnp.array([0.2, 0.0, -0.2, 0.0, 0.0]))
    left = 1 - arm.LAG
    travel = 0.2 * arm.FASTEST * arm.CONTROL_STEP
    travel *= k - left * (1 - left**k) / arm.LAG
    assert float(gripper.position[0]) == close(travel, rel=1e-5)
    assert float(gripper.position[2]) == close(0.3 - travel, rel=1e-5)


def test_the_gripper_stays_within_its_limits():
    gripper = arm.resting(jnp.array([0.0, 0.0, 0.3]))
    speeds, places = [np.zeros(3)], []
    for k in range(60):
        sign = 1.0 if k < 30 else -1.0
        gripper = arm.advance(gripper, jnp.full(5, sign * 100.0))
        speeds.append(np.asarray(gripper.velocity))
        places.append(np.asarray(gripper.position))
    assert np.abs(speeds).max() == close(arm.FASTEST, rel=1e-3)
    assert np.abs(speeds).max() <= arm.FASTEST * (1 + 1e-5)
    turned = np.diff(speeds, axis=0)[30]  # from full speed, or from the wall
    assert np.abs(turned).max() <= arm.ACCELERATION * arm.CONTROL_STEP * (1 + 1e-5)
    assert (places >= arm.LOWEST - 1e-6).all() and (places <= arm.HIGHEST + 1e-6).all()


@pytest.mark.parametrize("toy", ["cube", "disc", "peg"])
def test_what_slides_stops_where_friction_stops_it(toy):
    """M2: mu g is lost each second, whatever the form; v^2 / (2 mu g) is the way."""
    v, height = 0.5, TOYS[toy].half[2]
    start = {"position": (0, 0, height), "velocity": (0.3, 0.4, 0), "yaw": 0.7}
    _, done = play({toy: start})
    way = np.hypot(*done[toy]["position"][:, :2].T)
    speed = np.hypot(*done[toy]["velocity"][:, :2].T)
    assert speed == close(np.maximum(v - SLOWS * times(), 0), rel=0.02, abs=1e-6)
    assert way[-1] == close(v**2 / (2 * SLOWS), rel=0.02)
    assert done[toy]["yaw"] == close(0.7, abs=1e-5)
    assert done[toy]["position"][:, 2] == close(height, abs=1e-6)


def test_mean_friction_radii():
    """M3, over a grid of the foot; and the peg's own number."""
    for toy in ("cube", "disc", "peg"):
        a, b, _ = TOYS[toy].half
        x, y = np.meshgrid(np.linspace(-a, a, 801), np.linspace(-b, b, 801))
        inside = (x / a) ** 2 + (y / b) ** 2 < 1 if toy == "disc" else x == x
        radius = np.hypot(x, y)[inside].mean()
        assert friction_radius(TOYS[toy]) == close(radius, rel=0.005)
    assert friction_radius(TOYS["peg"]) == close(0.0627, rel=0.002)


@pytest.mark.parametrize(
    "toy, slows",
    [
        ("disc", 4 * SLOWS / (3 * 0.03)),
        ("cube", 2.296 * SLOWS / 0.04),
        ("peg", 36.8),
    ],
)
def test_what_spins_stops_where_friction_stops_it(toy, slows):
    """M3."""
    w = 10.0
    start = {"position": (0, 0, TOYS[toy].half[2]), "spin": w, "yaw": -1.0}
    _, done = play({toy: start})
    expected = np.maximum(w - slows * times(), 0)
    assert done[toy]["spin"] == close(expected, rel=0.02, abs=1e-5)
    assert done[toy]["yaw"][-1] + 1 == close(w**2 / (2 * slows), rel=0.02)
    assert np.abs(done[toy]["position"][:, :2]).max() < 1e-6


@pytest.mark.parametrize("toy", ["cube", "disc", "peg"])
def test_sliding_and_spinning_lose_energy_together(toy):
    """M4: straight on, never faster, both to the end; slower than each alone."""
    thing = TOYS[toy]
    start = {"position": (0, 0, thing.half[2]), "velocity": (0.4, 0, 0), "spin": 10.0}
    _, done = play({toy: start})
    speed, spin = done[toy]["velocity"][:, 0], done[toy]["spin"]
    energy = thing.mass * speed**2 + thing.inertia * spin**2
    assert (np.diff(energy) <= 1e-9).all() and energy[-1] == 0
    assert np.abs(done[toy]["velocity"][:, 1]).max() < 1e-7
    way = done[toy]["position"][-1, 0]
    # The same, in small steps.
    v, w, x, radius = 0.4, 10.0, 0.0, friction_radius(thing)
    for _ in range(200_000):
        slip = math.hypot(v, radius * w)
        if slip < 1e-4:
            break
        v, w = (
            v - 1e-5 * SLOWS * v / slip,
            w - 1e-5 * SLOWS * thing.mass * radius**2 / thing.inertia * w / slip,
        )
        x += 1e-5 * v
    assert way == close(x, rel=0.02)
    assert way > 1.05 * 0.4**2 / (2 * SLOWS)


def test_a_thing_is_pushed_at_the_grippers_speed_and_stops_by_friction():
    """M5: the pads are 8.75 mm wide on either side, the cube 20 mm."""
    ahead = 0.02 + 0.00875
    start = {"position": (-0.2, 0, 0.02)}
    acts = commands((12, {"x": 0.25}))
    worlds, done = play({"cube": start}, (-0.27, 0, 0.015), 0, 0.0, acts)
    speed = done["cube"]["velocity"][:12, 0]
    pushed = worlds.gripper.velocity[:12, 0]
    assert speed[8:] == close(pushed[8:], rel=0.02)
    gap = done["cube"]["position"][:, 0] - worlds.gripper.position[:, 0] - ahead
    assert gap[8:12] == close(0.0, abs=5e-4) and (gap > -1e-4).all()
    further = done["cube"]["position"][-1, 0] - done["cube"]["position"][11, 0]
    halted = worlds.gripper.position[-1, 0] - worlds.gripper.position[11, 0]
    assert max(further - halted, 0) <= speed[-1] ** 2 / (2 * SLOWS)
    assert done["cube"]["velocity"][-1] == close(0.0, abs=2e-4)
    assert np.abs(done["cube"]["position"][:, 1]).max() < 1e-4


def test_a_push_off_the_middle_turns_by_its_lever():
    """M5: without friction w / v = m b / I; a pad's corner is the place of contact."""
    yaw, peg = 0.3, TOYS["slick"]
    corner = np.array([0.00875, 0.015])  # of the closed pair of pads
    spot = corner[0] * math.cos(yaw) + corner[1] * math.sin(yaw)
    aside = corner[0] * math.sin(yaw) - corner[1] * math.cos(yaw)
    start = {"position": (-0.1, 0, 0.025), "yaw": math.pi / 2}
    hand = (-0.1 - 0.025 - spot - 0.004, 0.06, 0.015)
    acts = commands((1, {"x": 0.25}))
    _, done = play({"slick": start}, hand, yaw, 0.0, acts)
    lever = hand[1] + aside
    ratio = -peg.mass * lever / peg.inertia
    k = np.flatnonzero(done["slick"]["velocity"][:, 0] > 0)[0]
    v, w = done["slick"]["velocity"][k, 0], done["slick"]["spin"][k]
    assert w / v == close(ratio, rel=0.02)
    assert abs(done["slick"]["velocity"][k, 1]) < 0.01 * v


def test_equal_discs_share_their_speed():
    """M6, e = 0."""
    _, done = play(
        {
            "soft": {"position": (-0.1, 0, 0.02), "velocity": (0.5, 0, 0)},
            "softer": {"position": (0, 0, 0.02)},
        }
    )
    for toy in ("soft", "softer"):
        assert done[toy]["velocity"][-1] == close((0.25, 0, 0), rel=1e-5, abs=1e-6)


def test_what_bounces_keeps_its_energy():
    """M6, e = 1: one disc stops; obliquely the energy is as it was."""
    _, done = play(
        {
            "hard": {"position": (-0.1, 0, 0.02), "velocity": (0.5, 0, 0)},
            "softer": {"position": (0, 0, 0.02)},
        }
    )
    assert done["hard"]["velocity"][10] == close((0, 0, 0), abs=1e-5)
    assert done["softer"]["velocity"][10] == close((0.5, 0, 0), abs=1e-5)
    _, done = play(
        {
            "hard": {"position": (-0.1, 0.03, 0.02), "velocity": (0.5, 0, 0)},
            "softer": {"position": (0, 0, 0.02)},
        }
    )
    after = [done[toy]["velocity"][10] for toy in ("hard", "softer")]
    assert np.square(after).sum() == close(0.25, rel=1e-5)
    assert np.sum(after, 0) == close((0.5, 0, 0), rel=1e-5, abs=1e-6)
    # Half their distance is aside: the normal is at 30 degrees.
    normal = np.array([math.sqrt(3), -1, 0]) / 2
    assert after[1] == close(0.5 * normal[0] * normal, rel=0.02)


def momentum(done):
    """Along x, y and about the origin, of all toys."""
    total = 0
    for toy, did in done.items():
        thing = TOYS[toy]
        (x, y, _), (vx, vy, _) = did["position"].T, did["velocity"].T
        about = thing.mass * (x * vy - y * vx) + thing.inertia * did["spin"]
        total += np.stack([thing.mass * vx, thing.mass * vy, about], 1)
    return total


@pytest.mark.parametrize("aside", [-0.08, 0.03, 0.1])
def test_momentum_stays_when_things_hit_with_friction(aside):
    """M6: in the air, where nothing else acts; a cube against a peg that turns."""
    start = {
        "cube": {
            "position": (-0.08, aside, 0.4),
            "velocity": (0.9, 0.4, 0),
            "yaw": 0.3,
            "spin": 3.0,
        },
        "peg": {"position": (0, 0, 0.4), "yaw": math.pi / 2, "spin": -1.0},
    }
    _, done = play(start)
    before = momentum(
        {
            toy: {
                "position": np.array([values["position"]]),
                "velocity": np.array([values.get("velocity", (0, 0, 0))]),
                "spin": np.array([values["spin"]]),
            }
            for toy, values in start.items()
        }
    )
    flies = 4  # steps
    assert abs(done["peg"]["spin"][flies] + 1) > 0.1  # it was hit
    largest = np.abs(before).max(1)
    assert momentum(done)[:flies] == close(
        np.repeat(before, flies, 0), abs=1e-5 * largest[0]
    )


def test_friction_holds_back_at_most_mu_times_the_impulse():
    """M6: a disc grazes a wall; the speed along it falls by mu of that into it."""
    v = np.array([0.4, -0.9])
    start = {"position": (-0.08, 0.1, 0.32), "velocity": (*v, 0)}
    wall = {"position": (0, 0, 0.3)}
    _, done = play({"disc": start, "wall": wall})
    k = np.flatnonzero(np.abs(done["disc"]["velocity"][:, 0]) < 1e-6)[0]
    mu = (TOYS["disc"].friction + TOYS["wall"].friction) / 2
    assert done["disc"]["velocity"][k, 1] == close(v[1] + mu * v[0], rel=0.02)
    thing = TOYS["disc"]
    spun = mu * v[0] * thing.mass * 0.03 / thing.inertia
    assert done["disc"]["spin"][k] == close(spun, rel=0.02)


def test_a_ball_slides_until_it_rolls():
    """M7: 5/7 of the speed after 2 v / (7 mu g), over 12 v^2 / (49 mu g)."""
    v = 0.5
    _, done = play({"ball": {"position": (0, 0, 0.02), "velocity": (v, 0, 0)}})
    speed, place = done["ball"]["velocity"][:, 0], done["ball"]["position"][:, 0]
    assert speed == close(5 / 7 * v, rel=0.005)
    rolls = 2 * v / (7 * SLOWS)
    start = 12 * v**2 / (49 * SLOWS)
    assert place == close(start + 5 / 7 * v * (times() - rolls), rel=0.02)
    assert done["ball"]["roll"][:, 1] == close(speed / 0.02, rel=1e-3)
    assert done["ball"]["roll"][:, 0] == close(0.0, abs=1e-4)
    _, done = play({"ball": {"position": (0, 0, 0.02), "velocity": (0, -3.5, 0)}})
    first = done["ball"]["velocity"][:5, 1]  # it still slides
    assert first == close(-3.5 + SLOWS * times()[:5], rel=0.02)


def test_a_rolling_ball_is_slowed_by_rolling():
    """M7: c g is lost each second."""
    v, lost = 0.2, 0.02 * GRAVITY
    start = {"position": (0, 0, 0.02), "velocity": (v, 0, 0), "roll": (0, v / 0.02)}
    _, done = play({"slowing": start})
    assert done["slowing"]["velocity"][:, 0] == close(
        np.maximum(v - lost * times(), 0), rel=0.02, abs=1e-6
    )
    assert done["slowing"]["position"][-1, 0] == close(v**2 / (2 * lost), rel=0.02)


HOLDING = {"cube": {"position": (-0.1, 0.1, 0.02)}}


def test_what_is_held_goes_with_the_hand():
    """M8: closed on, lifted, carried and turned; the hand's opening stops at it."""
    acts = commands(
        (8, {"gripper": -0.5}), (5, {"z": 0.5}), (6, {"x": 0.4, "yaw": 0.5})
    )
    start = {"cube": {"position": (-0.095, 0.106, 0.02)}}
    worlds, done = play(start, (-0.1, 0.1, 0.02), 0, arm.WIDEST, acts)
    assert (worlds.held[:3] == -1).all() and (worlds.held[7:] == 0).all()
    assert worlds.gripper.opening[8:] == close(0.04 - grasp.GIVE, abs=1e-4)
    assert worlds.gripper.opening_speed[8:] == close(0.0, abs=1e-3)
    # Where it is, seen from the hand, stays as it is.
    away = done["cube"]["position"] - worlds.gripper.position
    cos, sin = np.cos(worlds.gripper.yaw), np.sin(worlds.gripper.yaw)
    seen = np.stack(
        [
            cos * away[:, 0] + sin * away[:, 1],
            cos * away[:, 1] - sin * away[:, 0],
            away[:, 2],
        ],
        1,
    )
    assert seen[8:] == close(np.repeat(seen[7:8], STEPS - 8, 0), abs=5e-5)
    moved = worlds.gripper.position[8:] - worlds.gripper.position[7]
    turned = worlds.gripper.yaw[8:] - worlds.gripper.yaw[7]
    assert done["cube"]["yaw"][8:] - done["cube"]["yaw"][7] == close(turned, abs=1e-5)
    assert moved[-1, 2] > 0.05 and turned[-1] > 0.1
    assert done["cube"]["velocity"][12, 2] == worlds.gripper.velocity[12, 2]
    # It was off the middle by 6 mm, and is in it now.
    assert done["cube"]["position"][8, 1] == close(0.1, abs=1e-5)


@pytest.mark.parametrize("share, carried", [(1.02, True), (0.98, False)])
@pytest.mark.parametrize("up", [0.01, 1.0])
def test_a_squeeze_carries_so_much_and_no_more(up, share, carried):
    """M8: m |a + g| <= 2 mu F; .273 N carry a cube that is lifted slowly."""
    thing = TOYS["cube"]
    rises = arm.LAG * arm.FASTEST * up / arm.CONTROL_STEP
    force = thing.mass * (rises + GRAVITY) / (2 * thing.grip)
    opening = 0.04 - share * force / grasp.STIFFNESS
    acts = commands((1, {"z": up}))
    worlds, done = play(HOLDING, (-0.1, 0.1, 0.02), 0, opening, acts)
    assert (worlds.held[0] == 0) == carried
    lift = worlds.gripper.position[0, 2] - 0.02
    expected = 0.02 + (lift if carried else 0)
    assert done["cube"]["position"][0, 2] == close(expected, abs=1e-5)
    assert thing.mass * GRAVITY / (2 * thing.grip) == close(0.273, rel=0.002)


def test_opening_lets_go_in_the_same_step():
    """M8: then it falls, with the hand's speed."""
    acts = commands(
        (6, {"gripper": -1}), (5, {"z": 0.5}), (2, {}), (1, {"gripper": 0.2})
    )
    worlds, done = play(HOLDING, (-0.1, 0.1, 0.02), 0, 0.05, acts)
    assert worlds.held[12] == 0 and worlds.held[13] == -1
    assert done["cube"]["velocity"][13, 2] < -0.3
    assert done["cube"]["position"][-1, 2] == close(0.02, abs=1e-6)


def test_one_finger_holds_nothing():
    """M8: beside the cube the hand closes on nothing and lifts nothing."""
    acts = commands((10, {"gripper": -1}), (5, {"z": 1}))
    worlds, done = play(HOLDING, (-0.1, 0.145, 0.02), 0, 0.03, acts)
    assert (worlds.held == -1).all() and worlds.gripper.opening[-1] == 0
    assert done["cube"]["position"][:, 2] == close(0.02, abs=1e-6)


def test_what_is_dropped_falls_freely_and_lands():
    """M9: .1 m in .1428 s, at 1.40 m/s."""
    _, done = play({"cube": {"position": (0, 0, 0.12)}})
    height, speed = done["cube"]["position"][:, 2], done["cube"]["velocity"][:, 2]
    t = times()[:2]
    assert height[:2] == close(0.12 - GRAVITY * t**2 / 2, rel=1e-5)
    assert speed[:2] == close(-GRAVITY * t, rel=1e-5)
    assert (height[2:] == np.float32(0.02)).all() and (speed[2:] == 0).all()
    _, done = play({"hard": {"position": (0, 0, 0.12)}})
    after = times()[2] - math.sqrt(2 * 0.1 / GRAVITY)
    expected = math.sqrt(2 * GRAVITY * 0.1) - GRAVITY * after
    assert done["hard"]["velocity"][2, 2] == close(expected, rel=0.02)


def test_things_stand_on_things():
    """M9: on what moves and on what stays; and fall when it is pulled away."""
    worlds, done = play(
        {
            "peg": {"position": (0.1, 0.2, 0.025), "yaw": 0.3},
            "cube": {"position": (0.12, 0.21, 0.1)},
            "disc": {"position": (0.11, 0.2, 0.2)},
            "wall": {"position": (-0.2, 0.3, 0.03)},
            "soft": {"position": (-0.2, 0.28, 0.2)},
        }
    )
    assert done["cube"]["position"][-1, 2] == close(0.07, abs=1e-4)
    assert done["disc"]["position"][-1, 2] == close(0.11, abs=2e-4)
    assert done["soft"]["position"][-1, 2] == close(0.08, abs=1e-4)
    assert not worlds.fallen.any()
    _, done = play(
        {
            "wall": {"position": (-0.2, 0.3, 0.03)},
            "soft": {"position": (-0.2, 0.3, 0.08), "velocity": (0.4, 0, 0)},
        }
    )
    assert done["soft"]["position"][1, 2] == close(0.08, abs=1e-4)
    assert done["soft"]["position"][-1, 2] == close(0.02, abs=1e-4)


def test_a_blow_off_the_middle_turns_a_peg():
    """M10: w = J b / I and v = J / m."""
    b, peg = 0.07, TOYS["slick"]
    _, done = play(
        {
            "slick": {"position": (0, 0, 0.025), "yaw": math.pi / 2},
            "soft": {"position": (-0.1, b, 0.02), "velocity": (0.6, 0, 0)},
        }
    )
    k = np.flatnonzero(done["slick"]["velocity"][:, 0])[0] + 1
    disc = TOYS["soft"].mass
    blow = 0.6 / (1 / disc + 1 / peg.mass + b * b / peg.inertia)
    assert done["slick"]["velocity"][k, 0] == close(blow / peg.mass, rel=0.02)
    assert done["slick"]["spin"][k] == close(-blow * b / peg.inertia, rel=0.02)


def test_heights_keep_things_and_fingers_apart():
    """M15: what is above touches nothing; fingers above a thing leave it alone."""
    _, done = play(
        {
            "soft": {"position": (-0.1, 0, 0.02), "velocity": (0.5, 0, 0)},
            "softer": {"position": (0, 0, 0.3)},
        }
    )
    assert done["soft"]["velocity"][3, 0] == close(0.5, rel=1e-5)
    acts = commands((12, {"x": 0.5}))
    _, done = play(HOLDING, (-0.2, 0.1, 0.055), 0, 0.0, acts)
    assert (done["cube"]["velocity"] == 0).all()


def test_a_finger_that_comes_down_on_a_thing_passes_through():
    acts = commands((8, {"z": -1}))
    _, done = play(HOLDING, (-0.1, 0.1, 0.2), 0, 0.0, acts)
    assert (done["cube"]["position"] == np.float32(HOLDING["cube"]["position"])).all()


@pytest.mark.parametrize(
    "place, velocity",
    [
        ((0.46, 0, 0.02), (0.9, 0, 0)),
        ((-0.7, 0, 0.02), (-0.9, 0, 0)),
        ((0, 1.19, 0.02), (0, 0.9, 0)),
        ((0, -1.19, 0.02), (0, -0.9, 0)),
    ],
)
def test_beyond_the_edge_things_fall_and_are_flagged(place, velocity):
    """M15."""
    worlds, done = play({"cube": {"position": place, "velocity": velocity}})
    height, flags = done["cube"]["position"][:, 2], worlds.fallen[:, 0]
    assert flags[-1] and (height[~flags] == np.float32(0.02)).all()
    assert flags.argmax() == 0 and height[-1] == -1.0
    assert (done["cube"]["velocity"][-1] == 0).all()
    assert not worlds.fallen[:, 1:].any() and len(height) == STEPS


def test_what_stays_stops_things_and_ghosts_do_not():
    start = {"position": (-0.1, 0.0, 0.02), "velocity": (0.6, 0, 0)}
    wall = {"position": (0.02, 0, 0.03)}
    _, done = play({"soft": start, "wall": wall})
    assert done["soft"]["position"][-1, 0] == close(-0.03, abs=1e-4)
    _, done = play({"soft": start, "ghost": {"position": (0.02, 0, 0.02)}})
    assert done["soft"]["velocity"][-1, 0] == close(0.6, rel=1e-5)
    _, done = play({"soft": start})  # a wall that is not there
    assert done["soft"]["velocity"][-1, 0] == close(0.6, rel=1e-5)
