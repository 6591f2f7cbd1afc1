"""The validation line of a policy that follows words: does it look, and does it listen?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nextstate.training.trainable import to_tensors
from nextstate.training.validate import Validated

if TYPE_CHECKING:
    from nextstate.models.language import Vla

WHO = ("model", "still", "blind", "deaf")


@dataclass(frozen=True)
class Followed:
    """Fixed frames that are never learned from.

    Args:
        batch: as of `nextstate.data.instructed`.
    """

    batch: Mapping[str, np.ndarray]

    @property
    def last(self) -> Mapping[str, np.ndarray]:
        return self.batch

    @torch.no_grad()
    def measure(self, model: Vla, device: torch.device, chunk: int = 32) -> Validated:
        """Squared error of one draw of the commands over how much commands vary, at the first and over all of them.

        Beside the model: *still* does nothing; and the model itself *blind* (another frame's picture) or *deaf*
        (another frame's words). One draw of a policy that is right about everything but what is left to chance has
        twice the error of the best guess.
        """
        size = len(self.batch["action"])
        drawn: dict[str, list[Tensor]] = {"model": [], "blind": [], "deaf": []}
        for start in range(0, size, chunk):
            part = to_tensors({n: a[start : start + chunk] for n, a in self.batch.items()}, device)
            part = {n: t.float() if t.dtype == torch.float16 else t for n, t in part.items()}
            for who, changed in {"model": (), "blind": ("rgb",), "deaf": ("words",)}.items():
                other = {n: self._rolled(n, start, chunk, device) for n in changed}
                generator = torch.Generator().manual_seed(start)
                drawn[who].append(model.draw({**part, **other}, generator).float().cpu())
        wanted = torch.from_numpy(self.batch["action"]).float()
        found = {who: torch.cat(parts) for who, parts in drawn.items()} | {"still": torch.zeros_like(wanted)}
        vary = (wanted - wanted.mean(dim=(0, 1))).square().mean().clamp_min(1e-9)
        whole = f"{wanted.shape[1] / model.spec.hz:g}"
        first = f"{1 / model.spec.hz:g}"
        errors: dict[str, dict[str, dict[str, float]]] = {}
        for who in WHO:
            gap = (found[who] - wanted).square()
            errors[who] = {"commands": {first: float(gap[:, 0].mean() / vary), whole: float(gap.mean() / vary)}}
        return Validated(errors)

    def _rolled(self, name: str, start: int, chunk: int, device: torch.device) -> Tensor:
        # Far enough that it is another episode's as a rule: frames come in random order.
        rolled = np.roll(self.batch[name], 7, axis=0)[start : start + chunk]
        return to_tensors({name: rolled}, device)[name]
