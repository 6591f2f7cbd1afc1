"""Who knows where everything is shows how `grasp` is brought to an outcome: one thing after another, with care.

Exploration hardly ever does what a goal asks, and lets go from any height. A guide that is to hold what it brings about
learns from whoever can: its own way is taken as far as it gets, and from there somebody who knows better goes on
(as in DAgger, Ross et al. 2011, https://arxiv.org/abs/1011.0686).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from nextstate.worlds.base import Policy
from nextstate.worlds.grasp_scene import SLOTS
from nextstate.worlds.grasp_skills import CARRY, CLOSE, HOLD, OPEN, Motion, Operator

if TYPE_CHECKING:
    from nextstate.worlds.grasp import Grasp

HOME = 0.012
"""Metres from where it is wanted at which a thing is left alone; well within what counts as reached."""

TRIES = 4
"""Times that something is taken up, before it is given up."""

CLOSING, FIRMLY = 6, 2
"""Steps in which fingers close, at most, and in which they close on after they have something."""

ALONGSIDE, LOW = 0.02, 0.002
"""Metres along the table up to which a thing is not raised to get there; over the table, where fingers open."""

IN_HAND = 0.045
"""Metres between the middle of what is held and the point between the pads, at most."""

PRESSED = 0.1
"""Outcome of touch above which a pad presses on something."""

CLEAR = 0.012
"""Metres above the lowest that a thing can lie, from which it lies on something or is held."""


def coach(wanted: np.ndarray, rng: np.random.Generator) -> Policy:
    """Brings objects, and then the hand, to an outcome ``(D,)`` of `grasp`."""
    speed, noise = float(rng.uniform(0.75, 1)), float(rng.choice([0.02, 0.1]))
    return Operator(rng, lambda operator: _bring(operator, wanted), speed, noise)


def _bring(operator: Operator, wanted: np.ndarray) -> Iterator[np.ndarray]:
    world, spots = operator.world, wanted[: 3 * SLOTS].reshape(SLOTS, 3)
    hand, opening = wanted[3 * SLOTS : 3 * SLOTS + 3], float(wanted[3 * SLOTS + 3])
    kept, tries = _kept(world, wanted, spots, hand), dict.fromkeys(world.present(), TRIES)
    while True:
        amiss = [s for s, left in tries.items() if left and np.linalg.norm(world.object_position(s) - spots[s]) > HOME]
        mine = kept & set(world.held())
        if amiss:
            slot = min(amiss, key=lambda s: (s in kept, s not in world.held(), spots[s][2]))
            tries[slot] -= 1
            yield from _take(operator, slot)
            if slot in world.held():
                yield from _carry(operator, slot, spots[slot], slot in kept)
        elif mine:
            yield from operator.go(_hand_for(world, slot := min(mine), spots[slot]), HOLD, within=0.0, patience=3)
        else:
            grip = OPEN if opening > world.opening() + 0.01 else CLOSE if opening < world.opening() - 0.01 else HOLD
            yield from operator.go(lambda: hand, grip, within=0.0, patience=3)


def _take(operator: Operator, slot: int) -> Motion:
    """Into the hand, unless it is there: fingers close until they have it."""
    if slot in operator.world.held():
        return
    yield from operator.grasp(slot, closing=0)
    for _ in range(CLOSING):
        yield from operator.squeeze(1)
        if slot in operator.world.held():
            break
    yield from operator.squeeze(FIRMLY)


def _hand_for(world: Grasp, slot: int, spot: np.ndarray) -> Callable[[], np.ndarray]:
    """Where the hand has to be for what it holds to be at `spot` ``(3,)``."""
    return lambda: spot - world.object_position(slot) + world.hand_position()


def _kept(world: Grasp, wanted: np.ndarray, spots: np.ndarray, hand: np.ndarray) -> set[int]:
    """What is to be in the hand, or falling, in the end."""
    first = 3 * SLOTS + 4
    pressed = bool((wanted[first : first + 2] > PRESSED).all())
    kept = set()
    for slot in world.present():
        size = world.factors[f"object{slot}_size"]
        below = [
            spots[s][2] + world.factors[f"object{s}_size"]
            for s in world.present()
            if s != slot and np.linalg.norm(spots[s][:2] - spots[slot][:2]) < 2 * size and spots[s][2] < spots[slot][2]
        ]
        aloft = spots[slot][2] - size - max([0.0, *below]) > CLEAR
        if aloft or (pressed and np.linalg.norm(spots[slot] - hand) < IN_HAND):
            kept.add(slot)
    return kept


def _carry(operator: Operator, slot: int, spot: np.ndarray, kept: bool) -> Motion:
    """What is in the hand, there: held on to, or set down before the fingers open."""
    world, here, now = operator.world, operator.world.hand_position(), operator.world.object_position(slot)
    high = max(spot[2], min(CARRY, _tallest(world, slot) + 2 * world.factors[f"object{slot}_size"] + 0.02))
    if np.linalg.norm((spot - now)[:2]) > ALONGSIDE:
        if high > now[2] + HOME:
            yield from operator.go(lambda: here + np.array([0, 0, high - now[2]]), HOLD, within=0.02, patience=6)
        yield from operator.go(_hand_for(world, slot, np.append(spot[:2], high)), HOLD, within=0.012)
    low = spot + np.array([0, 0, 0 if kept else LOW])
    yield from operator.go(_hand_for(world, slot, low), HOLD, within=0.005, patience=12)
    if not kept:
        yield from operator.squeeze(1, HOLD)
        yield from operator.squeeze(4, OPEN)
        yield from operator.rise(min(CARRY, high + 0.03), OPEN)


def _tallest(world: Grasp, slot: int) -> float:
    """Height of the highest other thing, metres."""
    return max(
        (world.object_position(s)[2] + world.factors[f"object{s}_size"] for s in world.present() if s != slot),
        default=0.0,
    )
