"""Sentences about two pucks."""

from __future__ import annotations

from collections.abc import Mapping

from nextstate.worlds.paraphrased.words import Pair

COLLIDE: Mapping[str, Pair] = {
    "hit_hard": (
        (
            "hit the blue puck hard with the red one",
            "slam the red puck into the blue one",
            "shoot red at blue as fast as you can",
            "strike the red puck so that it crashes into the blue one",
            "shoot the red puck hard at the blue one",
            "make the red puck crash into the blue one",
            "drive red into blue at full speed",
            "hit blue with red, hard",
            "send the red puck fast into the blue one",
            "let the red puck hit the blue one with force",
            "strike red hard so that it hits blue",
            "shoot red into blue with all your force",
            "the red puck should crash into the blue one fast",
            "push the red puck at full speed against the blue one",
            "hit the red one hard in the direction of the blue one",
            "use the red puck to strike the blue one hard",
        ),
        (
            "smash crimson against azure",
            "ram the scarlet disc into the navy disc violently",
            "have the ruby disc collide powerfully with the cobalt one",
            "blast the red disc at its neighbour",
            "bash the two discs together",
        ),
    ),
    "hit_gently": (
        (
            "nudge the red puck into the blue one",
            "hit the blue puck gently with the red one",
            "send red slowly against blue",
            "tap the red puck so that it touches the blue one",
            "push the red puck softly against the blue one",
            "let the red puck touch the blue one slowly",
            "hit blue with red, gently",
            "send the red puck slowly to the blue one",
            "move red slowly until it touches blue",
            "the red puck should hit the blue one softly",
            "tap red towards blue",
            "nudge red against blue",
            "give the red puck a soft push at the blue one",
            "let red bump into blue slowly",
            "strike the red puck gently in the direction of the blue one",
            "bring the red puck slowly into contact with the blue one",
        ),
        (
            "ease crimson toward azure",
            "have the scarlet disc kiss the navy disc",
            "carefully let the discs meet",
            "lightly brush the cobalt disc by means of the ruby one",
            "make the discs come together tenderly",
        ),
    ),
    "hit_back": (
        (
            "hit the red puck with the blue one",
            "shoot the blue puck at the red one",
            "send blue against red",
            "strike the blue puck so that it knocks the red one",
            "make the blue puck hit the red one",
            "drive blue into red",
            "hit red with blue",
            "send the blue puck into the red one",
            "let the blue puck hit the red one",
            "strike blue so that it hits red",
            "shoot blue into red",
            "the blue puck should hit the red one",
            "push the blue puck against the red one",
            "hit the blue one in the direction of the red one",
            "use the blue puck to strike the red one",
            "knock the blue puck into the red one",
        ),
        (
            "smash azure against crimson",
            "ram the navy disc into the scarlet disc",
            "have the cobalt disc collide with the ruby one",
            "blast the blue disc at its neighbour",
            "target crimson by way of azure",
        ),
    ),
    **{
        f"send_{way}": (
            (
                f"send the red puck to the {way}",
                f"hit the red puck {way}wards",
                f"knock the red one towards the {way} wall",
                f"make the red puck slide {way}",
                f"push the red puck to the {way}",
                f"shoot red to the {way}",
                f"strike the red puck so that it slides to the {way}",
                f"let the red puck go {way}",
                f"drive red towards the {way} wall",
                f"knock red over to the {way}",
                f"the red puck should slide to the {way}",
                f"hit red so that it goes {way}",
                f"send red {way}wards",
                f"move the red puck to the {way} side",
                f"push red over to the {way} wall",
                f"make red go to the {way}",
            ),
            (
                f"propel the scarlet disc {way}",
                f"dispatch crimson to the {way} border",
                f"launch the ruby disc {way}wards",
                f"have the red disc travel {way}",
                f"fire the red disc at the {way} edge",
            ),
        )
        for way in ("left", "right")
    },
}
