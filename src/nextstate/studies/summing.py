"""What the study of language adds up to: differences between the best of each side, in points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nextstate.acting.conditions import CONDITIONS
from nextstate.acting.rates import Rate, difference

Rows = Mapping[str, Mapping[str, Any]]
"""Way, or way and condition -> rates, as `acting.notes.summary` gives them."""


def summed(
    answers: Mapping[str, Any], control: Rows, ours: Sequence[str], vlas: Sequence[str], guessing: Sequence[str]
) -> dict[str, Any]:
    """The figures that the study is about; None for what was not measured.

    Args:
        answers: way -> kind -> ``all``. ours, vlas, guessing: names of world-model policies, of rivals, and of rivals
            that learned from commands guessed by a world model.
    """
    physical = [name for name, condition in CONDITIONS.items() if condition.physical]
    theirs = [way for way in answers if "@" not in way and way.startswith("vl")]
    found: dict[str, Any] = {
        "vla_vs_bc_in_distribution": _gap(control, vlas, ["bc"], ["usual"]),
        "physics_gap": _told(answers, "physics", ["imagination"], theirs),
        "physics_gap_of_probes": _told(
            answers, "physics", ["beliefs, probed"], [way for way in theirs if way.endswith("probed")]
        ),
        "knowledge_gap": _told(answers, "knowledge", ["beliefs, probed", "imagination"], theirs),
        "shift_gap": _gap(control, ours, vlas, physical),
        "in_distribution_gap": _gap(control, ours, vlas, ["usual"]),
    }
    best, rival, helped = (_best(control, names, ["silent"]) for names in (ours, vlas, guessing))
    found["new_verb_success"] = None if best is None else best[1]
    found["new_verb"] = {
        "world_model": None if best is None else dict(zip(("way", "rate"), best, strict=True)),
        "vla": None if rival is None else dict(zip(("way", "rate"), rival, strict=True)),
        "vla_told_commands_guessed_by_the_world_model": None
        if helped is None
        else dict(zip(("way", "rate"), helped, strict=True)),
    }
    return found


def _label(way: str, condition: str) -> str:
    return way if condition == "usual" else f"{way}, {condition}"


def _rate(control: Rows, way: str, conditions: Iterable[str]) -> Rate | None:
    rows = [control.get(_label(way, condition)) for condition in conditions]
    kept = [row["strict"] for row in rows if row is not None and row["strict"]["trials"]]
    if len(kept) < len(rows) or not kept:
        return None
    return Rate(sum(round(row["rate"] * row["trials"]) for row in kept), sum(row["trials"] for row in kept))


def _best(control: Rows, ways: Sequence[str], conditions: Sequence[str]) -> tuple[str, float] | None:
    rates = {way: rate.value for way in ways if (rate := _rate(control, way, conditions)) is not None}
    return max(rates.items(), key=lambda item: item[1]) if rates else None


def _gap(control: Rows, ways: Sequence[str], others: Sequence[str], conditions: Sequence[str]) -> dict[str, Any] | None:
    """The best of some minus the best of others, in points."""
    one, other = (_best(control, names, conditions) for names in (ways, others))
    if one is None or other is None:
        return None
    rates = [_rate(control, way, conditions) for way, _ in (one, other)]
    assert rates[0] is not None and rates[1] is not None
    gap, low, high = difference(rates[0], rates[1])
    interval = [round(100 * low, 1), round(100 * high, 1)]
    return {"points": round(100 * gap, 1), "interval": interval, "between": [one[0], other[0]]}


def _told(answers: Mapping[str, Any], kind: str, ways: Sequence[str], others: Sequence[str]) -> dict[str, Any] | None:
    rates = [{w: answers[w][kind]["all"] for w in names if kind in answers.get(w, {})} for names in (ways, others)]
    if not all(rates):
        return None
    one, other = (max(known, key=lambda way: known[way]) for known in rates)
    return {"points": round(100 * (rates[0][one] - rates[1][other]), 1), "between": [one, other]}


def rates_of_decisions(
    control: Rows, milliseconds: Mapping[str, float], every: Mapping[str, int], ours: Sequence[str], vlas: Sequence[str]
) -> dict[str, Any]:
    """Commands a second that each side's best policy can give, and decisions a second of all.

    Args:
        milliseconds: way -> of one decision. every: way -> commands done of each.
    """
    rates = {way: round(1000 / taken, 1) for way, taken in milliseconds.items() if taken > 0}
    found: dict[str, Any] = {"decisions_per_second": rates}
    for name, ways in (("hz_without_language", ours), ("hz_with_language", vlas)):
        best = _best(control, ways, ["usual"])
        found[name] = None if best is None or best[0] not in rates else round(rates[best[0]] * every[best[0]], 1)
    return found
