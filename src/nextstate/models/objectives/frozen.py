"""Predict what is sensed, with an eye that saw other pictures long before and learns nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import SettingsError, StateError
from nextstate.models.lite import Lite
from nextstate.models.objectives.objective import Objective
from nextstate.models.objectives.pixel import PIXEL

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel


class FrozenEye(nn.Module):
    """Like `vision.Eye`, but from features of a frozen network that looks at rgb alone.

    What is learned is which of its features outline things: one linear layer at each cell, and what `Eye` has after it.

    Args:
        first: where rgb begins among the channels of pictures. things, width, carried: as of `Eye`.
    """

    def __init__(self, first: int, things: int, width: int, carried: int) -> None:
        super().__init__()
        self.first = first
        self.lite = Lite()
        self.choose = nn.Conv2d(sum(Lite.channels), width, 1)
        self.outline = nn.Conv2d(width, things, 1)
        self.carry = nn.Conv2d(width, carried, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Masks, features and carried appearance of pictures ``(N, C, size, size)``, at half the resolution."""
        with torch.no_grad():
            levels = self.lite(pictures[:, self.first : self.first + 3])
            finest = levels[0].shape[-2:]
            together = torch.cat([levels[0], *(F.interpolate(level, size=finest) for level in levels[1:])], dim=1)
        features = F.silu(self.choose(together))
        masks = self.outline(features).float().softmax(dim=1)
        return masks, features, self.carry(features)


def equip(model: StateModel, options: Mapping[str, Any]) -> None:
    if "rgb" not in model.images:
        raise StateError("the objective frozen looks at rgb; take it among the --modalities.")
    if options["encoder"] not in ("package", "kept"):
        raise SettingsError(f"encoder={options['encoder']!r}: package (its weights) or kept (those of a checkpoint).")
    first = sum(model.spec.modalities[n].channels for n in model.images[: model.images.index("rgb")])
    eye = FrozenEye(first, model.size.things, model.size.vision, model.size.carried)
    if options["encoder"] == "package":
        eye.lite.load_package()
    model.eye = eye
    # From here on its weights are with those of the model.
    model.note_option("encoder", "kept")


FROZEN = Objective(PIXEL.stages, equip, {"encoder": "package"})
