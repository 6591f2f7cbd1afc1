"""What worlds on an upright board share: seen face on, x to the right, y up, everything falls down the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.pusher import PusherWorld

PULL = 5.0
"""Pull down the board, metres per second squared: that of a board tilted by 30 degrees."""

DARK = ".3 .3 .33"


class BoardWorld(PusherWorld):
    """Base of worlds in which a pusher moves in front of a tilted board on which things lie without friction."""

    timestep = 0.005

    def begin(self) -> None:
        """Lets everything come to rest."""
        for _ in range(3):
            self.advance()


def board(factors: Mapping[str, float], size: int, timestep: float, body: Sequence[str], actuator: str = "") -> str:
    """A whole scene on the board, walls around it."""
    return scene.document(
        size=size,
        option=f'timestep="{timestep}" {pusher.OPTION} gravity="0 {-PULL} 0"',
        light=factors["light"],
        geom='condim="3" solref=".012 1" friction=".4"',
        camera='pos="0 0 1.35" fovy="41"',
        body="".join([scene.table(factors, 'contype="0" conaffinity="0"'), scene.walls(PusherWorld.arena), *body]),
        actuator=actuator,
    )


def slab(x: float, y: float, wide: float, high: float, look: str = "") -> str:
    """A box in the plane of the board, given by its middle and half extents."""
    tint = look if "rgba" in look else f'{look} rgba="{DARK} 1"'
    return f'<geom type="box" pos="{x} {y} .03" size="{wide} {high} .03" {tint}/>'


def hand(factors: Mapping[str, float], radius: float, low: tuple[float, float], high: tuple[float, float]) -> str:
    """The pusher, held against the pull, within the corners `low` and `high` of a rectangle, metres."""
    at = (factors["pusher_x"], factors["pusher_y"])
    joints = "".join(
        f'<joint name="pusher_{axis}" type="slide" axis="{way}" damping="1" limited="true" '
        f'range="{low[i] - at[i]} {high[i] - at[i]}"/>'
        for i, (axis, way) in enumerate((("x", "1 0 0"), ("y", "0 1 0")))
    )
    return f"""
        <body name="pusher" pos="{at[0]} {at[1]} .045" gravcomp="1">{joints}
          <geom name="pusher" type="cylinder" size="{radius} .04" mass="1" {pusher.RIM} rgba=".93 .93 .95 1"/>
        </body>"""


def sign_of(factors: Mapping[str, float], name: str) -> float:
    """1 for a factor that is 1, -1 for 0."""
    return 1.0 if factors[name] else -1.0


def planar(name: str) -> str:
    """Joints of a body that moves and turns in the plane of the board."""
    return (
        f'<joint name="{name}_x" type="slide" axis="1 0 0"/><joint name="{name}_y" type="slide" axis="0 1 0"/>'
        f'<joint name="{name}_turn" type="hinge" axis="0 0 1"/>'
    )


def turn_of(frame: np.ndarray) -> float:
    """Angle in radians by which a body's frame ``(9,)`` is turned in the plane of the board."""
    return float(np.arctan2(frame[3], frame[0]))
