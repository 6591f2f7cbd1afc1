"""What stands on the table of `grasp`: its random factors, layout and MJCF."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import arm
from nextstate.worlds.base import Factor

COLOURS = {"red": (0.85, 0.13, 0.1), "green": (0.12, 0.62, 0.18), "blue": (0.13, 0.28, 0.88)}
SHAPES = {"red": "cube", "green": "cylinder", "blue": "cube"}
NAMES = tuple(COLOURS)
SLOTS = len(NAMES)
REACH_LOW = np.array([-0.21, -0.165, 0.031])
REACH_HIGH = np.array([0.21, 0.165, 0.23])
"""Corners of the box in which the point between the pads stays, metres."""
TRAVEL = 0.11
"""How far the drawer slides, metres."""
DRAWER_FRONT = 0.125
CABINET_HALF_WIDTH = 0.07
HANDLE = np.array([0.0, DRAWER_FRONT - 0.045, 0.04])
"""Middle of the closed drawer's handle, x from the cabinet's middle, metres."""
HANDLE_COLOUR = (0.6, 0.15, 0.65)
CLEARANCE = 0.035
"""Room left between objects for a finger, metres."""


def _object_factors() -> dict[str, Factor]:
    factors: dict[str, Factor] = {}
    for slot in range(SLOTS):
        factors |= {
            f"object{slot}_size": Factor(0.030, 0.036),
            f"object{slot}_mass": Factor(0.05, 0.4, held_out=(0.17, 0.23)),
            f"object{slot}_friction": Factor(0.12, 0.9, held_out=(0.45, 0.55)),
            f"object{slot}_shade": Factor(-0.1, 0.1),
        }
    return factors


FACTORS = {
    "objects": Factor(2, SLOTS, integer=True),
    "cabinet_x": Factor(0.165, 0.18),
    "drawer_friction": Factor(0.5, 3.0, held_out=(1.5, 2.0)),
    "drawer_shade": Factor(-0.08, 0.08),
    "table_grey": Factor(0.5, 0.75),
    "table_warmth": Factor(-0.05, 0.05),
    "light": Factor(0.5, 0.8),
    **_object_factors(),
}


def layout(rng: np.random.Generator, factors: dict[str, float]) -> None:
    """Adds who is present, where it stands, how far the drawer is open and where the hand starts."""
    slots = rng.permutation(SLOTS)[: int(factors["objects"])]
    factors["drawer_start"] = float(rng.uniform(0.3, 1.0) * TRAVEL) if rng.random() < 0.4 else 0.0
    placed: list[tuple[np.ndarray, float]] = []
    for slot in range(SLOTS):
        factors[f"object{slot}_present"] = float(slot in slots)
    for slot in slots:
        radius = factors[f"object{slot}_size"] * 1.2
        for _ in range(1000):
            spot = rng.uniform(REACH_LOW[:2] + 0.03, REACH_HIGH[:2] - 0.03)
            if in_drawers_way(spot, radius, factors["cabinet_x"]):
                continue
            if all(np.linalg.norm(spot - other) > radius + size + CLEARANCE for other, size in placed):
                break
        placed.append((spot, radius))
        factors[f"object{slot}_x"], factors[f"object{slot}_y"] = float(spot[0]), float(spot[1])
        factors[f"object{slot}_yaw"] = float(rng.uniform(-0.4, 0.4))
    start = rng.uniform(REACH_LOW + np.array([0, 0, 0.09]), REACH_HIGH - np.array([0, 0, 0.02]))
    for axis, value in zip("xyz", start, strict=True):
        factors[f"hand_{axis}"] = float(value)
    factors["hand_opening"] = float(rng.uniform(0.3, 1.0) * 2 * arm.MAX_HALF_OPENING)


def in_drawers_way(spot: np.ndarray, radius: float, cabinet_x: float) -> bool:
    """Whether something round at `spot` ``(x, y)`` would be hit by the drawer or by a hand at its handle."""
    left = cabinet_x - CABINET_HALF_WIDTH - CLEARANCE - radius
    front = DRAWER_FRONT - 0.055 - TRAVEL - CLEARANCE
    return bool(spot[0] > left and spot[1] > front)


def mjcf(factors: Mapping[str, float], timestep: float, size: int) -> str:
    """The whole scene as MJCF."""
    grey, warmth, light = (factors[name] for name in ("table_grey", "table_warmth", "light"))
    table = (grey + warmth, grey, grey - warmth)
    rim = tuple(0.6 * c for c in table)
    objects = "".join(_object(slot, factors) for slot in range(SLOTS) if factors[f"object{slot}_present"])
    # Elliptic cones with a stiff friction part keep held objects from creeping through the grip.
    return f"""
    <mujoco>
      <option timestep="{timestep}" cone="elliptic" impratio="10" integrator="implicitfast" iterations="20">
        <flag multiccd="enable"/>
      </option>
      <visual>
        <headlight ambient="{rgb((0.7 * light,) * 3)}" diffuse="{rgb((0.6 * light,) * 3)}" specular="0 0 0"/>
        <global offwidth="{size}" offheight="{size}"/>
        <map znear=".05" zfar="5"/>
        <quality shadowsize="0" offsamples="0"/>
      </visual>
      <statistic extent="1" center="0 0 0"/>
      <default><geom condim="4" solref=".01 1" friction="1 .01 .0001"/></default>
      <worldbody>
        <light directional="true" dir=".35 .25 -1" diffuse=".35 .35 .35" specular="0 0 0" castshadow="false"/>
        <camera name="main" pos="0 -1.065 1.175" xyaxes="1 0 0 0 .707107 .707107" fovy="22"/>
        <geom name="table" type="plane" size="3 3 .1" rgba="{rgb(table)} 1"/>
        {_rim(rgb(rim))}
        {_cabinet(factors)}
        {arm.body(".93 .93 .95 1", ".3 .3 .36 1", ".07 .07 .09 1")}
        {objects}
      </worldbody>
      <contact><exclude body1="world" body2="drawer"/></contact>
      {arm.drives()}
    </mujoco>"""


def rgb(colour: tuple[float, ...]) -> str:
    """Colour as MJCF text, each part kept in [0, 1]."""
    return " ".join(f"{min(max(c, 0), 1):.4f}" for c in colour)


def _rim(colour: str) -> str:
    return "".join(
        f'<geom type="box" pos="{x} {y} .0125" size="{wide} {deep} .0125" rgba="{colour} 1"/>'
        for x, y, wide, deep in (
            (-0.28, 0, 0.01, 0.24),
            (0.28, 0, 0.01, 0.24),
            (0, -0.23, 0.27, 0.01),
            (0, 0.23, 0.27, 0.01),
        )
    )


def _object(slot: int, factors: Mapping[str, float]) -> str:
    prefix, name = f"object{slot}_", NAMES[slot]
    size = factors[prefix + "size"]
    kind = "box" if SHAPES[name] == "cube" else "cylinder"
    extent = f"{size} {size} {size}" if kind == "box" else f"{size} {size}"
    colour = tuple(c + factors[prefix + "shade"] for c in COLOURS[name])
    return f"""
        <body name="object{slot}" pos="{factors[prefix + "x"]} {factors[prefix + "y"]} {size}"
              euler="0 0 {np.rad2deg(factors[prefix + "yaw"])}">
          <joint name="object{slot}" type="free" damping="1e-4"/>
          <geom name="object{slot}" type="{kind}" size="{extent}" mass="{factors[prefix + "mass"]}"
                friction="{factors[prefix + "friction"]} .01 .0001" priority="1" rgba="{rgb(colour)} 1"/>
        </body>"""


def _cabinet(factors: Mapping[str, float]) -> str:
    x, half, front = factors["cabinet_x"], CABINET_HALF_WIDTH, DRAWER_FRONT
    wood = rgb((0.5, 0.36, 0.24))
    drawer = rgb(tuple(c + factors["drawer_shade"] for c in (0.92, 0.74, 0.3)))
    depth = 0.065
    middle = front + depth
    walls = "".join(
        f'<geom type="box" pos="{x + dx} {middle + dy} {z}" size="{sx} {sy} {sz}" rgba="{wood} 1"/>'
        for dx, dy, z, sx, sy, sz in (
            (0, 0, 0.074, half, depth, 0.006),
            (half - 0.005, 0, 0.034, 0.005, depth, 0.034),
            (0.005 - half, 0, 0.034, 0.005, depth, 0.034),
            (0, depth - 0.005, 0.034, half, 0.005, 0.034),
        )
    )
    inner = half - 0.012
    box = "".join(
        f'<geom type="box" pos="{dx} {y} {z}" size="{sx} {sy} {sz}" mass=".05" rgba="{drawer} 1"/>'
        for dx, y, z, sx, sy, sz in (
            (0, 0.005, 0.034, half - 0.011, 0.005, 0.031),
            (0, 0.06, 0.007, inner, 0.055, 0.004),
            (inner - 0.004, 0.06, 0.025, 0.004, 0.055, 0.016),
            (0.004 - inner, 0.06, 0.025, 0.004, 0.055, 0.016),
            (0, 0.111, 0.025, inner, 0.004, 0.016),
        )
    )
    return f"""
        {walls}
        <body name="drawer" pos="{x} {front} 0">
          <joint name="drawer" type="slide" axis="0 -1 0" range="0 {TRAVEL}" limited="true" damping="3"
                 frictionloss="{factors["drawer_friction"]}"/>
          {box}
          <geom type="box" pos="0 -.02 .04" size=".006 .02 .006" mass=".02" rgba="{rgb(HANDLE_COLOUR)} 1"/>
          <geom name="handle" type="box" pos="{HANDLE[0]} {HANDLE[1] - front} {HANDLE[2]}" size=".018 .01 .03"
                mass=".03" rgba="{rgb(HANDLE_COLOUR)} 1"/>
        </body>"""
