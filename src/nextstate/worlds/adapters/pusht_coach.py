"""Who knows where disc and T are, and can try pushes in a simulator of their own, shows how they are brought somewhere.

Which push turns and shifts the T as is needed is told by a table of pushes from all sides. Some, one after another, are
tried in a second simulator, the best plan is varied a little, and its beginning is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nextstate.worlds.base import Policy

if TYPE_CHECKING:
    from nextstate.worlds.adapters.pusht import PushT
    from nextstate.worlds.base import World

Command = tuple[float, float]
Motion = Iterator[Command]

EVERY, HORIZON = 10, 40
"""Steps after which one thinks again, and that one thinks ahead at most."""

TRIED = [(0, 0), *((count, rank) for rank in range(6) for count in (1, 2, 3))]
"""Plans that are tried: how many pushes they have, and how many would be better than the first."""

VARIED = 15
"""Variations of the best, one after another."""

GOOD = 0.35
"""Cost (`_cost`) at which nobody looks for anything better."""

HASTE, GAIN = 0.05, 1.6
"""Cost of a step, and how much farther than one wants to get one reaches: the disc follows slowly."""

DIRECTIONS, BESIDES, AHEAD = 24, (-48.0, -32.0, -16.0, 0.0, 16.0, 32.0, 48.0), 0.75
"""In which the T can be pushed, pixels beside its middle, and cosine between a line and what it meets, at least."""

TURN = 57.0
"""Pixels that count as much as turning the T by a radian: what is allowed of both is 20 pixels and 20 degrees."""

WAY, SHORTEST = 0.12, 3.0
"""Pixels of error that a pixel of the way to where a push begins counts as, and of a push, at least."""

BEFORE, FAR, TRIAL = 24.0, 160.0, 20.0
"""Pixels before the T at which a push begins, within which everything of it lies, and for which it is tried."""

QUICK, FIRM = 0.9, 0.7
"""Greatest command on a way, and of a push."""

BESIDE, CLOSE = 105.0, 20.0
"""Pixels from the T's middle at which one goes round it, and from the end of a way within which it may be touched."""

RADIUS, EDGE, SIDE = 15.0, 16.0, 512.0
"""Of the disc, pixels from the border within which it stays, and from one border to the other."""

LONGEST = 15
"""Steps of a way to a push, or of a push, at most."""


class Fork:
    """A second simulator of an adapter's physics, which can be put wherever the first one is, and draws nothing.

    Contacts that a space keeps from one step to the next are not taken along, so it foresees and does not repeat.
    """

    def __init__(self, original: Any, reach: float) -> None:
        # Nobody asks for contacts here, and counting them takes a seventh of the time.
        original._handle_collision = lambda *_: None
        original.reset(seed=0)
        self.original, self.reach = original, reach
        self.disc, self.block, self.shapes = original.agent, original.block, list(original.block.shapes)
        self.ticks = int(1 / (original.dt * original.control_hz))
        self.strokes = Strokes.of(self)

    @staticmethod
    def state(original: Any) -> tuple[Any, ...]:
        """Where disc and T of any original are and how they move, as `put` takes it."""
        disc, block = original.agent, original.block
        return (
            tuple(disc.position), tuple(disc.velocity), block.angle, tuple(block.position), tuple(block.velocity),
            block.angular_velocity,
        )  # fmt: skip

    def put(self, state: tuple[Any, ...]) -> None:
        """There they are now."""
        # Of a body that is turned, pymunk keeps its middle in place and not its position, so that comes second.
        self.disc.position, self.disc.velocity, self.block.angle, self.block.position = state[:4]
        self.block.velocity, self.block.angular_velocity = state[4:]
        # Shapes follow their body at the next step only.
        self.original.space.reindex_shapes_for_body(self.block)

    def step(self, command: Command) -> None:
        """As the original, from which no picture is asked."""
        disc, original = self.disc, self.original
        (x, y), (dx, dy) = disc.position, command
        x, y, dt = x + self.reach * dx, y + self.reach * dy, original.dt
        for _ in range(self.ticks):
            (px, py), (vx, vy) = disc.position, disc.velocity
            disc.velocity = (
                vx + (original.k_p * (x - px) - original.k_v * vx) * dt,
                vy + (original.k_p * (y - py) - original.k_v * vy) * dt,
            )
            original.space.step(dt)

    @property
    def middle(self) -> Command:
        """Of the T's mass."""
        x, y = self.block.local_to_world(self.block.center_of_gravity)
        return x, y

    def first_hit(self, first: Command, last: Command) -> Any | None:
        """What pymunk says of where a disc on its way touches the T, if it does."""
        found = [hit for shape in self.shapes if (hit := shape.segment_query(first, last, RADIUS)) and hit.shape]
        return min(found, key=lambda hit: hit.alpha, default=None)

    def inside(self, command: Command) -> Command:
        """The nearest command in [-1, 1] that keeps the disc off the border."""
        near, far = EDGE, SIDE - EDGE
        x, y = self.disc.position
        gone = (min(max(p + self.reach * c, near), far) - p for p, c in zip((x, y), command, strict=True))
        dx, dy = (min(max(g / self.reach, -1.0), 1.0) for g in gone)
        return dx, dy


@dataclass(frozen=True)
class Plan:
    """Commands, and the cost where they end."""

    cost: float
    commands: list[Command]


@dataclass(frozen=True)
class Push:
    """From `start` so many pixels along a `line` of length 1."""

    start: Command
    line: Command
    length: float


@dataclass(frozen=True)
class Strokes:
    """Lines along which a disc can push, as seen from the T: origin and axes are those of its body.

    A T that rests as soon as nothing pushes it goes on as it began.

    Args:
        start: ``(N, 2)``, `BEFORE` pixels before the T is touched. line: ``(N, 2)``, of length 1.
        shift: ``(N, 3)``, how far the T is shifted, and turned (`TURN`), by a pixel along the line.
    """

    start: np.ndarray
    line: np.ndarray
    shift: np.ndarray

    @staticmethod
    def of(fork: Fork) -> Strokes:
        """On all sides of the T; what comes of each is tried."""
        middle = (SIDE / 2, SIDE / 2)
        found = []
        for angle in np.linspace(0, 2 * math.pi, DIRECTIONS, endpoint=False):
            for beside in BESIDES:
                fork.put(((0.0, 0.0), (0.0, 0.0), 0.0, middle, (0.0, 0.0), 0.0))
                dx, dy = math.cos(angle), math.sin(angle)
                x, y = fork.middle[0] - beside * dy, fork.middle[1] + beside * dx
                hit = fork.first_hit((x - FAR * dx, y - FAR * dy), (x + FAR * dx, y + FAR * dy))
                if hit is None or -hit.normal[0] * dx - hit.normal[1] * dy < AHEAD:
                    continue
                gone = (2 * hit.alpha - 1) * FAR - BEFORE
                start = (x + gone * dx, y + gone * dy)
                fork.put((start, (0.0, 0.0), 0.0, middle, (0.0, 0.0), 0.0))
                while (pushed := math.dist(fork.disc.position, start) - BEFORE) < TRIAL:
                    fork.step((0.3 * dx, 0.3 * dy))
                moved = [b - a for a, b in zip(middle, fork.block.position, strict=True)]
                shift = [value / pushed for value in (*moved, TURN * fork.block.angle)]
                found.append(([a - b for a, b in zip(start, middle, strict=True)], (dx, dy), shift))
        return Strokes(*(np.array(part) for part in zip(*found, strict=True)))


def coach(fork: Fork, wanted: np.ndarray, rng: np.random.Generator) -> Policy:
    """Brings the T, and then the disc, to an outcome.

    Args:
        fork: where pushes are tried; it may serve others too, since it is put there anew for each.
        wanted: ``(5,)``, outcome of `PushT`: disc and T in pixels, the T's angle in radians.
        rng: of variations.
    """
    goal = tuple(float(value) for value in wanted)
    plan: list[Command] = []
    left = 0

    def policy(world: World) -> np.ndarray:
        nonlocal plan, left
        if left == 0 or (not plan and world.miss(world.outcome(), wanted) > 1):
            plan, left = _think(fork, Fork.state(cast("PushT", world).original), goal, plan, rng).commands, EVERY
        command, plan = (plan[0], plan[1:]) if plan else ((0.0, 0.0), [])
        left -= 1
        return np.asarray(command, np.float32)

    return policy


def _think(
    fork: Fork, state: tuple[Any, ...], goal: tuple[float, ...], before: list[Command], rng: np.random.Generator
) -> Plan:
    """The best plan that is found, what was planned before among them."""
    best = _tried(fork, state, goal, before)
    for count, rank in TRIED:
        if best.cost < GOOD:
            return best
        best = min(best, _tried(fork, state, goal, _pushes(fork, goal, count, rank)), key=lambda plan: plan.cost)
    for round_ in range(VARIED):
        steps = len(best.commands)
        if best.cost < GOOD or not steps:
            break
        shifts = np.repeat(rng.normal(0, 0.25 / (1 + round_ / 12), (-(-steps // 4), 2)), 4, axis=0)[:steps]
        varied = np.clip(np.array(best.commands) + shifts, -1, 1).tolist()
        best = min(best, _tried(fork, state, goal, varied), key=lambda plan: plan.cost)
    return best


def _tried(fork: Fork, state: tuple[Any, ...], goal: tuple[float, ...], motion: Iterable[Command]) -> Plan:
    """What comes of commands, or of somebody who decides on them on the way, up to the best moment."""
    fork.put(state)
    best, done = Plan(_cost(fork, goal), []), []
    for step, command in zip(range(HORIZON), motion, strict=False):
        x, y = fork.inside((command[0], command[1]))
        done.append((x, y))
        fork.step((x, y))
        cost = _cost(fork, goal) + HASTE * step
        if cost < best.cost:
            best = Plan(cost, done[:])
    return best


def _cost(fork: Fork, goal: tuple[float, ...]) -> float:
    """Like the original's success, but in how far both are off together: 20 pixels, and 20 degrees, are 1 each."""
    (x, y), (bx, by), turn = fork.disc.position, fork.block.position, _turn(goal[4] - fork.block.angle)
    return math.dist((x, y, bx, by), goal[:4]) / 20 + abs(turn) * TURN / 20


def _turn(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _needed(fork: Fork, goal: tuple[float, ...]) -> tuple[float, float, float]:
    """How the T is to be shifted, and turned, in pixels."""
    x, y = fork.block.position
    return goal[2] - x, goal[3] - y, TURN * _turn(goal[4] - fork.block.angle)


def _pushes(fork: Fork, goal: tuple[float, ...], count: int, rank: int) -> Motion:
    """So many pushes that bring the T nearer, first the best but so many, and then the disc home."""
    for number in range(count):
        push = _chosen(fork, _needed(fork, goal), rank if number == 0 else 0)
        if push is None:
            break
        for _ in range(LONGEST):
            if math.dist(fork.disc.position, push.start) < BEFORE / 2:
                break
            yield _toward(fork, push.start, QUICK)
        yield from _along(fork, push, goal)
    while True:
        yield _toward(fork, (goal[0], goal[1]), QUICK)


def _along(fork: Fork, push: Push, goal: tuple[float, ...]) -> Motion:
    """A push, as long as it brings the T nearer; and a little back."""
    (dx, dy), lowest = push.line, math.inf
    for _ in range(LONGEST):
        x, y = fork.disc.position[0] - push.start[0], fork.disc.position[1] - push.start[1]
        left, aside = push.length + BEFORE - (x * dx + y * dy), y * dx - x * dy
        off = math.hypot(*_needed(fork, goal))
        if left < 2 or off > lowest + 4:
            break
        lowest = min(lowest, off)
        pace = min(FIRM, (left + 6) / 60)
        yield pace * dx + dy * aside / fork.reach, pace * dy - dx * aside / fork.reach
    yield -0.3 * dx, -0.3 * dy


def _chosen(fork: Fork, needed: tuple[float, float, float], rank: int) -> Push | None:
    """Of all strokes the one that would leave least to do, or one that is less good; none if no other would help."""
    strokes, angle = fork.strokes, fork.block.angle
    turned = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    asked = np.append(turned.T @ needed[:2], needed[2])
    length = strokes.shift @ asked / np.square(strokes.shift).sum(axis=1)
    rest = np.linalg.norm(asked - length[:, None] * strokes.shift, axis=1)
    start = np.array(fork.block.position) + strokes.start @ turned.T
    way = np.linalg.norm(start - np.array(fork.disc.position), axis=1)
    usable = (length > SHORTEST) & ((start > EDGE) & (start < SIDE - EDGE)).all(axis=1)
    if rank >= usable.sum():
        return None
    best = np.argsort(np.where(usable, rest + WAY * way, np.inf), kind="stable")[rank]
    (x, y), (dx, dy) = start[best], turned @ strokes.line[best]
    return Push((float(x), float(y)), (float(dx), float(dy)), float(length[best]))


def _toward(fork: Fork, there: Command, speed: float) -> Command:
    """A command to there, round the T where it is in the way."""
    disc, (mx, my) = fork.disc.position, fork.middle
    dx, dy = there[0] - disc[0], there[1] - disc[1]
    far = math.hypot(dx, dy)
    hit = fork.first_hit(tuple(disc), there) if far > CLOSE else None
    if hit is None or (1 - hit.alpha) * far < CLOSE:
        pace = min(speed, GAIN * far / fork.reach)
        return pace * dx / max(far, 1e-6), pace * dy / max(far, 1e-6)
    x, y = disc[0] - mx, disc[1] - my
    away = max(math.hypot(x, y), 1e-6)
    side = 1.0 if x * (there[1] - my) - y * (there[0] - mx) > 0 else -1.0
    out = (BESIDE - away) / 30
    wx, wy = (x * out - side * y) / away, (y * out + side * x) / away
    pace = min(0.7, speed) / math.hypot(wx, wy)
    return pace * wx, pace * wy
