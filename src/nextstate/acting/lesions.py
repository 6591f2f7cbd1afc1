"""Taking one owner away from a policy, and measuring what is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from nextstate.modalities import MODALITIES
from nextstate.models.language.backbone import Llama
from nextstate.policies import Actor
from nextstate.worlds import Snapshot

GREY = 127


class Blinded:
    """An actor whose pictures are blank: grey in colour, and zero in depth and motion."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        if hasattr(actor, "memory"):
            self.memory = actor.memory

    def __getattr__(self, name: str) -> Any:
        return getattr(self.actor, name)

    def reset(self) -> None:
        self.actor.reset()

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        return self.actor.select_action(blanked(observation), snapshot)


class Speechless:
    """An actor whose language model passes its tokens on as they come: every block of it is left out."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.actor, name)

    def reset(self) -> None:
        self.actor.reset()

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        with without_language(self.actor.model):
            action: np.ndarray = self.actor.select_action(observation, snapshot)
            return action


def blanked(observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Readings whose pictures show nothing, ``(*shape)`` each."""
    return {
        name: np.full_like(values, GREY if values.dtype == np.uint8 else 0)
        if MODALITIES[name].kind == "image"
        else values
        for name, values in observation.items()
    }


@contextmanager
def without_language(model: Any) -> Iterator[None]:
    """A rival whose backbone passes tokens on as they come."""
    backbone: Llama = model.backbone_in_use
    told = getattr(model, "_told", None)
    kept = dict(told) if told is not None else {}
    if told is not None:
        told.clear()
    backbone.skipped = True
    try:
        yield
    finally:
        backbone.skipped = False
        if told is not None:
            told.clear()
            told.update(kept)


LESIONS: dict[str, Callable[[Any], Actor]] = {"vision": Blinded, "language": Speechless}
"""What is taken away -> what makes an actor without it."""
