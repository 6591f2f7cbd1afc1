"""Rollouts and branches: what a model imagines beside what the world really does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nextstate.actions import check_actions
from nextstate.errors import StateError
from nextstate.imagination.instant import Instant
from nextstate.models.protocol import Beliefs, WorldModel
from nextstate.worlds import Branches, World


@dataclass(frozen=True)
class Futures:
    """K branches of one instant, true and imagined.

    Args:
        actions: ``(K, H, A)``.
        truth: what the world does under them; None when there is no world to ask.
        imagined: modality -> ``(K, H, *shape)`` in physical units.
    """

    actions: np.ndarray
    truth: Branches | None
    imagined: Mapping[str, np.ndarray]

    def beside(self, other: Futures) -> Futures:
        """These branches, and then those of `other`, which grow from the same instant and are as long."""
        truth = None
        if self.truth is not None and other.truth is not None:
            mine, theirs = self.truth, other.truth
            truth = Branches(
                {n: np.concatenate([v, theirs.states[n]]) for n, v in mine.states.items()},
                np.concatenate([mine.outcomes, theirs.outcomes]),
                np.concatenate([mine.events, theirs.events]),
            )
        imagined = {n: np.concatenate([v, other.imagined[n]]) for n, v in self.imagined.items()}
        return Futures(np.concatenate([self.actions, other.actions]), truth, imagined)


def foresee(model: WorldModel, instant: Instant, actions: np.ndarray, sample: int | None = None) -> Beliefs:
    """Beliefs ``(K, H, ...)`` of a model under `actions` ``(K, H, A)``; the history is observed once."""
    actions = check_actions(actions, model.spec.action_size, f"actions for {model.spec.name}")
    missing = [name for name in model.spec.modalities if name not in instant.states]
    if missing:
        raise StateError(f"{model.spec.name} needs {', '.join(missing)}, which the history does not hold.")
    with torch.inference_mode():
        belief = model.observe(instant.history(model.spec.context, list(model.spec.modalities)))
        return model.imagine(belief.repeat(len(actions)), torch.from_numpy(actions), sample)


def rollout(
    model: WorldModel,
    instant: Instant,
    actions: np.ndarray,
    modalities: Sequence[str] | None = None,
    sample: int | None = None,
) -> dict[str, np.ndarray]:
    """Imagined states, modality -> ``(K, H, *shape)``, under `actions` ``(K, H, A)``.

    Args:
        modalities: which to decode; all that the model predicts by default.
        sample: None for the central future, else the number of a sampled one.
    """
    wanted = list(model.spec.modalities) if modalities is None else list(modalities)
    beliefs = foresee(model, instant, actions, sample)
    with torch.inference_mode():
        return {name: reading.cpu().numpy() for name, reading in model.decode(beliefs, wanted).items()}


def compare(
    model: WorldModel,
    world: World | None,
    instant: Instant,
    actions: np.ndarray,
    modalities: Sequence[str] | None = None,
    sample: int | None = None,
) -> Futures:
    """`rollout` beside the true branches, where a world and a snapshot are there to grow them."""
    imagined = rollout(model, instant, actions, modalities, sample)
    truth = None
    if world is not None and instant.snapshot is not None:
        truth = world.branch(instant.snapshot, actions, list(imagined))
    return Futures(np.asarray(actions, np.float32), truth, imagined)
