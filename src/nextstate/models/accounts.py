"""What a decision costs, by who owns the parameters that are multiplied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from nextstate.models.language import Cloner, Vla, Vlm
from nextstate.models.language.words import ABSENT
from nextstate.models.operations import Operations
from nextstate.models.protocol import History
from nextstate.models.world_model import SEEING, StateModel

SENSES = {"touch": "touch", "proprioception": "proprio"}
"""Owner -> the sense that it feels."""

SAID = 8
"""Words of an instruction or a question, as most have."""


class Divided(Operations):
    """Counts operations by owner: `parts` make their owner's, whatever is made elsewhere is the `rest`'s."""

    def __init__(self, parts: Mapping[str, Iterable[nn.Module]], rest: str) -> None:
        super().__init__()
        self.by: defaultdict[str, float] = defaultdict(float)
        self._now, self._hooks = [rest], list[Any]()
        for owner, modules in parts.items():
            for module in modules:
                self._watch(owner, module)

    def _watch(self, owner: str, module: nn.Module) -> None:
        for inner in module.modules():
            self._hooks.append(inner.register_forward_pre_hook(lambda *_: self._now.append(owner)))
            self._hooks.append(inner.register_forward_hook(lambda *_: self._now.pop() and None, always_call=True))

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = self.total
        out = super().__torch_dispatch__(func, types, args, kwargs)
        self.by[self._now[-1]] += self.total - before
        return out

    def __exit__(self, *error: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        super().__exit__(*error)  # type: ignore[no-untyped-call]


def parts_of(model: nn.Module) -> tuple[dict[str, list[nn.Module]], str]:
    """Owner -> modules, and to whom all else belongs."""
    if isinstance(model, StateModel):
        dynamics = model.dynamics
        tables = (dynamics.feel, dynamics.tell, dynamics.impart)
        felt = {o: [table[n] for table in tables if n in table] for o, n in SENSES.items()}
        seeing = [getattr(model, name) for name in SEEING]
        return {"vision": seeing, "action": [dynamics.action], **felt}, "dynamics"
    if isinstance(model, Cloner):
        return {"vision": [model.convolutions], "action": [model.think]}, "language"
    assert isinstance(model, (Vla, Vlm))
    felt = {o: [model.feel[n]] for o, n in SENSES.items() if n in model.feel}
    seeing = [*model._eye, model.project, *([model.points] if model.points is not None else [])]
    acting = [model.expert, model.read, *model.read_norms] if isinstance(model, Vla) else [model.plan]
    return {"vision": seeing, "action": acting, **felt}, "language"


def decision(model: nn.Module) -> Callable[[], object]:
    """What a model does to decide once: a world model looks, and imagines a step of one future; a policy draws
    commands; one that answers answers a question about a plan."""
    generator = torch.Generator()
    if isinstance(model, StateModel):
        spec = model.spec
        states = {n: torch.zeros(1, spec.context, *kind.shape) for n, kind in spec.modalities.items()}
        history = History(states, torch.zeros(1, spec.context - 1, spec.action_size))
        return lambda: model.imagine(model.observe(history), torch.zeros(1, 1, spec.action_size))
    assert isinstance(model, (Vla, Vlm, Cloner))
    spec = model.spec
    seen = {n: torch.zeros(1, *kind.shape) for n, kind in spec.modalities.items()}
    words = torch.full((1, model.options.words), ABSENT)
    words[:, -SAID:] = 0
    batch = {**seen, "rgb": seen["rgb"].to(torch.uint8), "words": words}
    if isinstance(model, Vlm):
        return lambda: model.logits({**batch, "plan": torch.zeros(1, spec.horizon, spec.action_size)})
    return lambda: model.draw(batch, generator, 0.0)


@torch.no_grad()
def decision_operations(model: nn.Module) -> dict[str, float]:
    """Floating-point operations of a `decision`, by owner; they do not depend on weights."""
    decide = decision(model.eval())
    with Divided(*parts_of(model)) as made:
        decide()
    return dict(made.by)
