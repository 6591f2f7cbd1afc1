"""The language-first rival: a pretrained language model that was given an eye and a hand."""

from nextstate.models.language.vla import PRESETS, Vla, VlaOptions, build_vla

__all__ = ["PRESETS", "Vla", "VlaOptions", "build_vla"]
