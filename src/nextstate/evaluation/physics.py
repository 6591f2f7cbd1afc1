"""Two simulators that are almost right: one starts a hair away from the truth, one has other physics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from nextstate.worlds.base import World
from nextstate.worlds.snapshot import Snapshot

EPSILON = 1e-6


def perturbed(world: World, snapshot: Snapshot, rng: np.random.Generator, epsilon: float = EPSILON) -> Snapshot:
    """`snapshot` with every position off by about `epsilon` of itself: what no measurement could tell apart.

    Leaves `world` at the perturbed instant.
    """
    world.restore(snapshot)
    world.data.qpos[:] *= 1.0 + epsilon * rng.standard_normal(world.data.qpos.shape)
    mujoco.mj_normalizeQuat(world.model, world.data.qpos)
    return replace(world.snapshot(), factors=snapshot.factors)


@dataclass
class WrongPhysics:
    """Scales what cannot be seen, the same way in every world: bodies too heavy, too slippery, too weak a pull.

    It foresees what every action does, but not quite how much: worse than the truth, far better than deaf.

    Args:
        mass, friction, gravity: factors on masses and inertias, sliding friction, and gravity.
    """

    mass: float = 2.0
    friction: float = 0.5
    gravity: float = 0.8
    _done: Any = None

    def apply(self, model: Any) -> None:
        """Changes `model` in place, once."""
        if model is self._done:
            return
        self._done = model
        model.body_mass[:] *= self.mass
        model.body_inertia[:] *= self.mass
        model.geom_friction[:, 0] *= self.friction
        model.opt.gravity[:] *= self.gravity
        mujoco.mj_setConst(model, mujoco.MjData(model))
