"""Predict what is sensed: pictures, posture and touch of the next states, scored as sampled futures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.models.vision import CELL, describe

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

DRAWN = 3
"""Steps of a window that are drawn and compared with the true pictures."""

COLOUR_SPREAD = 0.25
"""Standard deviation of colour within one thing, in normalised units."""

STILL = 0.03
"""Weight of a pixel that does not change, beside 1 for one that does, when things are outlined."""

WEIGHTS = {"pictures": 1.0, "places": 10.0, "senses": 1.0, "outlines": 0.1}


def pixel(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """Fair CRPS of two sampled futures, on all modalities; what changes weighs more than what stays.

    A proper score of samples does not reward a blur or a fading, as squared error over several steps does
    (Gneiting and Raftery 2007, https://doi.org/10.1198/016214506000001437). Besides, outlines must each hold
    one kind of thing, and foreseen places must be where the eye later finds them.
    """
    context, names = model.spec.context, list(model.spec.modalities)
    states = {n: batch[n] for n in names}
    actions = batch["action"].float()
    now = context - 1
    horizon = actions.shape[1] - now
    belief = model.believe({n: v[:, :context] for n, v in states.items()}, actions[:, :now])
    size = actions.shape[0]
    twice = {n: torch.cat([v, v]) for n, v in belief.items()}
    noise = torch.randn(2 * size, model.tokens, max(model.size.noise, 1), generator=generator, device=actions.device)
    span = model.foresee(twice, actions[:, now:].repeat(2, 1, 1), noise if model.size.noise else None)

    chosen = _steps(horizon, generator, actions.device)
    truth = model.pictures({n: states[n][:, [now + 1 + s for s in chosen]] for n in model.images})
    few = {n: v[:, chosen] for n, v in span.items()}
    # At first pictures only say that staying is safest, so where things go is learned from places alone.
    drawn = model.draw(few | {"places": few["places"].detach()})
    weight = _weight(truth, belief["last"][:, None])
    pictures = (_crps(drawn, truth) * weight).mean() / weight.mean()

    with torch.no_grad():
        masks, _, _ = model.eye(truth.flatten(0, 1))
        seen, areas, _ = describe(masks)
    there = (areas * 400).clamp_max(1).view(size, len(chosen), -1)
    found = seen.view(size, len(chosen), -1, 2)
    foreseen = few["places"][:, :, : model.size.things]
    places = (_crps(foreseen, found) * there[..., None]).mean()

    senses = torch.zeros((), device=actions.device)
    for name in model.vectors:
        target = model.spec.modalities[name].normalise(states[name][:, context:]).flatten(2)
        senses = senses + _crps(span[name], target).mean()

    looks = model.split(belief["last"][:, None])["rgb" if "rgb" in model.images else model.images[0]][:, 0]
    moving = _changes(truth, belief["last"][:, None]).amax(dim=(1, 2))[:, None]
    outlines = mixture(belief["masks"], F.avg_pool2d(looks, CELL), STILL + F.max_pool2d(moving, CELL))
    parts = {"pictures": pictures, "places": places, "senses": senses, "outlines": outlines}
    return {"loss": sum((WEIGHTS[n] * v for n, v in parts.items()), torch.zeros(())), **parts}


def mixture(masks: Tensor, pictures: Tensor, weights: Tensor) -> Tensor:
    """Negative log likelihood of pixels if each thing had one colour, in nats per pixel.

    A spatial mixture whose shares are the masks ``(B, K, h, w)`` and whose means are averages of `pictures`
    ``(B, C, h, w)`` over them. `weights` ``(B, 1, h, w)`` say which pixels matter: without them walls and
    table, which fill the picture, use up the masks, and all that can move shares one.
    """
    shares = masks.flatten(2).float()
    values = pictures.flatten(2).float()
    weight = weights.flatten(1).float()
    owned = shares * weight[:, None]
    means = torch.einsum("bkp,bcp->bkc", owned, values) / (owned.sum(dim=2)[..., None] + 1e-3)
    squares = (
        (means**2).sum(dim=2)[:, :, None]
        + (values**2).sum(dim=1)[:, None]
        - 2 * torch.einsum("bkc,bcp->bkp", means, values)
    )
    surprise = -torch.logsumexp(shares.clamp_min(1e-6).log() - squares / (2 * COLOUR_SPREAD**2), dim=1)
    return (surprise * weight).sum() / weight.sum()


def _crps(both: Tensor, truth: Tensor) -> Tensor:
    one, other = both[: len(truth)], both[len(truth) :]
    return 0.5 * ((one - truth).abs() + (other - truth).abs()) - 0.5 * (one - other).abs()


def _weight(truth: Tensor, last: Tensor) -> Tensor:
    return 1.0 + 10.0 * _changes(truth, last)


def _changes(truth: Tensor, last: Tensor) -> Tensor:
    return ((truth - last).abs().amax(dim=2, keepdim=True) > 0.1).float()


def _steps(horizon: int, generator: torch.Generator, device: torch.device) -> list[int]:
    order = torch.randperm(horizon, generator=generator, device=device)[:DRAWN]
    return sorted(order.tolist())
