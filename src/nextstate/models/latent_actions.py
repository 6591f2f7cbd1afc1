"""Latent actions: those of a recording, and a model moved by them instead of by commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from nextstate.errors import SettingsError
from nextstate.models.light import MANY
from nextstate.models.protocol import Beliefs, History, States
from nextstate.models.silent import Silent
from nextstate.models.world_model import StateModel


def silent_part(model: StateModel) -> Silent:
    """What a model infers actions by; raises `SettingsError` where it never learned to."""
    if model.silent is None:
        raise SettingsError(
            f"{model.spec.name} infers no actions; train one with `nextstate pretrain --silent` or --silent-by latent."
        )
    return model.silent


@torch.no_grad()
def inferred(model: StateModel, states: Mapping[str, Tensor]) -> Tensor:
    """Actions ``(B, T-1, L)`` that the model infers between the states ``(B, T, *shape)`` of recordings.

    Latent ones, or commands, as it learned. Raises `SettingsError` where it learned neither.
    """
    part = silent_part(model)
    with model.precision():
        return part.filled(model, {n: v.to(model.device) for n, v in states.items()})["action"]


class ByLatents:
    """A world model whose actions are the latent ones of a `StateModel`; implements `WorldModel`.

    Raises `SettingsError` for a model without latent actions.
    """

    def __init__(self, model: StateModel) -> None:
        part = silent_part(model)
        if part.by != "latent":
            raise SettingsError(f"{model.spec.name} knows commands only; train one with --silent-by latent.")
        self.model = model
        self.spec = replace(model.spec, action_size=part.length)

    def observe(self, history: History) -> Beliefs:
        model = self.model
        with torch.no_grad(), model.precision():
            states = {n: history.states[n].to(model.device) for n in model.spec.modalities}
            return Beliefs(model.believe(states, self._told(history.actions)))

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        model = self.model
        with torch.set_grad_enabled(actions.requires_grad), model.precision(len(actions)):
            told = self._told(actions)
            if sample is None:
                return Beliefs(model.foresee(belief.tensors, told))
            return Beliefs(model.sampled(belief.tensors, told, sample, model.size.temperature))

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        return self.model.decode(beliefs, modalities)

    def embed(self, beliefs: Beliefs) -> Tensor:
        """As of the model."""
        return self.model.embed(beliefs)

    def precision(self, rows: int = MANY) -> AbstractContextManager[object]:
        """That of the model."""
        return self.model.precision(rows)

    def _told(self, latents: Tensor) -> Tensor:
        latents = latents.to(self.model.device).float()
        unknown = latents.new_full((*latents.shape[:-1], self.model.spec.action_size), torch.nan)
        return torch.cat([unknown, latents], dim=-1)
