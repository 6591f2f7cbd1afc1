"""Muon for matrices and AdamW for the rest, or AdamW alone; a gradient that is not finite changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from nextstate.training.muon import Muon, split_by_suiting

MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimiser:
    """Over all parameters of a module: `Muon` for matrices and kernels, AdamW for all else or for everything.

    Clipping, and skipping a step whose gradient is not finite, happen inside the fused kernel of AdamW (Loshchilov
    and Hutter 2019, https://arxiv.org/abs/1711.05101): no pass over the gradients is spent on them, and on an
    accelerator the host never waits for the device.

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
        self.lr, self.clip = lr, clip
        named = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._matrices, self._named = split_by_suiting(named) if muon else ({}, named)
        self._muon = Muon(self._matrices, lr, weight_decay)
        decays, stays = split_by_decay(self._named.values())
        groups = [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        self._adam = torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)

    def step(self, factor: float) -> Tensor:
        """Learns from the gradients at `factor` times the peak rate, and clears them.

        Returns:
            length of the gradient before clipping, a scalar; where it is not finite, nothing was changed.
        """
        everything = (*self._named.values(), *self._matrices.values())
        gradients = [p.grad for p in everything if p.grad is not None]
        length = torch.nn.utils.get_total_norm(gradients)
        for group in self._adam.param_groups:
            group["lr"] = self.lr * factor
        # The two attributes by which torch's own gradient scaler talks to the fused kernel: it divides
        # gradients by the one, and leaves everything as it was if the other is 1.
        self._adam.grad_scale = (length / self.clip).clamp_min(1.0)  # type: ignore[attr-defined]
        self._adam.found_inf = (~length.isfinite()).float()  # type: ignore[attr-defined]
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        self._muon.step(factor, 1 / self._adam.grad_scale, 1 - self._adam.found_inf)  # type: ignore[attr-defined]
        for parameter in self._matrices.values():
            parameter.grad = None
        return length

    def state(self) -> dict[str, Tensor]:
        """Moments and counts, ``<parameter>.<exp_avg | exp_avg_sq | step | momentum>`` -> tensor."""
        found = {}
        for name, parameter in self._named.items():
            for kind, value in self._adam.state.get(parameter, {}).items():
                found[f"{name}.{kind}"] = value
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
            self._adam.state[parameter] = own


def split_by_decay(parameters: Iterable[nn.Parameter]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that decay, and those that do not."""
    decays: list[nn.Parameter] = []
    stays: list[nn.Parameter] = []
    for parameter in parameters:
        free = parameter.ndim < 2 or getattr(parameter, "no_decay", False)
        (stays if free else decays).append(parameter)
    return decays, stays
