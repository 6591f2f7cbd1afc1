"""Reads outcomes and events out of states: directly where a modality holds them, else by a frozen network.

The network learns from true frames only, never from what a model imagined and never from held-out scenes. Its own
error on true held-out frames bounds every score, so it is measured and reported.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save as serialise
from torch import Tensor
from torch.nn import functional

from nextstate.data.storage import write_bytes
from nextstate.errors import DatasetError
from nextstate.evaluation.agreement import CONTACT_NEWTON
from nextstate.evaluation.building import Progress
from nextstate.evaluation.frames import Frames
from nextstate.evaluation.readout_network import ReadoutNetwork
from nextstate.evaluation.store import cache_folder, content_key
from nextstate.evaluation.suite import Suite, group_indices
from nextstate.evaluation.uncertainty import ReadingError, open_dimensions
from nextstate.modalities import Modality, modality, modality_from_dict
from nextstate.models.descent import Descent
from nextstate.models.light import halves
from nextstate.models.protocol import WorldModelSpec
from nextstate.worlds import WORLDS
from nextstate.worlds.base import World

VERSION = 5
STEPS, BATCH, RATE = 1000, 64, 3e-3

KEPT = torch.float16
"""Precision in which weights are kept: it looks in half precision anyway, and comes along with every model."""


@dataclass(frozen=True)
class Reading:
    """Outcomes ``(..., D)`` in physical units, event probabilities ``(..., E)``, contact as seen ``(...)``."""

    outcomes: np.ndarray
    events: np.ndarray
    contact: np.ndarray


class Readout:
    """Frozen once made.

    Args:
        world: whose outcomes it reads.
        spec: the modalities it looks at, with statistics of the true frames it learned from.
        network: the trained part.
        climate: mean and standard deviation ``(D,)`` by which its outcomes are scaled.
    """

    def __init__(
        self,
        world: type[World],
        spec: Mapping[str, Modality],
        network: ReadoutNetwork,
        climate: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self.world, self.spec, self.climate = world, dict(spec), climate
        self.network = network.eval().requires_grad_(False)
        self.direct = {g: how for g, how in world.read_directly.items() if how[0] in self.spec}

    @torch.inference_mode()
    def __call__(self, states: Mapping[str, Tensor], batch: int = 64) -> Reading:
        """What is the case in states, modality -> ``(..., *shape)`` in physical units."""
        some = next(iter(self.spec))
        lead = states[some].shape[: states[some].ndim - len(self.spec[some].shape)]
        flat = {name: states[name].reshape(-1, *spec.shape) for name, spec in self.spec.items()}
        parts = []
        for start in range(0, len(flat[some]), batch):
            pictures, vectors = prepare({n: v[start : start + batch] for n, v in flat.items()}, self.spec)
            with _half(len(pictures)):
                outcomes, events, contact = self.network(pictures, vectors)
            parts.append((outcomes, events.sigmoid(), contact.sigmoid()))
        scaled, events, contact = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        outcomes = scaled * self.climate[1] + self.climate[0]
        groups = group_indices(self.world)
        for group, (source, read) in self.direct.items():
            outcomes[:, groups[group]] = read(flat[source].numpy())
        return Reading(
            outcomes.reshape(*lead, -1).astype(np.float32), events.reshape(*lead, -1), contact.reshape(tuple(lead))
        )

    def fits(self, suite: Suite, spec: WorldModelSpec) -> bool:
        """Whether it reads this suite's outcomes out of nothing that a model does not foresee."""
        shapes = all(
            name in spec.modalities and spec.modalities[name].shape == kind.shape for name, kind in self.spec.items()
        )
        return shapes and self.world is suite.world

    def to_bytes(self) -> bytes:
        """As safetensors, weights in half precision, with everything else in the header."""
        head = {
            "version": VERSION,
            "world": self.world.name,
            "world_version": self.world.version,
            "spec": [kind.to_dict() for kind in self.spec.values()],
            "climate": [values.tolist() for values in self.climate],
            "shapes": self.network.shapes,
        }
        weights = {name: value.to(KEPT).contiguous() for name, value in self.network.state_dict().items()}
        return serialise(weights, metadata={"nextstate": json.dumps(head)})

    @staticmethod
    def load(path: Path) -> Readout:
        """Inverse of `to_bytes` in a file; raises `DatasetError` when it is damaged."""
        try:
            with safetensors.safe_open(str(path), "pt") as file:
                head: dict[str, Any] = json.loads(file.metadata()["nextstate"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            spec = {fields["name"]: modality_from_dict(fields) for fields in head["spec"]}
            world = WORLDS[head["world"]]
            if (head["version"], head["world_version"]) != (VERSION, world.version):
                raise ValueError("it was trained for another version")
            # Readouts that were kept before there were shapes do without.
            network = make_network(world, spec, head.get("shapes", False))
            network.load_state_dict(weights)
            mean, std = (np.array(values) for values in head["climate"])
            return Readout(world, spec, network, (mean, std))
        except (OSError, KeyError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise DatasetError(f"{path}: not a readout ({error}); delete it and it is trained again.") from error


def train_readout(
    suite: Suite, frames: Frames, cache: Path | None = None, steps: int = STEPS, progress: Progress | None = None
) -> Readout:
    """A readout for the modalities of `frames`, from disk when the same was trained before.

    Soft and noisy copies of the true frames are mixed in, so that a slightly soft imagined picture reads alike.
    """
    world = suite.world
    key = content_key(
        v=VERSION,
        world=world.name,
        wv=world.version,
        origin=frames.origin,
        steps=steps,
        shapes={n: v.shape[1:] for n, v in frames.states.items()},
        climate=suite.arrays["climate_std"].round(6).tolist(),
        network="shapes",
    )
    path = cache_folder(cache) / "readouts" / f"{world.name}-{key}.safetensors"
    if path.exists():
        try:
            return Readout.load(path)
        except DatasetError as error:
            warnings.warn(f"training the readout again: {error}", stacklevel=2)
    spec = {n: modality(n)(shape=v.shape[1:]).fitted(v[:: max(len(v) // 2000, 1)]) for n, v in frames.states.items()}
    mean, std = suite.arrays["climate_mean"], suite.arrays["climate_std"]
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        network = make_network(world, spec)
        _fit(network, spec, frames, suite.scale(frames.outcomes), steps, progress)
    network.to(KEPT).float()  # So that it reads alike today and from disk.
    readout = Readout(world, spec, network, (mean, np.where(std > 1e-6, std, 0.0)))
    write_bytes(path, readout.to_bytes())
    return readout


def make_network(world: type[World], spec: Mapping[str, Modality], shapes: bool = True) -> ReadoutNetwork:
    """An untrained network for these modalities; `shapes` as of `ReadoutNetwork`."""
    images = [m for m in spec.values() if m.kind == "image"]
    vector = sum(m.channels for m in spec.values() if m.kind == "vector")
    size = images[0].shape[0]
    outcomes = sum(len(names) for names in world.outcome_groups.values())
    channels = sum(m.channels for m in images)
    network = ReadoutNetwork(channels, vector, outcomes, len(world.events), patch=max(size // 32, 1), shapes=shapes)
    with torch.no_grad():
        network(torch.zeros(1, channels, size, size), torch.zeros(1, vector))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def prepare(states: Mapping[str, Tensor], spec: Mapping[str, Modality]) -> tuple[Tensor, Tensor]:
    """States ``(B, *shape)`` to normalised pictures ``(B, C, H, W)`` and vectors ``(B, V)``."""
    count = len(next(iter(states.values())))
    images = [(name, kind) for name, kind in spec.items() if kind.kind == "image"]
    # Readings lie with channels last: filled in place and turned round without a copy.
    pictures = torch.empty(count, *images[0][1].shape[:2], sum(kind.channels for _, kind in images))
    start = 0
    for name, kind in images:
        values = kind.normalise(states[name]).reshape(*pictures.shape[:3], -1).clamp_(-8, 8)
        pictures[..., start : start + kind.channels] = values
        start += kind.channels
    vectors = [kind.normalise(states[name]).flatten(1) for name, kind in spec.items() if kind.kind == "vector"]
    return pictures.permute(0, 3, 1, 2), torch.cat([torch.zeros(count, 0), *vectors], dim=1).clamp_(-8, 8)


def accuracy(readout: Readout, suite: Suite) -> dict[str, Any]:
    """How well true held-out frames are read: R2 per group, balanced accuracy per event, and the error per dimension.

    ``"error"`` is the `ReadingError` of outcomes in climatological standard deviations, where branches differ.
    """
    states = {name: torch.from_numpy(suite.truth(name)[: suite.pictured]) for name in readout.spec}
    reading = readout(states)
    read, true = suite.scale(reading.outcomes), suite.scale(suite.outcomes[: suite.pictured])
    missed = ((read - true) ** 2).mean(axis=(0, 1, 2))
    error = ReadingError.of(read - true, open_dimensions(true))
    r2 = {
        g: 1 - missed[i].sum() / max((true[..., i] ** 2).mean(axis=(0, 1, 2)).sum(), 1e-9)
        for g, i in suite.groups().items()
    }
    happened = suite.events[: suite.pictured]
    balanced = {
        name: _balanced(reading.events[..., i] > 0.5, happened[..., i]) for i, name in enumerate(suite.world.events)
    }
    return {"r2": r2, "events": balanced, "error": error, "frames": int(np.prod(read.shape[:3]))}


def _fit(
    network: ReadoutNetwork,
    spec: Mapping[str, Modality],
    frames: Frames,
    targets: np.ndarray,
    steps: int,
    progress: Progress | None,
) -> None:
    rng = np.random.default_rng(0)
    outcomes, events = torch.from_numpy(targets).float(), torch.from_numpy(frames.events).float()
    # Rare events count for more, or they would never be read at all; the root keeps probabilities near the truth.
    rate = events.mean(dim=0).clamp(0.01, 0.99)
    weight = ((1 - rate) / rate).sqrt()
    touch = frames.states.get("touch")
    pressed = None if touch is None else torch.from_numpy(touch.reshape(len(touch), -1).max(axis=1) > CONTACT_NEWTON)
    weights = list(network.parameters())
    descent = Descent(weights, RATE, decay=1e-3)
    network.train()
    pictures, vectors = _prepared(frames.states, spec)
    network.whiten(pictures[rng.integers(0, len(pictures), 256)].float())
    for step in range(steps):
        rows = torch.from_numpy(rng.integers(0, len(outcomes), BATCH))
        with _half(BATCH):
            read, happening, contact = network(_softened(pictures[rows].float(), rng), vectors[rows])
        loss = functional.smooth_l1_loss(read, outcomes[rows], beta=0.2)
        loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(happening, events[rows], pos_weight=weight)
        if pressed is not None:
            loss = loss + 0.1 * functional.binary_cross_entropy_with_logits(contact, pressed[rows].float())
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        pace = min((step + 1) / (0.1 * steps), 0.5 + 0.5 * math.cos(math.pi * step / steps))
        descent.step([weight.grad for weight in weights], pace)
        if progress:
            progress("readout", step + 1, steps)


def _half(rows: int) -> AbstractContextManager[object]:
    """Half precision where the processor has it: emulated, it takes twice as long."""
    return torch.autocast("cpu", torch.bfloat16, enabled=halves(torch.device("cpu"), rows))


def _prepared(states: Mapping[str, np.ndarray], spec: Mapping[str, Modality]) -> tuple[Tensor, Tensor]:
    """All frames as the network wants them; pictures in half precision, since they all stay in memory."""
    count, chunk = len(next(iter(states.values()))), 64
    pictures, vectors = torch.empty(0), []
    for start in range(0, count, chunk):
        some, felt = prepare({n: torch.from_numpy(v[start : start + chunk]) for n, v in states.items()}, spec)
        if not start:
            pictures = torch.empty(count, *some.shape[1:], dtype=torch.bfloat16, memory_format=torch.channels_last)
        pictures[start : start + chunk] = some
        vectors.append(felt)
    return pictures, torch.cat(vectors)


def _softened(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """A quarter of the batch blurred and made noisy by random amounts."""
    count = len(pictures) // 4
    sharp = pictures[:count]
    amount = torch.from_numpy(rng.uniform(0, 1, (count, 1, 1, 1))).float()
    noise = torch.from_numpy(rng.standard_normal(sharp.shape, np.float32))
    blurred = functional.avg_pool2d(sharp, 3, 1, 1, count_include_pad=False)
    return torch.cat([sharp + amount * (blurred - sharp + 0.03 * noise), pictures[count:]])


def _balanced(claimed: np.ndarray, true: np.ndarray) -> float:
    rates = [float((claimed[true == side] == side).mean()) for side in (False, True) if (true == side).any()]
    return float(np.mean(rates)) if len(rates) == 2 else float("nan")
