"""Steps down a slope, without what torch's own optimisers load."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class Descent:
    """AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101) on some tensors; Adam where nothing decays.

    By torch's function, to the same bits: its classes load a compiler as they are made, which takes seconds, and need
    twice as long for a step of few numbers.

    Args:
        tensors: that are changed in place.
        rate: of learning. decay: of weights, in units of the rate.
    """

    def __init__(self, tensors: Sequence[Tensor], rate: float, decay: float = 0.0) -> None:
        self.tensors, self.rate, self.decay = list(tensors), rate, decay
        self._averages, self._squares = ([torch.zeros_like(t, requires_grad=False) for t in tensors] for _ in range(2))
        self._counts = [torch.zeros(()) for _ in tensors]

    @torch.no_grad()
    def step(self, slopes: Sequence[Tensor | None], factor: float = 1.0) -> None:
        """Along the gradient of each tensor, at `factor` times the rate; one without a gradient stays as it is."""
        moved = [n for n, slope in enumerate(slopes) if slope is not None]
        adamw(
            [self.tensors[n] for n in moved],
            [slope for slope in slopes if slope is not None],
            [self._averages[n] for n in moved],
            [self._squares[n] for n in moved],
            [],
            [self._counts[n] for n in moved],
            amsgrad=False, beta1=0.9, beta2=0.999, lr=factor * self.rate, weight_decay=self.decay, eps=1e-8,
            maximize=False,
        )  # fmt: skip
