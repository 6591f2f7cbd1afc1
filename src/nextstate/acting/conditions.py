"""Under what policies that follow words are tried: as they learned, or with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nextstate.worlds.push import DIRECTIONS

Reword = Callable[[str, np.random.Generator], str]
"""From a skill's name, and something to choose by, to an instruction that was never heard."""

PHRASES = (
    "give the {colour} object a push {way}",
    "please slide the {colour} object {way}",
    "I want the {colour} thing moved {way}",
)
"""Ways to ask that recordings do not hold."""

NAMES = ("block", "piece", "puck", "item")
"""What things are never called in recordings."""


@dataclass(frozen=True)
class Condition:
    """What differs from what was learned.

    Args:
        about: for people. shift: of the world, see `acting.shifts`. reword: how skills are asked for.
        silent: whether what is asked for was seen in silent video alone. physical: whether it is physics that differs.
    """

    about: str
    shift: str = ""
    reword: Reword | None = None
    silent: bool = False
    physical: bool = False


def rephrased(skill: str, rng: np.random.Generator) -> str:
    """The same in other words."""
    return _said(PHRASES[int(rng.integers(len(PHRASES)))], skill)


def renamed(skill: str, rng: np.random.Generator) -> str:
    """The same, things being called by other names."""
    return _said(f"push the {{colour}} {NAMES[int(rng.integers(len(NAMES)))]} {{way}}", skill)


def _said(text: str, skill: str) -> str:
    _, colour, direction = skill.split("_")
    return text.format(colour=colour, way=DIRECTIONS[direction][1])


CONDITIONS: dict[str, Condition] = {
    "usual": Condition("new layouts, words as they were learned"),
    "rephrased": Condition("asked for in other words", reword=rephrased),
    "renamed": Condition("things called by new names", reword=renamed),
    "crowded": Condition("a thing of a new colour stands about", shift="crowded"),
    "camera": Condition("the camera is 4 cm aside", shift="camera"),
    "heavy": Condition("all masses doubled", shift="physical", physical=True),
    "slippery": Condition("40 % of the friction", shift="slippery", physical=True),
    "silent": Condition("seen in silent video alone", silent=True),
}
"""Name -> what differs."""
