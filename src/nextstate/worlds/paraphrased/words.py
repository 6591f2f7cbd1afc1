"""How words are listed, and those for colours: things of every world are told apart by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
