"""What pretraining minimises. To add an objective: one file beside these, one line in `OBJECTIVES`."""

from __future__ import annotations

from nextstate.models.objectives.flow import FLOW
from nextstate.models.objectives.frozen import FROZEN
from nextstate.models.objectives.latent import LATENT
from nextstate.models.objectives.objective import Objective, mixed, parse_weights
from nextstate.models.objectives.pixel import PIXEL

OBJECTIVES: dict[str, Objective] = {"pixel": PIXEL, "latent": LATENT, "flow": FLOW, "frozen": FROZEN}
"""Objective -> its stages, each with the loss of that part of a run, and what it needs besides the trunk."""

__all__ = ["OBJECTIVES", "Objective", "mixed", "parse_weights"]
