"""Judging a model of silent episodes, which no command can move: by the latent actions that it infers itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nextstate.models.latent_actions import ByLatents, inferred
from nextstate.models.world_model import StateModel
from nextstate.training.trainable import to_tensors
from nextstate.training.validate import Validated, ValidationSet, validate

CHUNK = 16
"""Windows looked at together."""


@dataclass(frozen=True)
class SilentSet(ValidationSet):
    """Windows without commands.

    What the model infers looks at the states that are to be foreseen, a few numbers of each: so its error is compared
    with those of having inferred nothing (blind) or what happened elsewhere (shuffled), never with other models'.
    """

    def told(self, model: StateModel, device: torch.device) -> tuple[ByLatents, ValidationSet]:
        """The model moved by latent actions, and these windows with them."""
        found = []
        for first in range(0, len(self.batch["action"]), CHUNK):
            part = {n: v[first : first + CHUNK] for n, v in self.batch.items() if n != "action"}
            tensors = {n: t.float() if t.dtype == torch.float16 else t for n, t in to_tensors(part, device).items()}
            found.append(inferred(model, tensors).cpu().numpy())
        held = ValidationSet({**self.batch, "action": np.concatenate(found)}, self.context, self.climate)
        return ByLatents(model), held

    def measure(self, model: StateModel, device: torch.device) -> Validated:  # type: ignore[override]
        return validate(*self.told(model, device), device)
