"""What pretraining minimises. To add an objective: one file beside these, one line in `OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nextstate.models.objectives.pixel import pixel

Objective = Callable[..., dict[str, Tensor]]
"""``objective(model, batch, generator, progress)`` to ``{"loss": ..., named parts}``."""

OBJECTIVES: dict[str, Objective] = {"pixel": pixel}
