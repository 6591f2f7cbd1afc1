"""Muon: steps along which a matrix learns in all its directions alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nextstate.training.precision import choose_dtype

MOMENTUM = 0.95
"""Memory of the gradient."""

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration, and as many rounds of it as below: singular values end within 0.7 to 1.2."""

ROUNDS = 5

LIKE_ADAM = 0.2
"""Usual size of an element of a step of Adam, in learning rates: with it one learning rate serves both."""

FEWEST = 8
"""Rows and columns from which on a weight has directions to speak of."""


class Muon:
    """Momentum, made orthogonal, of weights with at least 8 rows and columns; kernels count as matrices.

    Adam's steps lie mostly along the few directions in which gradients are large; rare things, such as a stain that
    spreads in one window of ten, pull along others (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon;
    scaled as by Liu et al. 2025, https://arxiv.org/abs/2502.16982). `torch.optim.Muon` takes no kernels, and
    goes from weight to weight; here weights of one shape are made orthogonal together.

    Args:
        parameters: by name; see `suits`.
        lr, weight_decay: as of AdamW.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], lr: float, weight_decay: float) -> None:
        self.lr, self.weight_decay = lr, weight_decay
        self._parameters = dict(parameters)
        self.momentum = {name: torch.zeros_like(p) for name, p in self._parameters.items()}
        alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, parameter in self._parameters.items():
            # Small matrices take as long as how many calls are made for them, and may as well lie down together.
            alike[tuple(sorted(parameter.flatten(1).shape))].append(name)
        self._alike = list(alike.items())

    @torch.no_grad()
    def step(self, factor: float, shrink: Tensor, sound: Tensor) -> None:
        """One step of those that have a gradient.

        Args:
            factor: share of the peak rate. shrink: what gradients are multiplied by.
            sound: 1, or 0 if a gradient is not finite: then nothing changes.
        """
        rate = self.lr * factor
        for (_, longer), names in self._alike:
            moved = [name for name in names if self._parameters[name].grad is not None]
            if not moved:
                continue
            pulls = []
            for name in moved:
                gradient = self._parameters[name].grad
                assert gradient is not None
                gradient = torch.nan_to_num(gradient * shrink, 0.0, 0.0, 0.0)
                momentum = self.momentum[name]
                momentum += (1 - MOMENTUM) * sound * (gradient - momentum)
                pulls.append(_lying(gradient.lerp(momentum, MOMENTUM).flatten(1)))
            steps = orthogonal(torch.stack(pulls)) * (LIKE_ADAM * longer**0.5 * rate * sound)
            for name, step in zip(moved, steps, strict=True):
                parameter = self._parameters[name]
                turned = step if parameter.shape[0] == step.shape[0] else step.mT
                parameter.mul_(1 - rate * self.weight_decay * sound).sub_(turned.reshape(parameter.shape))


def _lying(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT


def suits(parameter: nn.Parameter) -> bool:
    """Whether Muon is for this weight."""
    return parameter.ndim >= 2 and min(parameter.flatten(1).shape) >= FEWEST and not hasattr(parameter, "no_decay")


def orthogonal(matrices: Tensor) -> Tensor:
    """The orthogonal matrices nearest to `matrices` ``(N, R, C)``, about: singular values 0.7 to 1.2 instead of 1.

    Fewer operations for R not above C. Half precision is enough; where a processor only emulates it, single is faster.
    """
    found = matrices.to(choose_dtype("auto", matrices.device))
    found = found / (found.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = found @ found.mT
        powers = (gram @ gram).mul_(c).add_(gram, alpha=b)
        found = (powers @ found).add_(found, alpha=a)
    steps: Tensor = found.float()
    return steps


def split_by_suiting(named: Mapping[str, nn.Parameter]) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Parameters for Muon, and the others."""
    matrices = {name: p for name, p in named.items() if suits(p)}
    return matrices, {name: p for name, p in named.items() if name not in matrices}
