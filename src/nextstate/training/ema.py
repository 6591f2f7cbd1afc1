"""The average of past weights, which is what a run ends with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class PowerEma:
    """An average of weights whose memory grows with the run (Karras et al. 2024, https://arxiv.org/abs/2312.02696).

    A usual exponential average has a fixed memory in steps, wrong for a run of unknown length. This one weighs
    the past by a power of time, so it always covers the same share of the run so far, whether or not it is
    updated at every step.

    Args:
        width: standard deviation of the weighing, as a share of the run so far; 0.05 to 0.25 are sensible.
        every: steps between updates.
    """

    def __init__(self, module: nn.Module, width: float = 0.05, every: int = 4) -> None:
        self.every, self.exponent = every, exponent_of(width)
        named = {n: p for n, p in module.named_parameters() if p.is_floating_point()}
        self._parameters = list(named.values())
        self._weights = [p.detach().clone() for p in self._parameters]
        self._names = list(named)

    @torch.no_grad()
    def update(self, steps_made: int) -> None:
        """Call after every step; acts at every `every`-th."""
        if steps_made % self.every:
            return
        updates = steps_made // self.every
        keep = (1.0 - 1.0 / updates) ** (self.exponent + 1.0)
        torch._foreach_lerp_(self._weights, [p.detach() for p in self._parameters], 1.0 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module has the averaged weights; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """Name of parameter -> averaged weights."""
        return dict(zip(self._names, self._weights, strict=True))

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        for name, own in zip(self._names, self._weights, strict=True):
            own.copy_(state[name])

    def _swap(self) -> None:
        for index, parameter in enumerate(self._parameters):
            parameter.data, self._weights[index] = self._weights[index], parameter.data


def exponent_of(width: float) -> float:
    """The exponent whose weighing ``t**exponent`` on [0, 1] has standard deviation `width`."""
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        if (middle + 1) ** 0.5 / (middle + 2) / (middle + 3) ** 0.5 > width:
            low = middle
        else:
            high = middle
    return low
