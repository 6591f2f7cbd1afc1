"""Tip the bottle and the liquid spreads, stains the cloth and ruins the motor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import spill_scene as scene
from nextstate.worlds.base import CONTROL_HZ, Factor, Policy, World
from nextstate.worlds.pusher import quadrants
from nextstate.worlds.spill_policies import SKILLS, explore

MAX_SPEED = 0.4
SECTORS = 8

TOPPLED_COSINE = 0.5
SPILLED_SHARE = 0.05
STAINED = 0.5
SOAKING = 4.0
"""How quickly one bead stains a tile, per second."""
STAINING_HEIGHT = 0.03
WICKING = 0.1
"""Share of the difference to its neighbour that a tile soaks up in one control step."""
WETTING = 0.35
"""How quickly one bead in the intake wets the motor, per second."""
WET, DEAD = 0.3, 0.7
"""Wetness at which the current begins to drop, and at which it is gone."""
STOPPED = 0.2

COLUMNS = 12
FIELD_HALF = 0.345
HIGH = 0.03
"""The lower row of the liquid field holds what lies on the counter, the upper one what is above."""


class Spill(World):
    """A finger beside an open bottle of beads, a cloth and a running motor, seen from the side.

    Command: velocity of the finger ``(x, z)``, 1 is 0.4 m/s; its force is what the speed lost to resistance
    calls for, so a weak command stalls against a bottle that a strong one topples. Body: the finger's position
    and velocity. Skin: the finger's rim in eight sectors, counted from +x towards up.

    Beads outside the bottle stain the tiles of the cloth they lie on; beads in the motor's intake make it wet,
    its current drops and the rotor runs out. Stains and wetness are held in ``memory``.
    """

    name = "spill"
    version = 2
    action_size = 2
    proprio_size = 4
    touch_shape = (1, SECTORS)
    skin = ("finger",)
    timestep = 0.004
    max_steps = 80
    events = ("toppled", "spilled", "cloth_stained", "motor_wet", "motor_stopped")
    outcome_groups = {
        "bottle": ("bottle_x", "bottle_z", "bottle_cos_tilt", "bottle_sin_tilt"),
        "liquid": (*(f"liquid_{row}_{i}" for row in ("low", "high") for i in range(COLUMNS)), "liquid_spilled"),
        "body": ("finger_x", "finger_z"),
        "touch": ("touch_right", "touch_up", "touch_left", "touch_down"),
        "stain": ("cloth_stain", "motor_wetness", "rotor_speed"),
    }
    headline = ("bottle", "liquid", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", lambda touch: quadrants(touch)),
    }
    factor_ranges = {
        "mirrored": Factor(0, 1, integer=True),
        "bottle_mass": Factor(0.12, 0.36, held_out=(0.21, 0.26)),
        "bottle_friction": Factor(0.4, 0.8, held_out=(0.55, 0.63)),
        "bead_mass": Factor(0.0018, 0.0036, held_out=(0.0025, 0.0029)),
        "bead_viscosity": Factor(0.5, 3.0, held_out=(1.4, 1.9)),
        "rotor_speed": Factor(4.0, 7.0),
        "liquid_hue": Factor(0.0, 1.0),
        "cloth_hue": Factor(0.0, 1.0),
        "bottle_shade": Factor(0.8, 1.15),
        "motor_shade": Factor(0.8, 1.2),
        "table_shade": Factor(0.5, 0.7),
        "wall_shade": Factor(0.75, 0.95),
        "light": Factor(0.55, 0.75),
    }
    skills = SKILLS

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        # Places are drawn with the motor to the right, and mirrored by `side` where they are used.
        factors["side"] = -1.0 if factors["mirrored"] else 1.0
        start = float(rng.uniform(-0.135, -0.075))
        mouth = start + scene.BOTTLE_WIDTH / 2 + scene.BOTTLE_HEIGHT
        factors["bottle_start"] = start
        factors["motor_start"] = min(mouth + float(rng.uniform(0.05, 0.12)), 0.253)
        factors["cloth_start"] = start + scene.BOTTLE_WIDTH / 2 + float(rng.uniform(0.02, 0.09))
        factors["cloth_length"] = factors["motor_start"] - float(rng.uniform(0, 0.012)) - factors["cloth_start"]
        while True:
            spot = rng.uniform((-0.3, 0.03), (0.3, 0.32))
            along = spot[0] * factors["side"]
            if spot[1] > 0.23 or (abs(along - start) > 0.12 and along < factors["motor_start"] - 0.03):
                break
        factors["finger_x"], factors["finger_z"] = float(spot[0]), float(spot[1])
        factors["disorder"] = float(rng.integers(2**31))

    def scene(self, factors: Mapping[str, float]) -> str:
        return scene.spill_scene(factors, self.timestep, self.size)

    def loaded(self) -> None:
        model = self.model
        self._bottle = model.joint("bottle_x").qposadr[0] + np.arange(3)
        self._finger = model.joint("finger_x").qposadr[0] + np.arange(2)
        self._rotor = model.joint("rotor").dofadr[0]
        self._beads = slice(first := model.body("bead0").jntadr[0], first + 2 * scene.BEADS)
        self._finger_geom = model.geom("finger").id
        self._tiles = model.geom("tile0").id + np.arange(scene.TILES)
        self._lamp = model.geom("lamp").id

    def begin(self) -> None:
        factors, qpos = self.factors, self.data.qpos
        centre = np.array([factors["side"] * factors["bottle_start"], scene.BOTTLE_HEIGHT / 2])
        qpos[self._bottle] = (*centre, 0)
        qpos[self._finger] = factors["finger_x"], factors["finger_z"]
        disorder = np.random.default_rng(int(factors["disorder"]))
        qpos[self._beads] = (scene.bead_grid(disorder) + centre).ravel()
        self.data.qvel[self._rotor] = factors["rotor_speed"]
        self.memory["stain"] = np.zeros(scene.TILES)
        self.memory["wetness"] = np.zeros(1)
        self.data.ctrl[:] = 0, 0, self.current()
        for _ in range(3):
            self.advance()
        self.restored()

    def restored(self) -> None:
        """Redraws the cloth and the motor's lamp from memory."""
        clean, liquid = scene.cloth_colour(self.factors), 0.75 * scene.liquid_colour(self.factors)
        stain = np.minimum(self.memory["stain"], 1)[:, None] * 0.9
        self.model.geom_rgba[self._tiles, :3] = (1 - stain) * clean + stain * liquid
        power = self.current() / self.factors["rotor_speed"]
        self.model.geom_rgba[self._lamp, :3] = (0.3 - 0.2 * power, 0.1 + 0.8 * power, 0.1 + 0.2 * power)

    def act(self, action: np.ndarray) -> None:
        self.data.ctrl[:2] = action * MAX_SPEED
        self.data.ctrl[2] = self.current()
        self.advance()
        self._soak()

    def _soak(self) -> None:
        factors, memory = self.factors, self.memory
        along, height = self.bead_positions().T * np.array([[factors["side"]], [1.0]])
        outside = ~self.in_bottle()
        tile = np.floor((along - factors["cloth_start"]) / factors["cloth_length"] * scene.TILES).astype(int)
        staining = outside & (np.abs(height) < STAINING_HEIGHT) & (tile >= 0) & (tile < scene.TILES)
        beads = np.bincount(tile[staining], minlength=scene.TILES)
        memory["stain"] += (1 - memory["stain"]) * -np.expm1(-SOAKING / CONTROL_HZ * beads)
        flow = WICKING * np.diff(memory["stain"])
        memory["stain"] += np.append(flow, 0.0) - np.insert(flow, 0, 0.0)
        depth = along - factors["motor_start"]
        inside = outside & (depth > 0) & (depth < scene.INTAKE_DEPTH) & (np.abs(height) < scene.INTAKE_HEIGHT)
        memory["wetness"] = np.minimum(memory["wetness"] + WETTING / CONTROL_HZ * inside.sum(), 1.0)
        self.restored()

    def proprio(self) -> np.ndarray:
        return np.concatenate([self.data.qpos[self._finger], self.data.qvel[self._finger]])

    def touch(self) -> np.ndarray:
        taxels = np.zeros(self.touch_shape)
        points, forces, _ = self.contacts(self._finger_geom)
        if len(forces):
            away = points[:, [0, 2]] - self.finger_position()
            angle = np.arctan2(away[:, 1], away[:, 0])
            np.add.at(taxels[0], np.round(angle / (2 * np.pi / SECTORS)).astype(int) % SECTORS, forces)
        return taxels

    def detect(self) -> dict[str, bool]:
        return {
            "toppled": bool(np.cos(self.bottle_pose()[2]) < TOPPLED_COSINE),
            "spilled": bool(np.mean(~self.in_bottle()) > SPILLED_SHARE),
            "cloth_stained": bool(self.memory["stain"].max() > STAINED),
            "motor_wet": bool(self.memory["wetness"][0] > WET),
            "motor_stopped": bool(self.data.qvel[self._rotor] < STOPPED * self.factors["rotor_speed"]),
        }

    def outcome(self) -> np.ndarray:
        x, z, tilt = self.bottle_pose()
        speed = self.data.qvel[self._rotor] / self.factors["rotor_speed"]
        return np.concatenate(
            [
                [x, z, np.cos(tilt), np.sin(tilt)],
                self.liquid(),
                self.finger_position(),
                quadrants(self.touch()),
                [self.memory["stain"].mean(), self.memory["wetness"][0], speed],
            ]
        )

    def liquid(self) -> np.ndarray:
        """Shares of all beads outside the bottle, ``(2 * COLUMNS + 1,)``: low row, high row, and their total.

        A bead between the middles of two columns counts for both in proportion; what fell off the counter
        counts in the total only.
        """
        outside = ~self.in_bottle()
        x, z = self.bead_positions()[outside].T
        place = (x + FIELD_HALF) / (2 * FIELD_HALF) * COLUMNS - 0.5
        left = np.floor(place).astype(int)
        field = np.zeros((2, COLUMNS))
        for column, weight in ((left, left + 1 - place), (left + 1, place - left)):
            seen = (column >= 0) & (column < COLUMNS) & (z > 0)
            np.add.at(field, ((z > HIGH).astype(int)[seen], column[seen]), weight[seen])
        return np.append(field.ravel(), outside.sum()) / scene.BEADS

    def current(self) -> float:
        """Current through the motor, in units of the speed in rad/s that it sustains; drops when wet."""
        return self.factors["rotor_speed"] * float(np.clip((DEAD - self.memory["wetness"][0]) / (DEAD - WET), 0, 1))

    def bottle_pose(self) -> np.ndarray:
        """``(x, z, tilt)`` of the bottle's centre: metres, and radians from upright, positive towards +x."""
        return np.array(self.data.qpos[self._bottle])

    def finger_position(self) -> np.ndarray:
        """``(x, z)`` of the finger in metres."""
        return np.array(self.data.qpos[self._finger])

    def bead_positions(self) -> np.ndarray:
        """``(BEADS, 2)``: x and z of every bead in metres."""
        return np.array(self.data.qpos[self._beads]).reshape(-1, 2)

    def in_bottle(self) -> np.ndarray:
        """Which beads ``(BEADS,)`` are inside the bottle."""
        x, z, tilt = self.bottle_pose()
        away = self.bead_positions() - (x, z)
        across = away @ (np.cos(tilt), -np.sin(tilt))
        up = away @ (np.sin(tilt), np.cos(tilt))
        return np.asarray((np.abs(across) < scene.BOTTLE_WIDTH / 2) & (np.abs(up) < scene.BOTTLE_HEIGHT / 2))

    def motor_side(self) -> float:
        """1 when the motor stands to the right of the bottle, -1 to the left."""
        return self.factors["side"]

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pushes at many heights, speeds and moments from both sides; about half of the bottles topple."""
        return explore(rng)
