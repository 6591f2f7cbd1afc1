"""What a frozen model knows without having been told: linear readings of its beliefs, and what imagining costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from nextstate.data import Cache, Windows
from nextstate.data.facts import factors_of
from nextstate.models import History, StateModel
from nextstate.worlds import WORLDS

CHUNK = 32
"""Windows looked at together."""

RIDGES = (1.0, 1e2, 1e4)
"""Penalties among which one is chosen, on a fifth of what is learned from."""

MOVED = 0.02
"""Metres that a thing must have moved for its mass to have shown."""

FEWEST = 20
"""Windows in which it must have, for its mass to be asked for."""

Split = Literal["train", "validation"]


def probe(
    model: StateModel, cache: Cache, dataset: Path, length: int, learned: int = 1024, tested: int = 512
) -> dict[str, float]:
    """R2 of ``poses``, and of the logarithm of hidden ``mass`` of what moved, in episodes held out from all learning.

    Args:
        length: states of history. learned, tested: windows to fit linear readings on, and to score them on.
    """
    world = WORLDS[str(cache.world)]
    names = [name for group in world.outcome_groups.values() for name in group]
    poses = [names.index(name) for name in world.outcome_groups[world.headline[0]]]
    weights = masses(dataset, cache)
    fit = _Side.of(model, cache, "train", learned, length)
    test = _Side.of(model, cache, "validation", tested, length)
    result = {"poses": _r2(fit.beliefs, fit.outcomes[:, -1, poses], test.beliefs, test.outcomes[:, -1, poses])}
    if weights is None:
        return result
    scores = []
    axes = len(poses) // weights.shape[1]
    for slot in range(weights.shape[1]):
        own = poses[slot * axes : slot * axes + axes]
        rows = [side.moved(own) & np.isfinite(weights[side.episodes, slot]) for side in (fit, test)]
        if min(int(chosen.sum()) for chosen in rows) >= FEWEST:
            told = [weights[side.episodes[chosen], slot, None] for side, chosen in zip((fit, test), rows, strict=True)]
            scores.append(_r2(fit.beliefs[rows[0]], told[0], test.beliefs[rows[1]], told[1]))
    scores = [score for score in scores if np.isfinite(score)]
    return result | ({"mass": float(np.mean(scores))} if scores else {})


def masses(dataset: Path, cache: Cache) -> np.ndarray | None:
    """Logarithms ``(episodes of the cache, slots)`` of masses that cannot be seen, NaN where there is no such thing.

    None in worlds that hide none.
    """
    facts = factors_of(dataset)
    rows = [facts[int(episode)] for episode in cache.episodes]
    slots = [n for n in range(16) if any(f"object{n}_mass" in row for row in rows)]
    if not slots:
        return None
    return np.array(
        [
            [np.log(row[f"object{n}_mass"]) if row.get(f"object{n}_present", 1.0) else np.nan for n in slots]
            for row in rows
        ]
    )


class _Side:
    """Windows of one split: beliefs ``(N, D)`` at their ends, outcomes ``(N, T, O)``, places of episodes ``(N,)``."""

    def __init__(self, beliefs: np.ndarray, outcomes: np.ndarray, episodes: np.ndarray) -> None:
        self.beliefs, self.outcomes, self.episodes = beliefs, outcomes, episodes

    @staticmethod
    def of(model: StateModel, cache: Cache, split: Split, count: int, length: int) -> _Side:
        windows = Windows(cache, length, split, 0, [*model.spec.modalities, "outcome"])
        beliefs, outcomes, episodes = [], [], []
        for step in range(-(-count // CHUNK)):
            batch = windows.batch(step, CHUNK)
            beliefs.append(_beliefs(model, batch))
            outcomes.append(batch["outcome"].astype(np.float64))
            first = windows.first_rows(step, CHUNK)
            episodes.append(np.searchsorted(cache.starts, first, side="right") - 1)
        return _Side(np.concatenate(beliefs), np.concatenate(outcomes), np.concatenate(episodes))

    def moved(self, places: list[int]) -> np.ndarray:
        track = self.outcomes[..., places]
        return np.asarray(np.linalg.norm(track[:, -1] - track[:, 0], axis=-1) > MOVED)


def _beliefs(model: StateModel, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    tensors = {n: torch.from_numpy(v) for n, v in batch.items()}
    # Data is stored in half precision, but the protocol speaks float32.
    states = {n: t.float() if t.dtype == torch.float16 else t for n, t in tensors.items() if n in model.spec.modalities}
    belief = model.observe(History(states, tensors["action"]))
    seen = model.embed(belief.map(lambda t: t[:, None]))[:, 0]
    # What a model remembers counts too: nothing else can hold what a thing weighs.
    return torch.cat([seen, belief.tensors["memory"].flatten(1).float()], dim=1).double().cpu().numpy()


def _r2(known: np.ndarray, told: np.ndarray, asked: np.ndarray, truth: np.ndarray) -> float:
    """Of a ridge regression, mean over outputs that vary; NaN if none does."""
    middle, scale = known.mean(axis=0), known.std(axis=0) + 1e-6
    x, z = (known - middle) / scale, np.clip((asked - middle) / scale, -10, 10)
    few = max(len(x) // 5, 1)
    errors = [((_ridge(x[few:], told[few:], x[:few], r) - told[:few]) ** 2).sum() for r in RIDGES]
    guess = _ridge(x, told, z, RIDGES[int(np.argmin(errors))])
    spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    varies = spread > 1e-9
    if not varies.any():
        return float("nan")
    return float(np.mean(1 - ((guess - truth) ** 2).sum(axis=0)[varies] / spread[varies]))


def _ridge(x: np.ndarray, y: np.ndarray, asked: np.ndarray, penalty: float) -> np.ndarray:
    # With fewer windows than numbers, the smaller of the two systems of equations.
    weights = np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y - y.mean(axis=0))
    return np.asarray(asked @ (x.T @ weights) + y.mean(axis=0))


ENOUGH = 5.0
"""Seconds after which no further round is begun."""


@torch.inference_mode()
def pace(model: StateModel, futures: int = 64, steps: int = 10, rounds: int = 5) -> dict[str, float]:
    """Milliseconds of processor time for a step of one future: ``imagined`` alone, and ``drawn`` with its pictures.

    Of several rounds the quickest: on a machine that does other things as well, any one can only be too slow.
    """
    spec = model.spec
    empty = {n: torch.zeros(1, spec.context, *kind.shape) for n, kind in spec.modalities.items()}
    belief = model.observe(History(empty, torch.zeros(1, spec.context - 1, spec.action_size))).repeat(futures)
    actions = torch.zeros(futures, steps, spec.action_size)
    took: dict[str, list[float]] = {"imagined": [], "drawn": []}
    for _ in range(rounds):
        began = time.process_time()
        span = model.imagine(belief, actions)
        middle = time.process_time()
        model.decode(span, model.images)
        took["imagined"].append(middle - began)
        took["drawn"].append(time.process_time() - began)
        if sum(took["drawn"]) > ENOUGH:
            break
    return {name: 1000 * min(times) / futures / steps for name, times in took.items()}
