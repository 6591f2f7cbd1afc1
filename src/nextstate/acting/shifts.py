"""Worlds that are not quite as those that were recorded: a model and its policies are tried on them unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


SHIFTS: dict[str, Change] = {"visual": dim, "physical": heavy}


def shifted(world: World, shift: str) -> World:
    """A world like `world`, in which everything, goals too, happens under a shift.

    Raises:
        UnknownNameError: for a shift that is not in `SHIFTS`.
    """
    if shift not in SHIFTS:
        raise UnknownNameError("shift", shift, SHIFTS)
    change, kind = SHIFTS[shift], type(world)

    class Shifted(kind):  # type: ignore[misc, valid-type]
        _changed: Any = None

        def loaded(self) -> None:
            super().loaded()
            # The same scene is loaded again at every restoring, but built only once.
            if self.model is not self._changed:
                self._changed = self.model
                change(self.model)

    other = Shifted(size=world.size, modalities=world.modalities)
    assert isinstance(other, World)
    return other
