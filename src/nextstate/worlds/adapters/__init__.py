"""Public yardsticks: environments that others measure themselves on, the originals and not look-alikes.

They come with extras (see CONTRIBUTING.md), and are imported when a world is made.
"""

import os

# Originals that draw with MuJoCo look for a screen otherwise, and it is settled when MuJoCo is first imported.
os.environ.setdefault("MUJOCO_GL", "egl")

from nextstate.worlds.adapters.control import Cartpole, Reacher
from nextstate.worlds.adapters.cube import Cube
from nextstate.worlds.adapters.gym_pusht import GymPushT
from nextstate.worlds.adapters.pusht import PushT
from nextstate.worlds.adapters.tworoom import TwoRoom
from nextstate.worlds.adapters.yardstick import Yardstick

YARDSTICKS: dict[str, type[Yardstick]] = {
    world.name: world for world in (TwoRoom, PushT, GymPushT, Reacher, Cartpole, Cube)
}

__all__ = ["YARDSTICKS", "Yardstick"]
