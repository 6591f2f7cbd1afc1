"""Everything done to a model from outside, in the one order in which it works."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nextstate.training.precision import autocast
from nextstate.training.trainable import Learner, module_of

Loss = Callable[[dict[str, Tensor], torch.Generator, float], dict[str, Tensor]]
"""``loss(batch, generator, progress)``, as `Learner.loss`."""


def prepare(
    model: Learner, device: torch.device, dtype: torch.dtype, compile: bool = False, channels_last: bool = True
) -> Loss:
    """Moves the model and returns its loss, ready to be called on batches on that device.

    Call it before an optimiser or an average of weights is made: both keep references to parameters.

    Args:
        dtype: of matrix products; parameters stay float32.
        compile: whether to compile the loss; costs minutes at the start.
        channels_last: memory layout of four-dimensional parameters.
    """
    module = module_of(model)
    module.to(device)
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Sharding over devices belongs here, after the layout and before compiling; `team` averages gradients.
    loss: Loss = torch.compile(model.loss) if compile else model.loss

    def prepared(batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        with autocast(device, dtype):
            return loss(batch, generator, progress)

    return prepared
