"""The scene of `drop`, seen from the side: ground with a gap, a platform, a ramp, and a holder with two fingers.

Everything moves in one plane, x to the right and z up, in metres; y is away from the camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from nextstate.worlds import scene as mjcf
from nextstate.worlds.base import Factor

HALF_WIDTH = 0.5
DEPTH = 0.07
PIT = -0.12
PLACES = (-0.31, 0.0, 0.31)
ORDERS = tuple(permutations(PLACES))
SPRING = 300.0
"""Frequency of the object's elastic skin, radians per second: an impact lasts 10 ms."""
MAX_SPEED = np.array([0.6, 0.4])
REACH_X, REACH_Z = 0.4, (0.1, 0.72)
OPENING = 0.07
FINGER_HALF = 0.042
THICKNESS = 0.009
JOINTS = ("holder_x", "holder_z", "finger_left", "finger_right", "object_x", "object_z", "object_turn")

FACTORS = {
    "order": Factor(0, len(ORDERS) - 1, integer=True),
    "platform_height": Factor(0.12, 0.3, held_out=(0.19, 0.22)),
    "platform_half": Factor(0.09, 0.13),
    "ramp_angle": Factor(14, 34, held_out=(22, 26)),
    "ramp_right": Factor(0, 1, integer=True),
    "gap_half": Factor(0.08, 0.11),
    "table_grey": Factor(0.55, 0.8),
    "table_warmth": Factor(-0.06, 0.06),
    "light": Factor(0.5, 0.8),
}


def places(factors: Mapping[str, float]) -> dict[str, float]:
    """Where along x platform, ramp and gap are."""
    return dict(zip(("platform", "ramp", "gap"), ORDERS[int(factors["order"])], strict=True))


def scene(factors: Mapping[str, float], size: int, timestep: float) -> str:
    """The whole scene as MJCF."""
    return mjcf.document(
        size=size,
        option=f'timestep="{timestep}" integrator="implicitfast" cone="pyramidal" iterations="20"',
        light=factors["light"],
        geom='condim="3" solref=".02 1" friction=".6 .005 .0001"',
        camera='pos="0 -1.75 .355" xyaxes="1 0 0 0 0 1" fovy="33"',
        body=_ground(factors) + _platform(factors) + _ramp(factors) + _holder(factors) + _object(factors),
        actuator="""
            <velocity joint="holder_x" kv="800" forcerange="-30 30"/>
            <velocity joint="holder_z" kv="800" forcerange="-30 30"/>
            <position joint="finger_left" kp="800" kv="12" forcerange="-30 30"/>
            <position joint="finger_right" kp="800" kv="12" forcerange="-30 30"/>""",
    )


def _slab(left: float, right: float, low: float, high: float, look: str) -> str:
    return (
        f'<geom type="box" pos="{(left + right) / 2} 0 {(low + high) / 2}" '
        f'size="{(right - left) / 2} {DEPTH} {(high - low) / 2}" {look}/>'
    )


def _ground(factors: Mapping[str, float]) -> str:
    grey, warmth = factors["table_grey"], factors["table_warmth"]
    gap, half = places(factors)["gap"], factors["gap_half"]
    earth = 'rgba=".33 .3 .3 1"'
    parts = [
        f'<geom type="box" pos="0 {DEPTH + 0.02} .3" size="1 .01 1" contype="0" conaffinity="0" '
        f'rgba="{mjcf.rgb((grey + warmth, grey, grey - warmth))} 1"/>',
        _slab(-HALF_WIDTH - 0.1, HALF_WIDTH + 0.1, PIT - 0.06, PIT, earth),
        *(_slab(side * HALF_WIDTH - 0.02, side * HALF_WIDTH + 0.02, PIT, 1, earth) for side in (-1, 1)),
    ]
    if gap - half > -HALF_WIDTH:
        parts.append(_slab(-HALF_WIDTH, gap - half, PIT, 0, earth))
    if gap + half < HALF_WIDTH:
        parts.append(_slab(gap + half, HALF_WIDTH, PIT, 0, earth))
    return "".join(parts)


def _platform(factors: Mapping[str, float]) -> str:
    middle, half, top = places(factors)["platform"], factors["platform_half"], factors["platform_height"]
    look = 'name="platform" rgba=".5 .36 .2 1"'
    return _slab(middle - half, middle + half, top - 0.03, top, look)


def _ramp(factors: Mapping[str, float]) -> str:
    middle, half = places(factors)["ramp"], 0.13
    angle = np.deg2rad(factors["ramp_angle"])
    # A turn about y takes +x down, so a ramp that rises to the right is turned the other way.
    rises = 1 if factors["ramp_right"] else -1
    high = middle + rises * half * np.cos(angle)
    look = 'rgba=".42 .3 .5 1"'
    left, right = sorted((high, high - rises * 0.03))
    top = 2 * half * np.sin(angle) - 0.03 * np.tan(angle) - 0.012
    return (
        f'<geom name="ramp" type="box" pos="{middle} 0 {half * np.sin(angle) - 0.01}" '
        f'size="{half} {DEPTH} .012" euler="0 {-rises * factors["ramp_angle"]} 0" {look}/>'
        + _slab(left, right, 0, max(top, 0.01), look)
    )


def _holder(factors: Mapping[str, float]) -> str:
    size = factors["size"]
    reach = size + THICKNESS
    # Two plates at 45 degrees touch a ball of this size on both sides below its middle.
    spot = reach * np.sqrt(0.5)
    outer, palm = spot + FINGER_HALF * np.sqrt(0.5), 0.085
    look = 'rgba=".93 .93 .95 1" priority="2" friction=".3 .005 .0001" solimp=".95 .99 .001"'
    fingers = "".join(
        f"""
        <body name="finger_{name}" gravcomp="1">
          <joint name="finger_{name}" type="slide" axis="{side} 0 0" range="-.005 {OPENING + 0.005}" limited="true"/>
          <geom name="finger{index}" type="box" pos="{side * spot} 0 {-spot}" euler="0 {-side * 45} 0"
                size="{FINGER_HALF} .045 {THICKNESS}" mass=".06" {look}/>
          <geom type="box" pos="{side * (outer + 0.004)} 0 {(palm - 0.02) / 2}" size=".008 .03 {(palm + 0.02) / 2}"
                mass=".02" {look}/>
        </body>"""
        for index, (name, side) in enumerate((("left", -1), ("right", 1)))
    )
    return f"""
      <body name="holder" pos="0 0 0" gravcomp="1">
        <joint name="holder_x" type="slide" axis="1 0 0" range="{-REACH_X} {REACH_X}" limited="true" damping="2"/>
        <joint name="holder_z" type="slide" axis="0 0 1" range="{REACH_Z[0]} {REACH_Z[1]}" limited="true" damping="2"/>
        <geom type="box" pos="0 0 {palm + 0.012}" size="{outer + 0.01} .04 .014" mass=".4" {look}/>
        {fingers}
      </body>"""


def _object(factors: Mapping[str, float]) -> str:
    size, mass = factors["size"], factors["mass"]
    half = 0.82 * size
    shape = f'type="sphere" size="{size}"' if factors["ball"] else f'type="box" size="{half} {half} {half}"'
    colour = mjcf.hue(mjcf.COLOURS[int(factors["colour"])], factors["shade"])
    return f"""
      <body name="object" pos="0 0 0">
        <joint name="object_x" type="slide" axis="1 0 0"/>
        <joint name="object_z" type="slide" axis="0 0 1"/>
        <joint name="object_turn" type="hinge" axis="0 1 0" damping="{mass * 4e-4}"/>
        <geom name="object" {shape} mass="{mass}" friction="{factors["friction"]} .005 .0001" priority="1"
              rgba="{colour} 1" {mjcf.elastic(factors["restitution"], SPRING)}/>
      </body>"""


def start(factors: Mapping[str, float]) -> dict[str, float]:
    """Joint positions at which the object rests in the closed holder."""
    size = factors["size"]
    # A box stands on its lower edges; its middle is as far above the plates' meeting point as this says.
    lift = 0.0 if factors["ball"] else (2 * 0.82 - np.sqrt(2)) * size
    at = {"x": factors["holder_x"], "z": factors["holder_z"]}
    return {
        "holder_x": at["x"],
        "holder_z": at["z"],
        "object_x": at["x"],
        "object_z": at["z"] + float(lift),
    }
