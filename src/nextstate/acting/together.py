"""Many trials side by side: whoever decides from what is seen now alone may decide for many worlds at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch

from nextstate.acting.instructions import Followed, Instructed
from nextstate.acting.lesions import blanked, without_language
from nextstate.evaluation.named import Witness
from nextstate.imagination.saying import acted_out
from nextstate.models.director import Director
from nextstate.models.language import Cloner, Vla
from nextstate.models.world_model import StateModel
from nextstate.planning.costs import look
from nextstate.policies.following import SPREAD, Following
from nextstate.policies.heeding import Heeding, decoded, told
from nextstate.policies.inverse import Inverse
from nextstate.worlds import World

SIDE_BY_SIDE = 25
"""Worlds at once."""


class Team(Protocol):
    """Decides for several tasks."""

    modalities: tuple[str, ...]

    def decide(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Commands ``(N, S, A)`` from what is sensed now, ``(N, *shape)``."""
        ...


Muster = Callable[[Sequence[Instructed]], Team]
"""Makes a team for some tasks."""


class Rivals:
    """A rival, or plain cloning, on several tasks; the same as `Following` on each of them."""

    def __init__(self, model: Vla | Cloner, tasks: Sequence[Instructed]) -> None:
        self.model, self.modalities = model, tuple(model.spec.modalities)
        words = [Following(model, task.instruction).words for task in tasks]
        self.words = torch.cat(words)

    @torch.no_grad()
    def decide(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        states = {n: torch.from_numpy(seen[n]) for n in self.modalities}
        with self.model.precision():
            commands = self.model.draw({**states, "words": self.words}, torch.Generator(), SPREAD)
        return np.asarray(commands.float().numpy())


class Heeders:
    """A head on several tasks; the same as `Looking` on each of them."""

    def __init__(
        self, eye: StateModel, head: Heeding, tasks: Sequence[Instructed], inverse: Inverse | None = None
    ) -> None:
        self.eye, self.head, self.inverse = eye, head, inverse
        self.modalities = tuple(eye.spec.modalities)
        self.words = torch.from_numpy(np.stack([told(task.instruction) for task in tasks]))

    @torch.no_grad()
    def decide(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        found = look(self.eye, {n: torch.from_numpy(seen[n]) for n in self.modalities})
        known = self.head.known({n: v.float() for n, v in found.items()})
        commands, ahead = self.head.draw(known, self.words, torch.Generator(), 0.0)
        if self.inverse is not None:
            assert ahead is not None
            commands, _ = decoded(self.inverse, known, ahead)
        assert commands is not None
        return np.asarray(commands.clamp(-1, 1).float().numpy())


class Directors:
    """A director on several tasks; the same as `Looking` by `directing` on each of them.

    Args:
        every: commands that it gives of each look.
    """

    def __init__(self, eye: StateModel, director: Director, tasks: Sequence[Instructed], every: int) -> None:
        self.eye, self.director, self.every = eye, director, every
        self.modalities = tuple(eye.spec.modalities)
        self.said = director.hear([director.listen(task.instruction) for task in tasks])

    @torch.no_grad()
    def decide(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        found = look(self.eye, {n: torch.from_numpy(seen[n]) for n in self.modalities})
        now, memory = {n: found[n].float() for n in self.eye.state}, self.eye.blank(len(self.said))
        _, _, commands = acted_out(self.eye, self.director, now, memory, self.said, self.every)
        return np.asarray(torch.stack(commands, dim=1).clamp(-1, 1).numpy())


class Lesioned:
    """A team without something: see `acting.lesions`."""

    def __init__(self, team: Any, lesion: str) -> None:
        self.team, self.lesion, self.modalities = team, lesion, team.modalities

    def decide(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        if self.lesion == "vision":
            seen = blanked(seen)
        with without_language(self.team.model) if self.lesion == "language" else nullcontext():
            commands: np.ndarray = self.team.decide(seen)
            return commands


def follow_together(
    worlds: Sequence[World], team: Team, tasks: Sequence[Instructed], steps: int, every: int
) -> list[Followed]:
    """Trials of all tasks, each in a world of its own; a world that fails ends its own trial alone."""
    for world, task in zip(worlds, tasks, strict=True):
        world.restore(task.snapshot)
    found = [Followed([], []) for _ in tasks]
    witnesses = [Witness(world, task.skill) for world, task in zip(worlds, tasks, strict=True)]
    left: list[np.ndarray] = []
    for _ in range(steps):
        if not left:
            seen = [world.observe(team.modalities) for world in worlds]
            stacked = {n: np.stack([one[n] for one in seen]) for n in team.modalities}
            left = list(team.decide(stacked)[:, :every].swapaxes(0, 1))
        commands = left.pop(0)
        for place, world in enumerate(worlds):
            if found[place].died:
                continue
            try:
                world.advance_action(commands[place])
                found[place].done.append(witnesses[place].look())
            except Exception as error:  # One broken episode is a failure of that episode, not of the study.
                found[place] = Followed(found[place].done, [], f"{type(error).__name__}: {error}")
    return found
