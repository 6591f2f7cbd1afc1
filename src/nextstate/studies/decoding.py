"""How should motor commands be decoded, even from a perfect future?

All decoders stand on the same frozen beliefs and learn from the same demonstrations. Each acts twice: on what is
imagined, and given the true future. What fails even then is the decoding; the difference between the two is what
imagining costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nextstate.acting import Rate, difference
from nextstate.acting.contest import contest
from nextstate.acting.notes import Notes, summary
from nextstate.acting.ways import NEEDS, Tools
from nextstate.errors import CheckpointError
from nextstate.models.heads import Head
from nextstate.planning import Guide
from nextstate.policies.learning import HEADS, Recollection, learn
from nextstate.worlds import World

DECODERS: dict[str, tuple[str, str]] = {
    "cloned": ("cloned", "cloned_told"),
    "inverse": ("inverse", "inverse_told"),
    "joint": ("joint", "joint_told"),
    "proposals": ("proposals", "proposals_oracle"),
    "planner": ("model", "oracle"),
}
"""Decoder -> the way that imagines, and the one that is given the true future."""

REFERENCES = ("still", "replay")

Show = Callable[[str], Callable[[int, int], None]]
"""From what is being done to what is told how much of it is done."""


@dataclass(frozen=True)
class Design:
    """What is compared.

    Args:
        decoders: see `DECODERS`. demonstrations: numbers of episodes that heads learn from.
        seconds: of learning for each head. tasks, seeds, steps, ahead: as of `contest`. seed: of the heads.
    """

    decoders: Sequence[str]
    demonstrations: Sequence[int]
    seconds: float
    tasks: int
    seeds: Sequence[int]
    steps: int
    ahead: int
    seed: int = 0


def run(design: Design, world: World, tools: Tools, seen: Recollection, folder: Path, notes: Notes, show: Show) -> None:
    """Learns heads from each number of demonstrations and lets all decoders act; what was done before is kept.

    Args:
        tools: with planner and settings; heads are put in. folder: where heads go, ``heads/<demonstrations>``.
    """

    def act(ways: Sequence[str], able: Tools, label: Callable[[str], str], what: str) -> None:
        contest(world, able, ways, notes, design.tasks, design.seeds, design.steps, design.ahead, show(what), label)

    most = max(design.demonstrations)
    for count in sorted(design.demonstrations, reverse=True):
        heads = _heads(design, seen, folder / "heads" / str(count), count, show)
        able = replace(tools, heads=heads)
        if count == most:
            fixed = [*REFERENCES, *(DECODERS["planner"] if "planner" in design.decoders else ())]
            act(fixed, able, str, "references")
        ways = [way for name in design.decoders if name != "planner" for way in DECODERS[name]]
        act(ways, able, lambda way, n=count: f"{way}@{n}", f"{count} demonstrations")  # type: ignore[misc]


def needed_heads(decoders: Sequence[str]) -> list[str]:
    """Names of the heads that decoders act with, in the order in which they are learned; a guide leads all plans."""
    asked = {head for name in decoders for way in DECODERS[name] for head in NEEDS.get(way, ())}
    if {"planner", "proposals"} & set(decoders):
        asked.add(Guide.name)
    return [name for name in HEADS if name in asked]


def _heads(design: Design, seen: Recollection, folder: Path, count: int, show: Show) -> Mapping[str, Head]:
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Head] = {}
    for name in needed_heads(design.decoders):
        kind = HEADS[name][0]
        try:
            found[name] = kind.load(folder)
        except CheckpointError:
            told = show(f"learning {name} from {count}")
            found[name], _ = learn(name, seen.of_first(count), design.seconds, design.seed, told)
            found[name].save(folder)
    return found


def conclude(design: Design, notes: Notes) -> dict[str, Any]:
    """Figures of every decoder, and what they say, with intervals."""
    counts = sorted(design.demonstrations)
    table: dict[str, Any] = {}
    for name in design.decoders:
        labels = ["" if name == "planner" else f"@{count}" for count in counts]
        table[name] = {
            kind: {str(count): summary(notes, way + label) for count, label in zip(counts, labels, strict=True)}
            for kind, way in zip(("imagined", "oracle"), DECODERS[name], strict=True)
        }
    found = {"references": {way: summary(notes, way) for way in REFERENCES}, "decoders": table}
    return {**found, "says": says(table, str(counts[-1]))}


def says(table: Mapping[str, Any], most: str) -> list[str]:
    """Sentences that follow from the figures at the largest number of demonstrations.

    Planning in the simulator is what decoders are measured against, so it is no candidate for the best of them.
    """
    decoders = [name for name in table if name != "planner"]

    def rate(name: str, kind: str) -> Rate:
        row = table[name][kind][most]["strict"]
        return Rate(round(row["rate"] * row["trials"]), row["trials"])

    told = []
    if decoders:
        able = max(decoders, key=lambda name: rate(name, "oracle").value)
        told.append(f"Given the true future, {able} decodes best: {rate(able, 'oracle')}.")
    acting = max(table, key=lambda name: rate(name, "imagined").value)
    told.append(f"On imagined futures, {acting} acts best: {rate(acting, 'imagined')}.")
    for name in table:
        gap, low, high = difference(rate(name, "oracle"), rate(name, "imagined"))
        told.append(f"{name}: imagining costs {100 * gap:.0f} points ({100 * low:.0f} to {100 * high:.0f}).")
    if "planner" in table and decoders:
        share = rate(able, "oracle").value / max(rate("planner", "oracle").value, 1e-9)
        told.append(f"The best decoder of a true future has {share:.0%} of the success of planning in the simulator.")
    return told
