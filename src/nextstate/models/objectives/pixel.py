"""Predict what is sensed: first learn to see and draw, then how what is seen moves on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.models.objectives.common import (
    CHANGED,
    STILL,
    ahead_of,
    misdrawn,
    missed,
    pace_of,
    remembered,
    scale_of,
    sensed,
    share_of,
    weighed,
)
from nextstate.models.objectives.objective import Objective
from nextstate.models.stages import Stage
from nextstate.models.vision import CELL, presence

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

DRAWN = 1
"""Other instants of a window that are drawn from the first."""

EVENTFUL = 3
"""Windows that are looked through for each that is learned from."""

GONE, SELDOM = 0.04, 0.02
"""How far a thing has gone somewhere, in halves of the picture; share of windows below which it is no rarer."""

BLUR = 0.1
"""Noise on codes while drawing is learned, so that a foreseen code, never quite right, is drawn alike."""

COLOUR_SPREAD, KEEN_SPREAD = 0.25, 0.12
"""Standard deviation of colour within one thing, in normalised units; the same for a keen eye."""

SHADES = 0.4
"""How much brightness counts beside hue to a keen eye, so that the lit and the shaded side of a thing are one."""

OUTLINES = 0.1
"""Weight of outlining beside drawing."""

REACTIONS = 2
"""Steps of a window that are learned from one after the other."""

ASTRAY = 0.2
"""Noise on places from which single steps are learned, in usual steps of a thing."""


def look(model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Draw other instants of a window from its pixels at one instant and what is seen at the others.

    What is seen there has to pass through a few places and codes, so these come to hold what changes. What moves
    weighs far more than what stays: else drawing nothing new is best for long, and nothing is learned.
    """
    length = next(iter(batch.values())).shape[1]
    chosen = torch.randperm(length, generator=generator, device=model.device)[: DRAWN + 1].tolist()
    pictures = model.pictures({n: batch[n][:, chosen] for n in model.spec.modalities})
    pictures = pictures[eventful(pictures, generator)]
    size, steps = pictures.shape[:2]
    seen = {n: v.view(size, steps, *v.shape[1:]) for n, v in model.see(pictures.flatten(0, 1)).items()}

    def blurred(codes: Tensor) -> Tensor:
        return codes + BLUR * torch.randn(codes.shape, generator=generator, device=codes.device)

    others = {n: seen[n][:, 1:] for n in ("places", "codes", "gist")}
    scene = {n: seen[n][:, :1].expand(-1, DRAWN, *seen[n].shape[2:]) for n in ("masks", "carried")}
    last, truth = pictures[:, :1], pictures[:, 1:]
    span = {
        **scene,
        "last": last.expand(-1, DRAWN, *last.shape[2:]),
        "from": seen["places"][:, :1].expand(-1, DRAWN, -1, -1),
        "places": others["places"],
        "codes": blurred(others["codes"]),
        "gist": blurred(others["gist"]),
    }
    drawing, changed = misdrawn(model.draw(span), truth, last)
    shown = model.split(last)["rgb" if "rgb" in model.images else model.images[0]][:, 0]
    moving = F.max_pool2d(changed.amax(dim=(1, 2))[:, None], CELL)
    coarse = F.avg_pool2d(shown, CELL)
    keen = model.size.keen
    coarse = hues(coarse) if keen else coarse
    weights = STILL + moving + salience(coarse, keen)
    outlines = mixture(seen["masks"][:, 0], coarse, weights, KEEN_SPREAD if keen else COLOUR_SPREAD)
    return {"loss": drawing + OUTLINES * outlines, "drawing": drawing, "outlines": outlines}


def eventful(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Which third of windows ``(B, S, C, s, s)``, those in which much changes with a greater chance."""
    changed = ((pictures[:, 1:] - pictures[:, :1]).abs().amax(dim=2) > CHANGED).float().mean(dim=(1, 2, 3))
    return torch.multinomial(changed + 1e-3, max(len(pictures) // EVENTFUL, 1), generator=generator)


def rare(places: Tensor, there: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Windows, a third of them, and an instant of each, in which something has gone where it seldom goes.

    An arm moves in all of them, a drawer in few: picked evenly, the drawer would be drawn as if it had stayed.

    Args:
        places: ``(B, H, K, 2)``, how far things have gone at each instant. there: ``(B, H, K)``.

    Returns:
        which windows ``(B / 3,)``, and which of their instants ``(B / 3,)``.
    """
    went = ((places.norm(dim=-1) * there) > GONE).float()
    weight = 1 + (went / went.mean(dim=(0, 1)).clamp_min(SELDOM)).sum(dim=2)
    picked = torch.multinomial(weight.sum(dim=1), max(len(places) // EVENTFUL, 1), generator=generator)
    return picked, torch.multinomial(weight[picked], 1, generator=generator)[:, 0]


def react(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """From what was seen and felt at an instant, what is at the next: steps from true states, memory carried along.

    Many small steps of learning for the price of one rollout; it learns most of physics before rollouts refine it.
    """
    size, length = batch["action"].shape[:2]
    first = torch.randint(0, length - REACTIONS + 1, (size, 1), generator=generator, device=model.device)
    times = first + torch.arange(REACTIONS + 1, device=model.device)
    rows = torch.arange(size, device=model.device)[:, None]
    truth = {n: batch[n][rows, times] for n in (*model.state, "areas")}
    actions = batch["action"][rows, times[:, :-1]].float()
    pace = pace_of(batch["places"], presence(batch["areas"])[..., None])

    def astray(name: str, amount: Tensor | float) -> Tensor:
        values = truth[name]
        return values + amount * torch.randn(values.shape, generator=generator, device=values.device)

    near = truth | {"places": astray("places", ASTRAY * pace), "codes": astray("codes", 0.5 * BLUR)}
    memory = torch.zeros(size, model.tokens, model.size.token, device=model.device)
    steps = []
    for t in range(REACTIONS):
        following, memory = model.dynamics({n: near[n][:, t] for n in model.state}, memory, actions[:, t])
        steps.append(following)
    there = presence(truth["areas"][:, 1:])[..., None]
    foreseen = {n: torch.stack([step[n] for step in steps], dim=1) for n in model.state}
    parts = {n: missed(n, foreseen[n], truth[n][:, 1:], pace, there).mean() for n in model.state}
    return {"loss": weighed(parts), **parts}


def foresee(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """From what was seen and felt, what will be seen and felt at each of the next steps.

    The central future is drawn towards the mean of what may happen; a pair of sampled ones, of half the windows, is
    scored by the fair CRPS, which sampled futures minimise when they are spread as true ones are (Gneiting and
    Raftery 2007, https://doi.org/10.1198/016214506000001437).
    """
    ahead = ahead_of(model, batch, progress)
    size = ahead.actions.shape[0]
    half = (size + 1) // 2 if model.size.noise else 0
    rows = torch.cat([torch.arange(size), torch.arange(half), torch.arange(half)]).to(ahead.actions.device)
    noise = None
    if half:
        shape = (2 * half, model.tokens, model.size.noise)
        drawn = torch.randn(shape, generator=generator, device=ahead.actions.device)
        noise = torch.cat([drawn.new_zeros(size, *shape[1:]), drawn])
    span = model.foresee({n: v[rows] for n, v in ahead.now.items()}, ahead.actions[rows], noise)
    scored = {}
    for name in model.state if half else ():
        scale = scale_of(name, ahead.pace)
        truth = ahead.truth[name][:half]
        one, other = (sensed(truth, drawn)[0] / scale for drawn in span[name][size:].chunk(2))
        crps = fair_crps(torch.cat([one, other]), truth.nan_to_num() / scale)
        scored[name] = (crps * share_of(name, ahead.there[:half]) * sensed(truth, truth)[1]).mean()
    parts = ahead.errors({n: span[n][:size] for n in model.state}, scored)
    return {"loss": weighed(parts), **parts}


def redraw(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """Draw what was foreseen rather than seen: the hand makes the most of futures that are never quite right."""
    now = model.spec.context - 1
    gone = batch["places"][:, now + 1 :] - batch["places"][:, now, None]
    there = presence(batch["areas"])
    picked, instant = rare(gone, there[:, now + 1 :] * there[:, now, None], generator)
    batch = {name: values[picked] for name, values in batch.items()}
    actions, rows = batch["action"].float(), torch.arange(len(picked), device=picked.device)
    with torch.no_grad():
        known, _ = remembered(model, batch, actions)
        times = torch.stack([torch.full_like(instant, now), now + 1 + instant], dim=1)
        pictures = model.pictures({n: batch[n][rows[:, None], times] for n in model.images})
        last, truth = pictures[:, :1], pictures[:, 1:]
        seen = model.see(last[:, 0])
        span = model.foresee({n: v.float() for n, v in known.items()}, actions[:, now:])
    scene = {"masks": seen["masks"], "carried": seen["carried"], "last": last[:, 0], "from": known["places"]}
    drawn = model.draw(
        {n: v[:, None] for n, v in scene.items()}
        | {n: span[n][rows, instant][:, None] for n in ("places", "codes", "gist")}
    )
    drawing, _ = misdrawn(drawn, truth, last)
    return {"loss": drawing, "drawing": drawing}


LOOK = Stage("look", 0.25, look, windows=1.125, deaf=True)
REACT = Stage("react", 0.3, react, windows=2.0, rate=2.0, recalled=True)
FORESEE = Stage("foresee", 0.35, foresee, windows=2.0, rate=0.5, recalled=True, grows=True)
REDRAW = Stage("redraw", 0.1, redraw, windows=0.5 * EVENTFUL, rate=0.5, recalled=True, pictured=True, deaf=True)

PIXEL = Objective((LOOK, REACT, FORESEE, REDRAW))


def salience(pictures: Tensor, keen: bool = False) -> Tensor:
    """How far each pixel of ``(B, C, h, w)`` is from the mean colour of its picture, ``(B, 1, h, w)``, 0 to 1.

    What stands out is mostly a thing, and small. Two things that hardly ever move share a mask for nearly nothing as
    long as pixels count by how much they move, and then neither has a place. But what stands out at the same place in
    every picture, such as the rim of a table, goes nowhere, and would only use up masks.

    Args:
        keen: of several pictures, whether a pixel counts no more than it differs from what they show there on average.
    """
    apart = (pictures - pictures.mean(dim=(2, 3), keepdim=True)).abs().amax(dim=1, keepdim=True)
    if keen and len(pictures) > 1:
        apart = torch.minimum(apart, (pictures - pictures.mean(dim=0)).abs().amax(dim=1, keepdim=True))
    return apart.clamp_max(1)


def hues(pictures: Tensor) -> Tensor:
    """Colours ``(B, C, h, w)`` without their brightness, and a share of it, ``(B, C + 1, h, w)``; grey as it is."""
    if pictures.shape[1] == 1:
        return pictures
    bright = pictures.mean(dim=1, keepdim=True)
    return torch.cat([pictures - bright, SHADES * bright], dim=1)


def mixture(masks: Tensor, pictures: Tensor, weights: Tensor, spread: float = COLOUR_SPREAD) -> Tensor:
    """Negative log likelihood of pixels if each thing had one colour, in nats per pixel.

    A spatial mixture whose shares are the masks ``(B, K, h, w)`` and whose means are averages of `pictures`
    ``(B, C, h, w)`` over them. `weights` ``(B, 1, h, w)`` say which pixels matter: without them walls and
    table, which fill the picture, use up the masks, and all that can move shares one. `spread` is how much
    colours differ within one thing.
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
    surprise = -torch.logsumexp(shares.clamp_min(1e-6).log() - squares / (2 * spread**2), dim=1)
    return (surprise * weight).sum() / weight.sum()


def fair_crps(both: Tensor, truth: Tensor) -> Tensor:
    one, other = both[: len(truth)], both[len(truth) :]
    return 0.5 * ((one - truth).abs() + (other - truth).abs()) - 0.5 * (one - other).abs()
