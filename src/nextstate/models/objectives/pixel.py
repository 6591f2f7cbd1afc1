"""Predict what is sensed: first learn to see and draw, then how what is seen moves on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.models.stages import Stage
from nextstate.models.vision import CELL, presence

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

DRAWN = 1
"""Other instants of a window that are drawn from the first."""

STILL = 0.2
"""Weight of a pixel that does not change, beside 1 for one that does."""

CHANGED = 0.1
"""Normalised difference from which a pixel has changed."""

EVENTFUL = 3
"""Windows that are looked through for each that is learned from."""

BLUR = 0.1
"""Noise on codes while drawing is learned, so that a foreseen code, never quite right, is drawn alike."""

COLOUR_SPREAD = 0.25
"""Standard deviation of colour within one thing, in normalised units."""

OUTLINES = 0.1
"""Weight of outlining beside drawing."""

FORESEEN = {"places": 0.3, "codes": 1.0, "gist": 1.0, "proprio": 3.0, "touch": 6.0}
"""Weights of what is foreseen."""

BENDS = {"touch": 3.0, "proprio": 3.0}
"""Up to which error it counts by its square, in units of its scale: what is felt is to be foreseen in the mean."""

REACTIONS = 2
"""Steps of a window that are learned from one after the other."""

ASTRAY = 0.2
"""Noise on places from which single steps are learned, in usual steps of a thing."""

FILTERED = 0.3
"""Weight of steps from states that were really observed, beside imagined ones."""

FIRST_HORIZON = 4
"""Steps foreseen at first; at the end of the stage as many as there are."""


def look(model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    """Draw other instants of a window from its pixels at one instant and what is seen at the others.

    What is seen there has to pass through a few places and codes, so these come to hold what changes. What moves
    weighs far more than what stays: else drawing nothing new is best for long, and nothing is learned.
    """
    length = next(iter(batch.values())).shape[1]
    chosen = torch.randperm(length, generator=generator, device=model.device)[: DRAWN + 1].tolist()
    pictures = eventful(model.pictures({n: batch[n][:, chosen] for n in model.spec.modalities}), generator)
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
    drawing, changed = _misdrawn(model.draw(span), truth, last)
    shown = model.split(last)["rgb" if "rgb" in model.images else model.images[0]][:, 0]
    moving = F.max_pool2d(changed.amax(dim=(1, 2))[:, None], CELL)
    coarse = F.avg_pool2d(shown, CELL)
    outlines = mixture(seen["masks"][:, 0], coarse, STILL + moving + salience(coarse))
    return {"loss": drawing + OUTLINES * outlines, "drawing": drawing, "outlines": outlines}


def eventful(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A third of the windows ``(B, S, C, s, s)``, those in which much changes with a greater chance."""
    changed = ((pictures[:, 1:] - pictures[:, :1]).abs().amax(dim=2) > CHANGED).float().mean(dim=(1, 2, 3))
    rows = torch.multinomial(changed + 1e-3, max(len(pictures) // EVENTFUL, 1), generator=generator)
    return pictures[rows]


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
    pace = _pace(batch["places"], presence(batch["areas"])[..., None])

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
    parts = {n: _missed(n, foreseen[n], truth[n][:, 1:], pace, there).mean() for n in model.state}
    return {"loss": _weighed(parts), **parts}


def foresee(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """From what was seen and felt, what will be seen and felt at each of the next steps.

    The central future is drawn towards the mean of what may happen; a pair of sampled ones, of half the windows, is
    scored by the fair CRPS, which sampled futures minimise when they are spread as true ones are (Gneiting and
    Raftery 2007, https://doi.org/10.1198/016214506000001437).
    """
    context, horizon = model.spec.context, _horizon(model, batch, progress)
    state = {n: batch[n][:, : context + horizon] for n in (*model.state, "areas")}
    actions = batch["action"][:, : context + horizon - 1].float()
    size = actions.shape[0]
    there = presence(state["areas"])[..., None]
    pace = _pace(state["places"], there)
    now, filtered = _remembered(model, state, actions)
    ahead = actions[:, context - 1 :]
    half = (size + 1) // 2 if model.size.noise else 0
    rows = torch.cat([torch.arange(size), torch.arange(half), torch.arange(half)]).to(actions.device)
    noise = None
    if half:
        shape = (2 * half, model.tokens, model.size.noise)
        drawn = torch.randn(shape, generator=generator, device=actions.device)
        noise = torch.cat([drawn.new_zeros(size, *shape[1:]), drawn])
    span = model.foresee({n: v[rows] for n, v in now.items()}, ahead[rows], noise)

    parts = {}
    ahead_there, early_there = there[:, context:], there[:, 1:context]
    for name in model.state:
        truth = state[name][:, context:]
        parts[name] = _missed(name, span[name][:size], truth, pace, ahead_there).mean()
        if half:
            scored = _crps(span[name][size:] / _scale(name, pace), truth[:half] / _scale(name, pace))
            parts[name] = parts[name] + (scored * _share(name, ahead_there[:half])).mean()
        if filtered:
            early = torch.stack([f[name] for f in filtered], dim=1)
            error = _missed(name, early, state[name][:, 1:context], pace, early_there).mean()
            parts[name] = parts[name] + FILTERED * error
    return {"loss": _weighed(parts), **parts}


def redraw(
    model: StateModel, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    """Draw what was foreseen rather than seen: the hand makes the most of futures that are never quite right."""
    context, horizon = model.spec.context, batch["action"].shape[1] + 1 - model.spec.context
    actions = batch["action"].float()
    chosen = torch.randperm(horizon, generator=generator, device=model.device)[:DRAWN]
    with torch.no_grad():
        now, _ = _remembered(model, batch, actions)
        pictures = model.pictures({n: batch[n][:, [context - 1, *(context + chosen).tolist()]] for n in model.images})
        last, truth = pictures[:, :1], pictures[:, 1:]
        seen = model.see(last[:, 0])
        span = model.foresee({n: v.float() for n, v in now.items()}, actions[:, context - 1 :])
    scene = {"masks": seen["masks"], "carried": seen["carried"], "last": last[:, 0], "from": now["places"]}
    drawn = model.draw(
        {n: v[:, None].expand(-1, DRAWN, *v.shape[1:]) for n, v in scene.items()}
        | {n: span[n][:, chosen] for n in ("places", "codes", "gist")}
    )
    drawing, _ = _misdrawn(drawn, truth, last)
    return {"loss": drawing, "drawing": drawing}


PIXEL = (
    Stage("look", 0.25, look, windows=1.125),
    Stage("react", 0.3, react, windows=2.0, rate=2.0, recalled=True),
    Stage("foresee", 0.35, foresee, windows=2.0, rate=0.5, recalled=True),
    Stage("redraw", 0.1, redraw, windows=0.5, rate=0.5, recalled=True, pictured=True),
)
"""Stages of the objective ``pixel``."""


def _misdrawn(drawn: Tensor, truth: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Error of pictures ``(B, S, C, s, s)``, and which pixels changed since `last` ``(B, 1, C, s, s)``."""
    changed = ((truth - last).abs().amax(dim=2, keepdim=True) > CHANGED).float()
    weight = STILL + changed
    error = F.smooth_l1_loss(drawn, truth, beta=0.3, reduction="none").clamp_max(4)
    return (error * weight).mean() / weight.mean(), changed


def _remembered(
    model: StateModel, state: Mapping[str, Tensor], actions: Tensor
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """State and memory at the end of the history, and what was foreseen on the way there."""
    memory = torch.zeros(actions.shape[0], model.tokens, model.size.token, device=actions.device)
    filtered: list[dict[str, Tensor]] = []
    for t in range(model.spec.context - 1):
        following, memory = model.dynamics({n: state[n][:, t] for n in model.state}, memory, actions[:, t])
        filtered.append(following)
    return {n: state[n][:, model.spec.context - 1] for n in model.state} | {"memory": memory}, filtered


def salience(pictures: Tensor) -> Tensor:
    """How far each pixel of ``(B, C, h, w)`` is from the mean colour of its picture, ``(B, 1, h, w)``, 0 to 1.

    What stands out is mostly a thing, and small. Two things that hardly ever move share a mask for nearly nothing as
    long as pixels count by how much they move, and then neither has a place.
    """
    return (pictures - pictures.mean(dim=(2, 3), keepdim=True)).abs().amax(dim=1, keepdim=True).clamp_max(1)


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


def _horizon(model: StateModel, batch: dict[str, Tensor], progress: float) -> int:
    longest = batch["action"].shape[1] + 1 - model.spec.context
    return min(longest, FIRST_HORIZON + int(progress * (max(longest - FIRST_HORIZON, 0) + 1)))


def _scale(name: str, pace: Tensor) -> Tensor | float:
    return pace if name == "places" else 1.0


def _share(name: str, there: Tensor) -> Tensor | float:
    # What is not there is nowhere, and looks like nothing.
    return there if name in ("places", "codes") else 1.0


def _missed(name: str, foreseen: Tensor, truth: Tensor, pace: Tensor, there: Tensor) -> Tensor:
    scale = _scale(name, pace)
    bend = BENDS.get(name, 1.0)
    error = F.smooth_l1_loss(foreseen / scale, truth / scale, beta=bend, reduction="none") * bend
    return error * _share(name, there)


def _weighed(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack([FORESEEN.get(name, 1.0) * part for name, part in parts.items()]).sum()


def _pace(places: Tensor, there: Tensor) -> Tensor:
    """How far things usually go in a step: the yardstick of errors in place."""
    moved = (places[:, 1:] - places[:, :-1]).abs() * there[:, 1:]
    return moved.mean().clamp_min(1e-4)


def _crps(both: Tensor, truth: Tensor) -> Tensor:
    one, other = both[: len(truth)], both[len(truth) :]
    return 0.5 * ((one - truth).abs() + (other - truth).abs()) - 0.5 * (one - other).abs()
