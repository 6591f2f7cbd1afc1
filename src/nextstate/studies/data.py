"""How much robot data does a world model need, of what kind, and can video without commands stand in for it?

Four series of cells in one world, each trained and measured alike: more and more labelled episodes; the same with
silent video beside them; as many episodes of fewer scenes; and as many by other policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nextstate.studies.grid import Grid, rows_of, summarised
from nextstate.studies.power import amount_for, fit_power

Silent = Literal["none", "same", "latent", "worlds", "bodies"]
Policy = Literal["mixed", "skills", "smooth", "random"]

FIGURES: dict[str, tuple[str, bool]] = {
    "nce": ("NCE at 1 s", False),
    "retrieval": ("retrieval at 1 s", True),
    "flips": ("event flips", True),
    "drift": ("drift at 2 s", False),
    "latent_r2": ("latent actions to commands, R2", True),
}
"""What is measured of a cell: its title, and whether more is better."""

SKILLS = {
    "mixed": "exploring and skills",
    "skills": "scripted skills alone, as teleoperation would",
    "smooth": "exploring alone",
    "random": "commands at random",
}
"""Who collected: in words."""

VIDEO = {
    "none": "no video",
    "same": "the same world",
    "latent": "the same world, in latent actions",
    "worlds": "other worlds",
    "bodies": "other bodies",
}
"""Where silent video comes from: in words."""

ENOUGH = 0.9
"""Share of the best skill, above chance, for which the data needed is told."""


@dataclass(frozen=True)
class Cell:
    """One model to train and measure.

    Args:
        episodes: with commands. silent: where video without commands comes from. layouts: different scenes among the
        episodes; 0 for another in each. policy: who collected them.
    """

    world: str
    episodes: int
    silent: Silent = "none"
    layouts: int = 0
    policy: Policy = "mixed"
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        scenes = f"-{self.layouts}-scenes" if self.layouts else ""
        return f"{self.world}-{self.episodes}-{self.silent}{scenes}-{self.policy}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Design(Grid):
    """What is compared.

    Args:
        world: in which everything is measured. whole: episodes that are all of the labelled data.
        shares: of it, that are learned from; nested. silent: kinds of video, each beside those of `shares` in
        `beside`. some: episodes of the series of scenes and policies. layouts: numbers of scenes. seeds: of training.
    """

    world: str
    whole: int
    shares: Sequence[float]
    silent: Sequence[Silent]
    beside: Mapping[str, Sequence[float]]
    some: int
    layouts: Sequence[int]
    policies: Sequence[Policy]
    seeds: Sequence[int]

    def episodes(self, share: float) -> int:
        """Of a share."""
        return max(round(share * self.whole), 2)

    def cells(self) -> list[Cell]:
        """All of them: what most depends on comes first, and seeds last."""
        found = []
        for seed in self.seeds:
            found += [Cell(self.world, self.episodes(share), seed=seed) for share in self.shares]
            for kind in self.silent:
                found += [Cell(self.world, self.episodes(share), kind, seed=seed) for share in self.beside[kind]]
            found.append(Cell(self.world, self.some, seed=seed))
            found += [Cell(self.world, self.some, layouts=count, seed=seed) for count in self.layouts]
            found += [Cell(self.world, self.some, policy=policy, seed=seed) for policy in self.policies]
        return list(dict.fromkeys(found))


def conclude(design: Design, folder: Path, chance: float) -> dict[str, Any]:
    """Every cell, means over seeds, power laws with held-out points, what suffices, and what that says.

    Args:
        chance: retrieval of one who knows nothing.
    """
    rows = rows_of(design, folder)

    def of(episodes: int, **other: Any) -> dict[str, Any]:
        wanted = {"episodes": episodes, "silent": "none", "layouts": 0, "policy": "mixed", **other}
        same = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        return {**wanted, **summarised(same, list(FIGURES))}

    series: dict[str, list[dict[str, Any]]] = {"labelled": [of(design.episodes(share)) for share in design.shares]}
    for kind in design.silent:
        series[f"silent: {kind}"] = [of(design.episodes(share), silent=kind) for share in design.beside[kind]]
    series["scenes"] = [of(design.some), *(of(design.some, layouts=count) for count in design.layouts)]
    series["policies"] = [of(design.some), *(of(design.some, policy=policy) for policy in design.policies)]
    laws = {name: _law(series[name]) for name in ("labelled", *(f"silent: {kind}" for kind in design.silent))}
    enough = _enough(series["labelled"], chance)
    summary = _summary(design, series)
    says = _says(design, rows, series, laws, enough, summary)
    return {"summary": summary, "series": series, "laws": laws, "enough": enough, "says": says, "cells": rows}


def value(row: Mapping[str, Any], figure: str) -> float | None:
    """The mean of a figure of a row of a series; None where it was not measured."""
    found = row["figures"].get(figure)
    return None if found is None else float(found["mean"])


def _law(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The power law of NCE over labelled episodes, fitted without the largest, which it then has to foretell."""
    known = [row for row in rows if value(row, "nce") is not None]
    if len(known) < 4:
        return None
    amounts = [row["episodes"] for row in known]
    errors = [row["figures"]["nce"]["mean"] for row in known]
    spreads = [row["figures"]["nce"]["error"] for row in known]
    law, whole = fit_power(amounts[:-1], errors[:-1], spreads[:-1]), fit_power(amounts, errors, spreads)
    if law is None or whole is None:
        return None
    foretold, interval = law.at(amounts[-1])
    tenfold, between = whole.at(10 * amounts[-1])
    return {
        "exponent": whole.exponent,
        "interval": list(whole.interval),
        "scale": whole.scale,
        "held_out": {
            "episodes": amounts[-1],
            "foretold": foretold,
            "interval": list(interval),
            "measured": errors[-1],
            "error": spreads[-1],
        },
        "tenfold": {"foretold": tenfold, "interval": list(between)},
    }


def _enough(rows: Sequence[Mapping[str, Any]], chance: float) -> dict[str, Any] | None:
    """Labelled episodes for nine tenths of the best retrieval above chance."""
    known = [(row["episodes"], value(row, "retrieval")) for row in rows]
    points = [(count, skill) for count, skill in known if skill is not None]
    if not points:
        return None
    best = max(skill for _, skill in points)
    wanted = chance + ENOUGH * (best - chance)
    amount = amount_for([count for count, _ in points], [skill for _, skill in points], wanted)
    return {"retrieval": wanted, "best": best, "episodes": amount}


OWN: tuple[Silent, ...] = ("same", "latent")
"""Kinds of silent video of the same world."""


def _summary(design: Design, series: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The figures that the question hangs on; None for what was not measured.

    ``error_reduction_vs_10pct``: of the NCE at 1 s that a tenth of the labels has above all of them, the share that
    silent video takes away. ``absolute_error_reduction_vs_10pct``: the same of the whole NCE. ``silent_by``: the way to
    learn from the rest as silent video that these are of, the one that comes to the lower NCE.
    """
    tenth, whole = design.episodes(0.1), design.episodes(1.0)

    def at(name: str, episodes: int, figure: str) -> float | None:
        return next((value(r, figure) for r in series.get(name, ()) if r["episodes"] == episodes), None)

    tried = [(nce, kind) for kind in OWN if (nce := at(f"silent: {kind}", tenth, "nce")) is not None]
    by = min(tried)[1] if tried else None
    aided, silent = (at(f"silent: {by}", tenth, figure) for figure in ("nce", "retrieval"))
    few, best = (at("labelled", episodes, "nce") for episodes in (tenth, whole))
    full = at("labelled", whole, "retrieval")
    read = at("silent: latent", tenth, "latent_r2")
    lacking = None if few is None or best is None else few - best
    return {
        "retrieval_ratio_10pct_plus_silent": silent / full if silent is not None and full else None,
        "error_reduction_vs_10pct": (few - aided) / lacking
        if few is not None and aided is not None and lacking is not None and lacking > 0
        else None,
        "absolute_error_reduction_vs_10pct": (few - aided) / few if few and aided is not None else None,
        "silent_by": by,
        "latent_action_r2": read,
    }


def _says(
    design: Design,
    rows: Sequence[Mapping[str, Any]],
    series: Mapping[str, Sequence[Mapping[str, Any]]],
    laws: Mapping[str, Mapping[str, Any] | None],
    enough: Mapping[str, Any] | None,
    summary: Mapping[str, Any],
) -> list[str]:
    """Sentences that follow from the figures, the plain answer first."""
    says = []
    law = laws["labelled"]
    if law is not None:
        low, high = law["interval"]
        held = law["held_out"]
        within = (
            held["interval"][0] - 1.96 * held["error"] <= held["measured"] <= held["interval"][1] + 1.96 * held["error"]
        )
        says.append(
            f"Ten times the labelled episodes divide NCE at 1 s by {10 ** law['exponent']:.2f} "
            f"(exponent {law['exponent']:.2f}, {low:.2f} to {high:.2f}). Fitted without the largest share, the law "
            f"foretells {held['foretold']:.3f} there; measured: {held['measured']:.3f}, "
            f"{'as foretold' if within else 'outside what it foretells, so do not trust it further out'}."
        )
    if enough is not None and enough["episodes"] is not None:
        says.append(
            f"Nine tenths of the best retrieval above chance take {enough['episodes']:.0f} of {design.whole} episodes."
        )
    reduction, ratio = summary["error_reduction_vs_10pct"], summary["retrieval_ratio_10pct_plus_silent"]
    if ratio is not None:
        lack = ""
        if reduction is not None:
            lack = f", and video takes away {reduction:.0%} of the NCE that it lacks"
            lack = lack if reduction > 0 else ", and video makes the NCE worse"
        says.append(
            f"A tenth of the labels with the rest as silent video has {ratio:.0%} of the retrieval of all labels{lack}."
        )
    for name in ("scenes", "policies"):
        base, *others = series[name]
        says += [said for row in others if (said := _against(base, row))]
    says += _answer(series, law)
    for row in rows:
        if row["state"] == "diverged":
            says.append(f"{row['episodes']} episodes, {VIDEO[row['silent']]}, seed {row['seed']}: diverged.")
    missing = sum(row["state"] == "missing" for row in rows)
    return says + ([f"{missing} cells are not done yet."] if missing else [])


def label(row: Mapping[str, Any]) -> str:
    """What a row of a series was trained on, in words."""
    scenes = f"{row['layouts']} scenes" if row["layouts"] else SKILLS[row["policy"]]
    video = "" if row["silent"] == "none" else f", video of {VIDEO[row['silent']]}"
    return f"{row['episodes']} episodes, {scenes}{video}"


def _against(base: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """One row of a series beside its first; empty where either was not measured."""
    ours, theirs = row["figures"].get("nce"), base["figures"].get("nce")
    if not ours or not theirs:
        return ""
    change = ours["mean"] / theirs["mean"] - 1
    sure = abs(ours["mean"] - theirs["mean"]) > 1.96 * (ours["error"] ** 2 + theirs["error"] ** 2) ** 0.5
    return f"{label(row)}, against {label(base)}: NCE at 1 s {change:+.0%}{'' if sure else ', within the noise'}."


def _answer(series: Mapping[str, Sequence[Mapping[str, Any]]], law: Mapping[str, Any] | None) -> list[str]:
    """Is scaling teleoperation the answer? As plainly as the figures allow."""
    errors = {row["policy"]: value(row, "nce") for row in series["policies"]}
    skilled, others = errors.get("skills"), [v for k, v in errors.items() if k != "skills" and v is not None]
    if skilled is None or not others or law is None:
        return []
    better = skilled <= min(others)
    first = (
        "episodes of skilled policies teach most"
        if better
        else f"as many episodes that explore teach more (NCE {min(others):.3f} against {skilled:.3f})"
    )
    slow = law["exponent"] < 0.3
    second = (
        f"and doubling data takes only {1 - 2 ** -law['exponent']:.0%} off the error"
        if slow
        else f"and doubling data takes {1 - 2 ** -law['exponent']:.0%} off the error"
    )
    verdict = "Is scaling teleoperation the answer? " + ("Partly: " if better else "Not by itself: ")
    return [f"{verdict}{first}, {second}."]
