"""Muon for matrices and AdamW for the rest, or AdamW alone; a gradient that is not finite changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from nextstate.training.muon import Muon, split_by_suiting

MOMENTS = ("exp_avg", "exp_avg_sq")
EPS = 1e-8


class Optimiser:
    """Over all parameters of a module: `Muon` for matrices and kernels, AdamW for all else or for everything.

    Clipping, and skipping a step whose gradient is not finite, happen inside the fused kernel of AdamW (Loshchilov
    and Hutter 2019, https://arxiv.org/abs/1711.05101): no pass over the gradients is spent on them, and on an
    accelerator the host never waits for the device. By torch's function: its class `AdamW` loads a compiler as it is
    made, for seconds.

    Args:
        muon: whether matrices learn by Muon.
        lr: peak learning rate. clip: longest gradient.
        weight_decay: of parameters with two or more dimensions; the others never decay, nor does any that a
            model marks with ``parameter.no_decay = True``.
    """

    def __init__(
        self,
        module: nn.Module,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.05,
        clip: float = 1.0,
        muon: bool = True,
    ) -> None:
        self.lr, self.betas, self.clip = lr, betas, clip
        named = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._matrices, self._named = split_by_suiting(named) if muon else ({}, named)
        self._muon = Muon(self._matrices, lr, weight_decay)
        decays, stays = split_by_decay(self._named)
        self._groups = [(decays, weight_decay), (stays, 0.0)]
        self._adam: dict[str, dict[str, Tensor]] = {}

    def step(self, factor: float) -> Tensor:
        """Learns from the gradients at `factor` times the peak rate, and clears them.

        Returns:
            length of the gradient before clipping, a scalar; where it is not finite, nothing was changed.
        """
        everything = (*self._named.values(), *self._matrices.values())
        gradients = [p.grad for p in everything if p.grad is not None]
        length = torch.nn.utils.get_total_norm(gradients)
        shrink, missing = (length / self.clip).clamp_min(1.0), (~length.isfinite()).float()
        with torch.no_grad():
            for names, decay in self._groups:
                self._step_adam([n for n in names if self._named[n].grad is not None], decay, factor, shrink, missing)
        self._muon.step(factor, 1 / shrink, 1 - missing)
        for parameter in everything:
            parameter.grad = None
        return length

    def _step_adam(self, names: list[str], decay: float, factor: float, shrink: Tensor, missing: Tensor) -> None:
        for name in names:
            if name not in self._adam:
                made = {kind: torch.zeros_like(self._named[name], requires_grad=False) for kind in MOMENTS}
                self._adam[name] = {**made, "step": torch.zeros((), device=self._named[name].device)}
        if not names:
            return
        average, square, counts = ([self._adam[n][kind] for n in names] for kind in (*MOMENTS, "step"))
        gradients = [gradient for n in names if (gradient := self._named[n].grad) is not None]
        adamw(
            [self._named[n] for n in names],
            gradients,
            average,
            square,
            [],
            counts,
            fused=True,
            grad_scale=shrink,
            found_inf=missing,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.lr * factor,
            weight_decay=decay,
            eps=EPS,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Moments and counts, ``<parameter>.<exp_avg | exp_avg_sq | step | momentum>`` -> tensor."""
        found = {f"{name}.{kind}": value for name, own in self._adam.items() for kind, value in own.items()}
        return found | {f"{name}.momentum": value for name, value in self._muon.momentum.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`; raises `KeyError` if a parameter's state is incomplete."""
        for name, momentum in self._muon.momentum.items():
            momentum.copy_(state[f"{name}.momentum"])
        for name, parameter in self._named.items():
            if f"{name}.step" not in state:
                continue
            own: dict[str, Tensor] = {}
            for kind in MOMENTS:
                # The fused kernel needs moments laid out in memory exactly as the parameter is.
                own[kind] = torch.empty_like(parameter, requires_grad=False).copy_(state[f"{name}.{kind}"])
            own["step"] = state[f"{name}.step"].to(parameter.device, torch.float32).clone()
            self._adam[name] = own


def split_by_decay(named: Mapping[str, nn.Parameter]) -> tuple[list[str], list[str]]:
    """Names of parameters that decay, and of those that do not."""
    stays = [n for n, p in named.items() if p.ndim < 2 or getattr(p, "no_decay", False)]
    return [n for n in named if n not in stays], stays
