"""torch-world 0.2.0: Push-T collected, loaded, and its LeWM trained, at 64 px.

Runs in the environment of `requirements-torch-world.txt`, not in nextstate's. Two sizes of its reference LeWM
(https://arxiv.org/abs/2603.19312), patch size 8, batches of 64 x 4 frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from measuring import BATCH, EPISODE_STEPS, SIZE, WINDOW, Figures, parameters, rate, run
from torch_world.datasets import TrajectoryDataset
from torch_world.envs import PushT
from torch_world.models import LeWM
from torch_world.nn import CLSEncoder

EPISODES = 64


def pool(shadows: bool) -> Any:
    made = PushT(batch_size=8, size=SIZE)
    made.render_shadows = shadows
    made.reset()
    return made


def steps(seconds: float) -> Figures:
    """Simulated and drawn, kept nowhere: as it comes, and with the shadows that cost most of it turned off."""
    figures = {}
    for name, shadows in (("8 environments, as it comes", True), ("8 environments, no shadows", False)):
        environments = pool(shadows)

        def work(environments: Any = environments) -> int:
            environments.step(environments.explore())
            return 8

        figures[name] = rate(work, seconds / 2)
    return figures


def recording(seconds: float) -> Figures:
    """Collected by `collect` into memory: it has no format on disk."""
    environments = pool(shadows=False)

    def work() -> int:
        environments.collect(EPISODE_STEPS)
        return 8 * EPISODE_STEPS

    return {"into memory, no shadows": rate(work, seconds, warm_up=0)}


@cache
def dataset() -> Any:
    environments = pool(shadows=False)
    batches = [environments.collect(EPISODE_STEPS) for _ in range(EPISODES // 8)]
    return TrajectoryDataset({key: torch.cat([b[key] for b in batches]) for key in ("pixels", "actions")}, WINDOW)


def windows(seconds: float) -> Figures:
    """16-frame windows in batches of 64, from memory, through torch's DataLoader as its examples do."""
    figures = {}
    for workers in (0, 2):
        loader = torch.utils.data.DataLoader(
            dataset(), BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
        )
        batches = forever(loader)
        figures[f"memory, {workers} workers"] = rate(lambda b=batches: len(next(b)["pixels"]), seconds / 2, 2)
    return figures


def forever(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def training(seconds: float) -> Figures:
    """Whole optimiser steps on frames that wait in memory, in single precision and with bf16 autocast."""
    figures = {}
    for size, width, depth in (("default", 192, 6), ("small", 64, 2)):
        for precision in ("fp32", "bf16"):
            encoder = CLSEncoder(SIZE, 8, embed_dim=width, depth=depth)
            smaller = {} if size == "default" else {"depth": 2, "num_heads": 4, "mlp_dim": 256, "proj_dim": 256}
            model = LeWM(encoder, action_dim=2, embed_dim=width, **smaller)
            figures[f"{size}, {precision}"] = train(model, seconds / 4, precision == "bf16")
    return figures


def train(model: Any, seconds: float, bf16: bool) -> Figures:
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=1e-3)
    pixels, actions = torch.rand(BATCH, 4, 3, SIZE, SIZE), torch.rand(BATCH, 4, 2)

    def work() -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(pixels, actions)["loss"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return BATCH * 4

    return {**rate(work, seconds), "parameters": parameters(model), "batch": f"{BATCH} x 4 frames"}


if __name__ == "__main__":
    run({"steps": steps, "recording": recording, "windows": windows, "training": training})
