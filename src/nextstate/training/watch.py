"""Notices when a model stops telling states or actions apart, while it can still be stopped cheaply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from nextstate.errors import CollapseError
from nextstate.models import Beliefs, History, WorldModel
from nextstate.models.world_model import StateModel
from nextstate.training.quiet import SilentSet
from nextstate.training.trainable import to_tensors
from nextstate.training.validate import ValidationSet

POINTS = 256
"""States that are looked at."""

FEWEST = 1.5
"""Effective dimensions below which a space has collapsed."""

STILL = 1e-3
"""Standard deviation below which a dimension is dead: codes are of unit scale."""

MOST_DEAD = 0.95
"""Share of dead dimensions from which a space has collapsed."""

LEAST_HEARD = 1e-3
"""Share of foreseen change that actions must decide."""

PATIENCE = 3
"""Looks in a row that must be bad."""


@runtime_checkable
class Embedding(Protocol):
    """A model with a space of its own."""

    def embed(self, beliefs: Beliefs) -> Tensor:
        """Spans ``(B, H, ...)`` to points ``(B, H, D)``."""
        ...


@dataclass(frozen=True)
class Signs:
    """What a look found.

    Args:
        rank: effective number of dimensions that states use, from 1 on. dead: share that hardly vary.
        heard: how far futures move when their actions are exchanged, over how far they go from the present; NaN where
            all actions are alike.
    """

    rank: float
    dead: float
    heard: float

    def to_dict(self) -> dict[str, float]:
        """JSON form."""
        return {"rank": self.rank, "dead": self.dead, "heard": self.heard}


class Watch:
    """Looks at a model each time that it is validated."""

    def __init__(self) -> None:
        self.collapsed, self.deaf = 0, 0

    def check(self, signs: Signs, foresees: bool) -> None:
        """Counts bad signs; raises `CollapseError` at the third in a row.

        Args:
            foresees: whether the model has had the time to learn what actions do.
        """
        bad = signs.rank < FEWEST or signs.dead > MOST_DEAD
        self.collapsed = self.collapsed + 1 if bad else 0
        self.deaf = self.deaf + 1 if foresees and signs.heard < LEAST_HEARD else 0
        if self.collapsed >= PATIENCE:
            raise CollapseError(
                f"the model's space has collapsed: {signs.rank:.1f} effective dimensions, {signs.dead:.0%} of all are "
                "dead, so that different states look the same to it. The last checkpoints are kept, but are hardly of "
                "use: train again with a heavier --options sketch=... (or variance=1 covariance=0.1), a lower --lr, "
                "or with some --objective pixel in the mixture."
            )
        if self.deaf >= PATIENCE:
            raise CollapseError(
                f"the model does not listen: other actions change {signs.heard:.2%} of what it foresees. Check that "
                "actions in the data are those that led to the next states (`nextstate data check`), then train "
                "again, for longer or with a heavier --options inverse=... where the objective has it."
            )


@torch.no_grad()
def look_at(model: object, held: object, device: torch.device) -> Signs | None:
    """Signs of a model on windows that it does not learn from; None if it is no world model with a space of its own."""
    if isinstance(model, StateModel) and isinstance(held, SilentSet):
        model, held = held.told(model, device)
    if not (isinstance(model, WorldModel) and isinstance(model, Embedding) and isinstance(held, ValidationSet)):
        return None
    kinds = model.spec.modalities
    alone = _floats(to_tensors({n: held.climate[n][:POINTS] for n in kinds}, device))
    alone = {n: v.reshape(len(v), 1, *kinds[n].shape) for n, v in alone.items()}
    count = len(next(iter(alone.values())))
    seen = model.observe(History(alone, torch.zeros(count, 0, model.spec.action_size, device=device)))
    points = model.embed(seen.map(lambda t: t[:, None]))[:, 0].float()
    rank, dead = effective_dimensions(points)
    return Signs(rank, dead, _heard(model, held, device))


def effective_dimensions(points: Tensor) -> tuple[float, float]:
    """RankMe of points ``(N, D)`` about their middle, and the share of dimensions that hardly vary.

    The exponential of the entropy of singular values (Garrido et al. 2023, https://arxiv.org/abs/2210.02885).
    """
    apart = points - points.mean(dim=0)
    dead = float((apart.square().mean(dim=0).sqrt() < STILL).float().mean())
    values = torch.linalg.svdvals(apart)
    if float(values.sum()) < STILL:
        return 1.0, dead
    shares = values / values.sum() + 1e-12
    return float((-(shares * shares.log()).sum()).exp()), dead


def _heard(model: WorldModel, held: ValidationSet, device: torch.device) -> float:
    batch = _floats(to_tensors(held.batch, device))
    belief = model.observe(
        History({n: batch[n][:, : held.context] for n in model.spec.modalities}, batch["action"][:, : held.context - 1])
    )
    ahead = batch["action"][:, held.context - 1 :]
    others = ahead.roll(1, dims=0)
    if float((ahead - others).abs().max()) == 0:
        return float("nan")
    assert isinstance(model, Embedding)
    now = model.embed(belief.map(lambda t: t[:, None])).float()
    own, other = (model.embed(model.imagine(belief, plan)).float() for plan in (ahead, others))
    moved = float((own - now).square().mean().sqrt())
    return float((own - other).square().mean().sqrt()) / max(moved, 1e-9)


def _floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Data is stored in half precision, but the protocol speaks float32.
    return {n: t.float() if t.dtype == torch.float16 else t for n, t in tensors.items()}
