"""Does it help to think in branches? A tree search against a flat one, in puzzles, imagining equally many steps.

Both are given the same cost, the same bounds, the same look at the world, and they act in closed loop. What the tree
has besides is what the question is about: stretches that begin where promising or unusual ones ended, and recorded
episodes that come to mind there. `flat_recalled` is the flat search with the same memory, asked once, at the present.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch

from nextstate.acting.notes import Notes, median
from nextstate.acting.puzzles import HELD, Puzzle, Wanted, scene_of
from nextstate.acting.rates import Rate, difference
from nextstate.data.recording import Plan as Recording
from nextstate.data.recording import play
from nextstate.errors import SettingsError, StateError, UnknownNameError
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.store import cache_folder, content_key, read_arrays, write_arrays
from nextstate.models.protocol import WorldModel
from nextstate.planning.planners.cem import CEM
from nextstate.planning.planners.recalled import RecalledCEM
from nextstate.planning.planners.tree import TreeSearch
from nextstate.planning.recall import Recall, Whereabouts, places
from nextstate.policies import Planned
from nextstate.worlds.base import World

WAYS = ("tree", "flat", "flat_recalled", "tree_alone")
"""The tree, the flat search, the flat one with the tree's memory, and the tree without it."""

COMPARED = ("tree", "flat")


@dataclass(frozen=True)
class Design:
    """What is compared.

    Args:
        budget: steps imagined for each decision. tasks: of the set `seed`. episodes: that may be recalled.
        changed: settings of planners or puzzles to be tried on development tasks, name -> value.
    """

    budget: int
    tasks: int
    seed: int = 0
    episodes: int = 400
    changed: Mapping[str, Any] = field(default_factory=dict)


def memory_of(puzzle: Puzzle, episodes: int, cost: Wanted) -> tuple[Whereabouts, Recall]:
    """Where things are, and what was done there, in episodes of the recording policies' mix, none of them held out."""
    played = _played(puzzle, episodes)
    spread = places(puzzle.kind, puzzle.places, played["outcome"]).reshape(-1, len(puzzle.places)).std(axis=0)
    weights = np.array([2.0 if "-" in name else 1.0 for name in puzzle.places])
    # How things stand to each other says more than where they are.
    scale = torch.from_numpy(np.maximum(spread, 1e-3) / weights).float()
    where = Whereabouts(puzzle.kind, puzzle.places, scale, cost.readout)
    costs = cost.of(played["outcome"], played["events"])
    return where, Recall.of(where, zip(played["outcome"], played["action"][:, :-1], costs, strict=True))


def _played(puzzle: Puzzle, episodes: int) -> dict[str, np.ndarray]:
    """Columns ``(E, T+1, ...)``; kept on disk, since playing takes longer than planning."""
    recording = Recording(puzzle.world, modalities=("proprio",))
    key = content_key(version=puzzle.kind.version, episodes=episodes, **asdict(recording))
    path = cache_folder() / "memories" / f"{puzzle.world}-{key}.npz"
    if path.exists():
        return read_arrays(path)
    rows = [play(recording, index).columns for index in range(episodes)]
    columns = {name: np.stack([row[name] for row in rows]) for name in ("outcome", "events", "action")}
    write_arrays(path, columns)
    return columns


def actor_of(
    way: str,
    puzzle: Puzzle,
    model: WorldModel,
    cost: Wanted,
    memory: tuple[Whereabouts, Recall],
    design: Design,
    seed: int,
) -> Planned:
    """An actor by the name of its way of planning."""
    where, recall = memory
    if way in ("tree", "tree_alone"):
        own = {"depth": 6, "breadth": 4, **puzzle.tree}
        settings = _planner_settings(own, design, "tree_")
        planner: Any = TreeSearch(
            **settings, budget=design.budget, sense=where, memory=recall if way == "tree" else None
        )
        horizon, block = puzzle.horizon, puzzle.block
        last = float(design.changed.get("last", 0.9))
    else:
        own = {"horizon": 24, "block": puzzle.block, "rounds": 3, "last": 0.5, "spread": 0.8, **puzzle.flat}
        settings = _planner_settings(own, design, "flat_")
        horizon, block, last = settings.pop("horizon"), settings.pop("block"), settings.pop("last")
        candidates = -(-(design.budget - horizon) // (settings["rounds"] * horizon))
        elites = max(candidates // 8, 3)
        if way == "flat_recalled":
            planner = RecalledCEM(candidates, elites=elites, sense=where, memory=recall, **settings)
        else:
            planner = CEM(candidates, elites=elites, **settings)
    every = min(puzzle.every, horizon)
    return Planned(model, planner, cost, horizon, block, every - every % block, last=last, seed=seed)


CHANGEABLE = ("horizon", "block", "every", "steps", "nearness", "wanted")
"""Settings of puzzles that may be changed; besides `last` of the tree, and by prefix those of either planner."""


def check_changes(changed: Mapping[str, Any]) -> None:
    """Raises `UnknownNameError` for a setting that nothing has."""
    tree = [f"tree_{f.name}" for f in fields(TreeSearch) if f.name not in ("budget", "sense", "memory")]
    flat = [f"flat_{n}" for n in (*(f.name for f in fields(CEM)), "horizon", "block", "last")]
    known = (*CHANGEABLE, "last", *tree, *(n for n in flat if n not in ("flat_candidates", "flat_elites")))
    for name in changed:
        if name not in known:
            raise UnknownNameError("setting to change", name, known)


def _planner_settings(own: Mapping[str, Any], design: Design, prefix: str) -> dict[str, Any]:
    changed = {n.removeprefix(prefix): v for n, v in design.changed.items() if n.startswith(prefix)}
    return {**own, **changed}


def solve(world: World, puzzle: Puzzle, actor: Planned, scene: int, budget: int) -> dict[str, Any]:
    """Lets an actor act on one scene: solved when the event lasts for `HELD` steps, or is the case at the end."""
    now, _ = world.reset(seed=scene)
    actor.reset()
    solved, lasting, spent, seconds, steps = world.events.index("solved"), 0, [], [], 0
    fatal = [world.events.index(name) for name in puzzle.over]
    touched, died = False, ""
    while steps < puzzle.steps:
        steps += 1
        due, began = actor.due, time.perf_counter()
        try:
            action = actor.select_action(now, world.snapshot())
            if due:
                assert actor.found is not None
                seconds.append(time.perf_counter() - began)
                spent.append(round(actor.found.imagined * actor.horizon))
            world.advance_action(action)
            now = world.observe()
        except StateError as error:  # A world that breaks is a task that failed, and not the end of the study.
            lasting, died = 0, f"{type(error).__name__}: {error}"
            break
        events = world.events_now()
        lasting = lasting + 1 if events[solved] else 0
        touched = touched or bool(events[solved])
        if lasting >= HELD:
            break
        if events[fatal].any():
            died = next(puzzle.over[i] for i, column in enumerate(fatal) if events[column])
            break
    if not all(0.9 * budget <= count <= 1.05 * budget for count in spent):
        raise SettingsError(f"decisions imagined {spent} steps where {budget} were to be; change the budget.")
    return {
        "held": lasting >= min(HELD, 1 if steps == puzzle.steps else HELD),
        "touched": touched,
        "steps": steps,
        "ended": died,
        "decisions": len(spent),
        "imagined": round(float(np.mean(spent))) if spent else 0,
        "seconds": median(seconds),
    }


def run(
    design: Design,
    puzzle: Puzzle,
    world: World,
    model: WorldModel,
    readout: Readout | None,
    ways: Sequence[str],
    notes: Notes,
    show: Callable[[int, int], None],
) -> None:
    """Every way on every task; what is noted already is not done again."""
    puzzle = _changed(puzzle, design)
    wanted = [(f"{puzzle.world}:{way}", design.seed, number) for number in range(design.tasks) for way in ways]
    missing = [key for key in wanted if key not in notes.found]
    if not missing:
        return
    cost = Wanted(puzzle, readout)
    memory = memory_of(puzzle, design.episodes, cost)
    for done, (name, seed, number) in enumerate(missing, len(wanted) - len(missing) + 1):
        scene = scene_of(seed, number)
        actor = actor_of(name.split(":")[1], puzzle, model, cost, memory, design, scene)
        with torch.no_grad():
            notes.add((name, seed, number), solve(world, puzzle, actor, scene, design.budget))
        show(done, len(wanted))


def _changed(puzzle: Puzzle, design: Design) -> Puzzle:
    return replace(puzzle, **{n: v for n, v in design.changed.items() if n in CHANGEABLE})


def conclude(puzzles: Sequence[str], ways: Sequence[str], notes: Notes, seed: int) -> dict[str, Any]:
    """Rates with intervals, the tree's gain over the flat search in each puzzle, and what they say.

    What has no trials yet is left out.
    """
    table: dict[str, Any] = {}
    for puzzle in puzzles:
        rates, row = {}, {}
        for way in ways:
            rows = [r for (w, s, _), r in sorted(notes.found.items()) if w == f"{puzzle}:{way}" and s == seed]
            if not rows:
                continue
            rates[way] = Rate.of(r["held"] for r in rows)
            row[way] = {
                **rates[way].to_dict(),
                "touched": Rate.of(r["touched"] for r in rows).value,
                "ended": sum(bool(r["ended"]) for r in rows),
                "imagined_per_decision": round(float(np.mean([r["imagined"] for r in rows]))),
                "decisions": round(float(np.mean([r["decisions"] for r in rows])), 2),
                "seconds_per_decision": median([r["seconds"] for r in rows]),
            }
        if not row:
            continue
        table[puzzle] = {"ways": row}
        if all(way in rates for way in COMPARED):
            gap, low, high = difference(rates["tree"], rates["flat"])
            table[puzzle]["gain_points"] = round(100 * gap, 1)
            table[puzzle]["interval_points"] = [round(100 * low, 1), round(100 * high, 1)]
            table[puzzle]["paired"] = _paired(notes, puzzle, seed)
    gains = [row["gain_points"] for row in table.values() if "gain_points" in row]
    mean = round(float(np.mean(gains)), 1) if gains else None
    return {"puzzles": table, "mean_gain_points": mean, "says": says(table, mean)}


def headline(found: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The figures in short: rates of tree and flat search in each puzzle, and the mean gain in points."""
    rates = {
        name: {way: row["ways"][way]["rate"] for way in COMPARED if way in row["ways"]}
        for name, row in found["puzzles"].items()
    }
    return {"mean_gain_points": found["mean_gain_points"], "planned_in": model, "puzzles": rates}


def _paired(notes: Notes, puzzle: str, seed: int) -> dict[str, int]:
    """On how many of the same tasks only one of the two succeeded."""
    won = {
        way: {n: r["held"] for (w, s, n), r in notes.found.items() if w == f"{puzzle}:{way}" and s == seed}
        for way in COMPARED
    }
    both = won["tree"].keys() & won["flat"].keys()
    return {
        "only_tree": sum(won["tree"][n] and not won["flat"][n] for n in both),
        "only_flat": sum(won["flat"][n] and not won["tree"][n] for n in both),
        "tasks": len(both),
    }


def says(table: Mapping[str, Any], mean: float | None) -> list[str]:
    """Sentences that follow from the figures."""
    told = []
    for name, row in table.items():
        rates = {way: Rate(round(r["rate"] * r["trials"]), r["trials"]) for way, r in row["ways"].items()}
        told.append(f"{name}: " + ", ".join(f"{way} {rate}" for way, rate in rates.items()) + ".")
    if mean is not None:
        told.append(f"Thinking in branches gains {mean:+.1f} points on average over {len(table)} puzzles.")
    return told
