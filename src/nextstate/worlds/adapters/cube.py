"""OGBench's cube: an arm with a gripper, and one cube."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from nextstate.worlds.adapters.outside import outside
from nextstate.worlds.adapters.pusht import Replayed
from nextstate.worlds.base import Policy, World

EXTRA = "yardsticks"


class Cube(Replayed):
    """``cube-single-v0`` of OGBench 1.2.2, looking as its pixel version (the arm is transparent), shadows off.

    Command: hand (x, y, z), yaw and gripper, relative. Body: joints, hand and gripper. Solved: the cube is within
    4 cm of where it is wanted. Restored by replay: the original computes commands from poses that lag by one step of
    physics, which no saved state holds.
    """

    name = "cube"
    source = "OGBench's cube-single-v0"
    action_size = 5
    proprio_size = 12
    max_steps = 100
    events = ("touched", "lifted")
    outcome_groups = {"cube": ("cube_x", "cube_y", "cube_z"), "hand": ("hand_x", "hand_y", "hand_z")}
    headline = ("cube",)
    goal_within = {"cube": (3, 0.04)}
    goal_of_body = False
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def make(self) -> Any:
        kind = outside("ogbench.manipspace.envs.cube_env", EXTRA).CubeEnv
        original = kind(
            env_type="single",
            ob_type="pixels",
            mode="data_collection",
            width=self.size,
            height=self.size,
            visualize_info=False,
            terminate_at_goal=False,
        )
        original._render_height = original._render_width = 8
        self._renderer: Any = None
        return original

    def begun(self) -> None:
        super().begun()
        if self._renderer is None:
            # The look of pixels, but none drawn at every step of physics.
            self.original._ob_type = "states"
            self.original.model.vis.global_.offwidth = self.original.model.vis.global_.offheight = self.size
            self.original.model.vis.quality.shadowsize = 0
            self.original.model.vis.quality.offsamples = 0
            self._renderer = mujoco.Renderer(self.original.model, self.size, self.size)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                self._renderer.scene.flags[flag] = 0

    def _begin(self, seed: int) -> None:
        # The original draws targets, which nobody is told of, from numpy's shared generator.
        kept = np.random.get_state()
        np.random.seed(seed % 2**32)
        super()._begin(seed)
        np.random.set_state(kept)

    def picture(self) -> np.ndarray:
        self._renderer.update_scene(self.original.data, camera="front_pixels")
        return np.asarray(self._renderer.render())

    def proprio(self) -> np.ndarray:
        felt = self.original.compute_ob_info()
        parts = ("proprio/joint_pos", "proprio/effector_pos", "proprio/effector_yaw", "proprio/gripper_opening")
        contact = felt["proprio/gripper_contact"]
        return np.concatenate([np.ravel(felt[part]) for part in parts] + [np.ravel(contact)])

    def outcome(self) -> np.ndarray:
        felt = self.original.compute_ob_info()
        return np.concatenate([felt["privileged/block_0_pos"], felt["proprio/effector_pos"]])

    def detect(self) -> dict[str, bool]:
        felt = self.original.compute_ob_info()
        touched = float(np.ravel(felt["proprio/gripper_contact"])[0]) > 0.5
        return {"touched": touched, "lifted": float(felt["privileged/block_0_pos"][2]) > 0.05}

    def explore(self, rng: np.random.Generator) -> Policy:
        """OGBench's own noisy oracle for pick and place, with a target of its own each time it is done."""
        oracle = outside("ogbench.manipspace.oracles.markov.cube_markov", EXTRA).CubeMarkovOracle
        plan: dict[str, Any] = {"left": 0}

        def policy(world: World) -> np.ndarray:
            assert isinstance(world, Cube)
            if plan["left"] <= 0:
                plan["left"] = int(rng.integers(60, 120))
                plan["noise"] = float(rng.choice([0.05, 0.2, 0.5]))
                plan["target"] = np.array([rng.uniform(0.3, 0.55), rng.uniform(-0.3, 0.3), 0.02])
                plan["yaw"] = float(rng.uniform(-np.pi, np.pi))
                plan["agent"] = oracle(env=world.original, min_norm=0.4)
                plan["agent"]._done, plan["agent"]._step, plan["agent"]._max_step = False, 0, 10**9
                plan["agent"]._final_pos = rng.uniform(*world.original._arm_sampling_bounds)
                plan["agent"]._final_yaw = float(rng.uniform(-np.pi, np.pi))
            plan["left"] -= 1
            felt = dict(world.original.compute_ob_info())
            felt["privileged/target_block"] = 0
            felt["privileged/target_block_pos"] = plan["target"]
            felt["privileged/target_block_yaw"] = np.array([plan["yaw"]])
            command = plan["agent"].select_action(None, felt)
            if plan["agent"]._done:
                plan["left"] = 0
            return np.asarray(np.clip(command + rng.normal(0, plan["noise"], 5), -1, 1), np.float32)

        return policy
