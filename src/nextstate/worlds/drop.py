"""A holder carries an object over platform, ramp and gap, and lets go."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from nextstate.worlds import drop_policies, drop_scene
from nextstate.worlds.base import Factor, Policy, World

TAXELS = 4
FALLING, RISING = -0.25, 0.12
"""Vertical speeds in metres per second before and after what counts as a bounce."""
RESTING = 0.02
CHECK_EVERY = 4
"""Physics steps between looks for impacts, which are shorter than a control step."""


class Drop(World):
    """A two-fingered holder moves a ball or box sideways over a scene seen from the side, and lets go of it.

    Command: the holder's velocity ``(x, z)``, 1 is 0.6 and 0.4 m/s, and how far the fingers open (0 or less
    is closed). Body: position and velocity of the holder, opening of both fingers. Skin: four taxels along
    each finger from its tip outwards; the object's weight rests on them, so a hidden mass can be felt.
    `landed`, `bounced`, `on_platform` and `on_ramp` are the case when they happened since the last control
    instant.
    """

    name = "drop"
    action_size = 3
    proprio_size = 6
    touch_shape = (2, TAXELS)
    skin = ("finger0", "finger1")
    timestep = 0.00125
    max_steps = 50
    events = ("released", "landed", "bounced", "on_platform", "on_ramp", "in_gap")
    outcome_groups = {
        "objects": ("object_x", "object_z"),
        "body": ("holder_x", "holder_z"),
        "touch": ("touch_left", "touch_right"),
        "speed": ("object_vx", "object_vz"),
        "turn": ("object_cos4", "object_sin4"),
    }
    headline = ("objects", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", lambda touch: fingers(touch)),
    }
    skills = drop_policies.SKILLS
    factor_ranges = {
        "ball": Factor(0, 1, integer=True),
        "size": Factor(0.042, 0.055),
        "mass": Factor(0.05, 0.8, held_out=(0.3, 0.42)),
        "restitution": Factor(0.15, 0.85, held_out=(0.4, 0.55)),
        "friction": Factor(0.2, 0.8, held_out=(0.45, 0.55)),
        "colour": Factor(0, 3, integer=True),
        "shade": Factor(-0.12, 0.12),
        **drop_scene.FACTORS,
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        factors["holder_x"] = float(rng.uniform(-0.35, 0.35))
        factors["holder_z"] = float(rng.uniform(0.45, 0.68))

    def scene(self, factors: Mapping[str, float]) -> str:
        return drop_scene.scene(factors, self.size, self.timestep)

    def loaded(self) -> None:
        self._object, self._holder = self.model.geom("object").id, self.model.body("holder").id
        self._fingers = [self.model.geom(name).id for name in self.skin]
        self._supports = [self.model.geom(name).id for name in ("platform", "ramp")]
        self._is_static = self.model.body_weldid[self.model.geom_bodyid] == 0
        self._joints = self.model.jnt_qposadr[[self.model.joint(name).id for name in drop_scene.JOINTS]]

    def begin(self) -> None:
        for name, value in drop_scene.start(self.factors).items():
            self.data.joint(name).qpos[0] = value
        self.advance()  # The weight settles on the fingers.
        self.memory["impacts"] = np.zeros(4, bool)
        self.memory["fall"] = np.zeros(2)

    def act(self, action: np.ndarray) -> None:
        opening = drop_scene.OPENING * max(float(action[2]), 0.0)
        self.data.ctrl[:] = (*(action[:2] * drop_scene.MAX_SPEED), opening, opening)
        landed = bounced = platform = ramp = False
        # Fastest fall since the object last rose or rested, and whether it has met the ground since.
        falling, met = self.memory["fall"].tolist()
        for _ in range(self.substeps // CHECK_EVERY):
            mujoco.mj_step(self.model, self.data, nstep=CHECK_EVERY)
            grounds, speed = self._grounds(), float(self._speed()[1])
            falling = min(falling, speed)
            if grounds.size:
                landed, met = True, True
                platform |= self._supports[0] in grounds
                ramp |= self._supports[1] in grounds
                if abs(speed) < RESTING:
                    falling = 0.0
            elif speed > RISING:
                bounced |= bool(met) and falling < FALLING
                falling, met = 0.0, False
        self.memory["impacts"] = np.array([landed, bounced, platform, ramp])
        self.memory["fall"] = np.array([falling, met], float)

    def proprio(self) -> np.ndarray:
        speed, opening = self.data.qvel[self._joints[:2]], self.data.qpos[self._joints[2:4]]
        return np.concatenate([self.holder_position(), speed, opening])

    def touch(self) -> np.ndarray:
        taxels = np.zeros(self.touch_shape)
        for side, finger in enumerate(self._fingers):
            points, forces, _ = self.contacts(finger)
            if len(forces):
                along = (points - self.data.geom_xpos[finger]) @ self.data.geom_xmat[finger].reshape(3, 3)[:, 0]
                # The tips of both fingers meet in the middle, so their own x axes run opposite ways.
                share = 0.5 + (1 - 2 * side) * -along / (2 * drop_scene.FINGER_HALF)
                np.add.at(taxels[side], np.clip((share * TAXELS).astype(int), 0, TAXELS - 1), forces)
        return taxels

    def detect(self) -> dict[str, bool]:
        landed, bounced, platform, ramp = self.memory["impacts"].tolist()
        offset = np.abs(self.object_position() - self.holder_position())
        return {
            "released": bool((offset > (1.5 * self.factors["size"], 1.2 * self.factors["size"])).any()),
            "landed": landed,
            "bounced": bounced,
            "on_platform": platform,
            "on_ramp": ramp,
            "in_gap": bool(self.object_position()[1] < 0.5 * self.factors["size"]),
        }

    def outcome(self) -> np.ndarray:
        turn = np.zeros(2)
        if not self.factors["ball"]:
            # A square looks the same after every quarter turn.
            angle = 4 * float(self.data.qpos[self._joints[6]])
            turn[:] = np.cos(angle), np.sin(angle)
        return np.concatenate(
            [self.object_position(), self.holder_position(), fingers(self.touch()), self._speed(), turn]
        )

    def object_position(self) -> np.ndarray:
        """``(x, z)`` in metres, the origin being the middle of the ground."""
        return np.array(self.data.geom_xpos[self._object, ::2])

    def holder_position(self) -> np.ndarray:
        """``(x, z)`` in metres of the middle between the fingers."""
        return np.array(self.data.xpos[self._holder, ::2])

    def explore(self, rng: np.random.Generator) -> Policy:
        return drop_policies.explore(rng)

    def _speed(self) -> np.ndarray:
        return np.asarray(self.data.qvel[self._joints[4:6]])

    def _grounds(self) -> np.ndarray:
        """Geoms of the ground, platform and ramp that the object touches."""
        if not self.data.ncon:
            return np.empty(0, int)
        pairs = self.data.contact.geom
        others = pairs[(pairs == self._object).any(axis=1)].ravel()
        return np.asarray(others[self._is_static[others]])


def fingers(touch: np.ndarray) -> np.ndarray:
    """Taxel forces ``(..., 2, 4)`` in newtons to log-scaled force on the left and right finger ``(..., 2)``."""
    return np.asarray(np.log1p(np.maximum(touch, 0).sum(axis=-1) / 0.5))
