"""Learning instructed heads from a dataset, on what a frozen world model sees in it, with or without commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nextstate.data import Cache, Windows
from nextstate.data.instructed import InstructedFrames, silenced
from nextstate.data.parts import require_senses
from nextstate.data.windows import Split
from nextstate.errors import PlanningError
from nextstate.models.heads import HeadShape
from nextstate.models.protocol import WorldModel
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning import Guide
from nextstate.policies.aiming import AIMED, Aiming, aiming_loss
from nextstate.policies.fitting import Show, fit
from nextstate.policies.heeding import CHUNK, Foretelling, Heeding, Labelled, told
from nextstate.policies.inverse import Inverse
from nextstate.policies.learning import LONGEST, Recollection, learn
from nextstate.training.precision import choose_dtype
from nextstate.training.recall import recall
from nextstate.training.trainable import to_tensors

DRAWS = 2
"""Noise levels at which each batch is learned."""

BRIDGED = 1
"""Steps between the two pictures that a command is guessed from."""


@dataclass(frozen=True)
class Seen:
    """What a world model makes of every frame of a dataset, and of what follows it.

    Args:
        arrays: ``places (T, K, 2)``, ``codes (T, K, Z)``, ``there (T, K)``, ``proprio`` if felt, and ``ahead
            (T, S, K, 2)``: how far things go within the next steps of their episode.
        silent: words; episodes whose instructions hold them are videos without commands.
    """

    model: StateModel
    cache: Cache
    arrays: Mapping[str, np.ndarray]
    silent: str = ""

    @staticmethod
    def of(model: WorldModel, cache: Cache, silent: str = "", show: Show | None = None) -> Seen:
        """Looks at every frame once; raises `PlanningError` for a model that outlines no things."""
        if not isinstance(model, StateModel):
            raise PlanningError(f"{model.spec.name} outlines no things, of which a head could say where they go.")
        require_senses(cache, cache.root, model.spec.modalities, model.spec.action_size, model.spec.hz, model.spec.name)
        windows = Windows(cache, 2, "all", 0, list(model.spec.modalities))
        dtype = choose_dtype("auto", model.device)
        found = recall(model, windows, model.device, dtype, lambda: False, show or (lambda done, count: None))
        assert found is not None
        arrays: dict[str, np.ndarray] = {n: found[n] for n in ("places", "codes", "proprio") if n in found}
        arrays["there"] = presence(torch.from_numpy(found["areas"])).numpy()
        later = np.arange(len(arrays["places"]))[:, None] + np.arange(1, CHUNK + 1)
        places = arrays["places"]
        gone = places[later.clip(max=len(places) - 1)] - places[:, None]
        return Seen(model, cache, {**arrays, "ahead": gone.astype(np.float16)}, silent)

    def shown(self, pictures_only: bool) -> dict[str, np.ndarray]:
        """Its arrays, without posture if only pictures are to be known."""
        return {n: a for n, a in self.arrays.items() if not (pictures_only and n == "proprio")}


def learn_instructed(
    kind: type[Heeding],
    seen: Seen,
    seconds: float,
    seed: int = 0,
    show: Show | None = None,
    actions: np.ndarray | None = None,
) -> tuple[Heeding, dict[str, float]]:
    """A head that follows instructions, learned for so long, and its error on held-out episodes.

    Whoever learns from silent videos too (`Foretelling`, and `Labelled` by guessed commands) is shown pictures alone.

    Args:
        actions: ``(T, A)``, commands instead of those of the dataset. show: told how many of how many seconds passed.

    Raises:
        DatasetError: for a dataset without instructions.
    """
    device = seen.model.device
    watches = issubclass(kind, Foretelling | Labelled)
    arrays = seen.shown(pictures_only=watches)
    sides: tuple[Split, ...] = ("train", "validation")
    silent = "" if watches else seen.silent
    parts = [InstructedFrames(seen.cache, CHUNK, told, [], side, seed, silent) for side in sides]
    train, held_out = (frames.reading(arrays, actions) for frames in parts)
    torch.manual_seed(seed)
    head = kind(_shape(seen, arrays)).to(device)
    if kind.futures:
        some = torch.from_numpy(train.batch(0, 4096)["ahead"]).float().flatten(2)
        head.spread.copy_(some.std(dim=0).clamp_min(0.01))

    def loss_of(batch: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        memory, absent = head.memory(batch, batch["words"])
        return head.expert.loss(memory, absent, head.wanted(batch), generator, DRAWS)

    step = fit(head, train.batch, loss_of, seconds, device, seed, show)
    held = to_tensors(held_out.batch(0, 1024), device)
    with torch.no_grad():
        drawn = head.expert.draw(*head.memory(held, held["words"]), torch.Generator().manual_seed(seed), bound=8.0)
    wanted = head.wanted(held)
    gap = (drawn - wanted).square()
    vary = (wanted - wanted.mean(dim=(0, 1))).square().mean()
    return head, {"error": float(gap.mean() / vary), "steps": float(step)}


def learn_inverse(
    seen: Seen, seconds: float, seed: int = 0, show: Show | None = None
) -> tuple[Inverse, dict[str, float]]:
    """Inverse dynamics from pictures alone, of all episodes that are not silent."""
    head, errors = learn(Inverse.name, _voiced(seen, pictures_only=True, seed=seed), seconds, seed, show)
    assert isinstance(head, Inverse)
    return head, errors


def learn_guide(seen: Seen, seconds: float, seed: int = 0, show: Show | None = None) -> tuple[Guide, dict[str, float]]:
    """A guide for planning, of all episodes that are not silent; it needs no instructions."""
    head, errors = learn(Guide.name, _voiced(seen, pictures_only=False, seed=seed), seconds, seed, show)
    assert isinstance(head, Guide)
    return head, errors


def _voiced(seen: Seen, pictures_only: bool, seed: int) -> Recollection:
    length = min(LONGEST, int(seen.cache.lengths.min()) - 1) + 1
    arrays = {n: a for n, a in seen.shown(pictures_only).items() if n != "ahead"}
    hidden = silenced(seen.cache, seen.silent)
    sides: tuple[Split, ...] = ("train", "validation")
    train, held = (Windows(seen.cache, length, side, seed, []).over(arrays).without(hidden) for side in sides)
    return Recollection(seen.model, train, held)


def learn_aiming(
    seen: Seen, seconds: float, seed: int = 0, show: Show | None = None
) -> tuple[Aiming, dict[str, float]]:
    """Where things end up when instructions are followed, from pictures alone, of silent episodes too."""
    places = seen.arrays["places"]
    later = (np.arange(len(places)) + AIMED).clip(max=len(places) - 1)
    arrays = {n: seen.arrays[n] for n in ("places", "codes", "there")} | {"aim": places[later] - places}
    sides: tuple[Split, ...] = ("train", "validation")
    train, held_out = (
        InstructedFrames(seen.cache, AIMED, told, [], side, seed).reading(arrays, np.zeros((len(places), 1)))
        for side in sides
    )
    torch.manual_seed(seed)
    device = seen.model.device
    head = Aiming(replace(_shape(seen, arrays), chunk=1)).to(device)
    step = fit(head, train.batch, lambda batch, _: aiming_loss(head, batch), seconds, device, seed, show)
    held = to_tensors(held_out.batch(0, 1024), device)
    with torch.no_grad():
        error, still = aiming_loss(head, held), aiming_loss(_Still(), held)  # type: ignore[arg-type]
    return head, {"error": float(error / still), "steps": float(step)}


class _Still:
    """Expects everything to stay where it is."""

    def __call__(self, state: Mapping[str, Tensor], words: Tensor) -> Tensor:
        return torch.zeros_like(state["places"])


@torch.no_grad()
def guessed(seen: Seen, inverse: Inverse) -> tuple[np.ndarray, float]:
    """Commands ``(T, A)``, those of silent episodes guessed from their pictures, and the error over the variance.

    As in video pre-training (Baker et al. 2022, https://arxiv.org/abs/2206.11795). The true ones are looked at for the
    error alone.
    """
    cache = seen.cache
    actions = np.array(cache.arrays["action"], np.float32)
    missed, varied = [], []
    for episode in np.flatnonzero(silenced(cache, seen.silent)):
        start, length = int(cache.starts[episode]), int(cache.lengths[episode])
        rows = start + np.arange(length - 1)
        later = np.minimum(rows + BRIDGED, start + length - 1)
        now = {n: torch.from_numpy(seen.arrays[n][rows]) for n in ("places", "codes")}
        then = {n: torch.from_numpy(seen.arrays[n][later]) for n in ("places", "there")}
        found = inverse(now, then, torch.from_numpy(later - rows))[:, 0].numpy()
        missed.append(np.square(found - actions[rows]))
        varied.append(actions[rows])
        actions[rows] = found
    if not missed:
        return actions, 0.0
    return actions, float(np.concatenate(missed).mean() / np.concatenate(varied).var(axis=0).mean())


def _shape(seen: Seen, arrays: Mapping[str, np.ndarray]) -> HeadShape:
    proprio = arrays["proprio"].shape[1] if "proprio" in arrays else 0
    things, code = arrays["codes"].shape[1:]
    return HeadShape(things, code, proprio, seen.model.spec.action_size, chunk=CHUNK)
