"""All ways of acting on the same tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nextstate.acting.notes import Notes, median
from nextstate.acting.tasks import Task, make_tasks
from nextstate.acting.trials import attempt
from nextstate.acting.ways import WAYS, Tools
from nextstate.errors import SettingsError
from nextstate.worlds import World


def contest(
    world: World,
    tools: Tools,
    ways: Sequence[str],
    notes: Notes,
    tasks: int,
    seeds: Sequence[int],
    steps: int,
    ahead: int,
    show: Callable[[int, int], None],
    label: Callable[[str], str] = str,
    solved: bool = False,
    weights: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Lets each way act on each task, and notes what came of it; what is noted already is not done again.

    Args:
        tasks: of each seed. seeds: sets of tasks. steps, ahead: as of `attempt` and `make_tasks`.
        show: told how many of how many trials are done.
        label: under which name the trials of a way are noted.
        solved: whether tasks that are solved at their start count too.
        weights: way -> by which weights its trials are told from others, see `marks`.

    Raises:
        SettingsError: for a way that has trials with other weights.
    """
    weights = weights or {}
    for way, own in weights.items():
        if any(r["way"] == label(way) and r.get("weights", own) != own for r in notes.found.values()):
            raise SettingsError(f"{notes.path} holds trials of {way} with other weights; give another --out.")
    wanted = [(label(way), seed, number) for way in ways for seed in seeds for number in range(tasks)]
    done = sum(key in notes.found for key in wanted)
    for seed in seeds:
        made: list[Task] = []
        for way in ways:
            for number in range(tasks):
                key = (label(way), seed, number)
                if key in notes.found:
                    continue
                made = made or make_tasks(world, tasks, seed, ahead, max(tools.model.spec.context, 1), solved)
                task = made[number]
                trial = attempt(world, WAYS[way](tools, task), task, steps)
                surprise = round(float(np.mean(trial.surprises)), 5) if trial.surprises else None
                row = {**trial.to_dict(), "seconds": median(trial.seconds), "surprise": surprise}
                notes.add(key, {**row, "weights": weights[way]} if way in weights else row)
                done += 1
                show(done, len(wanted))
