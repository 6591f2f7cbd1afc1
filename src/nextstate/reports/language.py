"""The study of language as one page: the same scenes, the same questions, both answers, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nextstate.acting.conditions import CONDITIONS
from nextstate.reports.studies import page, table_row
from nextstate.reports.svg import Plot

DRAWN = ("usual", "silent", "heavy", "slippery")
"""Conditions that are drawn; the table holds all."""

SHOWN = ("imagination", "in words")
"""Whose answers stand under a scene: ways that end so."""


def language_page(question: str, found: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], made: str) -> str:
    """Answers by kind, success by condition, some scenes, and the ledger.

    Args:
        found: ``answers``, ``control``, ``ledger`` and ``summary``. examples: questions with pictures, and what
            was said to them.
        made: the command.
    """
    answers, control = found["answers"]["ways"], found["control"]
    counts = found["answers"].get("counts", {})
    plots = [(_accuracy(answers), _counted(counts))]
    if control:
        plots.append((_success(control), "Instructions followed, by condition; bars are 95 % intervals."))
    if any(curve["minutes"] for curve in found.get("curves", {}).values()):
        words = (
            "How the rivals learned: errors on held-out frames, of commands over variance, of answers over guessing."
        )
        plots.append((_learning(found["curves"]), words))
    plots += [(_scene(example), _said(example)) for example in examples]
    shown = [name for name in CONDITIONS if any(_label(way, name) in control for way in _ways(control))]
    blank = [""] * len(shown)
    rows = [table_row(way, (*_cells(answers, way), *blank)) for way in answers]
    rows += [
        table_row(way, ("", "", *(_rate(control.get(_label(way, name))) for name in shown))) for way in _ways(control)
    ]
    head = ("who", "knowledge", "physics", *shown)
    note = "Guessing is right half of the time. @ stands before what was taken away."
    if control:
        note += f" Conditions: {'; '.join(f'{name}: {condition.about}' for name, condition in CONDITIONS.items())}."
    ledgers = [f"Parameters of {entry['name']}: {entry['total']:,} ({_owners(entry)})." for entry in found["ledger"]]
    return page(question, [*says(found), *ledgers], plots, head, rows, note, made)


def says(found: Mapping[str, Any]) -> list[str]:
    """What the figures say, one sentence each."""
    summary, said = found["summary"], []
    texts = {
        "physics_gap": "Physics: {0} is right more often than {1} by {points:g} points.",
        "knowledge_gap": "Knowledge: {0} is right more often than {1} by {points:g} points.",
        "in_distribution_gap": "As learned: {0} follows more instructions than {1} by {points:g} points.",
        "shift_gap": "With masses doubled or little friction: {0} follows more than {1} by {points:g} points.",
        "vla_vs_bc_in_distribution": "As learned: {0} differs from plain cloning by {points:+g} points.",
    }
    for name, text in texts.items():
        gap = summary.get(name)
        if gap:
            ahead = gap["points"] >= 0 or "{points:+g}" in text
            names, points = (gap["between"], gap["points"]) if ahead else (gap["between"][::-1], -gap["points"])
            said.append(text.format(*names, points=points))
    if summary.get("new_verb_success") is not None:
        verb = summary["new_verb"]
        rival = "" if verb["vla"] is None else f", by {verb['vla']['way']} {verb['vla']['rate']:.0%}"
        said.append(
            f"Seen in silent video alone: followed {summary['new_verb_success']:.0%} of the time by "
            f"{verb['world_model']['way']}{rival}."
        )
    minutes = {name: curve["minutes"][-1] for name, curve in found.get("curves", {}).items() if curve["minutes"]}
    if minutes:
        said.append(f"Minutes of learning: {', '.join(f'{name} {taken:.0f}' for name, taken in minutes.items())}.")
    return said


def _counted(counts: Mapping[str, int]) -> str:
    asked = " and ".join(f"{count} of {kind}" for kind, count in counts.items())
    return f"Share of right answers to {asked}; a half is guessing. Bars are 95 % intervals over snapshots."


def _accuracy(answers: Mapping[str, Any]) -> str:
    ways = [way for way in answers if "@" not in way]
    plot = Plot(
        "share of right answers",
        (-0.5, 1.4),
        (0.36, 1.0),
        ((), (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("", "right"),
        right=130.0,
    )
    plot.note(0, 0.36, "knowledge", "middle")
    plot.note(1, 0.36, "physics", "middle")
    plot.line([-0.5, 1.4], [0.5, 0.5], "ideal")
    for index, way in enumerate(ways):
        tone = f"group group{index % 6}"
        points = [
            (place, answers[way][kind]) for place, kind in enumerate(("knowledge", "physics")) if kind in answers[way]
        ]
        nudged = [place + 0.05 * (index - len(ways) / 2) for place, _ in points]
        plot.line(nudged, [row["all"] for _, row in points], tone)
        # Names stand beyond all lines, so that they hide none.
        plot.line([1.4], [points[-1][1]["all"]], tone, way)
        for place, (_, row) in zip(nudged, points, strict=True):
            low, high = row["interval"]
            plot.bar(place, low, high, tone)
            plot.dot(place, row["all"], tone, 3, f"{way}: {row['all']:.2f}")
    return plot.render()


def _success(control: Mapping[str, Any]) -> str:
    ways = [way for way in _ways(control) if "@" not in way]
    names = [name for name in DRAWN if any(_label(way, name) in control for way in ways)]
    plot = Plot(
        "instructions followed",
        (-0.5, len(names) - 0.4),
        (-0.08, 1.0),
        ((), (0, 0.25, 0.5, 0.75, 1.0)),
        ("", "followed"),
        right=110.0,
    )
    for number, name in enumerate(names):
        plot.note(number, -0.08, name, "middle")
    for index, way in enumerate(ways):
        tone = f"group group{index % 6}"
        places = [p + 0.06 * (index - len(ways) / 2) for p, name in enumerate(names) if _label(way, name) in control]
        rows = [control[_label(way, name)]["strict"] for name in names if _label(way, name) in control]
        plot.line([len(names) - 0.4], [rows[-1]["rate"]], tone, way)
        for place, row in zip(places, rows, strict=True):
            low, high = row["interval"]
            plot.bar(place, low, high, tone)
            plot.dot(place, row["rate"], tone, 3, f"{way}: {row['rate']:.0%}")
    return plot.render()


def _learning(curves: Mapping[str, Any]) -> str:
    known = {name: curve for name, curve in curves.items() if curve["minutes"]}
    longest = max(curve["minutes"][-1] for curve in known.values())
    ticks = [round(longest * part, 1) for part in (0.25, 0.5, 0.75, 1.0)]
    plot = Plot("learning curves", (0.0, longest), (0.0, 1.2), (ticks, (0, 0.5, 1.0)), ("minutes", "error"))
    for index, (name, curve) in enumerate(known.items()):
        plot.line(curve["minutes"], curve["error"], f"group group{index % 6}", name)
        for minutes, error in zip(curve["minutes"], curve["error"], strict=True):
            plot.dot(minutes, error, f"group group{index % 6}", 2.5, f"{name}: {error:.2f}")
    return plot.render()


def _label(way: str, condition: str) -> str:
    return way if condition == "usual" else f"{way}, {condition}"


def _scene(example: Mapping[str, Any]) -> str:
    return (
        f'<img alt="what happens, from left to right" src="{example["picture"]}" '
        'style="width:100%;image-rendering:pixelated;border-radius:3px">'
    )


def _said(example: Mapping[str, Any]) -> str:
    truth = "yes" if example["answer"] else "no"
    told = [
        f"{escape(way)}: {'yes' if value > 0.5 else 'no'}{'' if (value > 0.5) == example['answer'] else ' ✗'}"
        for way, value in example.get("told", {}).items()
        if way.endswith(SHOWN)
    ]
    return f"<b>{escape(example['text'])}</b> truth: {truth}; {'; '.join(told)}"


def _cells(answers: Mapping[str, Any], way: str) -> tuple[str, ...]:
    kinds = [answers[way].get(kind) for kind in ("knowledge", "physics")]
    return tuple(
        "" if row is None else f"{row['all']:.2f} ({row['interval'][0]:.2f}-{row['interval'][1]:.2f})" for row in kinds
    )


def _ways(control: Mapping[str, Any]) -> list[str]:
    return [way for way in control if ", " not in way]


def _rate(row: Mapping[str, Any] | None) -> str:
    if row is None or not row["strict"]["trials"]:
        return ""
    low, high = row["strict"]["interval"]
    return f"{row['strict']['rate']:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def _owners(entry: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{owner} {count / max(entry['total'], 1):.0%}" for owner, count in entry["owners"].items() if count
    )
