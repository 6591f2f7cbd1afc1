"""Learning small networks by the clock: what all heads have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.training.ema import PowerEma
from nextstate.training.optimiser import Optimiser
from nextstate.training.precision import autocast, choose_dtype, seed_step
from nextstate.training.schedule import Schedule
from nextstate.training.trainable import to_tensors

BATCH, RATE = 128, 1e-3

AVERAGED = 0.1
"""Width of the average over weights (`PowerEma`): heads learn from noisy targets."""

Show = Callable[[int, int], None]
"""Told how much of how much is done."""

LossOf = Callable[[Mapping[str, Tensor], torch.Generator], Tensor]
"""From a batch on the device, and the only source of randomness, to what is to be lowered: a scalar."""


def fit(
    head: nn.Module,
    batch: Callable[[int, int], Mapping[str, np.ndarray]],
    loss_of: LossOf,
    seconds: float,
    device: torch.device,
    seed: int = 0,
    show: Show | None = None,
) -> int:
    """Lowers a loss for so long, and leaves the head with its averaged weights, ready to be asked.

    Args:
        batch: of a step and a size, modality -> ``(size, ...)``. show: told how many of how many seconds passed.

    Returns:
        number of steps.
    """
    dtype = choose_dtype("auto", device)
    optimiser, schedule, average = Optimiser(head, RATE), Schedule(), PowerEma(head, AVERAGED)
    began, step = time.monotonic(), 0
    while (done := (time.monotonic() - began) / seconds) < 1.0:
        with autocast(device, dtype):
            loss = loss_of(to_tensors(batch(step, BATCH), device), seed_step(seed, step, device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(schedule(done))
        step += 1
        average.update(step)
        if show:
            show(int(time.monotonic() - began), int(seconds))
    head.load_state_dict(head.state_dict() | average.state())
    head.eval()
    return step
