"""stable-worldmodel 0.1.1: Push-T collected, loaded, and its LeWM trained, at 64 px.

Runs in the environment of `requirements-stable-worldmodel.txt`, not in nextstate's. The model is the package's
reference LeWM (https://arxiv.org/abs/2603.19312) with a ViT-tiny of patch size 8, batches of 64 x 4 frames.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from measuring import BATCH, EPISODE_STEPS, SIZE, WINDOW, Figures, parameters, rate, run

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


@contextmanager
def without_missing_operators() -> Iterator[None]:
    """Lets torchvision be imported though its compiled operators, which nothing here uses, do not load."""
    register = torch.library.register_fake

    def lenient(name: Any, *rest: Any, **options: Any) -> Any:
        if str(name).startswith("torchvision::"):
            return lambda function: function
        return register(name, *rest, **options)

    torch.library.register_fake = lenient
    try:
        yield
    finally:
        torch.library.register_fake = register


with without_missing_operators():
    import stable_worldmodel as swm
    from stable_worldmodel.policy import RandomPolicy
    from stable_worldmodel.wm.lewm import LeWM, module
    from stable_worldmodel.wm.loss import SIGReg
    from transformers import ViTConfig, ViTModel

EPISODES = 64
FORMATS = {"lance": "push.lance", "hdf5": "push.h5"}


def world(environments: int) -> Any:
    made = swm.World("swm/PushT-v1", num_envs=environments, image_shape=(SIZE, SIZE), max_episode_steps=EPISODE_STEPS)
    made.set_policy(RandomPolicy(seed=0))
    return made


def steps(seconds: float) -> Figures:
    """Simulated and drawn, kept nowhere."""
    figures = {}
    for environments in (1, 8):
        pool = world(environments)
        pool.reset(seed=0)

        def work(pool: Any = pool, environments: int = environments) -> int:
            for _ in range(16):
                pool.envs.step(pool.policy.get_action(pool.infos))
            return 16 * environments

        figures[f"{environments} environments"] = rate(work, seconds / 2)
    return figures


def recording(seconds: float) -> Figures:
    """Collected to disk by `World.collect`, in both formats that its authors measure."""
    figures = {}
    for form in FORMATS:
        pool, folder = world(8), Path(tempfile.mkdtemp())
        count = iter(range(10**6))

        def work(pool: Any = pool, folder: Path = folder, form: str = form, count: Iterator[int] = count) -> int:
            pool.collect(folder / f"{next(count)}-{FORMATS[form]}", 8, seed=0, format=form, progress=False)
            return 8 * EPISODE_STEPS

        figures[form] = rate(work, seconds / 2, warm_up=0)
    return figures


@cache
def dataset(form: str) -> Any:
    path = Path(tempfile.mkdtemp()) / FORMATS[form]
    world(8).collect(path, EPISODES, seed=0, format=form, progress=False)
    return swm.data.load_dataset(str(path), num_steps=WINDOW, keys_to_load=["pixels", "action"])


def windows(seconds: float) -> Figures:
    """16-frame windows in batches of 64, through torch's DataLoader as its training scripts do."""
    figures = {}
    for form in FORMATS:
        for workers in (0, 2):
            loader = torch.utils.data.DataLoader(
                dataset(form),
                BATCH,
                shuffle=True,
                drop_last=True,
                num_workers=workers,
                persistent_workers=workers > 0,
                multiprocessing_context="spawn" if workers else None,
            )
            batches = forever(loader)
            figures[f"{form}, {workers} workers"] = rate(lambda b=batches: len(next(b)["pixels"]), seconds / 4, 2)
    return figures


def forever(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def lewm() -> Any:
    tiny = ViTConfig(
        hidden_size=192,
        num_hidden_layers=12,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=SIZE,
        patch_size=8,
    )
    width = 192

    def head() -> Any:
        return module.MLP(width, 2048, width, norm_fn=torch.nn.BatchNorm1d)

    predictor = module.Predictor(
        num_frames=3, depth=6, heads=16, dim_head=64, mlp_dim=2048, input_dim=width, hidden_dim=width, dropout=0.1
    )
    return LeWM(ViTModel(tiny, add_pooling_layer=False), predictor, module.Embedder(2, emb_dim=width), head(), head())


def training(seconds: float) -> Figures:
    """Whole optimiser steps on frames that wait in memory, in single precision and with bf16 autocast."""
    return {
        "fp32": train(lewm(), SIGReg(), seconds / 2, bf16=False),
        "bf16": train(lewm(), SIGReg(), seconds / 2, bf16=True),
    }


def train(model: Any, regulariser: Callable[..., Any], seconds: float, bf16: bool) -> Figures:
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=1e-3)
    pixels, action = torch.rand(BATCH, 4, 3, SIZE, SIZE), torch.rand(BATCH, 4, 2)

    def work() -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            seen = model.encode({"pixels": pixels, "action": action})
            foreseen = model.predict(seen["emb"][:, :3], seen["act_emb"][:, :3])
            loss = (foreseen - seen["emb"][:, 1:]).pow(2).mean() + 0.09 * regulariser(seen["emb"].transpose(0, 1))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return BATCH * 4

    return {**rate(work, seconds), "parameters": parameters(model), "batch": f"{BATCH} x 4 frames"}


if __name__ == "__main__":
    run({"steps": steps, "recording": recording, "windows": windows, "training": training})
