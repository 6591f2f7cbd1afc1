"""Puzzles: worlds in which going straight for what is wanted fails, and what solving them means.

A cost is a sum of outcomes and probabilities of events, the same for every planner. It says what is wanted, not how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextstate.evaluation.readout import Readout
from nextstate.planning.goals import names_of, read
from nextstate.planning.problem import Future
from nextstate.worlds import WORLDS
from nextstate.worlds.base import HELD_OUT_SEED, World

SCENES = 900_000_000
"""Scenes of puzzles begin here, counted from the held-out seeds."""

HELD = 10
"""Control steps for which a puzzle must stay solved; one that is solved later has to be so at the very end."""


@dataclass(frozen=True)
class Puzzle:
    """One puzzle in one world, whose event ``solved`` says that it is solved.

    Args:
        world: name in the registry.
        wanted: outcome, else event -> weight in the cost, positive for what there should be less of.
        near: pairs of places (outcomes ending in ``_x`` and ``_y``): the nearest pair counts with weight `nearness`.
        places: outcomes that tell apart where things are.
        over: events after which the puzzle cannot be solved any more.
        steps: that an actor has. horizon: steps looked ahead. block: steps for which a command is held.
        every: steps acted before thinking again.
        tree, flat: settings of the planners, chosen on development tasks.
    """

    world: str
    wanted: Mapping[str, float]
    places: Sequence[str]
    near: Sequence[tuple[str, str]] = ()
    nearness: float = 0.0
    over: Sequence[str] = ()
    steps: int = 60
    horizon: int = 48
    block: int = 4
    every: int = 12
    tree: Mapping[str, Any] = field(default_factory=dict)
    flat: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> type[World]:
        return WORLDS[self.world]


PUZZLES: dict[str, Puzzle] = {
    puzzle.world: puzzle
    for puzzle in (
        Puzzle(
            "detour",
            {"missing": 5.0, "solved": -0.5},
            ("object_x", "object_y", "pusher_x-object_x", "pusher_y-object_y", "goal_x", "goal_y", "way_x"),
            near=(("object", "pusher"),),
            nearness=0.5,
            steps=80,
        ),
        Puzzle(
            "remove",
            {"missing": 10.0, "toppled": 2.0, "solved": -1.0},
            ("left_x", "right_x", "plank_turn", "load_x", "pusher_x", "pusher_y"),
            near=(("left", "pusher"), ("right", "pusher")),
            nearness=0.5,
            over=("toppled",),
            flat={"horizon": 48},
        ),
        Puzzle(
            "chain",
            {"missing": 2.0, "lost": 1.0, "solved": -1.0},
            ("ball_x", "ball_y", "bolt_left", "bolt_right", "gate_x", "pusher_x", "pusher_y"),
            over=("lost",),
        ),
        Puzzle(
            "reach_behind",
            {"missing": 5.0, "solved": -0.5},
            ("target_x", "target_y", "pusher_x", "pusher_y"),
        ),
        Puzzle(
            "pour",
            {"missing": 4.0, "spilled": 20.0, "solved": -1.0},
            ("in_jug", "in_cup", "spilled", "jug_x", "jug_tilt", "cup_x"),
            over=("spilled",),
            horizon=36,
        ),
    )
}


@dataclass(frozen=True)
class Wanted:
    """What a puzzle's futures cost, ``(N, H)``.

    Args:
        readout: reads outcomes and events out of what a model imagines; the simulator needs none.
    """

    puzzle: Puzzle
    readout: Readout | None = None

    def __call__(self, future: Future) -> Tensor:
        found = read(self.readout, future)
        return torch.from_numpy(self.of(found.outcomes, found.events)).float()

    def of(self, outcomes: np.ndarray, events: np.ndarray) -> np.ndarray:
        """What is the case ``(..., D)``, ``(..., E)`` to what it costs ``(...)``."""
        world, names = self.puzzle.kind, names_of(self.puzzle.kind)
        total = np.zeros(outcomes.shape[:-1])
        for name, weight in self.puzzle.wanted.items():
            total += weight * (
                outcomes[..., names.index(name)] if name in names else events[..., world.events.index(name)]
            )
        if self.puzzle.near:
            gaps = [_place(outcomes, names, a) - _place(outcomes, names, b) for a, b in self.puzzle.near]
            total += self.puzzle.nearness * np.min([np.linalg.norm(gap, axis=-1) for gap in gaps], axis=0)
        return total


def _place(outcomes: np.ndarray, names: Sequence[str], thing: str) -> np.ndarray:
    return outcomes[..., [names.index(f"{thing}_{axis}") for axis in "xy"]]


def scene_of(seed: int, number: int) -> int:
    """Scene of a task: sets from 100 on are for choosing settings, those below for results."""
    return HELD_OUT_SEED + SCENES + 100_000 * seed + number
