"""The chain of thought of a planner: imagined branches as a tree, each with what it would look and feel like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from nextstate.models.protocol import Beliefs, WorldModel

ROOT = 0
"""Number of the thought that is the present."""

KEPT, CROWDED, IMPLAUSIBLE, CHOSEN = "kept", "crowded out", "implausible", "chosen"
"""What became of a thought."""


@dataclass
class Thought:
    """A stretch of imagined future that follows another.

    Args:
        number, parent: of this thought, and of the one it goes on from; the root has none.
        depth: thoughts from the root to here.
        commands: by step, ``(S, A)``; empty for the root.
        cost: at its end. path: mean cost of all steps from the root to its end.
        confidence: from 0 to 1, how little its cost depends on a slight change of the commands.
        fate: `KEPT`, `CROWDED`, `IMPLAUSIBLE` or `CHOSEN`.
        states: modality -> ``(S, *shape)``, what it looks and feels like; filled by `illustrate` for those shown.
        events: name -> ``(S,)`` probabilities.
    """

    number: int
    parent: int | None
    depth: int
    commands: np.ndarray
    cost: float
    path: float
    confidence: float = 1.0
    fate: str = KEPT
    states: Mapping[str, np.ndarray] = field(default_factory=dict)
    events: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass
class ThoughtTree:
    """All thoughts of one decision; a thought's number is its place in the list."""

    thoughts: list[Thought] = field(default_factory=list)

    def add(self, parent: int | None, commands: np.ndarray, cost: float, path: float, **more: Any) -> Thought:
        """A new thought after `parent`."""
        depth = 0 if parent is None else self.thoughts[parent].depth + 1
        thought = Thought(len(self.thoughts), parent, depth, commands, cost, path, **more)
        self.thoughts.append(thought)
        return thought

    def line(self, number: int) -> list[Thought]:
        """From the thought after the root to this one."""
        found: list[Thought] = []
        at: int | None = number
        while at is not None and at != ROOT:
            found.append(self.thoughts[at])
            at = self.thoughts[at].parent
        return found[::-1]

    def commands(self, number: int, size: int) -> np.ndarray:
        """Commands ``(steps, A)`` that lead from the root to the end of a thought."""
        line = [thought.commands for thought in self.line(number)]
        return np.concatenate(line) if line else np.zeros((0, size), np.float32)

    def choose(self, number: int) -> None:
        """Marks the line that ends here as chosen."""
        for thought in self.line(number):
            thought.fate = CHOSEN

    def children(self, number: int) -> Sequence[Thought]:
        return [thought for thought in self.thoughts if thought.parent == number]

    def shown(self, most: int = 60) -> list[Thought]:
        """What is worth looking at: all but what was crowded out, the chosen line first, at most so many."""
        order = {CHOSEN: 0, KEPT: 1, IMPLAUSIBLE: 2}
        able = [thought for thought in self.thoughts[1:] if thought.fate in order]
        return sorted(able, key=lambda thought: (order[thought.fate], thought.cost))[:most]

    @property
    def chosen(self) -> list[Thought]:
        """The chosen line, nearest first."""
        return [thought for thought in self.thoughts if thought.fate == CHOSEN]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without pictures."""
        return {
            "thoughts": [
                {
                    "number": thought.number,
                    "parent": thought.parent,
                    "depth": thought.depth,
                    "commands": np.round(thought.commands, 4).tolist(),
                    "cost": round(float(thought.cost), 6),
                    "path": round(float(thought.path), 6),
                    "confidence": round(float(thought.confidence), 4),
                    "fate": thought.fate,
                    "events": {name: np.round(values, 3).tolist() for name, values in thought.events.items()},
                }
                for thought in self.thoughts
            ]
        }


def illustrate(
    tree: ThoughtTree,
    model: WorldModel,
    belief: Beliefs,
    modalities: Sequence[str],
    events: Callable[[Beliefs, Mapping[str, torch.Tensor]], Mapping[str, np.ndarray]] | None = None,
    most: int = 60,
) -> None:
    """Fills in what the thoughts worth showing look and feel like, imagined anew from the root.

    Args:
        belief: at the root, a batch of one. modalities: to decode.
        events: probabilities ``(1, S)`` by name out of beliefs ``(1, S, ...)`` and their states ``(1, S, *shape)``.
    """
    size = model.spec.action_size
    with torch.no_grad():
        for thought in tree.shown(most):
            commands = tree.commands(thought.number, size)
            span = model.imagine(belief, torch.from_numpy(commands)[None])
            first = len(commands) - len(thought.commands)
            span = span.steps(range(first, len(commands)))
            states = model.decode(span, modalities)
            thought.states = {name: values[0].cpu().numpy() for name, values in states.items()}
            if events is not None:
                thought.events = {name: values[0] for name, values in events(span, states).items()}
