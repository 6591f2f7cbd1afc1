"""Words for pushing a thing some way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nextstate.worlds.paraphrased.words import Words


@dataclass(frozen=True)
class Pushing:
    """What is said of pushing a thing some way."""

    frames: Words
    verbs: Words
    nouns: Words
    ways: Mapping[str, Words]
    further_verbs: Words
    further_nouns: Words
    further_ways: Mapping[str, Words]
    unheard_verbs: Words
    unheard_nouns: Words
    unheard_ways: Mapping[str, Words]


PUSH = Pushing(
    frames=(
        "{verb} {thing} {way}",
        "please {verb} {thing} {way}",
        "can you {verb} {thing} {way}",
        "I want you to {verb} {thing} {way}",
        "make {thing} slide {way}",
        "make {thing} go {way}",
        "{thing} should end up {way}",
        "let {thing} travel {way}",
        "{verb} against {thing} until it goes {way}",
    ),
    verbs=("push", "move", "shove", "slide", "drive", "press", "bring", "send", "get", "ram", "steer", "guide"),
    nouns=("object", "one", "thing", "block", "piece", "box", "disc"),
    ways={
        "left": ("to the left", "left", "to the left side", "leftward", "over to the left edge"),
        "right": ("to the right", "right", "to the right side", "rightward", "over to the right edge"),
        "away": ("away from me", "away", "farther away", "to the far side", "up to the back"),
        "closer": ("closer to me", "towards me", "nearer", "to the near side", "down to the front"),
    },
    further_verbs=("thrust", "displace", "budge", "force", "knock", "transport", "conduct", "direct", "roll", "take"),
    further_nouns=("token", "stone", "toy", "counter", "shape", "body", "part", "chip"),
    further_ways={
        "left": ("to the west", "onto the left part of the table", "all the way left", "to the left of where it is"),
        "right": (
            "to the east",
            "onto the right part of the table",
            "all the way right",
            "to the right of where it is",
        ),
        "away": ("far from me", "to the rear", "to the other end of the table", "out of reach", "forwards"),
        "closer": ("up to me", "next to me", "to this end of the table", "over here", "backwards"),
    },
    unheard_verbs=("nudge", "shift", "propel", "scoot", "haul"),
    unheard_nouns=("brick", "puck", "item", "lump"),
    unheard_ways={
        "left": ("leftwards", "on the left-hand half", "toward your left"),
        "right": ("rightwards", "on the right-hand half", "toward your right"),
        "away": ("off into the distance", "further off", "at a greater distance"),
        "closer": ("in my direction", "close by", "within my reach"),
    },
)
