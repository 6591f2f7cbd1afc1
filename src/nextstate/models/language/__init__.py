"""The language-first rival: a pretrained language model that was given an eye, a hand, and questions to answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nextstate.errors import UnknownNameError
from nextstate.models.language.cloner import Cloner, ClonerSizes
from nextstate.models.language.graft import PRESETS as SIZES
from nextstate.models.language.graft import Sizes
from nextstate.models.language.vla import Vla
from nextstate.models.language.vlm import Vlm
from nextstate.models.protocol import WorldModelSpec

KINDS: dict[str, Any] = {"vla": Vla, "vlm": Vlm, "bc": Cloner}
"""Kind -> class: one acts, one answers, and one acts without a language model."""

PRESETS: dict[str, tuple[str, Sizes | ClonerSizes]] = {
    "bc-small": ("bc", ClonerSizes()),
    **{f"{kind}-{size}": (kind, sizes) for kind in ("vla", "vlm") for size, sizes in SIZES.items()},
    # Without an expert there is room for more layers.
    "vlm-equal": ("vlm", replace(SIZES["equal"], layers=10)),
}
"""Preset -> kind and sizes."""


def build_rival(spec: WorldModelSpec, preset: str, **options: Any) -> Any:
    """A fresh rival; raises `UnknownNameError` for an unknown preset and `TypeError` for an unknown option."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    kind, sizes = PRESETS[preset]
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return KINDS[kind](spec, preset, replace(sizes, **given))


__all__ = ["KINDS", "PRESETS", "Cloner", "ClonerSizes", "Sizes", "Vla", "Vlm", "build_rival"]
