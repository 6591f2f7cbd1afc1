"""All ways of acting on the same tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nextstate.acting.notes import Notes, median
from nextstate.acting.tasks import Task, make_tasks
from nextstate.acting.trials import attempt
from nextstate.acting.ways import WAYS, Tools
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
) -> None:
    """Lets each way act on each task, and notes what came of it; what is noted already is not done again.

    Args:
        tasks: of each seed. seeds: sets of tasks. steps, ahead: as of `attempt` and `make_tasks`.
        show: told how many of how many trials are done.
        label: under which name the trials of a way are noted.
        solved: whether tasks that are solved at their start count too.
    """
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
                notes.add(key, {**trial.to_dict(), "seconds": median(trial.seconds), "surprise": surprise})
                done += 1
                show(done, len(wanted))
