"""Learning heads from a dataset, on what a frozen model sees in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextstate.data import Cache, Windows, open_cache
from nextstate.data.joined import joined
from nextstate.data.parts import require_commands, require_senses
from nextstate.data.windows import Split
from nextstate.errors import PlanningError, SettingsError
from nextstate.models.heads import STILL, Head, HeadShape
from nextstate.models.leap import Leap, leap_loss
from nextstate.models.posture import Posture, posture_loss
from nextstate.models.protocol import WorldModel
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning.guide import Guide
from nextstate.planning.journeys import guide_loss
from nextstate.planning.precedents import Precedents
from nextstate.policies.fitting import Show, fit
from nextstate.policies.inverse import Inverse, inverse_loss
from nextstate.policies.joint import Joint, fit_spread, joint_loss
from nextstate.policies.looked import looked_once
from nextstate.policies.schooling import prepare, require_same_shape, teach
from nextstate.training.precision import autocast, choose_dtype, seed_step
from nextstate.training.recall import Recalls, recall
from nextstate.training.trainable import to_tensors

LONGEST = 32
"""Steps between two instants, at most; fewer where episodes are shorter."""

SPLITS: tuple[Split, ...] = ("all", "train", "validation")

Loss = Callable[[Any, Mapping[str, Tensor], torch.Generator], dict[str, Tensor]]
"""``loss(head, batch, generator)`` to ``{"loss": ..., "commands": ...}``."""

HEADS: dict[str, tuple[type[Head], Loss | None]] = {
    Guide.name: (Guide, guide_loss),
    Inverse.name: (Inverse, inverse_loss),
    Joint.name: (Joint, joint_loss),
    Leap.name: (Leap, leap_loss),
    Posture.name: (Posture, posture_loss),
    Precedents.name: (Precedents, None),
}
"""Name -> class and loss; none where nothing is learned, and all is kept."""


@dataclass(frozen=True)
class Recollection:
    """What a model recalls of all episodes of a dataset.

    Args:
        train, validation: windows of places, codes, posture, commands, and how much there is of each thing; if asked,
            also what skin feels, and, of a model that sees motion, what it makes of still pictures (`STILL`), as those
            of goals are.
        gist: ``(T, ...)``, what it says of each whole picture; empty where that was not kept.
    """

    model: StateModel
    train: Windows
    validation: Windows
    gist: Mapping[str, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(
        model: WorldModel,
        data: Path | Sequence[Path],
        seed: int = 0,
        show: Show | None = None,
        episodes: int = 0,
        looks: bool = False,
    ) -> Recollection:
        """Looks at every frame once, and never again (`looked_once`).

        Args:
            data: one dataset or several of one body, which then are learned from as one.
            looks: where the model sees motion, looks once more as at stills, for guides that see what goals look like.
            episodes: only so many first training episodes, and those held out among them; 0 for all.

        Raises:
            PlanningError: for a model that outlines no things. DatasetError: for a dataset of another body.
            SettingsError: where there are not so many episodes, or several datasets that they could be the first of.
        """
        if not isinstance(model, StateModel):
            raise PlanningError(f"{model.spec.name} outlines no things, of which a head could say where they go.")
        roots = [data] if isinstance(data, Path) else list(data)
        if episodes and len(roots) > 1:
            raise SettingsError(f"{episodes} episodes of {len(roots)} datasets: give one dataset, or all its episodes.")
        caches = [open_cache(root) for root in roots]
        for cache, root in zip(caches, roots, strict=True):
            require_commands(cache, root, "learning a head")
            require_senses(cache, root, model.spec.modalities, model.spec.action_size, model.spec.hz, model.spec.name)
        length = min(LONGEST, *(int(cache.lengths.min()) - 1 for cache in caches))
        show = show or (lambda done, count: None)
        parts = [Recollection._of(model, cache, length, seed, show, episodes, looks) for cache in caches]
        if len(parts) == 1:
            return parts[0]
        gist = {name: np.concatenate([part.gist[name] for part in parts]) for name in parts[0].gist}
        train, validation = joined([part.train for part in parts], [part.validation for part in parts])
        return Recollection(model, train, validation, gist)

    @staticmethod
    def _of(
        model: StateModel, cache: Cache, length: int, seed: int, show: Show, episodes: int, looks: bool
    ) -> Recollection:
        names = list(model.spec.modalities)
        whole, train, validation = (Windows(cache, length + 1, split, seed, names) for split in SPLITS)
        if episodes:
            train = train.of_first(_among(episodes, train))
            last = int(train.episodes[-1])
            validation = validation.of_first(max(int((validation.episodes <= last).sum()), 1))
            last = max(last, int(validation.episodes[-1]))
            whole = whole.of_first(int((whole.episodes <= last).sum()))
        dtype = choose_dtype("auto", model.device)

        def looked(view: Recalls, how: str) -> dict[str, np.ndarray]:
            def look(rows: range) -> Mapping[str, np.ndarray]:
                def shown(done: int, _: int) -> None:
                    show(rows.start + done, whole.rows)

                found = recall(view, whole, model.device, dtype, lambda: False, shown, rows=rows)
                assert found is not None
                return found

            seen = looked_once(cache, model, f"{how}, {whole.rows} frames, {dtype}", whole.rows, look)
            seen["there"] = presence(torch.from_numpy(np.array(seen.pop("areas")))).numpy()
            return seen

        seen = looked(model, "moving")
        told = ("places", "codes", "there", "proprio", *(("touch",) if looks else ()))
        kept: dict[str, np.ndarray] = {n: seen[n] for n in told if n in seen}
        gist = {"gist": seen["gist"]}
        if looks and "motion" in model.images:
            still = looked(Still(model), "still")
            kept |= {f"{STILL}{n}": still[n] for n in ("places", "codes", "there")}
            gist |= {f"{STILL}gist": still["gist"]}
        return Recollection(model, train.over(kept), validation.over(kept), gist)

    def with_gist(self) -> Recollection:
        """The same, in whose windows the gist of pictures can be seen too."""
        sides = ((side, {**side.arrays, **self.gist}) for side in (self.train, self.validation))
        train, validation = (side.over(arrays) for side, arrays in sides)
        return replace(self, train=train, validation=validation)

    def of_first(self, episodes: int) -> Recollection:
        """Of the first training episodes alone; raises `SettingsError` where there are not so many."""
        return replace(self, train=self.train.of_first(_among(episodes, self.train)))

    @property
    def shape(self) -> HeadShape:
        """Sizes of heads that read it."""
        arrays = self.train.arrays
        proprio = arrays["proprio"].shape[1] if "proprio" in arrays else 0
        gist = int(np.prod(arrays["gist"].shape[1:])) if "gist" in arrays else 0
        things, code = arrays["places"].shape[1], arrays["codes"].shape[2]
        return HeadShape(things, code, proprio, self.model.spec.action_size, gist=gist)


def _among(episodes: int, windows: Windows) -> int:
    if not 1 <= episodes <= len(windows.episodes):
        raise SettingsError(f"{episodes} episodes: the dataset has {len(windows.episodes)} to learn from.")
    return episodes


@dataclass(frozen=True)
class Still:
    """A model that looks at pictures as if nothing in them moved."""

    model: StateModel

    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        motion = self.model.spec.modalities["motion"]
        resting = motion.denormalise(torch.zeros_like(states["motion"], dtype=torch.float32))
        return self.model.recall({**states, "motion": resting})


def learn(
    name: str,
    seen: Recollection,
    seconds: float,
    seed: int = 0,
    show: Show | None = None,
    looks: bool = False,
    members: int = 1,
    start: Guide | None = None,
) -> tuple[Head, dict[str, float]]:
    """A head of that name (see `HEADS`), and its errors on episodes that it did not learn from.

    Args:
        looks: whether a guide sees what things look like in goals, besides where they are.
        show: told how many of how many seconds have passed.
        members: of a guide, whose opinions are averaged; they share the time.
        start: a guide of the same shape that goes on learning; what matters to it stays, whoever acts in the dataset.

    Raises:
        SettingsError: for one of another shape.
    """
    kind, loss_of = HEADS[name]
    if issubclass(kind, Precedents) or loss_of is None:
        kept = Precedents.of(seen.shape, seen.train)
        return kept, {"instants": float(len(kept.places)), "stretches": float(len(kept.stretches()[0]))}
    looks = looks and kind is Guide
    if kind.gisted or looks:
        seen = seen.with_gist()
    device = seen.model.device
    dtype = choose_dtype("auto", device)
    torch.manual_seed(seed)
    shape = seen.shape
    if looks:
        touch = seen.train.arrays.get("touch")
        shape = replace(shape, looks=shape.code, touch=0 if touch is None else int(np.prod(touch.shape[1:])))
    if kind is Guide:
        shape = replace(shape, members=members)
    if looks:
        body = seen.model.spec.modalities.get("proprio")
        return teach(seen.train, seen.validation, shape, body, seconds, device, seed, show, start)
    head = kind(shape).to(device)
    some = to_tensors(seen.train.batch(0, 512), device)
    if isinstance(head, Guide):
        if start is None:
            prepare(head, some)
        else:
            require_same_shape(start, shape)
            head.load_state_dict(start.state_dict())
    if isinstance(head, Joint):
        fit_spread(head, some)
    if isinstance(head, Posture):
        head.fit(some, seen.model.spec.modalities["proprio"])
    step = fit(head, seen.train.batch, lambda b, g: loss_of(head, b, g)["loss"], seconds, device, seed, show)
    held = to_tensors(seen.validation.batch(0, 1024), device)
    if isinstance(head, Posture):
        head.judge(held)
    with torch.no_grad(), autocast(device, dtype):
        errors = {n: float(v) for n, v in loss_of(head, held, seed_step(seed, 0, device)).items()}
    return head, {**errors, "commands_of_none": float(held["action"].float().square().mean()), "steps": step}
