"""Learning a guide from a dataset, on what a frozen model sees in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nextstate.data import Windows, open_cache
from nextstate.errors import PlanningError
from nextstate.models.protocol import WorldModel
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning.guide import Guide, Shape, guide_loss, obedience
from nextstate.training.optimiser import Optimiser
from nextstate.training.precision import autocast, choose_dtype, seed_step
from nextstate.training.recall import recall
from nextstate.training.schedule import Schedule
from nextstate.training.trainable import to_tensors

LONGEST = 32
"""Steps between two instants, at most; fewer where episodes are shorter."""

BATCH, RATE = 128, 1e-3


def learn_guide(
    model: WorldModel,
    data: Path,
    seconds: float,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Guide, dict[str, float]]:
    """A guide for the beliefs of `model`, and its errors on episodes that it did not learn from.

    Args:
        progress: told how many of how many seconds have passed.

    Raises:
        PlanningError: for a model that outlines no things.
    """
    if not isinstance(model, StateModel):
        raise PlanningError(f"{model.spec.name} outlines no things, of which a guide could say where they should be.")
    cache = open_cache(data)
    length = min(LONGEST, int(cache.lengths.min()) - 1)
    names = list(model.spec.modalities)
    windows = {split: Windows(cache, length + 1, split, seed, names) for split in ("train", "validation")}
    dtype = choose_dtype("auto", model.device)
    seen = recall(model, windows["train"], model.device, dtype, lambda: False, lambda done, count: None)
    assert seen is not None
    seen["there"] = presence(torch.from_numpy(seen.pop("areas"))).numpy()
    kept: dict[str, np.ndarray] = {n: seen[n] for n in ("places", "codes", "there", "proprio") if n in seen}
    batches = {split: source.over(kept) for split, source in windows.items()}
    torch.manual_seed(seed)
    proprio = kept["proprio"].shape[1] if "proprio" in kept else 0
    shape = Shape(kept["places"].shape[1], kept["codes"].shape[2], proprio, model.spec.action_size)
    guide = Guide(shape).to(model.device)
    some = to_tensors(batches["train"].batch(0, 512), torch.device("cpu"))
    guide.obeys.copy_(obedience(some["places"], some["there"], some["action"]))
    optimiser, schedule = Optimiser(guide, RATE), Schedule()
    began, step = time.monotonic(), 0
    while (done := (time.monotonic() - began) / seconds) < 1.0:
        batch = to_tensors(batches["train"].batch(step, BATCH), model.device)
        with autocast(model.device, dtype):
            loss = guide_loss(guide, batch, seed_step(seed, step, model.device))["loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(schedule(done))
        step += 1
        if progress:
            progress(int(time.monotonic() - began), int(seconds))
    guide.eval()
    held = to_tensors(batches["validation"].batch(0, 1024), model.device)
    with torch.no_grad(), autocast(model.device, dtype):
        errors = {n: float(v) for n, v in guide_loss(guide, held, seed_step(seed, 0, model.device)).items()}
    spread = float(np.square(batches["validation"].batch(0, 1024)["action"]).mean())
    return guide, {**errors, "commands_of_none": spread, "steps": step}
