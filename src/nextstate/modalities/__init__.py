"""What a state is made of. To add a modality: one file beside these, one line in `MODALITIES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nextstate.errors import UnknownNameError
from nextstate.modalities.depth import Depth
from nextstate.modalities.motion import Motion
from nextstate.modalities.proprio import Proprio
from nextstate.modalities.rgb import Rgb
from nextstate.modalities.spec import Modality, StateSpec
from nextstate.modalities.touch import Touch

MODALITIES: dict[str, type[Modality]] = {kind.name: kind for kind in (Rgb, Depth, Motion, Proprio, Touch)}


def modality(name: str) -> type[Modality]:
    """The class registered under `name`; raises `UnknownNameError`."""
    if name not in MODALITIES:
        raise UnknownNameError("modality", name, MODALITIES)
    return MODALITIES[name]


def modality_from_dict(fields: Mapping[str, Any]) -> Modality:
    """Inverse of `Modality.to_dict`."""
    kind = modality(fields["name"])
    return kind(shape=tuple(fields["shape"]), mean=tuple(fields["mean"]), std=tuple(fields["std"]))


__all__ = ["MODALITIES", "Modality", "StateSpec", "modality", "modality_from_dict"]
