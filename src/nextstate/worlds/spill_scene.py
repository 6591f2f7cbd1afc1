"""The scene of `spill`: an open bottle of beads, a cloth and a motor on a counter, seen from the side.

The scene is nearly planar: beads lie in three layers of depth and move along x and z only; bottle, finger and
rotor move in the same plane. Beads have no friction among each other, so together they flow like a liquid;
damping along their two axes is its viscosity. Lengths in metres, x to the right, y away from the camera, z up.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import numpy as np

from nextstate.worlds.scene import rgb

BEAD_RADIUS = 0.0125
LAYERS = 3
ROWS = (4, 3, 4, 3, 4, 3)
BEADS = LAYERS * sum(ROWS)

WALL = 0.009
INNER_WIDTH = 0.102
BOTTLE_WIDTH = INNER_WIDTH + 2 * WALL
BOTTLE_HEIGHT = 0.18
HALF_DEPTH = LAYERS * BEAD_RADIUS + 0.004

FINGER_RADIUS = 0.021
FINGER_X = 0.335
FINGER_Z = (0.025, 0.42)
FINGER_GAIN = 12.0

COUNTER_END = 0.325
FLOOR = -0.35
TILES = 12

MOTOR_WIDTH = 0.088
MOTOR_HEIGHT = 0.125
INTAKE_DEPTH = 0.042
INTAKE_HEIGHT = 0.045
ROTOR_RADIUS = 0.036
ROTOR_INERTIA = 8e-5
ROTOR_DAMPING = 2.5e-4

_CAMERA_DISTANCE = 1.6
_CAMERA_PITCH = np.deg2rad(28)
_CAMERA_HEIGHT = 0.12
_HALF_VIEW = 0.355

_EVERY_LAYER = 2**LAYERS - 1
_CORNERS = (("foot_left", -1, -1), ("foot_right", 1, -1), ("mouth_left", -1, 1), ("mouth_right", 1, 1))


def bead_grid(rng: np.random.Generator) -> np.ndarray:
    """Packed positions in the bottle's frame ``(BEADS, 2)`` (x, z), the origin being the bottle's centre.

    A hair's breadth of disorder, drawn from `rng`, makes the layers flow apart once they flow.
    """
    spots = []
    for layer in range(LAYERS):
        for row, count in enumerate(ROWS[:: 1 if layer % 2 else -1]):
            z = -BOTTLE_HEIGHT / 2 + WALL + BEAD_RADIUS * (1 + row * 3**0.5 * 1.01)
            spots += [((2 * i - count + 1) * BEAD_RADIUS * 1.015, z) for i in range(count)]
    return np.array(spots) + rng.uniform(-2e-4, 2e-4, (BEADS, 2))


def liquid_colour(factors: Mapping[str, float]) -> np.ndarray:
    """Colour of the beads ``(3,)`` in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(factors["liquid_hue"], 0.9, 0.95))


def cloth_colour(factors: Mapping[str, float]) -> np.ndarray:
    """Colour of the clean cloth ``(3,)`` in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(factors["cloth_hue"], 0.12, 0.97))


def spill_scene(factors: Mapping[str, float], timestep: float, size: int) -> str:
    """The scene as MJCF."""
    light, side = factors["light"], factors["side"]
    counter_middle = side * (0.7 - COUNTER_END) / 2
    counter_half = (0.7 + COUNTER_END) / 2
    sine, cosine = np.sin(_CAMERA_PITCH), np.cos(_CAMERA_PITCH)
    fovy = np.rad2deg(2 * np.arctan(_HALF_VIEW / _CAMERA_DISTANCE))
    table = np.array([1.0, 0.86, 0.7]) * factors["table_shade"]
    return f"""
    <mujoco>
      <option timestep="{timestep}" cone="pyramidal" solver="CG" iterations="40" ls_iterations="20"/>
      <visual>
        <headlight ambient="{light * 0.6} {light * 0.6} {light * 0.6}" diffuse="{light} {light} {light}"
                   specular="0 0 0"/>
        <global offwidth="{size}" offheight="{size}"/>
        <map znear=".2" zfar="5"/>
        <quality shadowsize="0" offsamples="0" numslices="16" numstacks="8"/>
      </visual>
      <statistic extent="1" center="0 0 0"/>
      <default><geom condim="1" contype="0" conaffinity="0" solref=".01 1" solimp=".9 .95 .001"/></default>
      <worldbody>
        <camera name="main" fovy="{fovy}" xyaxes="1 0 0 0 {sine} {cosine}"
                pos="0 {-_CAMERA_DISTANCE * cosine} {_CAMERA_HEIGHT + _CAMERA_DISTANCE * sine}"/>
        <geom name="backdrop" type="box" size="1 .01 1" pos="0 .14 0"
              rgba="{_rgb(np.array([0.93, 0.97, 1.0]) * factors["wall_shade"])} 1"/>
        <geom name="floor" type="box" size="3 .13 .1" pos="0 0 {FLOOR - 0.1}" conaffinity="{_EVERY_LAYER}"/>
        <geom name="counter" type="box" pos="{counter_middle} 0 {FLOOR / 2}"
              size="{counter_half} .13 {-FLOOR / 2}" conaffinity="{_EVERY_LAYER}" rgba="{_rgb(table)} 1"/>
        <geom name="counter_edge" type="capsule" size=".002" rgba="0 0 0 0"
              fromto="{-side * COUNTER_END} -.05 -.002 {-side * COUNTER_END} .05 -.002"/>
        {_cloth(factors)}
        {_motor(factors)}
        <body name="bottle" pos="0 0 0">
          <joint name="bottle_x" type="slide" axis="1 0 0"/>
          <joint name="bottle_z" type="slide" axis="0 0 1"/>
          <joint name="bottle_tilt" type="hinge" axis="0 1 0"/>
          {_bottle(factors)}
        </body>
        <body name="finger" pos="0 0 0" gravcomp="1">
          <joint name="finger_x" type="slide" axis="1 0 0" range="{-FINGER_X} {FINGER_X}" limited="true"/>
          <joint name="finger_z" type="slide" axis="0 0 1" range="{FINGER_Z[0]} {FINGER_Z[1]}" limited="true"/>
          <geom name="finger" type="capsule" size="{FINGER_RADIUS}" fromto="0 -.036 0 0 .036 0" mass=".15"
                contype="{_EVERY_LAYER}" rgba=".16 .16 .2 1"/>
        </body>
        {_beads(factors)}
      </worldbody>
      <contact>{_pairs(factors)}</contact>
      <actuator>
        <velocity joint="finger_x" kv="{FINGER_GAIN}"/>
        <velocity joint="finger_z" kv="{FINGER_GAIN}"/>
        <motor joint="rotor" gear="{ROTOR_DAMPING}"/>
      </actuator>
    </mujoco>"""


def _cloth(factors: Mapping[str, float]) -> str:
    half = factors["cloth_length"] / TILES / 2
    colour = _rgb(cloth_colour(factors))
    return "".join(
        f'<geom name="tile{i}" type="box" size="{half} .105 .0015" rgba="{colour} 1" '
        f'pos="{factors["side"] * (factors["cloth_start"] + (2 * i + 1) * half)} 0 .0015"/>'
        for i in range(TILES)
    )


def _motor(factors: Mapping[str, float]) -> str:
    side, start = factors["side"], factors["motor_start"]
    roof = (MOTOR_HEIGHT - INTAKE_HEIGHT) / 2
    foot = (MOTOR_WIDTH - INTAKE_DEPTH) / 2
    metal = _rgb(np.array([0.32, 0.45, 0.62]) * factors["motor_shade"])
    middle = side * (start + MOTOR_WIDTH / 2)
    axle = INTAKE_HEIGHT + roof
    rim = side * (start + 0.003)
    return f"""
      <geom name="motor" type="box" pos="{middle} 0 {axle}" size="{MOTOR_WIDTH / 2} .045 {roof}"
            conaffinity="{_EVERY_LAYER}" rgba="{metal} 1"/>
      <geom name="motor_foot" type="box" pos="{side * (start + INTAKE_DEPTH + foot)} 0 {INTAKE_HEIGHT / 2}"
            size="{foot} .045 {INTAKE_HEIGHT / 2}" conaffinity="{_EVERY_LAYER}" rgba="{metal} 1"/>
      <geom name="intake" type="box" pos="{side * (start + INTAKE_DEPTH / 2)} .043 {INTAKE_HEIGHT / 2}"
            size="{INTAKE_DEPTH / 2} .002 {INTAKE_HEIGHT / 2}" rgba=".1 .1 .12 1"/>
      <geom name="motor_rim" type="capsule" size=".003" rgba="0 0 0 0"
            fromto="{rim} -.04 {MOTOR_HEIGHT - 0.003} {rim} .04 {MOTOR_HEIGHT - 0.003}"/>
      <geom name="lamp" type="box" pos="{middle} 0 {MOTOR_HEIGHT + 0.011}" size=".022 .02 .011" rgba="0 1 0 1"/>
      <body name="rotor" pos="{middle} -.047 {axle}">
        <joint name="rotor" type="hinge" axis="0 1 0" damping="{ROTOR_DAMPING}" armature="{ROTOR_INERTIA}"/>
        <geom type="cylinder" size="{ROTOR_RADIUS} .002" euler="90 0 0" mass=".001" rgba=".12 .12 .14 1"/>
        <geom type="box" size=".009 .001 {ROTOR_RADIUS / 2}" pos="0 -.003 {ROTOR_RADIUS / 2}" mass="0"
              rgba=".98 .98 .98 1"/>
      </body>"""


def _bottle(factors: Mapping[str, float]) -> str:
    mass = factors["bottle_mass"]
    across, up, thin = BOTTLE_WIDTH / 2, BOTTLE_HEIGHT / 2, WALL / 2
    glass = _rgb(np.array([0.25, 0.36, 0.5]) * factors["bottle_shade"])
    inside = _rgb(np.array([0.72, 0.8, 0.86]) * factors["bottle_shade"])
    corners = "".join(
        f'<geom name="corner_{name}" type="sphere" size="{thin}" mass="0" rgba="0 0 0 0" '
        f'pos="{x * (across - thin)} 0 {z * (up - thin)}"/>'
        for name, x, z in _CORNERS
    )
    return f"""
      <geom name="bottle_bottom" type="box" pos="0 0 {thin - up}" size="{across} {HALF_DEPTH} {thin}"
            mass="{mass * 0.3}" conaffinity="{_EVERY_LAYER}" rgba="{glass} 1"/>
      <geom name="bottle_left" type="box" pos="{thin - across} 0 0" size="{thin} {HALF_DEPTH} {up}"
            mass="{mass * 0.35}" conaffinity="{_EVERY_LAYER}" rgba="{glass} 1"/>
      <geom name="bottle_right" type="box" pos="{across - thin} 0 0" size="{thin} {HALF_DEPTH} {up}"
            mass="{mass * 0.35}" conaffinity="{_EVERY_LAYER}" rgba="{glass} 1"/>
      <geom name="bottle_back" type="box" pos="0 {HALF_DEPTH + 0.002} 0" size="{across} .002 {up}"
            mass="0" rgba="{inside} 1"/>
      {corners}"""


def _beads(factors: Mapping[str, float]) -> str:
    mass = factors["bead_mass"]
    damping = mass * factors["bead_viscosity"]
    colour = liquid_colour(factors)
    bodies = []
    for bead in range(BEADS):
        layer = bead // sum(ROWS)
        y = (2 * layer - LAYERS + 1) * BEAD_RADIUS
        # Every third bead is a little paler, so that flow shows in pictures.
        shade = _rgb(colour + (1 - colour) * 0.35 if bead % 3 == 0 else colour)
        bodies.append(
            f'<body name="bead{bead}" pos="0 {y} 0"><joint type="slide" axis="1 0 0" damping="{damping}"/>'
            f'<joint type="slide" axis="0 0 1" damping="{damping}"/>'
            f'<geom name="bead{bead}" type="sphere" size="{BEAD_RADIUS}" mass="{mass}" contype="{1 << layer}" '
            f'conaffinity="{1 << layer}" rgba="{shade} 1"/></body>'
        )
    return "".join(bodies)


def _pairs(factors: Mapping[str, float]) -> str:
    """What the bottle and the finger touch; the bottle stands and lies on its four corners."""
    grip = f'condim="3" friction="{factors["bottle_friction"]} {factors["bottle_friction"]} .005 .0001 .0001"'
    walls = ("bottle_bottom", "bottle_left", "bottle_right")
    corners = [f"corner_{name}" for name, _, _ in _CORNERS]
    hard, soft = 'solref=".01 1"', 'solref=".03 1" solimp="0 .95 .005"'
    smooth = 'condim="3" friction=".2 .2 .005 .0001 .0001"'
    pairs = [(corner, ground, f"{grip} {hard}") for corner in corners for ground in ("counter", "floor")]
    pairs += [(wall, "counter_edge", f"{grip} {hard}") for wall in walls]
    pairs += [(corner, part, f"{smooth} {hard}") for corner in corners for part in ("motor", "motor_foot")]
    pairs += [(wall, "motor_rim", f"{smooth} {hard}") for wall in walls]
    # The fingertip gives way over some millimetres, so that a steady push is felt as a steady force.
    pairs += [("finger", part, f"{smooth} {soft}") for part in (*walls, *corners[2:])]
    pairs += [("finger", part, f'condim="1" {soft}') for part in ("motor", "motor_foot")]
    return "".join(f'<pair geom1="{one}" geom2="{two}" {how}/>' for one, two, how in pairs)


def _rgb(colour: np.ndarray) -> str:
    return rgb(tuple(colour))
