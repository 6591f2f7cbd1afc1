"""Teaching a guide that looks: first what pictures say about bodies and things, then the way.

What is read off pictures is learned on frames, and tabulated. So of a journey only three frames are gathered, whatever
lies between them, and a step learns from several times as many as it would from windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nextstate.data import Windows
from nextstate.errors import SettingsError
from nextstate.modalities import Modality
from nextstate.models.handhold import handhold_loss, holdings, touched
from nextstate.models.heads import HeadShape
from nextstate.models.posture import posture_loss
from nextstate.planning.guide import Guide, obedience, restfulness, speeds
from nextstate.planning.journeys import COUNTS, journey_loss
from nextstate.policies.fitting import Show, lower
from nextstate.policies.journeys import Frames, Journeys, steps_since_away
from nextstate.training.precision import seed_step
from nextstate.training.trainable import to_tensors

READS = 0.1
"""Share of the time in which each thing that is read off pictures is learned: the body's posture, and handholds."""

SIZE, DRAWN = 512, 3
"""Journeys, or frames, of a step; and times as many frames among which those are looked for that tell of a handhold."""

HELD = 0.1
"""How often a thing must be held, beside the one that is held most often, to count as held."""

BROUGHT = 0.2
"""Share of frames before which something that matters was elsewhere, from which on moving things is what goals are
about; where only bodies move, nothing is ever brought home."""


def teach(
    train: Windows,
    validation: Windows,
    shape: HeadShape,
    body: Modality | None,
    seconds: float,
    device: torch.device,
    seed: int = 0,
    show: Show | None = None,
    start: Guide | None = None,
) -> tuple[Guide, dict[str, float]]:
    """A guide that looks, and its errors on episodes that it did not learn from.

    Args:
        train, validation: windows of what a model recalls, in motion and as stills, with gist.
        body: how posture was normalised, if it is felt. show: told how many of how many seconds passed.
        start: a guide that goes on learning, and reads pictures as it did.

    Raises:
        SettingsError: for one of another shape.
    """
    began, frames = time.monotonic(), Frames.of(train)
    guide, holding = _prepared(frames, train, shape, body, device, start)

    def passed(*_: int) -> None:
        if show:
            show(min(int(time.monotonic() - began), int(seconds)), int(seconds))

    if start is None:
        _learn_to_read(guide, frames, holding, train, READS * seconds, device, seed, passed)
    for reader in (guide.posture, guide.handhold):
        if reader is not None:
            reader.requires_grad_(False)
    if guide.handhold is not None:
        # Whoever acts looks as if nothing moved (`Guide.calm`), and is taught so: docs/decisions/0034.
        frames = replace(frames, moving=frames.still)
    frames = frames.told(guide)
    away = steps_since_away(frames.moving, _beginnings(train, len(frames.action)), train.length - 1, guide)
    guide.brings = bool((away > 0).float().mean() > BROUGHT)
    on_train, on_others = (Journeys(side, frames, away if guide.brings else None) for side in (train, validation))

    def loss_on(journeys: Journeys, step: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return journey_loss(guide, journeys.draw(step, size, shape.chunk).to(device), generator)

    rest = max(seconds - (time.monotonic() - began), 1e-3)
    # Steps are cheap here; making matrices orthogonal would take as long as a third of them, without half precision.
    step = lower(
        guide,
        lambda n, generator: loss_on(on_train, n, SIZE, generator)["loss"],
        rest,
        device,
        seed,
        passed,
        muon=False,
    )
    with torch.no_grad():
        told = loss_on(on_others, 0, 1024, seed_step(seed, 0, device))
    return guide, {**{name: float(value) for name, value in told.items()}, "steps": float(step)}


def prepare(guide: Guide, some: dict[str, Tensor]) -> None:
    """What a guide is told before it learns: what things do in some windows ``(B, T, ...)`` of the dataset.

    Things rest unless they are carried about. So where the skin tells, it counts what they do while it feels nothing:
    else recordings of somebody who carries something all the time make things look like shadows.
    """
    guide.obeys.copy_(obedience(some["places"], some["there"], some["action"]))
    there = some["there"]
    if "touch" in some:
        there = there * ~touched(some["touch"].float().flatten(2))[..., None]
    guide.rests.copy_(restfulness(some["places"], there))


def require_same_shape(start: Guide, shape: HeadShape) -> None:
    """Raises `SettingsError` where a guide is to go on as one of another shape."""
    if start.shape != shape:
        raise SettingsError(f"the guide to start from has another shape ({start.shape}) than this one ({shape}).")


def _prepared(
    frames: Frames,
    train: Windows,
    shape: HeadShape,
    body: Modality | None,
    device: torch.device,
    start: Guide | None,
) -> tuple[Guide, Tensor | None]:
    """A guide that knows what things do and what the body feels; and when each thing was held, as of `holdings`."""
    some = to_tensors(train.batch(0, 512), device)
    fast = speeds(some["proprio"]).cpu() if "proprio" in some else None
    if start is not None:
        require_same_shape(start, replace(shape, holds=start.shape.holds))
        guide, holding = Guide(start.shape).to(device), None
        guide.load_state_dict(start.state_dict())
    else:
        scout = Guide(shape).to(device)
        prepare(scout, some)
        holding = None
        if fast is not None and shape.touch:
            episodes = _whole(train, len(frames.action))
            things = scout.matters.cpu() > COUNTS
            holding = holdings(frames.still, *episodes, things, fast)
        often = None if holding is None else _often_held(holding)
        guide = Guide(replace(shape, holds=0 if often is None else int(often.sum()))).to(device)
        prepare(guide, some)
        if guide.posture is not None and body is not None:
            guide.posture.fit(some, body)
        if guide.handhold is not None and often is not None and fast is not None:
            guide.handhold.fit(frames.still, often, fast)
    if fast is not None:
        guide.not_feeling(fast)
    return guide, holding


def _often_held(holding: Tensor) -> Tensor:
    """Which things ``(K,)`` were held often enough."""
    times = (holding == torch.arange(len(holding))[:, None]).sum(dim=0)
    return times >= HELD * times.max()


def _learn_to_read(
    guide: Guide,
    frames: Frames,
    holding: Tensor | None,
    train: Windows,
    seconds: float,
    device: torch.device,
    seed: int,
    show: Show,
) -> None:
    def rows(step: int, count: int = SIZE) -> Tensor:
        within = np.random.default_rng([seed, step]).integers(0, train.length, count)
        return torch.from_numpy(train.first_rows(step, count) + within)

    def seen(names: Sequence[str], some: Tensor, looks: Mapping[str, Tensor] = frames.still) -> dict[str, Tensor]:
        return {name: looks[name][some].to(device) for name in names}

    learned: list[tuple[torch.nn.Module, Callable[[int, torch.Generator], Tensor]]] = []
    posture, handhold = guide.posture, guide.handhold
    if posture is not None:

        def misread(step: int, generator: torch.Generator) -> Tensor:
            pictured = seen(("places", "codes", "gist", "proprio"), rows(step))
            windows = {name: values[:, None] for name, values in pictured.items()}
            return posture_loss(posture, windows, generator)["loss"]

        learned.append((posture, misread))
    if handhold is not None and holding is not None:
        known = holding >= 0

        def mistaken(step: int, _: torch.Generator) -> Tensor:
            some = rows(step, DRAWN * SIZE)
            some = some[known[some].any(dim=1)][:SIZE]
            hold = frames.still["proprio"][holding[some].clamp_min(0)]
            # Imagined states are read too, and those move.
            looks = (frames.still, frames.moving)[step % 2]
            batch = {**seen(("places", "codes"), some, looks), "hold": hold.to(device), "known": known[some].to(device)}
            return handhold_loss(handhold, batch)["loss"]

        learned.append((handhold, mistaken))
    for reader, loss_at in learned:
        lower(reader, loss_at, seconds, device, seed, show, muon=False)


def _whole(windows: Windows, rows: int) -> tuple[Tensor, Tensor]:
    """First row and length of all episodes that lie within so many rows."""
    starts, lengths = (np.asarray(value) for value in (windows.cache.starts, windows.cache.lengths))
    inside = starts + lengths <= rows
    return torch.from_numpy(starts[inside].astype(np.int64)), torch.from_numpy(lengths[inside].astype(np.int64))


def _beginnings(windows: Windows, rows: int) -> Tensor:
    """Row ``(N,)`` at which the episode of each begins."""
    starts, lengths = _whole(windows, rows)
    return starts.repeat_interleave(lengths)
