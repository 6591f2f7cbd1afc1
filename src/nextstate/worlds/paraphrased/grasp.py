"""Words for picking, placing and stacking, and for a drawer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nextstate.worlds.paraphrased.words import Pair, Words


@dataclass(frozen=True)
class Grasping:
    """What is said of picking, placing and stacking, and of a drawer."""

    further_pick: Words
    further_place: Words
    further_stack: Words
    further_ways: Mapping[str, Words]
    further_drawer: Mapping[str, Words]
    nouns: Mapping[str, Words]
    further_nouns: Mapping[str, Words]
    unheard_nouns: Mapping[str, Words]
    pick: Pair
    place: Pair
    sides: Mapping[str, Pair]
    stack: Pair
    drawer: Mapping[str, Pair]


GRASP = Grasping(
    further_pick=(
        "heave {thing} up",
        "uplift {thing}",
        "collect {thing} from the table",
        "clutch {thing} and lift it",
        "get hold of {thing} and carry it up",
        "fetch {thing} up",
        "have {thing} in the air",
        "catch {thing} and hold it high",
    ),
    further_place=(
        "convey {thing} {way}",
        "leave {thing} {way}",
        "position {thing} {way}",
        "drop {thing} off {way}",
        "transport {thing} {way}",
        "let {thing} end up {way}",
        "shift {thing} through the air and down {way}",
        "store {thing} {way}",
    ),
    further_stack=(
        "heap {thing} on {base}",
        "rest {thing} on {base}",
        "superpose {thing} on {base}",
        "let {base} carry {thing}",
        "use {base} as a stand for {thing}",
        "crown {base} with {thing}",
        "{base} should bear {thing}",
        "lower {thing} onto {base}",
    ),
    further_ways={
        "left": ("to the west", "onto the left part of the table", "all the way left", "further left"),
        "right": ("to the east", "onto the right part of the table", "all the way right", "further right"),
    },
    further_drawer={
        "open_drawer": (
            "tug the drawer towards you",
            "haul the drawer out",
            "make the drawer stick out",
            "unlock the drawer",
            "let me see into the drawer",
            "drag the drawer by its handle",
            "widen the gap of the drawer",
            "roll the drawer out",
        ),
        "close_drawer": (
            "slam the drawer",
            "make the drawer go in",
            "fasten the drawer",
            "press the drawer home",
            "lock the drawer",
            "tuck the drawer away",
            "force the drawer in by its handle",
            "roll the drawer back",
        ),
    },
    nouns={"cube": ("cube", "block", "box"), "cylinder": ("cylinder", "can", "tube")},
    further_nouns={
        "cube": ("cuboid", "square", "dice", "carton", "bar"),
        "cylinder": ("pipe", "roll", "pillar", "jar", "column"),
    },
    unheard_nouns={"cube": ("brick", "die"), "cylinder": ("drum", "tin")},
    pick=(
        (
            "pick up {thing}",
            "lift {thing}",
            "grab {thing} and raise it",
            "take {thing} off the table",
            "pick {thing} up",
            "lift up {thing}",
            "grasp {thing} and lift it",
            "raise {thing} from the table",
            "take hold of {thing} and lift it",
            "hold {thing} up in the air",
            "get {thing} off the table",
            "please pick up {thing}",
            "bring {thing} up",
            "grip {thing} and bring it up",
        ),
        ("hoist {thing}", "elevate {thing}", "scoop {thing} upward", "seize {thing} to suspend it above"),
    ),
    place=(
        (
            "place {thing} {way}",
            "put {thing} down {way}",
            "carry {thing} over {way}",
            "move {thing} {way}",
            "pick up {thing} and put it {way}",
            "lay {thing} down {way}",
            "take {thing} and set it down {way}",
            "bring {thing} {way}",
            "please put {thing} {way}",
        ),
        ("transfer {thing} {way}", "deposit {thing} {way}", "relocate {thing} {way}", "have {thing} sit {way}"),
    ),
    sides={
        "left": (
            ("on the left", "on the left side", "to the left", "to the left side of the table", "at the left"),
            ("on the left-hand half", "leftwards", "toward your left"),
        ),
        "right": (
            ("on the right", "on the right side", "to the right", "to the right side of the table", "at the right"),
            ("on the right-hand half", "rightwards", "toward your right"),
        ),
    },
    stack=(
        (
            "stack {thing} on {base}",
            "put {thing} on top of {base}",
            "set {thing} onto {base}",
            "build a tower with {base} below and {thing} above",
            "place {thing} on {base}",
            "lay {thing} on top of {base}",
            "pick up {thing} and put it on {base}",
            "pile {thing} on {base}",
            "make a tower of {thing} upon {base}",
            "let {thing} stand on {base}",
            "on top of {base} goes {thing}",
        ),
        ("balance {thing} over {base}", "mount {thing} above {base}", "perch {thing} atop {base}"),
    ),
    drawer={
        "open_drawer": (
            (
                "open the drawer",
                "pull the drawer out",
                "slide the drawer open",
                "pull on the drawer's handle",
                "pull the drawer open",
                "draw the drawer out",
                "open up the drawer",
                "please open the drawer",
                "get the drawer open",
                "take the handle and pull",
                "the drawer should be open",
                "bring the drawer out",
            ),
            ("yank the tray outward", "extend the compartment", "uncover what the tray contains", "unclose the tray"),
        ),
        "close_drawer": (
            (
                "close the drawer",
                "push the drawer in",
                "slide the drawer shut",
                "shut the drawer",
                "push the drawer shut",
                "close up the drawer",
                "please close the drawer",
                "get the drawer shut",
                "take the handle and push",
                "the drawer should be closed",
                "bring the drawer in",
                "slide the drawer back in",
            ),
            ("retract the compartment", "seal the tray", "thrust the tray inward", "return the tray into its cabinet"),
        ),
    },
)
