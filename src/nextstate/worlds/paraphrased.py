"""The words themselves of which `paraphrases` are made; nothing in here is ever recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Words = Sequence[str]
Pair = tuple[Words, Words]
"""In words that are learned from, and in words that are not."""

COLOURS: Mapping[str, Words] = {
    "red": ("red", "ruby", "cherry", "tomato", "maroon", "rose"),
    "green": ("green", "lime", "jade", "olive", "mint", "forest"),
    "blue": ("blue", "navy", "cobalt", "indigo", "cyan", "ocean"),
    "yellow": ("yellow", "lemon", "amber", "mustard", "banana", "sunny"),
}
FURTHER_COLOURS: Mapping[str, Words] = {
    "red": (
        "strawberry",
        "raspberry",
        "blood",
        "wine",
        "burgundy",
        "vermilion",
        "fire",
        "lobster",
        "apple",
        "rust",
        "pepper",
        "radish",
        "ketchup",
        "lipstick",
        "flame",
        "beet",
        "poppy",
        "cardinal",
        "coral",
        "sunset",
    ),
    "green": (
        "pine",
        "moss",
        "fern",
        "lettuce",
        "clover",
        "leaf",
        "avocado",
        "pea",
        "spinach",
        "cucumber",
        "shamrock",
        "pickle",
        "kiwi",
        "basil",
        "ivy",
        "cactus",
        "frog",
        "broccoli",
        "seaweed",
        "pistachio",
    ),
    "blue": (
        "sky",
        "denim",
        "sea",
        "royal",
        "lapis",
        "marine",
        "turquoise",
        "cornflower",
        "jeans",
        "aqua",
        "teal",
        "ice",
        "cerulean",
        "peacock",
        "steel",
        "bluebell",
        "midnight",
        "ink",
        "blueberry",
        "arctic",
    ),
    "yellow": (
        "corn",
        "honey",
        "butter",
        "sunflower",
        "saffron",
        "straw",
        "dandelion",
        "blond",
        "cheese",
        "sand",
        "pineapple",
        "lemonade",
        "wheat",
        "daffodil",
        "chick",
        "mango",
        "egg",
        "vanilla",
        "citron",
        "custard",
    ),
}
"""Words that are learned from, and nothing else: the more ways to say a thing are known, the better one is understood
that is not (docs/decisions/0029)."""

UNHEARD_COLOURS: Mapping[str, Words] = {
    "red": ("crimson", "scarlet", "reddish"),
    "green": ("emerald", "greenish", "grassy"),
    "blue": ("azure", "sapphire", "bluish"),
    "yellow": ("golden", "yellowish", "canary"),
}


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

FURTHER_BOTTLES: Words = ("jar", "pitcher", "jug", "vase", "carafe", "vessel", "can", "decanter")
FURTHER_MOTORS: Words = ("drive", "device", "apparatus", "electric motor", "mechanism", "appliance", "fan", "pump")
"""What else a bottle and a motor may be called, in all that is learned of them."""

SPILL: Mapping[str, Pair] = {
    "tip_towards_motor": (
        (
            "tip the bottle towards the motor",
            "knock the bottle over so that it falls to the motor's side",
            "topple the bottle in the direction of the motor",
            "spill the liquid onto the motor",
            "tip the bottle over so that the motor gets wet",
            "knock the bottle over towards the motor",
            "push the bottle over and wet the motor",
            "make the bottle fall on the motor's side",
            "pour the liquid onto the motor",
            "let the liquid run into the motor",
            "topple the bottle and ruin the motor",
            "tip the bottle on the cloth and the motor",
            "the bottle should fall towards the motor",
            "spill everything over the motor",
            "turn the bottle over to where the motor stands",
            "wet the motor with the liquid from the bottle",
        ),
        (
            "upset the flask so its contents flood the engine",
            "overturn the container toward the engine",
            "flip the flask over, drenching the machine",
            "soak the machine with water",
            "splash the engine",
            "drench the motor",
        ),
    ),
    "tip_away_from_motor": (
        (
            "tip the bottle away from the motor",
            "knock the bottle over to the bare side",
            "topple the bottle so that it falls away from the motor",
            "spill the liquid where the motor stays dry",
            "tip the bottle over but keep the motor dry",
            "knock the bottle over, away from the motor",
            "push the bottle over to the side without the motor",
            "make the bottle fall on the bare side",
            "pour the liquid out where there is no motor",
            "let the liquid run away from the motor",
            "topple the bottle and leave the motor dry",
            "tip the bottle to the empty side",
            "the bottle should fall away from the motor",
            "spill everything on the bare side",
            "turn the bottle over to where no motor stands",
            "empty the bottle, but not over the motor",
        ),
        (
            "upset the flask on the vacant end, sparing the engine",
            "overturn the container opposite to the engine",
            "flip the flask over, far from the machine",
            "dump the contents on the unoccupied half",
            "overturn it without harming the engine",
            "spare the engine while upsetting the flask",
        ),
    ),
    "push_without_tipping": (
        (
            "push the bottle without tipping it",
            "slide the bottle along but keep it upright",
            "move the bottle a little and do not spill",
            "shift the bottle carefully at its foot",
            "push the bottle a bit while it stays upright",
            "slide the bottle a few centimetres without spilling",
            "move the bottle along the table, upright",
            "push low at the bottle so that it slides",
            "shift the bottle, but it must not fall",
            "let the bottle slide a little",
            "move the bottle without knocking it over",
            "give the bottle a low push so that it stays standing",
            "slide the bottle carefully",
            "push the foot of the bottle and spill nothing",
            "the bottle should move but stay standing",
            "move the standing bottle to the side",
        ),
        (
            "relocate the flask slightly, still erect",
            "scoot the container sideways",
            "displace the flask but prevent it from toppling",
            "drag the container a tiny distance, vertical all the while",
            "reposition the flask",
            "nudge the container across the surface",
        ),
    ),
    "touch_gently": (
        (
            "touch the bottle gently",
            "put the finger against the bottle without moving it",
            "feel the side of the bottle softly",
            "lean lightly on the bottle",
            "rest the finger against the bottle",
            "touch the bottle softly",
            "feel the bottle with the finger",
            "put the finger lightly on the bottle",
            "lean the finger on the side of the bottle",
            "gently feel the bottle",
            "make soft contact with the bottle",
            "touch the side of the bottle without pushing",
            "hold the finger lightly against the bottle",
            "the finger should touch the bottle, no more",
            "press very lightly on the bottle",
            "come up to the bottle and touch it",
        ),
        (
            "caress the flask",
            "tap the container delicately",
            "stroke the flask tenderly",
            "place your fingertip upon the container",
            "brush against the flask with a delicate tap",
            "pat the container mildly",
        ),
    ),
    "keep_away": (
        (
            "keep away from the bottle",
            "do not touch the bottle",
            "leave the bottle alone",
            "stay clear of the bottle",
            "keep the finger away from the bottle",
            "stay away from the bottle",
            "never touch the bottle",
            "leave the bottle as it is",
            "keep clear of the bottle",
            "move about without touching the bottle",
            "let the bottle be",
            "do nothing to the bottle",
            "keep your distance from the bottle",
            "stay where the bottle is not",
            "the finger must not come near the bottle",
            "do not go near the bottle",
        ),
        (
            "avoid the flask",
            "ignore the container",
            "refrain from contact with the flask",
            "hover elsewhere, far off the container",
            "don't interfere with the flask",
            "abstain from handling the container",
        ),
    ),
}


FURTHER_SPILL: Mapping[str, Words] = {
    "tip_towards_motor": (
        "make the bottle keel over towards the motor",
        "capsize the bottle on the motor's side",
        "let the bottle tumble onto the motor's side",
        "shower the motor with the liquid",
        "get the motor all wet",
        "sprinkle the liquid on the motor",
        "cause a puddle at the motor",
        "swamp the motor",
        "tilt the bottle until it drops towards the motor",
        "cover the motor in liquid",
        "bathe the motor in what the bottle holds",
        "drown the motor",
    ),
    "tip_away_from_motor": (
        "make the bottle keel over, well away from the motor",
        "capsize the bottle on the side without the motor",
        "let the bottle tumble to the free side",
        "protect the motor while the bottle goes over",
        "save the motor from the liquid, but tip the bottle",
        "drain the bottle onto the bare table",
        "tilt the bottle until it drops to the free side",
        "cause a puddle, but none at the motor",
        "keep the liquid off the motor as you topple the bottle",
        "the bottle goes over, the motor survives",
        "shower the bare side with the liquid",
        "wet the table, never the motor",
    ),
    "push_without_tipping": (
        "transport the bottle a little, standing",
        "advance the bottle upright",
        "shove the bottle along without a spill",
        "make the bottle glide a bit",
        "ease the bottle along",
        "budge the bottle without knocking it down",
        "the bottle should end up somewhere else, still standing",
        "propel the bottle gently at its base",
        "change where the bottle stands",
        "walk the bottle along the table",
        "bring the bottle a bit farther, and steady",
        "carry the bottle along so that it keeps its balance",
    ),
    "touch_gently": (
        "contact the bottle lightly",
        "make the finger meet the bottle",
        "poke the bottle very softly",
        "probe the bottle's side",
        "graze the bottle",
        "kiss the bottle with the finger",
        "sense the bottle by touch",
        "lay the finger on the bottle",
        "reach out and feel the bottle",
        "let the finger rest on the bottle's side",
        "tickle the bottle",
        "finger the bottle",
    ),
    "keep_away": (
        "shun the bottle",
        "steer clear of the bottle",
        "remain far from the bottle",
        "never approach the bottle",
        "give the bottle a wide berth",
        "have nothing to do with the bottle",
        "go somewhere else than the bottle",
        "keep off the bottle",
        "hold back from the bottle",
        "make no contact with the bottle",
        "forget about the bottle",
        "pay no attention to the bottle",
    ),
}
"""More that is learned of each skill."""


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
