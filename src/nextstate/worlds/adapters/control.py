"""dm_control's reacher and cartpole, as stable-worldmodel 0.1.1 wraps them: two control steps a command."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from nextstate.worlds.adapters.stable_worldmodel import environments
from nextstate.worlds.adapters.yardstick import Yardstick
from nextstate.worlds.base import Policy, World

PLAIN = {"shadow": False, "reflection": False, "fog": False, "haze": False, "skybox": True}
"""Shadows and reflections cost most of the time when pictures are drawn in software."""


class ControlSuite(Yardstick):
    """Base of both. Bit-exact: MuJoCo's integration state is kept whole."""

    def act(self, action: np.ndarray) -> None:
        self.original.step(np.asarray(action, np.float64))

    def picture(self) -> np.ndarray:
        return np.asarray(self.physics.render(self.size, self.size, camera_id=0, render_flag_overrides=PLAIN), np.uint8)

    def keep(self) -> np.ndarray:
        kind = mujoco.mjtState.mjSTATE_INTEGRATION.value
        model, data = self.physics.model.ptr, self.physics.data.ptr
        state = np.empty(mujoco.mj_stateSize(model, kind))
        mujoco.mj_getState(model, data, state, kind)
        return state

    def put(self, state: np.ndarray) -> None:
        model, data = self.physics.model.ptr, self.physics.data.ptr
        mujoco.mj_setState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION.value)
        warm_start = data.qacc_warmstart.copy()
        mujoco.mj_forward(model, data)
        data.qacc_warmstart[:] = warm_start
        self._untimed()

    def begun(self) -> None:
        self._untimed()

    @property
    def physics(self) -> Any:
        """dm_control's."""
        return self.original.env.physics

    def proprio(self) -> np.ndarray:
        return np.concatenate([self.physics.data.qpos, self.physics.data.qvel])

    def _untimed(self) -> None:
        # Its clock counts steps of the process, not of the episode that was brought back.
        inner = self.original.env
        while hasattr(inner, "_env"):
            inner = inner._env
        inner._step_limit, inner._step_count = float("inf"), 0


class Reacher(ControlSuite):
    """``swm/ReacherDMControl-v0``, task ``qpos_match``: an arm of two links. Command: torques. Body: its joints.

    Solved: both joints within 0.05 rad of where they are wanted.
    """

    name = "reacher"
    source = "stable-worldmodel's swm/ReacherDMControl-v0"
    action_size = 2
    proprio_size = 4
    max_steps = 80
    events = ("stretched",)
    outcome_groups = {"joints": ("shoulder", "wrist")}
    headline = ("joints",)
    goal_within = {"joints": (1, 0.05)}
    read_directly = {"joints": ("proprio", lambda proprio: proprio[..., :2])}
    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}

    def make(self) -> Any:
        return environments("dmcontrol.reacher").ReacherDMControlWrapper(task="qpos_match", seed=0)

    def outcome(self) -> np.ndarray:
        return np.array(self.physics.data.qpos)

    def detect(self) -> dict[str, bool]:
        return {"stretched": abs(float(self.physics.data.qpos[1])) < 0.2}

    def explore(self, rng: np.random.Generator) -> Policy:
        """Goes to one posture after another under a noisy spring, or turns at random torques for a while."""
        plan: dict[str, Any] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Reacher)
            joints, speeds = world.physics.data.qpos, world.physics.data.qvel
            if plan["left"] <= 0:
                plan["left"] = int(rng.integers(8, 40))
                plan["free"] = rng.random() < 0.35
                plan["wanted"] = joints + rng.uniform(-2.0, 2.0, 2)
                plan["wanted"][1] = np.clip(plan["wanted"][1], -2.6, 2.6)
                plan["torque"] = rng.uniform(-1, 1, 2)
                plan["stiff"] = float(rng.uniform(0.5, 3.0))
            plan["left"] -= 1
            if plan["free"]:
                plan["torque"] = np.clip(plan["torque"] + rng.normal(0, 0.3, 2), -1, 1)
                return np.asarray(plan["torque"], np.float32)
            spring = plan["stiff"] * (plan["wanted"] - joints) - 0.35 * speeds + rng.normal(0, 0.1, 2)
            return np.asarray(np.clip(spring, -1, 1), np.float32)

        return policy


class Cartpole(ControlSuite):
    """``swm/CartpoleDMControl-v0``: a pole on a cart. Command: force on the cart. Body: cart and pole.

    Solved, which the original leaves open: cart within 0.1 m and pole within 0.15 rad of where they are wanted.
    """

    name = "cartpole"
    source = "stable-worldmodel's swm/CartpoleDMControl-v0"
    action_size = 1
    proprio_size = 4
    max_steps = 80
    events = ("upright",)
    outcome_groups = {"cart": ("cart_x",), "pole": ("pole_angle",)}
    headline = ("cart", "pole")
    goal_within = {"cart": (1, 0.1), "pole": (1, 0.15)}
    read_directly = {"cart": ("proprio", lambda proprio: proprio[..., :1])}
    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}

    def make(self) -> Any:
        return environments("dmcontrol.cartpole").CartpoleDMControlWrapper(seed=0)

    def outcome(self) -> np.ndarray:
        cart, pole = self.physics.data.qpos
        return np.array([cart, pole])

    def detect(self) -> dict[str, bool]:
        return {"upright": float(np.cos(self.physics.data.qpos[1])) > 0.9}

    def miss(self, outcome: np.ndarray, wanted: np.ndarray) -> float:
        cart, pole = np.asarray(outcome, np.float64) - wanted
        pole = (pole + np.pi) % (2 * np.pi) - np.pi
        return float(max(abs(cart) / 0.1, abs(pole) / 0.15))

    def explore(self, rng: np.random.Generator) -> Policy:
        """Forces that change now and then, pumping the pole for part of the time, and back towards the middle."""
        plan: dict[str, Any] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Cartpole)
            (cart, pole), (_, turning) = world.physics.data.qpos, world.physics.data.qvel
            if plan["left"] <= 0:
                plan["left"] = int(rng.integers(3, 20))
                plan["force"] = float(rng.uniform(-1, 1))
                plan["pump"] = rng.random() < 0.5
            plan["left"] -= 1
            force = np.sign(turning * np.cos(pole)) * abs(plan["force"]) if plan["pump"] else plan["force"]
            back = -0.6 * cart if abs(cart) > 1.0 else 0.0
            return np.asarray(np.clip([force + back + rng.normal(0, 0.1)], -1, 1), np.float32)

        return policy
