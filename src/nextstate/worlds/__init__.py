"""Forkable simulators. To add a world: one file beside these, one line in `WORLDS`; for an adapter of somebody else's
environment, one file in `adapters` and one line in `YARDSTICKS`."""

from __future__ import annotations

from collections.abc import Sequence

from nextstate.errors import UnknownNameError
from nextstate.worlds.adapters import YARDSTICKS
from nextstate.worlds.base import HELD_OUT_SEED, Branches, Factor, Policy, Skill, World
from nextstate.worlds.chain import Chain
from nextstate.worlds.collide import Collide
from nextstate.worlds.detour import Detour
from nextstate.worlds.drop import Drop
from nextstate.worlds.grasp import Grasp
from nextstate.worlds.occlude import Occlude
from nextstate.worlds.pour import Pour
from nextstate.worlds.push import Push
from nextstate.worlds.reach_behind import ReachBehind
from nextstate.worlds.remove import Remove
from nextstate.worlds.snapshot import Snapshot
from nextstate.worlds.spill import Spill

WORLDS: dict[str, type[World]] = {
    world.name: world
    for world in (Push, Grasp, Spill, Drop, Collide, Occlude, Detour, Remove, Chain, ReachBehind, Pour)
}


def world_class(name: str) -> type[World]:
    """The world or yardstick registered under `name`; raises `UnknownNameError`."""
    known = {**WORLDS, **YARDSTICKS}
    if name not in known:
        raise UnknownNameError("world", name, known)
    return known[name]


def make_world(name: str, size: int = 64, modalities: Sequence[str] | None = None) -> World:
    """The world registered under `name`; raises `UnknownNameError`, and `MissingExtraError` for a yardstick whose
    original is not installed."""
    return world_class(name)(size=size, modalities=modalities)


__all__ = [
    "HELD_OUT_SEED",
    "WORLDS",
    "YARDSTICKS",
    "Branches",
    "Factor",
    "Policy",
    "Skill",
    "Snapshot",
    "World",
    "make_world",
    "world_class",
]
