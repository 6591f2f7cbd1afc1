"""A small arm of capsules with a two-finger gripper: its scene and its closed-form kinematics.

Five hinges: the base turns, shoulder and elbow reach in a vertical plane, and the two wrist joints keep the
hand pointing down and square to the table, so that a position alone says where every joint goes.
"""

from __future__ import annotations

import math

import numpy as np

BASE = (0.0, 0.45)
"""Where the arm stands on the table, metres; it reaches towards -y."""
SHOULDER_HEIGHT = 0.34
LINK = 0.38
"""Length of upper arm and of forearm, metres."""
HAND = 0.135
"""From the wrist down to the point between the pads, metres."""
JOINTS = ("turn", "shoulder", "elbow", "wrist", "roll")
MAX_HALF_OPENING = 0.052
"""Largest distance of a pad from the middle, metres."""
PAD = (0.008, 0.016, 0.024)
"""Half thickness, half depth and half height of a pad, metres."""
SIDES = ("left", "right")
GRIP_STIFFNESS = 1500.0
GRIP_LEAD = 0.02
"""How far the fingers' target may run ahead of blocked fingers, metres: with the stiffness, the strongest grip."""


def inverse(position: np.ndarray) -> np.ndarray:
    """Joint angles ``(5,)`` in radians that put the point between the pads at `position` ``(3,)``, elbow up."""
    ahead, aside = BASE[1] - float(position[1]), float(position[0]) - BASE[0]
    rise = float(position[2]) + HAND - SHOULDER_HEIGHT
    reach = math.hypot(ahead, aside)
    turn = math.atan2(aside, ahead)
    bend = math.acos(min(math.hypot(reach, rise) / (2 * LINK), 1.0))
    slope = math.atan2(rise, reach)
    return np.array([turn, slope + bend, -2 * bend, bend - slope, -turn])


def forward(joints: np.ndarray) -> np.ndarray:
    """Position ``(3,)`` in metres of the point between the pads of a hand that points down; undoes `inverse`."""
    turn, upper, lower = float(joints[0]), float(joints[1]), float(joints[1] + joints[2])
    reach = LINK * (math.cos(upper) + math.cos(lower))
    height = SHOULDER_HEIGHT + LINK * (math.sin(upper) + math.sin(lower)) - HAND
    return np.array([BASE[0] + reach * math.sin(turn), BASE[1] - reach * math.cos(turn), height])


def body(link_colour: str, hand_colour: str, pad_colour: str) -> str:
    """MJCF of the arm's bodies; a site ``grip`` marks the point between the pads, the pads are geoms."""
    shell = f'contype="0" conaffinity="0" rgba="{link_colour}"'
    fingers = "".join(_finger(side, sign, pad_colour) for side, sign in zip(SIDES, (-1, 1), strict=True))
    return f"""
      <geom type="cylinder" pos="{BASE[0]} {BASE[1]} {SHOULDER_HEIGHT / 2}" size=".045 {SHOULDER_HEIGHT / 2}"
            contype="0" conaffinity="0" rgba="{hand_colour}"/>
      <body name="turn" pos="{BASE[0]} {BASE[1]} {SHOULDER_HEIGHT}" gravcomp="1">
        <joint name="turn" axis="0 0 1" armature=".05"/>
        <geom type="sphere" size=".04" mass=".5" {shell}/>
        <body name="shoulder" gravcomp="1">
          <joint name="shoulder" axis="-1 0 0" armature=".05"/>
          <geom type="capsule" fromto="0 0 0 0 {-LINK} 0" size=".026" mass=".5" {shell}/>
          <body name="elbow" pos="0 {-LINK} 0" gravcomp="1">
            <joint name="elbow" axis="-1 0 0" armature=".05"/>
            <geom type="capsule" fromto="0 0 0 0 {-LINK} 0" size=".02" mass=".4" {shell}/>
            <body name="wrist" pos="0 {-LINK} 0" gravcomp="1">
              <joint name="wrist" axis="-1 0 0" armature=".02"/>
              <geom type="capsule" fromto="0 0 0 0 0 -.03" size=".02" mass=".1" {shell}/>
              <body name="hand" pos="0 0 {-HAND}" gravcomp="1">
                <joint name="roll" axis="0 0 1" armature=".01"/>
                <geom name="palm" type="box" pos="0 0 .08" size=".06 .02 .015" mass=".15" rgba="{hand_colour}"/>
                <site name="grip" size=".001" rgba="0 0 0 0"/>
                {fingers}
              </body>
            </body>
          </body>
        </body>
      </body>"""


def _finger(side: str, sign: int, colour: str) -> str:
    thick, deep, high = PAD
    return f"""
                <body name="{side}_finger" pos="{sign * thick} 0 0" gravcomp="1">
                  <joint name="{side}_finger" type="slide" axis="{sign} 0 0" range="0 {MAX_HALF_OPENING}"
                         limited="true" armature=".05" damping="2"/>
                  <geom name="{side}_pad" type="box" size="{thick} {deep} {high}" mass=".03" rgba="{colour}"/>
                  <geom type="box" pos="0 0 {high + 0.0225}" size="{thick * 0.8} {deep * 0.6} .0225" mass=".02"
                        contype="0" conaffinity="0" rgba="{colour}"/>
                </body>"""


def drives() -> str:
    """MJCF of what moves the arm: servos whose targets move at the commanded velocity, and the coupled fingers.

    The targets are activations, hence part of the physical state."""
    strength = {"turn": 25, "shoulder": 25, "elbow": 20, "wrist": 8, "roll": 6}
    stiffness = {"turn": 900, "shoulder": 900, "elbow": 700, "wrist": 200, "roll": 120}
    damping = {"turn": 36, "shoulder": 36, "elbow": 26, "wrist": 6, "roll": 3}
    servos = "".join(
        f'<intvelocity name="{j}" joint="{j}" kp="{stiffness[j]}" kv="{damping[j]}" actrange="-4 4"'
        f' forcerange="-{strength[j]} {strength[j]}"/>'
        for j in JOINTS
    )
    return f"""
      <contact><exclude body1="left_finger" body2="right_finger"/></contact>
      <tendon>
        <fixed name="grip"><joint joint="left_finger" coef=".5"/><joint joint="right_finger" coef=".5"/></fixed>
      </tendon>
      <equality><joint joint1="left_finger" joint2="right_finger" solref=".01 1"/></equality>
      <actuator>
        {servos}
        <intvelocity name="grip" tendon="grip" kp="{GRIP_STIFFNESS}" kv="40" actrange="-.1 .1" forcerange="-40 40"/>
      </actuator>"""
