"""Environments of stable-worldmodel 0.1.1, without the rest of it."""

from __future__ import annotations

from types import ModuleType

from nextstate.worlds.adapters.outside import part_of

EXTRA = "yardsticks"

BESIDES = "pip install --no-deps stable-worldmodel==0.1.1"
"""It asks for far more than its environments need, and for a torch that is not ours."""


def environments(module: str) -> ModuleType:
    """A module of its ``envs``; raises `MissingExtraError`."""
    part_of("stable_worldmodel.utils", EXTRA, BESIDES)
    return part_of(f"stable_worldmodel.envs.{module}", EXTRA, BESIDES)
