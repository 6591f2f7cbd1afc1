"""Worlds that are not quite as those that were recorded: a model and its policies are tried on them unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import numpy as np

from nextstate.errors import UnknownNameError
from nextstate.evaluation.physics import WrongPhysics
from nextstate.worlds import World

Change = Callable[[Any], None]
"""Changes a MuJoCo model in place."""


def dim(model: Any) -> None:
    """Visual: two thirds of the light, which also comes from the side and a little bluer."""
    model.vis.headlight.diffuse[:] *= (0.6, 0.65, 0.75)
    model.vis.headlight.ambient[:] *= (0.6, 0.65, 0.75)
    model.light_diffuse[:] *= np.array([0.6, 0.65, 0.75])


def heavy(model: Any) -> None:
    """Physical: twice the mass."""
    WrongPhysics(mass=2.0, friction=1.0, gravity=1.0).apply(model)


def slippery(model: Any) -> None:
    """Physical: two fifths of the friction."""
    WrongPhysics(mass=1.0, friction=0.4, gravity=1.0).apply(model)


def moved(model: Any) -> None:
    """Visual: the camera is 4 cm to the side, and turned by 3 degrees."""
    model.cam_pos[:, 0] += 0.04
    turn, old = np.array([np.cos(np.pi / 120), 0.0, 0.0, np.sin(np.pi / 120)]), model.cam_quat[0].copy()
    mujoco.mju_mulQuat(model.cam_quat[0], old, turn)


def unchanged(model: Any) -> None:
    """Leaves the physics as they are."""


CROWD = """<body name="bystander" pos="{x:.4f} {y:.4f} 0.035">
<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="slide" axis="0 0 1"/>
<joint type="hinge" axis="0 0 1"/>
<geom name="bystander" type="box" size=".04 .03 .035" mass=".4" friction=".5 .005 .0001" priority="1"
rgba=".7 .2 .75 1"/></body>"""
"""A purple box, in scenes where things are red, green, blue or yellow."""


def crowd(document: str, factors: Mapping[str, float]) -> str:
    """A scene with one more thing, as far as can be from all others."""
    there = [np.array([v, factors[f"{n[:-2]}_y"]]) for n, v in factors.items() if n.endswith("_x")]
    spots = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 13), np.linspace(-0.3, 0.3, 13)), axis=-1).reshape(-1, 2)
    x, y = max(spots, key=lambda spot: min(float(np.linalg.norm(spot - other)) for other in there))
    return document.replace("</worldbody>", CROWD.format(x=x, y=y) + "</worldbody>")


SHIFTS: dict[str, Change] = {"visual": dim, "physical": heavy}
"""Those that models and planners are tried under."""

CHANGES: dict[str, Change] = {**SHIFTS, "slippery": slippery, "camera": moved, "crowded": unchanged}
"""Those that policies are tried under."""

ADDED: dict[str, Callable[[str, Mapping[str, float]], str]] = {"crowded": crowd}
"""Shift -> what it makes of a scene's document."""


def shifted(world: World, shift: str) -> World:
    """A world like `world`, in which everything, goals too, happens under a shift.

    Raises:
        UnknownNameError: for a shift that is not in `CHANGES`.
    """
    if shift not in CHANGES:
        raise UnknownNameError("shift", shift, CHANGES)
    change, added, kind = CHANGES[shift], ADDED.get(shift), type(world)

    class Shifted(kind):  # type: ignore[misc, valid-type]
        _changed: Any = None

        def scene(self, factors: Mapping[str, float]) -> str:
            document = str(super().scene(factors))
            return added(document, factors) if added else document

        def loaded(self) -> None:
            super().loaded()
            # The same scene is loaded again at every restoring, but built only once.
            if self.model is not self._changed:
                self._changed = self.model
                change(self.model)

    other = Shifted(size=world.size, modalities=world.modalities)
    assert isinstance(other, World)
    return other
