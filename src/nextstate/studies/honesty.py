"""Can what is imagined be trusted when one acts on it?

A search finds what a model likes, also where it is wrong. So plans are judged twice, in the model and by what really
comes of them; policies are ranked in the model and in the simulator; and the planner acts in worlds that were changed
a little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from nextstate.acting import Rate, difference
from nextstate.acting.contest import contest
from nextstate.acting.inside import POLICIES, Make, worth_inside, worth_outside
from nextstate.acting.notes import Notes, summary
from nextstate.acting.shifts import SHIFTS, shifted
from nextstate.acting.tasks import Task, make_tasks
from nextstate.acting.ways import Tools, aim
from nextstate.errors import SettingsError, StateError
from nextstate.evaluation.bootstrap import mean
from nextstate.evaluation.ranking import agreement_of_order, misjudged
from nextstate.models.protocol import WorldModel
from nextstate.planning import Problem
from nextstate.planning.planners.icem import coloured
from nextstate.worlds import World

Show = Callable[[str], Callable[[int, int], None]]
"""From what is being done to what is told how much of it is done."""

SPREAD, COLOUR = 0.7, 1.5
"""Of the plans that are judged twice, see `ICEM`."""


@dataclass(frozen=True)
class Design:
    """What is measured.

    Args:
        candidates: numbers of plans among which the best is chosen, ascending.
        tasks: on which plans and policies are judged. trials: on which planners act, of each set in `seeds`.
        oracle: of these trials, how many are also planned in the simulator, which takes long.
        steps, ahead: as of `contest`.
    """

    candidates: Sequence[int]
    tasks: int
    trials: int
    oracle: int
    seeds: Sequence[int]
    steps: int
    ahead: int


def run(design: Design, world: World, tools: Tools, notes: Notes, show: Show) -> None:
    """Judges, ranks and acts; what was noted before is kept.

    Args:
        tools: with a guide among its heads.
    """
    first = design.seeds[0]
    tasks = make_tasks(world, design.tasks, first, design.ahead, max(tools.model.spec.context, 1))
    _judge(design, tools, tasks, notes, show("plans judged twice"))
    _rank(design, world, tools, tasks, notes, show("policies inside and outside"))

    def act(where: World, able: Tools, way: str, label: str, trials: int) -> None:
        told = show(label)
        contest(where, able, [way], notes, trials, design.seeds, design.steps, design.ahead, told, lambda _: label)

    act(world, tools, "model", "model", design.trials)
    for shift in SHIFTS:
        act(shifted(world, shift), tools, "model", f"model, {shift}", design.trials)
    if design.oracle:
        act(world, tools, "oracle", "oracle", design.oracle)


def _judge(design: Design, tools: Tools, tasks: Sequence[Task], notes: Notes, show: Callable[[int, int], None]) -> None:
    for number, task in enumerate(tasks):
        key = ("plans", design.seeds[0], number)
        if key not in notes.found:
            notes.add(key, _lasting(partial(judge, tools, task, design.candidates)))
        show(number + 1, len(tasks))


def _lasting(find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was found, or why the world broke: such a task is left out of comparisons, and does not end the study."""
    try:
        return find()
    except StateError as error:
        return {"broke": f"{type(error).__name__}: {error}"}


def judge(tools: Tools, task: Task, candidates: Sequence[int]) -> dict[str, Any]:
    """Random plans for one task, their costs as imagined and as true, and what choosing among the first N gives."""
    settings = {name: int(tools.settings[name]) for name in ("horizon", "block", "stride") if name in tools.settings}
    last, cost = float(tools.settings.get("last", 0.0)), aim(tools, task)
    generator = torch.Generator().manual_seed(task.seed % 2**31)

    def costs(model: WorldModel, plans: torch.Tensor | None) -> tuple[np.ndarray, torch.Tensor]:
        history = task.instant.history(model.spec.context, list(model.spec.modalities))
        problem = Problem(model, model.observe(history), cost, last=last, chunk=64, **settings)  # type: ignore[arg-type]
        if plans is None:
            noise = coloured(torch.randn(1, candidates[-1], *problem.shape, generator=generator), COLOUR)
            plans = problem.bounded(SPREAD * noise)
        return problem.evaluate(plans)[0].double().numpy(), plans

    with torch.no_grad():
        imagined, plans = costs(tools.model, None)
        true, _ = costs(tools.simulator, plans)
    wrong, compared = misjudged(true, imagined)
    chosen = [int(np.argmin(imagined[:count])) for count in candidates]
    return {
        "imagined": [round(float(imagined[i]), 4) for i in chosen],
        "true": [round(float(true[i]), 4) for i in chosen],
        "best": [round(float(true[:count].min()), 4) for count in candidates],
        "mean": [round(float(imagined.mean()), 4), round(float(true.mean()), 4)],
        "spread": round(float(true.std()), 4),
        "wrong": wrong,
        "compared": compared,
    }


def _rank(
    design: Design,
    world: World,
    tools: Tools,
    tasks: Sequence[Task],
    notes: Notes,
    show: Callable[[int, int], None],
) -> None:
    done = 0
    for name, make in POLICIES.items():
        for number, task in enumerate(tasks):
            key = (f"policy {name}", design.seeds[0], number)
            if key not in notes.found:
                notes.add(key, _lasting(partial(_worth, design, world, tools, task, make)))
            done += 1
            show(done, len(POLICIES) * len(tasks))


def _worth(design: Design, world: World, tools: Tools, task: Task, make: Make) -> dict[str, Any]:
    inside = worth_inside(tools, task, make(tools, task), design.ahead)
    outside = worth_outside(world, tools, task, make(tools, task), design.ahead)
    return {"inside": round(inside, 5), "outside": round(outside, 5)}


def conclude(design: Design, notes: Notes) -> dict[str, Any]:
    """Figures with intervals, and what they say."""
    found = {
        "plans": _of_plans(design, [row for row in _rows(design, notes, "plans") if "broke" not in row]),
        "policies": _of_policies(design, notes),
        "acting": {label: summary(notes, label, design.seeds) for label in _labels(design)},
    }
    if design.oracle:
        found["planning_gap"] = _gap(design, notes)
    return {**found, "says": says(found)}


def _labels(design: Design) -> list[str]:
    return ["model", *(f"model, {shift}" for shift in SHIFTS), *(["oracle"] if design.oracle else [])]


def _rows(design: Design, notes: Notes, way: str) -> list[dict[str, Any]]:
    kept = [row for row in notes.found.values() if row["way"] == way and row["seed"] in design.seeds]
    return sorted(kept, key=lambda row: int(row["task"]))


def _of_plans(design: Design, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Optimism of the chosen plan beyond that of a random one, and regret, against the number of candidates.

    Optimism is how much less a plan is imagined to cost than it does, in standard deviations of true costs.
    """
    spread = np.maximum(np.array([row["spread"] for row in rows]), 1e-9)
    usual = np.array([row["mean"][1] - row["mean"][0] for row in rows])
    average = np.array([row["mean"][1] for row in rows])
    found: dict[str, Any] = {"candidates": list(design.candidates), "exploitation": [], "regret": []}
    for index in range(len(design.candidates)):
        imagined, true, best = (np.array([row[n][index] for row in rows]) for n in ("imagined", "true", "best"))
        optimism = mean((true - imagined - usual) / spread)
        found["exploitation"].append(_figure(optimism.value, optimism.interval()))
        possible = np.maximum(average - best, 1e-9).sum()
        lost = float((true - best).sum() / possible)
        resampled = np.random.default_rng(0).integers(len(rows), size=(1000, len(rows)))
        ratios = (true - best)[resampled].sum(axis=1) / np.maximum((average - best)[resampled].sum(axis=1), 1e-9)
        found["regret"].append(_figure(lost, tuple(np.quantile(ratios, [0.025, 0.975]))))
    wrong, compared = (sum(int(row[n]) for row in rows) for n in ("wrong", "compared"))
    return {**found, "inverted": round(wrong / max(compared, 1), 4), "pairs": compared}


def _of_policies(design: Design, notes: Notes) -> dict[str, Any]:
    rows = {name: _rows(design, notes, f"policy {name}") for name in POLICIES}
    if not any("broke" not in row for kept in rows.values() for row in kept):
        raise SettingsError("no policy could act in any task: the world broke in all of them.")
    broke = {(row["seed"], row["task"]) for kept in rows.values() for row in kept if "broke" in row}
    rows = {n: [row for row in kept if (row["seed"], row["task"]) not in broke] for n, kept in rows.items()}
    inside, outside = (np.array([[row[n] for row in kept] for kept in rows.values()]) for n in ("inside", "outside"))
    worth = {
        name: {"inside": round(float(inside[i].mean()), 4), "outside": round(float(outside[i].mean()), 4)}
        for i, name in enumerate(rows)
    }
    return {"worth": worth, **agreement_of_order(outside, inside)}


def _gap(design: Design, notes: Notes) -> dict[str, Any]:
    """Success of the planner in the simulator minus in the model, on the tasks on which both acted."""
    both = [
        Rate.of(row["held"] for row in _rows(design, notes, way) if row["task"] < design.oracle)
        for way in ("oracle", "model")
    ]
    value, low, high = difference(*both)
    return {"points": round(100 * value, 1), "interval": [round(100 * low, 1), round(100 * high, 1)]}


def _figure(value: float, interval: tuple[float, float]) -> dict[str, Any]:
    return {"value": round(value, 4), "interval": [round(float(bound), 4) for bound in interval]}


def says(found: Mapping[str, Any]) -> list[str]:
    """Sentences that follow from the figures."""
    plans, policies, acting = found["plans"], found["policies"], found["acting"]
    most, gap, regret = plans["candidates"][-1], plans["exploitation"][-1], plans["regret"][-1]
    told = [
        f"The best of {most} imagined plans is imagined too cheap by {gap['value']:+.2f} standard deviations more than "
        f"random ones are ({gap['interval'][0]:+.2f} to {gap['interval'][1]:+.2f}).",
        f"It loses {regret['value']:.0%} of what knowing the truth would gain "
        f"({regret['interval'][0]:.0%} to {regret['interval'][1]:.0%}); "
        f"{plans['inverted']:.0%} of pairs of plans are in the wrong order.",
        f"Policies rank in the model as they do in the simulator with a rank correlation of "
        f"{policies['spearman']['value']:.2f} ({policies['spearman']['interval'][0]:.2f} to "
        f"{policies['spearman']['interval'][1]:.2f}).",
    ]
    for label, row in acting.items():
        count = row["strict"]["trials"]
        told.append(f"Goals held by the planner, {label}: {Rate(round(row['strict']['rate'] * count), count)}.")
    if "planning_gap" in found:
        points, (low, high) = found["planning_gap"]["points"], found["planning_gap"]["interval"]
        told.append(f"Planning in the simulator reaches {points:.0f} points more ({low:.0f} to {high:.0f}).")
    return told
