"""Words for pushing things under a screen, and out again."""

from __future__ import annotations

from collections.abc import Mapping

from nextstate.worlds.paraphrased.words import Pair, Words

NOUNS: Words = ("object", "thing", "piece")
UNHEARD_NOUNS: Words = ("item", "token")

OCCLUDE: Mapping[str, Pair] = {
    "hide": (
        (
            "push {thing} under the screen",
            "hide {thing} under the cover",
            "make {thing} disappear beneath the screen",
            "put {thing} where I cannot see it",
            "bring {thing} under the cover",
            "shove {thing} beneath the screen",
            "move {thing} under the screen and leave it there",
            "let {thing} vanish under the cover",
            "slide {thing} beneath the cover",
            "{thing} should be hidden by the screen",
            "push {thing} out of my sight",
            "get {thing} under the screen",
            "take {thing} under the cover and leave it",
            "leave {thing} hidden beneath the screen",
            "hide {thing}",
            "let the screen hide {thing}",
        ),
        (
            "conceal {thing} below the roof",
            "tuck {thing} away",
            "stash {thing} below the lid",
            "park {thing} in the shade",
            "store {thing} below the panel",
        ),
    ),
    "through": (
        (
            "push {thing} under the screen and out on the other side",
            "take {thing} through beneath the screen",
            "shove {thing} under the cover until it comes out again",
            "slide {thing} all the way under the screen",
            "bring {thing} to the other side of the screen, under it",
            "push {thing} through under the cover",
            "move {thing} under the screen and out again",
            "let {thing} go in on one side of the cover and come out on the other",
            "shove {thing} beneath the screen until I see it again",
            "get {thing} out on the far side of the screen",
            "{thing} should pass under the screen and come out",
            "push {thing} until it has passed under the cover",
            "slide {thing} through to the other side",
            "make {thing} come out on the other side of the cover",
            "take {thing} all the way through",
            "push {thing} in under the screen and out of it again",
        ),
        (
            "convey {thing} past the roof",
            "tunnel {thing} across",
            "have {thing} traverse the lid",
            "ferry {thing} below the panel, reappearing opposite",
            "{thing} must cross the shade entirely",
        ),
    ),
}

GO_UNDER: Pair = (
    (
        "go under the screen",
        "move beneath the cover and wait there",
        "hide yourself under the screen",
        "drive to where I cannot see you",
        "go beneath the cover",
        "move under the screen and stay",
        "hide under the cover",
        "go where the screen hides you",
        "get yourself under the screen",
        "drive under the cover and stop there",
        "wait under the screen",
        "disappear beneath the screen yourself",
        "bring yourself under the cover",
        "you should be hidden by the screen",
        "move to the middle of the screen, under it",
        "go out of my sight, under the cover",
    ),
    (
        "shelter below the roof",
        "park your body in the shade",
        "crawl below the lid",
        "become invisible",
        "retreat below the panel",
    ),
)
