"""The words themselves of which `paraphrases` are made, a file for each world; nothing in here is ever recorded."""

from nextstate.worlds.paraphrased.grasp import GRASP
from nextstate.worlds.paraphrased.push import PUSH
from nextstate.worlds.paraphrased.spill import SPILL
from nextstate.worlds.paraphrased.words import COLOURS, FURTHER_COLOURS, UNHEARD_COLOURS

__all__ = [
    "COLOURS",
    "FURTHER_COLOURS",
    "GRASP",
    "PUSH",
    "SPILL",
    "UNHEARD_COLOURS",
]
