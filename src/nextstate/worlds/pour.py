"""A jug of beads over a cup: tilt too little and it does not fill, too much and it runs over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nextstate.worlds import pusher, scene
from nextstate.worlds.base import Factor, Policy, Skill, World
from nextstate.worlds.board import board, sign_of, slab
from nextstate.worlds.trying import Way, trying

BEADS, PER_ROW, RADIUS = 24, 5, 0.013
INNER, HEIGHT, WALL = 0.07, 0.14, 0.006
"""Half of the jug's width inside, its height, and half the thickness of its walls, metres."""
GROUND = -0.3
SPEED, TURN = 0.3, 2.0
"""Fastest sideways, metres per second, and fastest tilt, radians per second."""
CUP_HEIGHT = 0.105


class Pour(World):
    """A hand moves a jug of beads sideways and tilts it over a cup that holds about half of them.

    Command: speed sideways, 1 is 0.3 m/s, and of tilting, 1 is 2 rad/s towards the left. Body: place and tilt of
    the jug and their speeds. Skin: how hard the beads press on the jug's left wall, bottom and right wall.

    `filled` once there is somewhat more than half of what fits in; `spilled` when a bead is outside of both and below
    the cup's rim; `solved` while it is filled, nothing was spilled, and no bead is in the air.
    """

    name = "pour"
    action_size = 2
    proprio_size = 4
    touch_shape = (1, 3)
    skin = ("jug_left", "jug_bottom", "jug_right")
    timestep = 0.005
    max_steps = 60
    events = ("pouring", "wetted", "filled", "spilled", "solved")
    outcome_groups = {
        "liquid": ("in_jug", "in_cup", "spilled"),
        "body": ("jug_x", "jug_tilt"),
        "touch": ("touch_left", "touch_bottom", "touch_right"),
        "goal": ("cup_x", "missing"),
    }
    headline = ("liquid", "body", "touch")
    read_directly = {
        "body": ("proprio", lambda proprio: proprio[..., :2]),
        "touch": ("touch", lambda touch: np.log1p(np.maximum(touch[..., 0, :], 0) / 0.05)),
    }
    factor_ranges = {
        "cup_right": Factor(0, 1, integer=True),
        "cup_x": Factor(0.05, 0.2, held_out=(0.11, 0.14)),
        "cup_half": Factor(0.047, 0.057),
        "jug_gap": Factor(0.14, 0.26),
        "bead_mass": Factor(0.004, 0.01, held_out=(0.006, 0.0075)),
        "bead_viscosity": Factor(0.2, 1.5, held_out=(0.6, 0.9)),
        "liquid_hue": Factor(0, 3, integer=True),
        "liquid_shade": Factor(-0.1, 0.1),
        "cup_shade": Factor(-0.1, 0.1),
        **pusher.LOOK,
    }

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        side = sign_of(factors, "cup_right")
        factors["cup_middle"] = side * factors["cup_x"]
        factors["jug_x"] = side * (factors["cup_x"] - factors["jug_gap"])
        factors["disorder"] = float(rng.integers(2**31))

    def scene(self, factors: Mapping[str, float]) -> str:
        x, half = factors["cup_middle"], factors["cup_half"]
        glass = scene.rgb(tuple(c + factors["cup_shade"] for c in (0.55, 0.62, 0.72)))
        cup = "".join(
            slab(x + dx, GROUND + dy, wide, high, f'rgba="{glass} 1" condim="1"')
            for dx, dy, wide, high in (
                (0, WALL, half, WALL),
                (-half - WALL, CUP_HEIGHT / 2, WALL, CUP_HEIGHT / 2),
                (half + WALL, CUP_HEIGHT / 2, WALL, CUP_HEIGHT / 2),
            )
        )
        ground = slab(0, (GROUND - 0.45) / 2, 0.45, (GROUND + 0.45) / 2, 'condim="1"')
        actuator = """<velocity joint="jug_x" kv="60"/>
            <velocity joint="jug_tilt" kv="2"/>"""
        return board(factors, self.size, self.timestep, [cup, ground, _jug(factors), _beads(factors)], actuator)

    def loaded(self) -> None:
        self._walls = [self.model.geom(name).id for name in self.skin]
        self._jug = self.model.joint("jug_x").qposadr[0] + np.arange(2)
        self._speed = self.model.joint("jug_x").dofadr[0] + np.arange(2)
        first = self.model.body("bead0").id
        self._beads = first + np.arange(BEADS)

    def begin(self) -> None:
        rng = np.random.default_rng(int(self.factors["disorder"]))
        self.data.qpos[self.model.joint("bead0_x").qposadr[0] :] += rng.uniform(-5e-4, 5e-4, 2 * BEADS)
        for _ in range(4):
            self.advance()

    def act(self, action: np.ndarray) -> None:
        self.data.ctrl[:] = action * (SPEED, TURN)
        self.advance()

    def proprio(self) -> np.ndarray:
        return np.concatenate([self.jug_pose(), self.data.qvel[self._speed]])

    def touch(self) -> np.ndarray:
        return np.array([[self.contacts(wall)[1].sum() for wall in self._walls]])

    def jug_pose(self) -> np.ndarray:
        """Place in metres along x, and tilt in radians, positive towards the left."""
        x, tilt = self.data.qpos[self._jug]
        return np.array([x + self.factors["jug_x"], tilt])

    def beads(self) -> np.ndarray:
        """``(BEADS, 2)`` in metres."""
        return np.array(self.data.xpos[self._beads, :2])

    def shares(self) -> np.ndarray:
        """How many beads are in the jug, in the cup, and spilled, as shares of all; the rest are in the air."""
        beads, (x, tilt) = self.beads(), self.jug_pose()
        away = beads - (x, 0.0)
        across = away @ (np.cos(tilt), np.sin(tilt))
        up = away @ (-np.sin(tilt), np.cos(tilt))
        jug = (np.abs(across) < INNER + WALL) & (np.abs(up) < HEIGHT / 2 + RADIUS / 2)
        low = beads[:, 1] < GROUND + CUP_HEIGHT
        cup = ~jug & low & (np.abs(beads[:, 0] - self.factors["cup_middle"]) < self.factors["cup_half"])
        return np.array([jug.sum(), cup.sum(), (~jug & ~cup & low).sum()]) / BEADS

    def wanted(self) -> float:
        """Share of all beads from which the cup counts as filled."""
        room = 2 * self.factors["cup_half"] * (CUP_HEIGHT - 2 * WALL)
        return round(0.55 * room / (3.2 * RADIUS**2)) / BEADS

    def detect(self) -> dict[str, bool]:
        jug, cup, spilled = self.shares()
        filled, resting = bool(cup >= self.wanted() - 1e-9), jug + cup + spilled > 1 - 1e-9
        return {
            "pouring": not resting,
            "wetted": bool(cup > 0),
            "filled": filled,
            "spilled": bool(spilled > 0),
            "solved": bool(filled and spilled == 0 and resting),
        }

    def outcome(self) -> np.ndarray:
        shares = self.shares()
        pressed = np.log1p(self.touch()[0] / 0.05)
        missing = max(self.wanted() - shares[1], 0.0)
        return np.concatenate([shares, self.jug_pose(), pressed, [self.factors["cup_middle"], missing]])

    def explore(self, rng: np.random.Generator) -> Policy:
        """Pours more or less into the cup or beside it, or tilts and moves at random."""
        ways = (*[_pour(1.0)] * 4, _pour(0.4), _pour(3.0), _beside)
        return trying(rng, _about(self, rng), ways, first=0.1, unsteady=(0.0, 0.03, 0.1))


def _jug(factors: Mapping[str, float]) -> str:
    look = 'mass=".1" condim="1" rgba=".62 .5 .42 1"'
    walls = "".join(
        slab(x, y, wide, high, f'name="jug_{name}" {look}')
        for name, x, y, wide, high in (
            ("bottom", 0, WALL - HEIGHT / 2, INNER + 2 * WALL, WALL),
            ("left", -INNER - WALL, 0, WALL, HEIGHT / 2),
            ("right", INNER + WALL, 0, WALL, HEIGHT / 2),
        )
    )
    reach = 0.45 - 0.08
    return f"""
        <body name="jug" pos="{factors["jug_x"]} 0 0" gravcomp="1">
          <joint name="jug_x" type="slide" axis="1 0 0" limited="true" damping="1"
                 range="{-reach - factors["jug_x"]} {reach - factors["jug_x"]}"/>
          <joint name="jug_tilt" type="hinge" axis="0 0 1" limited="true" range="-126 126" damping=".02"
                 armature=".01"/>
          {walls}
        </body>"""


def _beads(factors: Mapping[str, float]) -> str:
    damping, mass = factors["bead_mass"] * factors["bead_viscosity"], factors["bead_mass"]
    colour = scene.COLOURS[int(factors["liquid_hue"])]
    bodies = []
    for bead in range(BEADS):
        row, place = divmod(bead, PER_ROW)
        x = factors["jug_x"] + (2 * place - PER_ROW + 1) * RADIUS * 1.01 + (0.003 if row % 2 else -0.003)
        y = 2 * WALL - HEIGHT / 2 + RADIUS * (1 + 2 * row)
        tint = scene.hue(colour, factors["liquid_shade"] + (0.12 if bead % 3 == 0 else 0.0))
        # Beads of one size would pack like a crystal, which does not flow.
        radius = RADIUS * (1.0 - 0.07 * (bead * 7 % 4))
        bodies.append(
            f'<body name="bead{bead}" pos="{x} {y} .03">'
            f'<joint name="bead{bead}_x" type="slide" axis="1 0 0" damping="{damping}"/>'
            f'<joint name="bead{bead}_y" type="slide" axis="0 1 0" damping="{damping}"/>'
            f'<geom type="sphere" size="{radius}" mass="{mass}" condim="1" rgba="{tint} 1"/></body>'
        )
    return "".join(bodies)


def _pour(amount: float) -> Way:
    """Over the cup, tilt until about `amount` of what is wanted is in it, and back."""

    def make(world: World, rng: np.random.Generator) -> Policy:
        assert isinstance(world, Pour)
        side = sign_of(world.factors, "cup_right")
        offset, sooner = float(rng.normal(0.145, 0.01)), float(rng.uniform(0.85, 1.1))
        speed = float(rng.uniform(0.3, 0.6))
        done = False

        def policy(world: World) -> np.ndarray:
            nonlocal done
            assert isinstance(world, Pour)
            x, tilt = world.jug_pose()
            away = world.factors["cup_middle"] - side * offset - x
            sideways = float(np.clip(away * 8, -1, 1))
            jug, cup, spilled = world.shares()
            falling = 1 - jug - cup - spilled
            done = done or bool(cup + falling >= sooner * amount * world.wanted())
            if done:
                return np.array([0.0 if abs(tilt) > 0.7 else sideways, np.clip(-4 * tilt, -1, 1)], np.float32)
            turning = -side * speed * (0.25 if falling > 0 else 1.0) if abs(away) < 0.03 else 0.0
            return np.array([sideways, turning], np.float32)

        return policy

    return make


def _beside(world: World, rng: np.random.Generator) -> Policy:
    """Tilts where it stands."""
    side = float(rng.choice([-1, 1]))

    def policy(world: World) -> np.ndarray:
        return np.array([0.0, side], np.float32)

    return policy


def _about(world: World, rng: np.random.Generator) -> Policy:
    """Sideways and tilted, each at a speed held for a while."""
    speed, left = np.zeros(2), 0

    def policy(world: World) -> np.ndarray:
        nonlocal speed, left
        assert isinstance(world, Pour)
        if left <= 0:
            # Mostly back upright, or everything would be poured out at once.
            speed = np.array([rng.uniform(-1, 1), np.clip(-2 * world.jug_pose()[1] + rng.normal(0, 0.5), -1, 1)])
            left = int(rng.integers(2, 10))
        left -= 1
        return speed.astype(np.float32)

    return policy


Pour.skills = {
    "fill": Skill(
        (
            "fill the cup without spilling",
            "pour until the cup is full and stop",
            "tilt the jug just long enough",
            "pour the right amount into the cup",
        ),
        _pour(1.0),
    ),
    "fill_a_little": Skill(
        ("pour a little into the cup", "tilt the jug only briefly", "pour a few drops", "fill the cup in part"),
        _pour(0.4),
    ),
    "overfill": Skill(
        (
            "pour until the cup runs over",
            "empty the jug into the cup",
            "tilt the jug all the way over the cup",
            "pour everything out",
        ),
        _pour(3.0),
    ),
    "pour_beside": Skill(
        ("tilt the jug where it is", "pour beside the cup", "spill it on the ground", "tip the jug right here"), _beside
    ),
}
