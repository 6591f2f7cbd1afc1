"""The words themselves of which `paraphrases` are made, a file for each world; nothing in here is ever recorded."""

from nextstate.worlds.paraphrased.collide import COLLIDE
from nextstate.worlds.paraphrased.drop import DROP
from nextstate.worlds.paraphrased.grasp import GRASP
from nextstate.worlds.paraphrased.occlude import GO_UNDER, NOUNS, OCCLUDE, UNHEARD_NOUNS
from nextstate.worlds.paraphrased.push import PUSH
from nextstate.worlds.paraphrased.spill import SPILL
from nextstate.worlds.paraphrased.words import COLOURS, FURTHER_COLOURS, UNHEARD_COLOURS, Pair

__all__ = [
    "COLLIDE",
    "COLOURS",
    "DROP",
    "FURTHER_COLOURS",
    "GO_UNDER",
    "GRASP",
    "NOUNS",
    "OCCLUDE",
    "PUSH",
    "SPILL",
    "UNHEARD_COLOURS",
    "UNHEARD_NOUNS",
    "Pair",
]
