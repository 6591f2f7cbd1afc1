"""Under what policies that follow words are tried: as they learned, or with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nextstate.worlds.paraphrases import paraphrases
from nextstate.worlds.push import DIRECTIONS

Reword = Callable[[str, str, np.random.Generator], str]
"""From a world's and a skill's name, and something to choose by, to an instruction that was never heard."""

NAMES = ("block", "piece", "puck", "item")
"""What things of `push` are never called in recordings."""


@dataclass(frozen=True)
class Condition:
    """What differs from what was learned.

    Args:
        about: for people. shift: of the world, see `acting.shifts`. reword: how skills are asked for.
        silent: whether what is asked for was seen in silent video alone. physical: whether it is physics that differs.
        worlds: in which it can be; in all where none is named.
    """

    about: str
    shift: str = ""
    reword: Reword | None = None
    silent: bool = False
    physical: bool = False
    worlds: tuple[str, ...] = ()

    def possible(self, world: str) -> bool:
        """Whether it can be tried in that world."""
        return not self.worlds or world in self.worlds


def rephrased(world: str, skill: str, rng: np.random.Generator) -> str:
    """The same in other words."""
    return _one(paraphrases(world)[skill].held_out, rng)


def renamed(world: str, skill: str, rng: np.random.Generator) -> str:
    """The same, things being called by other names; outside `push`, and things being done by other verbs."""
    if world != "push":
        return _one(paraphrases(world)[skill].unheard, rng)
    _, colour, direction = skill.split("_")
    return f"push the {colour} {_one(NAMES, rng)} {DIRECTIONS[direction][1]}"


def _one(texts: Sequence[str], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]


CONDITIONS: dict[str, Condition] = {
    "usual": Condition("new layouts, words as they were learned"),
    "rephrased": Condition("asked for in other words", reword=rephrased),
    "renamed": Condition("things called by new names", reword=renamed),
    "crowded": Condition("a thing of a new colour stands about", shift="crowded", worlds=("push",)),
    "camera": Condition("the camera is 4 cm aside", shift="camera"),
    "heavy": Condition("all masses doubled", shift="physical", physical=True),
    "slippery": Condition("40 % of the friction", shift="slippery", physical=True),
    "silent": Condition("seen in silent video alone", silent=True),
}
"""Name -> what differs."""
