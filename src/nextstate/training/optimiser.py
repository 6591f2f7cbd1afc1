"""AdamW, with the gradient's length and soundness handled inside its fused step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimiser:
    """AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101) over all parameters of a module.

    Clipping, and skipping a step whose gradient is not finite, happen inside the fused kernel: no pass over the
    gradients is spent on them, and on an accelerator the host never waits for the device.

    Args:
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
    ) -> None:
        self.lr, self.clip = lr, clip
        self._named = {n: p for n, p in module.named_parameters() if p.requires_grad}
        decays, stays = split_by_decay(self._named.values())
        groups = [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        self._adam = torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)

    def step(self, factor: float) -> Tensor:
        """Learns from the gradients at `factor` times the peak rate, and clears them.

        Returns:
            length of the gradient before clipping, a scalar; where it is not finite, nothing was changed.
        """
        gradients = [p.grad for p in self._named.values() if p.grad is not None]
        length = torch.nn.utils.get_total_norm(gradients)
        for group in self._adam.param_groups:
            group["lr"] = self.lr * factor
        # The two attributes by which torch's own gradient scaler talks to the fused kernel: it divides
        # gradients by the one, and leaves everything as it was if the other is 1.
        self._adam.grad_scale = (length / self.clip).clamp_min(1.0)  # type: ignore[attr-defined]
        self._adam.found_inf = (~length.isfinite()).float()  # type: ignore[attr-defined]
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        return length

    def state(self) -> dict[str, Tensor]:
        """Moments and counts, ``<parameter>.<exp_avg | exp_avg_sq | step>`` -> tensor."""
        found = {}
        for name, parameter in self._named.items():
            for kind, value in self._adam.state.get(parameter, {}).items():
                found[f"{name}.{kind}"] = value
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`; raises `KeyError` if a parameter's state is incomplete."""
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
