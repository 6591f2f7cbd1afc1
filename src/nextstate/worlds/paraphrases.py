"""Many ways to say what a skill is asked for with: those learned from, those held out, those in words never learned.

A sentence is a pattern with its thing filled in. Whether a pattern is held out is decided by a fixed hash of it, so
that no colour of a held-out pattern is ever learned from; a quarter of all patterns are. Sentences in unheard words are
for evaluation alone. Recording draws from `Skill.instructions`, which do not change; what was recorded is asked for
anew in any of these words while something learns from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, product

from nextstate.errors import UnknownNameError
from nextstate.worlds import grasp_scene, paraphrased
from nextstate.worlds.occlude import SLOTS
from nextstate.worlds.push import DIRECTIONS
from nextstate.worlds.scene import COLOURS

HELD_OUT_SHARE = 0.25

TRAINED, FURTHER, HELD_OUT, UNHEARD = 64, 128, 16, 16
"""Sentences of each skill, at most: of those patterns that are also held out, in still other words, and to judge by."""


@dataclass(frozen=True)
class Phrases:
    """Ways to ask for one skill.

    Args:
        trained: to learn from. held_out: other patterns of the same words.
        unheard: with words that are in no trained one.
    """

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    unheard: tuple[str, ...]


Asked = Mapping[str, Phrases]
"""Skill -> ways to ask for it."""


@cache
def paraphrases(world: str) -> Asked:
    """All ways to ask for the skills of a world; raises `UnknownNameError` where nobody wrote any."""
    if world not in WRITTEN:
        raise UnknownNameError("world with paraphrases", world, WRITTEN)
    return WRITTEN[world]()


def _rank(text: str) -> float:
    """From 0 to 1, and the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") / 2.0**64


def _phrases(
    known: Sequence[str], things: Sequence[str], unheard: Sequence[str], further: Sequence[str] = ()
) -> Phrases:
    """
    Args:
        known: patterns, with ``{thing}`` where they have one. things: what that is called in known words.
        unheard, further: whole sentences, to judge by and to learn from.
    """
    learned: list[str] = []
    held_out: list[str] = []
    for pattern in dict.fromkeys(known):
        side = held_out if _rank(pattern) < HELD_OUT_SHARE else learned
        side += [pattern.format(thing=thing) for thing in things]
    trained, kept, new, more = (
        tuple(sorted(dict.fromkeys(sentences), key=_rank)[:most])
        for sentences, most in ((learned, TRAINED), (held_out, HELD_OUT), (unheard, UNHEARD), (further, FURTHER))
    )
    known_before = {*trained, *kept}
    return Phrases((*trained, *(text for text in more if text not in known_before)), kept, new)


def _further(patterns: Sequence[str], *things: Sequence[str]) -> list[str]:
    """Patterns that are not held out, each with one of the things, by turns; as many of each kind of things."""
    learned = sorted((p for p in dict.fromkeys(patterns) if _rank(p) >= HELD_OUT_SHARE), key=_rank)
    found = []
    for kind in things:
        pairs = zip(range(FURTHER), cycle(learned), cycle(sorted(kind, key=_rank)), strict=False)
        found += [pattern.format(thing=thing) for _, pattern, thing in pairs]
    return found


def _filled(frames: Sequence[str], **slots: Sequence[str]) -> list[str]:
    """Frames with every combination of their other slots filled in; ``{thing}`` stays."""
    found = []
    for frame in frames:
        names = [name for name in slots if "{" + name + "}" in frame]
        for words in product(*(slots[name] for name in names)):
            found.append(frame.format(thing="{thing}", **dict(zip(names, words, strict=True))))
    return found


def _named(patterns: Sequence[str], things: Sequence[str]) -> list[str]:
    return [pattern.format(thing=thing) for pattern, thing in product(patterns, things)]


def _things(colours: Sequence[str], nouns: Sequence[str]) -> list[str]:
    return [f"the {colour} {noun}" for colour, noun in product(colours, nouns)]


def _push() -> Asked:
    said = paraphrased.PUSH
    asked = {}
    for colour, way in product(COLOURS, DIRECTIONS):
        plain = [f"the {colour} {noun}" for noun in said.nouns[:3]]
        new = [f"the {colour} {noun}" for noun in said.unheard_nouns]
        other = _things(paraphrased.UNHEARD_COLOURS[colour], said.nouns[:3])
        frames, verbs, ways = said.frames[:3], said.verbs[:3], said.ways[way]
        unheard = [
            *_named(_filled(frames, verb=said.unheard_verbs, way=ways), [*plain, *new]),
            *_named(_filled(frames, verb=verbs, way=ways), other),
            *_named(_filled(frames, verb=verbs, way=said.unheard_ways[way]), plain),
        ]
        known = _filled(said.frames, verb=said.verbs, way=ways)
        things = _things(paraphrased.COLOURS[colour], said.nouns)
        further = [
            *_further(known, *_further_things(colour, said.nouns, said.further_nouns)),
            *_further(_filled(said.frames, verb=said.further_verbs, way=ways), things),
            *_further(_filled(said.frames, verb=said.verbs, way=said.further_ways[way]), things),
        ]
        asked[f"push_{colour}_{way}"] = _phrases(known, things, unheard, further)
    return asked


def _further_things(colour: str, nouns: Sequence[str], further: Sequence[str]) -> tuple[list[str], list[str]]:
    """In further colours, and by further nouns."""
    return _things(paraphrased.FURTHER_COLOURS[colour], nouns), _things(paraphrased.COLOURS[colour], further)


def _whole(said: Mapping[str, paraphrased.Pair]) -> Asked:
    """Of skills that are asked for in whole sentences."""
    return {name: _phrases(_filled(PLEASE, what=known), ("",), unheard) for name, (known, unheard) in said.items()}


def _occlude() -> Asked:
    asked = {}
    for kind, colour in product(paraphrased.OCCLUDE, COLOURS[:SLOTS]):
        known, unheard = paraphrased.OCCLUDE[kind]
        things = _things(paraphrased.COLOURS[colour], paraphrased.NOUNS)
        plain = [f"the {colour} {noun}" for noun in paraphrased.NOUNS]
        other = [
            *_things(paraphrased.UNHEARD_COLOURS[colour], paraphrased.NOUNS[:1]),
            *(f"the {colour} {noun}" for noun in paraphrased.UNHEARD_NOUNS),
        ]
        new = [*_named(known[:4], other), *_named(unheard, plain)]
        asked[f"{kind}_{colour}"] = _phrases(known, things, new)
    return {**asked, **_whole({"go_under": paraphrased.GO_UNDER})}


def _grasp() -> Asked:
    said = paraphrased.GRASP
    known, plain, other, further = {}, {}, {}, {}
    for name in grasp_scene.NAMES:
        nouns = said.nouns[grasp_scene.SHAPES[name]]
        known[name] = _things(paraphrased.COLOURS[name], nouns)
        further[name] = _further_things(name, nouns, said.further_nouns[grasp_scene.SHAPES[name]])
        plain[name] = [f"the {name} {noun}" for noun in nouns]
        other[name] = [
            *_things(paraphrased.UNHEARD_COLOURS[name], nouns[:1]),
            *(f"the {name} {noun}" for noun in said.unheard_nouns[grasp_scene.SHAPES[name]]),
        ]
    asked = {}
    for name in grasp_scene.NAMES:
        unheard = [*_named(said.pick[0][:4], other[name]), *_named(said.pick[1], plain[name])]
        more = [*_further(said.pick[0], *further[name]), *_further(said.further_pick, known[name])]
        asked[f"pick_{name}"] = _phrases(said.pick[0], known[name], unheard, more)
        for side, (ways, unheard_ways) in said.sides.items():
            unheard = [
                *_named(_filled(said.place[0][:4], way=ways), other[name]),
                *_named(_filled(said.place[1], way=ways), plain[name]),
                *_named(_filled(said.place[0][:4], way=unheard_ways), plain[name]),
            ]
            patterns = _filled(said.place[0], way=ways)
            more = [
                *_further(patterns, *further[name]),
                *_further(_filled(said.further_place, way=ways), known[name]),
                *_further(_filled(said.place[0], way=said.further_ways[side]), known[name]),
            ]
            asked[f"place_{name}_{side}"] = _phrases(patterns, known[name], unheard, more)
        for base in (base for base in grasp_scene.NAMES if base != name):
            unheard = [
                *_named(_filled(said.stack[0][:4], base=plain[base]), other[name]),
                *_named(_filled(said.stack[0][:4], base=other[base]), plain[name]),
                *_named(_filled(said.stack[1], base=plain[base]), plain[name]),
            ]
            patterns = _filled(said.stack[0], base=known[base])
            more = [
                *_further(patterns, *further[name]),
                *_further(_filled(said.stack[0], base=[*further[base][0], *further[base][1]]), known[name]),
                *_further(_filled(said.further_stack, base=known[base]), known[name]),
            ]
            asked[f"stack_{name}_on_{base}"] = _phrases(patterns, known[name], unheard, more)
    for skill, (sentences, others) in said.drawer.items():
        more = _further(_filled(PLEASE, what=said.further_drawer[skill]), ("",))
        asked[skill] = _phrases(_filled(PLEASE, what=sentences), ("",), others, more)
    return asked


PLEASE = ("{what}", "please {what}", "now {what}", "{what} please")
"""What goes with any sentence."""


WRITTEN: Mapping[str, Callable[[], Asked]] = {
    "push": _push,
    "spill": lambda: _whole(paraphrased.SPILL),
    "grasp": _grasp,
    "drop": lambda: _whole(paraphrased.DROP),
    "collide": lambda: _whole(paraphrased.COLLIDE),
    "occlude": _occlude,
}
