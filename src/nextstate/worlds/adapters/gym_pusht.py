"""gym-pusht's Push-T, of which stable-worldmodel's is a descendant."""

from __future__ import annotations

from typing import Any

import numpy as np

from nextstate.worlds.adapters.outside import outside
from nextstate.worlds.adapters.pusht import REACH, PushT


class GymPushT(PushT):
    """``gym_pusht/PushT-v0`` of gym-pusht 0.1.8; commands are those of `PushT`, made absolute.

    Needs an older pymunk than `PushT`, so it comes with an extra of its own. Goals are judged as there.
    """

    name = "gym_pusht"
    source = "gym-pusht's gym_pusht/PushT-v0"

    def make(self) -> Any:
        return outside("gym_pusht.envs", "gym-pusht").PushTEnv(obs_type="state", observation_width=96)

    def command(self, action: np.ndarray) -> np.ndarray:
        return np.array(self.original.agent.position) + REACH * np.asarray(action, np.float64)

    def draw(self) -> Any:
        return self.original._render(visualize=False)
