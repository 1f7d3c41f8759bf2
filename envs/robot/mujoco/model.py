"""The table and the gripper as a MuJoCo model, written from the things' descriptions.

The hand is carried by a gantry so heavy (`GANTRY`) that nothing changes its speed: it
follows the tabletop's path exactly. Two fingers slide on it, tied to each other, each
pressing with `grasp.STIFFNESS` times what it is pressed back. Things are free bodies.

A face that stands flat is carried by four small feet, at the distance from the middle
at which all of its friction would have the same lever as it has spread over the face:
MuJoCo carries a box at its corners, which stops one that spins nearly twice too soon.
Beside a table without friction the friction of a pair, which is the larger of both, is
the thing's own.
"""

import itertools
import math

from envs.robot.tabletop import Thing, falling, grasp
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.scene import FINGER, Scene, friction_radius

TIME_STEP = 0.0025
"""Seconds; 20 of them are a control step."""
GANTRY = 1e5
"""Inertia of the hand along each of its axes, kg and kg m^2."""
PARKED = -50.0
"""Height at which things wait that are not there, metres."""
_FINGER_INERTIA = 0.2
_FOOT = 0.002
_RAISED = 5e-4
"""By how much a body's own faces end above its feet, metres."""

_STIFF = 'solref="0.006 1" solimp="0.95 0.99 0.0005"'
_HEAD = f"""
<mujoco model="tabletop">
  <option timestep="{TIME_STEP}" integrator="implicitfast" cone="elliptic"
    impratio="10" noslip_iterations="10" noslip_tolerance="1e-10"
    jacobian="dense" gravity="0 0 -9.81"/>
  <default>
    <geom {_STIFF} condim="3"/>
    <joint armature="{GANTRY}"/>
  </default>
"""


def written(things: tuple[Thing, ...]) -> str:
    """The model's XML: MJCF of primitives only.

    Of `things` those that move are bodies `thing0`, `thing1`, ..., by their rows, and
    those that are only solid are mocap bodies of these names, placed by a script.
    Ghosts are left to the task.
    """
    scene = Scene(things)
    bodies = [_moving(row, things[row]) for row in scene.moving]
    bodies += [_staying(row, things[row]) for row in scene.fixed]
    pairs = [_pairs(row, things[row]) for row in (*scene.moving, *scene.fixed)]
    return "\n".join(
        [
            _HEAD,
            "<worldbody>",
            _table(),
            _hand(),
            *bodies,
            "</worldbody>",
            "<contact>",
            *pairs,
            "</contact>",
            _FINGERS_TIED,
            _ACTUATORS,
            _SENSORS,
            "</mujoco>",
        ]
    )


def _table() -> str:
    (left, right), (near, far) = falling.EDGE_X, falling.EDGE_Y
    middle = f"{(left + right) / 2} {(near + far) / 2} -0.46"
    half = f"{(right - left) / 2} {(far - near) / 2} 0.46"
    return (
        f'<geom name="table" type="box" pos="{middle}" size="{half}" '
        'friction="1e-4 1e-6 1e-6"/>'
    )


def _hand() -> str:
    fingers = "\n".join(
        _finger(name, side) for name, side in (("left", 1), ("right", -1))
    )
    return f"""
<body name="hand" gravcomp="1">
  <joint name="x" type="slide" axis="1 0 0"/>
  <joint name="y" type="slide" axis="0 1 0"/>
  <joint name="z" type="slide" axis="0 0 1"/>
  <joint name="yaw" type="hinge" axis="0 0 1"/>
  <inertial pos="0 0 0" mass="0.5" diaginertia="0.001 0.001 0.001"/>
  {fingers}
</body>"""


def _finger(name: str, side: int) -> str:
    half = " ".join(str(x) for x in FINGER)
    return f"""
  <body name="{name}" pos="0 {side * FINGER[1]} 0" gravcomp="1">
    <joint name="{name}" type="slide" axis="0 {side} 0" armature="{_FINGER_INERTIA}"
      damping="{2 * math.sqrt(2 * grasp.STIFFNESS * _FINGER_INERTIA)}"
      limited="true" range="-0.001 {arm.WIDEST / 2}"/>
    <geom name="{name}" type="box" size="{half}" mass="0.015" contype="0"
      conaffinity="0"/>
    <site name="{name}" type="box" size="{" ".join(str(2 * x) for x in FINGER)}"/>
  </body>"""


_FINGERS_TIED = """
<equality>
  <joint joint1="right" joint2="left" polycoef="0 1 0 0 0" solref="0.005 1"/>
</equality>"""
# Each is pressed back by half of what the pair gives way.
_ACTUATORS = (
    "<actuator>"
    + "".join(
        f'<position name="{name}" joint="{name}" kp="{2 * grasp.STIFFNESS}"/>'
        for name in ("left", "right")
    )
    + "</actuator>"
)
_SENSORS = (
    "<sensor>"
    + "".join(f'<touch name="{name}" site="{name}"/>' for name in ("left", "right"))
    + "</sensor>"
)


def _moving(row: int, thing: Thing) -> str:
    slides = f'friction="{thing.friction} 1e-6 {_rolling(thing)}"'
    if thing.form == "ball":
        slides += ' condim="6"' if thing.rolling else ""
        mass = f'mass="{thing.mass}"'
        faces = f'<geom name="thing{row}" {_shape(thing)} {mass} {slides}/>'
    else:
        faces = _standing(row, thing, slides)
    return f"""
<body name="thing{row}">
  <freejoint name="thing{row}"/>
  {faces}
</body>"""


def _standing(row: int, thing: Thing, slides: str) -> str:
    """The body of what stands flat, and its feet."""
    x, y, z = thing.half
    if thing.form == "cylinder":
        x = y = 1.0
    lever = friction_radius(thing) / math.hypot(x, y)
    feet = "\n".join(
        f'<geom name="{name}" type="sphere" size="{_FOOT}" mass="0" {slides} '
        f'pos="{along * x * lever} {aside * y * lever} {_FOOT - z}"/>'
        for name, along, aside in _feet(row)
    )
    middle = f'pos="0 0 {_RAISED / 2}"'
    return (
        f'<geom name="thing{row}" {_shape(thing, _RAISED / 2)} {middle} '
        f'mass="{thing.mass}" {slides}/>\n{feet}'
    )


def _feet(row: int) -> list[tuple[str, int, int]]:
    """Names of a thing's feet, and the signs of their places."""
    sides = enumerate(itertools.product((1, -1), repeat=2))
    return [(f"thing{row}foot{n}", along, aside) for n, (along, aside) in sides]


def _staying(row: int, thing: Thing) -> str:
    return f"""
<body name="thing{row}" mocap="true">
  <geom name="thing{row}" {_shape(thing)} friction="{thing.friction} 1e-6 1e-6"/>
</body>"""


def _shape(thing: Thing, less: float = 0.0) -> str:
    """Type and size of the geom, lower by twice `less`."""
    x, y, z = thing.half
    if thing.form == "ball":
        return f'type="sphere" size="{x}"'
    if thing.form == "cylinder":
        return f'type="cylinder" size="{x} {z - less}"'
    return f'type="box" size="{x} {y} {z - less}"'


def _rolling(thing: Thing) -> float:
    """The lever of a ball's rolling friction, metres.

    A torque of it times the weight slows a rolling ball by `thing.rolling` g.
    """
    return max(1.4 * thing.rolling * thing.half[0], 1e-6)


def _pairs(row: int, thing: Thing) -> str:
    """What the fingers touch, with which grip, and how the feet slide.

    As MuJoCo takes a contact by itself, what slides fast is lifted off the table.
    """
    if not thing.moves:
        return ""
    grip = f"{thing.grip} {thing.grip} 0.005 1e-5 1e-5"
    found = [
        f'<pair geom1="{name}" geom2="thing{row}" condim="4" '
        f'friction="{grip}" {_STIFF}/>'
        for name in ("left", "right")
    ]
    if thing.form != "ball":
        rubs = f"{thing.friction} {thing.friction} 1e-6 1e-6 1e-6"
        found += [
            f'<pair geom1="table" geom2="{name}" condim="3" friction="{rubs}" {_STIFF} '
            'solreffriction="-0.1 -100"/>'
            for name, *_ in _feet(row)
        ]
    return "\n".join(found)
