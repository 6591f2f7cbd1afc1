"""What scenes are written with: colours, the MJCF around a scene's bodies, walls, elastic materials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

HUES = {"red": (0.85, 0.15, 0.12), "green": (0.15, 0.65, 0.2), "blue": (0.15, 0.3, 0.85), "yellow": (0.9, 0.75, 0.1)}
COLOURS = tuple(HUES)


def rgb(colour: tuple[float, ...]) -> str:
    """A colour in [0, 1] as MJCF, clipped."""
    return " ".join(f"{min(max(c, 0), 1):.4f}" for c in colour)


def hue(colour: str, shade: float) -> str:
    """A named colour, lighter or darker by `shade`, as MJCF."""
    return rgb(tuple(c + shade for c in HUES[colour]))


def document(*, size: int, option: str, light: float, geom: str, camera: str, body: str, actuator: str) -> str:
    """A whole MJCF scene.

    Args:
        size: height and width of pictures in pixels.
        option, geom, camera: attributes of the options, of the default geom and of the main camera.
        light: brightness of the light at the camera.
        body, actuator: MJCF inside worldbody and actuator.
    """
    return f"""
        <mujoco>
          <option {option}/>
          <visual>
            <headlight ambient="{light * 0.6} {light * 0.6} {light * 0.6}" diffuse="{light} {light} {light}"
                       specular="0 0 0"/>
            <global offwidth="{size}" offheight="{size}"/>
            <map znear=".05" zfar="5"/>
            <quality shadowsize="0" offsamples="0"/>
          </visual>
          <statistic extent="1" center="0 0 0"/>
          <default><geom {geom}/></default>
          <worldbody>
            <camera name="main" {camera}/>
            {body}
          </worldbody>
          <actuator>{actuator}</actuator>
        </mujoco>"""


def table(factors: Mapping[str, float], attributes: str = "") -> str:
    """The plane under everything, tinted by the factors ``table_grey`` and ``table_warmth``."""
    grey, warmth = factors["table_grey"], factors["table_warmth"]
    tint = rgb((grey + warmth, grey, grey - warmth))
    return f'<geom name="table" type="plane" size="1 1 .1" rgba="{tint} 1" friction="1" {attributes}/>'


def walls(arena: float) -> str:
    """Four walls around a square table that reaches `arena` metres from its centre."""
    return "".join(
        f'<geom type="box" pos="{x * (arena + 0.02)} {y * (arena + 0.02)} 0.03" '
        f'size="{0.02 if x else arena + 0.04} {0.02 if y else arena + 0.04} 0.03" rgba=".3 .3 .33 1"/>'
        for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))
    )


def ring(x: float, y: float, radius: float, colour: str = ".96 .97 1") -> str:
    """A mark on the table that nothing touches: a disc with a smaller one of the table's darkness in it."""
    return "".join(
        f'<geom type="cylinder" pos="{x} {y} {height}" size="{size} {height}" rgba="{tint} 1" '
        'contype="0" conaffinity="0"/>'
        for size, height, tint in ((radius, 0.001, colour), (radius * 0.78, 0.0015, ".42 .42 .45"))
    )


def elastic(restitution: float, frequency: float) -> str:
    """Contact attributes of a material that keeps about `restitution` of the speed of an impact.

    A contact is a damped spring that pushes and never pulls. At damping ratio z it keeps
    exp(-2 z arccos(z) / sqrt(1 - z^2)) of the speed (Schwager and Poeschel, "Coefficient of restitution and
    linear-dashpot model revisited", 2007), which is solved for z here.

    Args:
        restitution: share of normal speed kept, from 0.14 to 1.
        frequency: of the spring, radians per second; the half period should last four physics steps or more.
    """
    low, high = 0.0, 1.0
    for _ in range(50):
        ratio = (low + high) / 2
        kept = np.exp(-2 * ratio * np.arccos(ratio) / np.sqrt(1 - ratio**2))
        low, high = (ratio, high) if kept > restitution else (low, ratio)
    return f'solref="{-(frequency**2)} {-2 * ratio * frequency}" solimp=".99 .99 .001"'
