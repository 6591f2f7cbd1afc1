"""What pretraining minimises. To add an objective: one file beside these, one line in `OBJECTIVES`."""

from __future__ import annotations

from nextstate.models.objectives.pixel import PIXEL
from nextstate.models.stages import Stage

OBJECTIVES: dict[str, tuple[Stage, ...]] = {"pixel": PIXEL}
"""Objective -> its stages, each with the loss of that part of a run."""
