"""nextstate: push recorded, loaded, and the default model trained, at 64 px, with one and with all five modalities."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from measuring import BATCH, EPISODE_STEPS, SIZE, WINDOW, Figures, rate, run

from nextstate.data import Windows, open_cache
from nextstate.data.recording import Plan, record
from nextstate.worlds import make_world

EPISODES = 64
SENSES = {"rgb": ("rgb",), "rgb, depth, motion, proprio, touch": ("rgb", "depth", "motion", "proprio", "touch")}


def steps(seconds: float) -> Figures:
    """Simulated and drawn in one process, kept nowhere."""
    figures = {}
    for name, modalities in SENSES.items():
        world = make_world("push", SIZE, modalities)
        episode = iter(range(10**6))

        def work(world: Any = world, episode: Any = episode) -> int:
            seed = next(episode)
            world.reset(seed=seed)
            policy = world.explore(np.random.default_rng(seed))
            for _ in range(EPISODE_STEPS):
                world.step(policy(world))
            return EPISODE_STEPS

        figures[name] = rate(work, seconds / 2)
    return figures


def recording(seconds: float) -> Figures:
    """Recorded to disk as LeRobot v3, on all cores."""
    figures = {}
    for name, modalities in SENSES.items():
        folders = Path(tempfile.mkdtemp())
        count = iter(range(10**6))
        batch = 32 * (os.cpu_count() or 1)

        def work(modalities: Any = modalities, folders: Path = folders, count: Any = count, batch: int = batch) -> int:
            record(Plan("push", SIZE, modalities, steps=EPISODE_STEPS), folders / str(next(count)), batch)
            return batch * EPISODE_STEPS

        figures[f"{name}, LeRobot v3"] = rate(work, seconds / 2, warm_up=0)
    return figures


@cache
def dataset() -> Any:
    root = Path(tempfile.mkdtemp()) / "push"
    record(Plan("push", SIZE, steps=EPISODE_STEPS), root, EPISODES)
    return open_cache(root)


def windows(seconds: float) -> Figures:
    """16-frame windows in batches of 64, in one process."""
    figures = {}
    for name, modalities in SENSES.items():
        source = Windows(dataset(), WINDOW, "all", modalities=modalities)
        number = iter(range(10**9))
        figures[name] = rate(lambda s=source, n=number: len(s.batch(next(n), BATCH)["action"]), seconds / 2, 2)
    return figures


def training(seconds: float) -> Figures:
    """The training loop of `nextstate pretrain` on recorded windows, everything included but checkpoints."""
    from nextstate.commands.pretrain import BEST
    from nextstate.models import WorldModelSpec, build
    from nextstate.training.loop import Trainer
    from nextstate.training.run import Run
    from nextstate.training.settings import TrainingSettings

    figures = {}
    for name, modalities in SENSES.items():
        data = dataset()
        spec = WorldModelSpec("bench", {m: data.state_spec[m] for m in modalities}, 2, data.hz, 4, 12)
        model = build(spec, "small", objective=BEST)
        settings = TrainingSettings(minutes=seconds / 120, validation_windows=0, tensorboard=False)
        run_folder = Run(Path(tempfile.mkdtemp()) / "run", {"training": settings.to_dict()})
        windows = Windows(data, spec.context + spec.horizon, "all", modalities=modalities)
        outcome = Trainer(model, windows, settings, run_folder).fit()
        run_folder.close()
        figures[name] = {
            "per_second": round(outcome.throughput["frames_per_second"], 1),
            "share_of_matrix_peak": round(outcome.throughput["share_of_peak"], 3),
            "parameters": sum(model.owners().values()),
            "batch": f"{settings.batch} x {windows.length} frames",
        }
    return figures


if __name__ == "__main__":
    run({"steps": steps, "recording": recording, "windows": windows, "training": training})
