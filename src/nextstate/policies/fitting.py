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

LossAt = Callable[[int, torch.Generator], Tensor]
"""The same from the number of a step."""


def fit(
    head: nn.Module,
    batch: Callable[[int, int], Mapping[str, np.ndarray]],
    loss_of: LossOf,
    seconds: float,
    device: torch.device,
    seed: int = 0,
    show: Show | None = None,
) -> int:
    """Lowers the loss of batches, as `lower` does.

    Args:
        batch: of a step and a size, modality -> ``(size, ...)``.
    """

    def loss_at(step: int, generator: torch.Generator) -> Tensor:
        return loss_of(to_tensors(batch(step, BATCH), device), generator)

    return lower(head, loss_at, seconds, device, seed, show)


def lower(
    head: nn.Module,
    loss_at: LossAt,
    seconds: float,
    device: torch.device,
    seed: int = 0,
    show: Show | None = None,
    muon: bool = True,
) -> int:
    """Lowers a loss for so long, and leaves the head with its averaged weights, ready to be asked.

    Args:
        show: told how many of how many seconds passed. muon: as of `Optimiser`.

    Returns:
        number of steps.
    """
    dtype = choose_dtype("auto", device)
    optimiser, schedule, average = Optimiser(head, RATE, muon=muon), Schedule(), PowerEma(head, AVERAGED)
    began, step = time.monotonic(), 0
    while (done := (time.monotonic() - began) / seconds) < 1.0:
        with autocast(device, dtype):
            loss = loss_at(step, seed_step(seed, step, device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(schedule(done))
        step += 1
        average.update(step)
        if show:
            show(int(time.monotonic() - began), int(seconds))
    head.load_state_dict(head.state_dict() | average.state())
    head.eval()
    return step
