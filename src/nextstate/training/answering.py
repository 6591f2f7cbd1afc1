"""The validation line of a model that answers: does it look, and does it consider the plan?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from nextstate.training.trainable import to_tensors
from nextstate.training.validate import Validated

if TYPE_CHECKING:
    from nextstate.models.language import Vlm

CHANGED: dict[str, tuple[str, ...]] = {"model": (), "blind": ("rgb", "proprio", "touch"), "planless": ("plan",)}
"""Who -> what is taken from another question."""


@dataclass(frozen=True)
class Answered:
    """Fixed questions about frames that are never learned from.

    Args:
        batch: as of `nextstate.data.asked`. kinds: ``(M,)``, knowledge or physics.
    """

    batch: Mapping[str, np.ndarray]
    kinds: np.ndarray

    @property
    def last(self) -> Mapping[str, np.ndarray]:
        return self.batch

    @torch.no_grad()
    def measure(self, model: Vlm, device: torch.device, chunk: int = 64) -> Validated:
        """Share of wrong answers over that of guessing, by kind of question: 0 is perfect, 1 is chance.

        Beside the model itself *blind* (another frame's picture and body) and *planless* (another's plan).
        """
        at = f"{self.batch['plan'].shape[1] / model.spec.hz:g}"
        errors: dict[str, dict[str, dict[str, float]]] = {}
        for who, names in CHANGED.items():
            # Far enough that it is another episode's as a rule: questions come in random order.
            given = {n: np.roll(a, 7, axis=0) if n in names else a for n, a in self.batch.items()}
            told = []
            for start in range(0, len(self.kinds), chunk):
                part = to_tensors({n: a[start : start + chunk] for n, a in given.items()}, device)
                part = {n: t.float() if t.dtype == torch.float16 else t for n, t in part.items()}
                told.append(model.yes(part).float().cpu().numpy())
            wrong = (np.concatenate(told) > 0.5) != self.batch["answer"]
            errors[who] = {
                str(kind): {at: float(2 * wrong[self.kinds == kind].mean())} for kind in np.unique(self.kinds)
            }
        return Validated(errors)
