"""A small arm with two feeling fingers picks, places and stacks objects, and opens a drawer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import arm, grasp_scene
from nextstate.worlds.base import CONTROL_HZ, Policy, World
from nextstate.worlds.grasp_coach import coach
from nextstate.worlds.grasp_scene import NAMES, REACH_HIGH, REACH_LOW, SLOTS, TRAVEL
from nextstate.worlds.grasp_skills import SKILLS, exploration

MAX_SPEED = 0.4
FINGER_SPEED = 0.13
LEAD = 0.02
"""How far the arm's target may run ahead of a blocked hand at the start of a control step, metres."""
TAXELS = 4
SKIN_SPREAD = 1.0
"""How far soft skin spreads a contact: standard deviation in taxels."""
TOUCHING = 0.05
PRESSING = 0.2
SLIDING = 0.02
ALOFT = 0.02
FALLEN = 0.02
RESTING = 0.05


class Grasp(World):
    """An arm with a two-finger gripper over a table with two or three objects and a drawer, seen obliquely.

    Command: velocity of the hand ``(x, y, z)``, 1 is 0.4 m/s, and of each finger, 1 opens at 0.13 m/s. The
    hand points down and keeps square to the table. Fingers that are told to close on something squeeze it
    the harder the longer, up to 15 N a side.

    Body: five joint angles and their velocities, position of the point between the pads (orientation is
    fixed), opening and its velocity. Skin: 4x4 taxels of the left pad beside 4x4 of the right, upper row first,
    near column first; soft skin shares a contact's normal force among the taxels around it.
    """

    name = "grasp"
    action_size = 4
    proprio_size = 15
    touch_shape = (TAXELS, 2 * TAXELS)
    skin = ("left_pad", "right_pad")
    events = ("touched", "grasped", "slipped", "lifted", "dropped", "stacked", "opened")
    outcome_groups = {
        "objects": tuple(f"{name}_{axis}" for name in NAMES for axis in "xyz"),
        "body": ("hand_x", "hand_y", "hand_z", "opening"),
        "touch": ("touch_left", "touch_right", "touch_left_tip", "touch_right_tip"),
        "drawer": ("drawer_opening",),
    }
    headline = ("objects", "body", "touch")
    goal_within = {"objects": (3, 0.03)}
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., 10:14]),
        "touch": ("touch", lambda touch: pad_forces(touch)),
    }
    factor_ranges = grasp_scene.FACTORS
    skills = SKILLS

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        grasp_scene.layout(rng, factors)

    def scene(self, factors: Mapping[str, float]) -> str:
        return grasp_scene.mjcf(factors, self.timestep, self.size)

    def loaded(self) -> None:
        model = self.model
        self._pads = tuple(model.geom(f"{side}_pad").id for side in arm.SIDES)
        self._grip = model.site("grip").id
        self._drawer = model.joint("drawer").qposadr[0]
        self._joints = np.array([model.joint(name).qposadr[0] for name in arm.JOINTS])
        self._joint_speeds = np.array([model.joint(name).dofadr[0] for name in arm.JOINTS])
        self._fingers = np.array([model.joint(f"{side}_finger").qposadr[0] for side in arm.SIDES])
        self._finger_speeds = np.array([model.joint(f"{side}_finger").dofadr[0] for side in arm.SIDES])
        self._objects = {s: model.geom(f"object{s}").id for s in range(SLOTS) if self.factors[f"object{s}_present"]}
        self._slot_of = np.full(model.ngeom, -1)
        self._slot_of[list(self._objects.values())] = list(self._objects)
        self._handle = model.geom("handle").id

    def begin(self) -> None:
        start = np.array([self.factors[f"hand_{axis}"] for axis in "xyz"])
        joints, half = arm.inverse(start), self.factors["hand_opening"] / 2
        self.data.qpos[self._joints], self.data.qpos[self._fingers] = joints, half
        self.data.act[:] = [*joints, half]
        self.data.qpos[self._drawer] = self.factors["drawer_start"]
        # Height at which a held object was last aloft (NaN: it was not), and whether it is falling from there.
        self.memory = {"aloft": np.full(SLOTS, np.nan), "falling": np.zeros(SLOTS, bool)}

    def act(self, action: np.ndarray) -> None:
        hand, fingers = self.hand_position(), self.data.act[5]
        target = hand + np.clip(arm.forward(self.data.act) - hand, -LEAD, LEAD) + action[:3] * MAX_SPEED / CONTROL_HZ
        joints = arm.inverse(np.clip(target, REACH_LOW, REACH_HIGH))
        opening = self.opening() / 2
        fingers = opening + np.clip(fingers - opening, -arm.GRIP_LEAD, arm.GRIP_LEAD)
        fingers = np.clip(fingers + action[3] * FINGER_SPEED / CONTROL_HZ, 0, arm.MAX_HALF_OPENING)
        self.data.ctrl[:] = (np.append(joints, fingers) - self.data.act) * CONTROL_HZ
        self.advance()

    def proprio(self) -> np.ndarray:
        qpos, qvel = self.data.qpos, self.data.qvel
        speed = qvel[self._finger_speeds].sum()
        joints = (qpos[self._joints], qvel[self._joint_speeds])
        return np.concatenate([*joints, self.hand_position(), [self.opening(), speed]])

    def touch(self) -> np.ndarray:
        taxels = np.zeros(self.touch_shape)
        for side, pad in enumerate(self._pads):
            points, forces, _ = self.contacts(pad)
            if len(forces):
                local = (points - self.data.geom_xpos[pad]) @ self.data.geom_xmat[pad].reshape(3, 3)
                taxels[:, side * TAXELS : (side + 1) * TAXELS] = _spread(local, forces)
        return taxels

    def detect(self) -> dict[str, bool]:
        held = self.held()
        touching = (force > TOUCHING for side in (0, 1) for force, _ in self._pressed(side).values())
        return {
            "touched": any(touching),
            "grasped": bool(held),
            "slipped": any(self._slides(slot) for slot in held),
            "lifted": any(self.bottom(slot) > ALOFT for slot in held),
            "dropped": bool(self.memory["falling"].any()),
            "stacked": self._stacked(),
            "opened": self.drawer_opening() > TRAVEL / 2,
        }

    def outcome(self) -> np.ndarray:
        places = np.zeros((SLOTS, 3))
        for slot, geom in self._objects.items():
            places[slot] = self.data.geom_xpos[geom]
        body = [*self.hand_position(), self.opening()]
        return np.concatenate([places.ravel(), body, pad_forces(self.touch()), [self.drawer_opening()]])

    def explore(self, rng: np.random.Generator) -> Policy:
        """Grasps, lifts, carries, drops, stacks, shoves and pulls at random, with noise and at random speeds."""
        return exploration(rng)

    def coach(self, wanted: np.ndarray, rng: np.random.Generator) -> Policy:
        """Takes up what is not where it is wanted, one after another, and sets it down there or holds it there."""
        return coach(wanted, rng)

    def present(self) -> list[int]:
        """Colour slots that hold an object in this scene."""
        return list(self._objects)

    def hand_position(self) -> np.ndarray:
        """``(x, y, z)`` in metres of the point between the pads."""
        return np.array(self.data.site_xpos[self._grip])

    def opening(self) -> float:
        """Gap between the pads in metres."""
        return float(self.data.qpos[self._fingers].sum())

    def drawer_opening(self) -> float:
        """How far the drawer is out, metres."""
        return float(self.data.qpos[self._drawer])

    def handle_position(self) -> np.ndarray:
        """``(x, y, z)`` in metres of the middle of the drawer's handle."""
        return np.array(self.data.geom_xpos[self._handle])

    def object_position(self, slot: int) -> np.ndarray:
        """``(x, y, z)`` in metres of the middle of the object in one colour slot."""
        return np.array(self.data.geom_xpos[self._objects[slot]])

    def bottom(self, slot: int) -> float:
        """Height of an object's lowest point over the table, metres."""
        geom = self._objects[slot]
        size, upward = self.factors[f"object{slot}_size"], self.data.geom_xmat[geom].reshape(3, 3)[2]
        if grasp_scene.SHAPES[NAMES[slot]] == "cube":
            below = size * np.abs(upward).sum()
        else:
            below = size * (abs(upward[2]) + np.hypot(upward[0], upward[1]))
        return float(self.data.geom_xpos[geom][2] - below)

    def held(self) -> list[int]:
        """Colour slots of objects that both pads press from opposite sides."""
        left, right = (self._pressed(side) for side in (0, 1))
        return [
            slot
            for slot in self._objects
            if left.get(slot, (0, 0))[1] > PRESSING and right.get(slot, (0, 0))[1] > PRESSING
        ]

    def _pressed(self, side: int) -> dict[int, tuple[float, float]]:
        """Slot -> normal force of one pad on that object, newtons, and its part towards the other pad."""
        pad = self._pads[side]
        _, forces, others = self.contacts(pad)
        sums: dict[int, tuple[float, float]] = {}
        if not len(forces):
            return sums
        contact = self.data.contact
        mine = (contact.geom == pad).any(axis=1)
        # Contact normals point from the first geom to the second.
        outward = np.where(contact.geom[mine, :1] == pad, 1.0, -1.0) * contact.frame[mine, :3]
        inward = outward @ self.data.geom_xmat[pad].reshape(3, 3)[:, 0] * (1 if side == 0 else -1)
        for slot, force, towards in zip(self._slot_of[others], forces, inward, strict=True):
            if slot >= 0:
                whole, part = sums.get(int(slot), (0.0, 0.0))
                sums[int(slot)] = (whole + float(force), part + float(force * towards))
        return sums

    def _slides(self, slot: int) -> bool:
        """Whether a held object moves along both pads, judged where each pad presses it on average."""
        slowest = np.inf
        for pad in self._pads:
            points, forces, others = self.contacts(pad)
            mine = others == self._objects[slot]
            point = forces[mine] @ points[mine] / forces[mine].sum()
            relative = self._velocity(self._objects[slot], point) - self._velocity(pad, point)
            across = self.data.geom_xmat[pad].reshape(3, 3)[:, 0]
            slowest = min(slowest, float(np.linalg.norm(relative - across * (relative @ across))))
        return slowest > SLIDING

    def _velocity(self, geom: int, point: np.ndarray) -> np.ndarray:
        """Velocity ``(3,)`` in m/s of the material point of a geom at `point`."""
        body = self.model.geom_bodyid[geom]
        (p, q, r), moving = self.data.cvel[body, :3], self.data.cvel[body, 3:]
        x, y, z = point - self.data.subtree_com[self.model.body_rootid[body]]
        return np.asarray(moving + np.array([q * z - r * y, r * x - p * z, p * y - q * x]))

    def _speed(self, slot: int) -> float:
        geom = self._objects[slot]
        return float(np.linalg.norm(self._velocity(geom, self.data.geom_xpos[geom])))

    def _stacked(self) -> bool:
        """Whether an object lies still on others, and on nothing else: no table, cabinet or finger carries it."""
        contact = self.data.contact
        slots = self._slot_of[contact.geom]
        between = (slots >= 0).all(axis=1)
        upright = between & (np.abs(contact.frame[:, 2]) > 0.7)
        if not upright.any():
            return False
        heights = self.data.geom_xpos[:, 2]
        for first, second in np.unique(contact.geom[upright], axis=0):
            above = self._slot_of[first if heights[first] > heights[second] else second]
            touching = (slots == above).any(axis=1)
            if between[touching].all() and self._speed(above) < RESTING:
                return True
        return False

    def _note_events(self) -> None:
        self._follow_falls()
        super()._note_events()

    def _follow_falls(self) -> None:
        """An object is falling from when it has sunk 2 cm since it was last held aloft until it rests or is held."""
        aloft, falling = self.memory["aloft"], self.memory["falling"]
        held = self.held()
        for slot, geom in self._objects.items():
            height = self.data.geom_xpos[geom][2]
            if slot in held:
                aloft[slot] = height if self.bottom(slot) > ALOFT else np.nan
                falling[slot] = False
            elif falling[slot]:
                falling[slot] = self._speed(slot) > RESTING
            elif height < aloft[slot] - FALLEN:
                aloft[slot], falling[slot] = np.nan, True
            elif self._speed(slot) < RESTING:
                aloft[slot] = np.nan


def pad_forces(touch: np.ndarray) -> np.ndarray:
    """Taxel forces ``(..., 4, 8)`` in newtons to log-scaled force on left pad, right pad, and their lower halves."""
    forces = np.maximum(touch, 0)
    pads = np.stack([forces[..., :TAXELS].sum(-1), forces[..., TAXELS:].sum(-1)], axis=-1)
    sums = np.concatenate([pads.sum(-2), pads[..., TAXELS // 2 :, :].sum(-2)], axis=-1)
    return np.log1p(sums / 0.5)


def _spread(local: np.ndarray, forces: np.ndarray) -> np.ndarray:
    """Taxels ``(4, 4)`` under forces ``(N,)`` at `local` ``(N, 3)`` of a pad's frame: the skin spreads each one."""
    middles = np.arange(TAXELS)
    column = np.clip((local[:, 1] / arm.PAD[1] + 1) / 2 * TAXELS - 0.5, 0, TAXELS - 1)
    row = np.clip((1 - local[:, 2] / arm.PAD[2]) / 2 * TAXELS - 0.5, 0, TAXELS - 1)
    down = np.exp(-((middles - row[:, None]) ** 2) / (2 * SKIN_SPREAD**2))
    across = np.exp(-((middles - column[:, None]) ** 2) / (2 * SKIN_SPREAD**2))
    # Each contact's shares sum to one, so that the taxels sum to the contact forces.
    down, across = down / down.sum(1, keepdims=True), across / across.sum(1, keepdims=True)
    return np.asarray(np.einsum("n,nr,nc->rc", forces, down, across))
