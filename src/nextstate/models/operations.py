"""Floating-point operations, counted while they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nextstate.models.stages import Stage

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

WINDOWS = 6
"""Counted together: some losses compare windows."""

COUNTED: dict[tuple[str, Stage], tuple[float, float]] = {}
"""By kind of model and stage, since one process may train many models of a kind."""


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts those of matrix products, convolutions and attention, by torch's own formulas.

    Torch's counter also takes everything else apart before it finds that nothing counts there, and is several times
    slower. What is differentiated has been taken apart already.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here, and to be kept from it torch would load its compiler first, for seconds.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def counted(model: StateModel, stage: Stage) -> tuple[float, float]:
    """Operations that learning from a window takes as a stage begins and as it ends, counted once."""
    kind = (_kind(model), stage)
    if kind not in COUNTED:
        first = count_window(model, stage, 0.0)
        COUNTED[kind] = first, count_window(model, stage, 1.0) if stage.grows else first
    return COUNTED[kind]


def _kind(model: StateModel) -> str:
    """Equal for models whose steps cost the same."""
    spec, config = model.spec, model.config()
    options = {name: value for name, value in config["options"].items() if name != "temperature"}
    shapes = {name: modality.shape for name, modality in spec.modalities.items()}
    learning = [tuple(p.shape) for p in model.parameters() if p.requires_grad]
    extent = (spec.context, spec.horizon, spec.action_size, model.device)
    return repr((config["preset"], options, replace(model.size, temperature=1.0), shapes, extent, learning))


def count_window(model: StateModel, stage: Stage, local: float) -> float:
    """Those of a window at `local`, how far into the stage, counted while learning from empty ones."""
    length = model.spec.context + model.spec.horizon
    kinds = model.spec.modalities.items()
    batch = {n: torch.zeros(WINDOWS, length, *m.shape, device=model.device) for n, m in kinds}
    batch = model.windows_for(stage, batch)
    batch["action"] = torch.zeros(WINDOWS, length - 1, model.spec.action_size, device=model.device)
    with Operations() as made:
        loss = stage.loss(model, batch, torch.Generator(model.device).manual_seed(0), local)["loss"]
        torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    return float(made.total * stage.windows / WINDOWS)
