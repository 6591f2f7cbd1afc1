"""What is done in the rival's environment: LeWM is trained, acts on nextstate's tasks, and is timed beside it.

Called by ``python -m benchmarks.yardsticks``; each part can also be run by itself.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.yardsticks.lewm import Planner, Trained, train, without_missing_operators

from nextstate.acting.notes import Notes, median
from nextstate.acting.tasks import Task, make_tasks
from nextstate.acting.trials import attempt
from nextstate.acting.ways import seen_goal
from nextstate.commands.progress import bar
from nextstate.data.storage import write_json
from nextstate.models.leap import Leap, Leaping
from nextstate.models.pretrained import from_pretrained
from nextstate.models.protocol import History
from nextstate.planning import Problem
from nextstate.planning.planners.cem import CEM
from nextstate.training.precision import settle_threads
from nextstate.worlds import make_world

SIZE = 64
PLANS, ROUNDS = 300, 30
"""Of a decision that is timed."""


def learn(options: argparse.Namespace) -> None:
    """Trains LeWM and notes what it took."""
    began = time.process_time()
    with bar("training LeWM", "seconds") as show:
        found = train(options.data, options.weights, options.minutes, show=show)
    found |= {"minutes": options.minutes, "processor_seconds": round(time.process_time() - began, 1)}
    write_json(options.weights.with_suffix(".json"), found)
    print(json.dumps(found))


def act(options: argparse.Namespace) -> None:
    """Lets LeWM act on the same tasks as every way of `nextstate act`, under both protocols."""
    world = make_world(options.world, SIZE)
    trained = Trained.load(options.weights, world.action_size, SIZE)
    kept = ("world", "samples", "rounds", "keep", "steps", "ahead", "tasks")
    notes = Notes(options.out, {name: getattr(options, name) for name in kept})
    for label, solved in (("lewm", False), ("lewm, published", True)):
        if solved and not options.published:
            continue
        wanted = [(seed, number) for seed in range(options.seeds) for number in range(options.tasks)]
        with bar(label, "trials") as show:
            made: dict[int, list[Task]] = {}
            for done, (seed, number) in enumerate(wanted):
                show(done, len(wanted))
                if (label, seed, number) in notes.found:
                    continue
                if seed not in made:
                    made = {seed: make_tasks(world, options.tasks, seed, options.ahead, 1, solved)}
                task = made[seed][number]
                # The published protocol plans twice in fifty steps, and looks at nothing in between.
                keep = 5 if solved else options.keep
                actor = Planner(trained, task.goal["rgb"], options.samples, options.rounds, keep=keep, seed=task.seed)
                trial = attempt(world, actor, task, options.steps)
                notes.add((label, seed, number), {**trial.to_dict(), "seconds": median(trial.seconds)})


def timing(options: argparse.Namespace) -> None:
    """One decision of CEM, 300 plans in 30 rounds, five blocks of five commands, in LeWM and in leaps.

    With fewer ``--rounds`` LeWM does only so many, and its seconds are those of a round times thirty.
    """
    world = make_world(options.world, SIZE)
    task = make_tasks(world, 1, 0)[0]
    trained = Trained.load(options.weights, world.action_size, SIZE)
    theirs = Planner(trained, task.goal["rgb"], PLANS, options.rounds)
    eye = from_pretrained(options.model)
    model = Leaping(eye, Leap.load(options.model))  # type: ignore[arg-type]
    tools = type("Eye", (), {"eye": eye})()
    cost = replace(seen_goal(tools, task), eye=model)  # type: ignore[arg-type]
    now = {name: task.instant.now(name) for name in eye.spec.modalities}
    planner = CEM(candidates=PLANS, rounds=ROUNDS, elites=PLANS // 10)

    def ours() -> None:
        states = {name: torch.from_numpy(np.array(value))[None, None] for name, value in now.items()}
        with torch.no_grad():
            belief = model.observe(History(states, torch.zeros(1, 0, model.spec.action_size)))
            planner.plan(Problem(model, belief, cost, 5, 1, last=1.0), None, 0)

    seconds = {"nextstate": measured(ours, options.repeats), "lewm": measured(lambda: theirs.decide(now["rgb"]), 2)}
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    middle["lewm"] *= ROUNDS / options.rounds
    found = {
        "processor_seconds": seconds,
        "lewm_rounds_measured": options.rounds,
        "of_a_decision": {name: round(value, 3) for name, value in middle.items()},
        "ratio": round(middle["lewm"] / middle["nextstate"], 1),
    }
    write_json(options.out, found)
    print(json.dumps(found))


def measured(work: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of processor time that each of some calls takes, after one that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(round(time.process_time() - began, 4))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.yardsticks.rival", description=__doc__)
    parser.add_argument("part", choices=("learn", "act", "timing"))
    parser.add_argument("--world", default="tworoom")
    parser.add_argument("--data", type=Path, help="LeRobot v3 dataset, to learn from")
    parser.add_argument("--weights", type=Path, required=True, help="of LeWM, safetensors")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--model", type=Path, help="folder of nextstate's model, for timing")
    parser.add_argument("--out", type=Path, help="trials or seconds")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=300, help="plans in each round of CEM")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keep", type=int, default=1, help="blocks done of each plan, strict protocol")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--ahead", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--published", action="store_true", help="act under the published protocol too")
    options = parser.parse_args()
    settle_threads()
    # Whole, before a world takes its environments out of it.
    with without_missing_operators():
        importlib.import_module("stable_worldmodel")
    {"learn": learn, "act": act, "timing": timing}[options.part](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
