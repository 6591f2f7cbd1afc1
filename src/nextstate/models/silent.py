"""Learning from silent episodes, of which no command is known: an inverse model says what was done.

Two ways. By *labels*, an inverse model learns from labelled windows which command lay between two instants, and writes
the missing ones (Baker et al. 2022, https://arxiv.org/abs/2206.11795). By *latent*, it says so in a few numbers of its
own, which dynamics takes in place of a command; noise and a price on every nat keep out what the state foretells
already (Ye et al. 2024, https://arxiv.org/abs/2410.11758; Gao et al. 2025, https://arxiv.org/abs/2503.18938). Labelled
windows then teach which latent action a command is: they ground it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from nextstate.actions.silent import SILENT
from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models.imputing import Imputer
from nextstate.models.inverse import Ground, Inverse, Plainly
from nextstate.models.objectives.pixel import REACTIONS
from nextstate.models.stages import Stage, StageLoss

if TYPE_CHECKING:
    from nextstate.models.world_model import StateModel

WAYS = ("labels", "latent")

UNSURE = 0.002
"""Noise on places from which commands are told, in halves of the picture."""

BEND = 0.3
"""Up to which error of commands counts by its square."""

PRICE = 0.001
"""Of a nat of latent action, beside what is foreseen."""

START = -4.0
"""Logarithm of the variance of latent actions at first: were it silent, silence would be cheapest, and stay so."""

AGREED = 1.0
"""Weight of latent actions being those of their commands."""

INFER = 0.12
"""Share of a run in which the inverse model alone learns, from labelled windows: in a short run much of it goes into
looking at frames once more, which comes first."""

INFERRING = "infer"


class Silent(nn.Module):
    """What a model needs besides to learn from silent episodes.

    Args:
        by: one of `WAYS`. senses: as of `Inverse`. action_size: A. latent: L, length of a latent action. imputed: the
        senses that silent episodes lack and that are told from what is seen. marked: whether told commands are.
        taught: whether latent actions are to tell commands where these are known, which keeps them to what was done
        (Nikulin et al. 2025, https://arxiv.org/abs/2502.00379).
    """

    def __init__(
        self,
        by: str,
        things: int,
        code: int,
        senses: Mapping[str, int],
        action_size: int,
        latent: int,
        width: int,
        imputed: Mapping[str, int] | None = None,
        marked: bool = False,
        taught: bool = False,
    ) -> None:
        super().__init__()
        self.marked = marked
        self.by, self.senses, self.action_size, self.length = by, tuple(senses), action_size, latent
        self.inverse: nn.Module
        if by == "latent":
            self.inverse = Plainly(things, code, senses, latent, width)
        else:
            self.inverse = Inverse(things, code, senses, action_size, width)
        self.spread = nn.Parameter(torch.full((latent,), START)) if by == "latent" else None
        self.ground: Ground | None = None
        if by == "latent" and action_size:
            self.ground = Ground(things, code, action_size, latent, width)
        self.spell = nn.Linear(latent, action_size) if taught else None
        self.imputer = Imputer(things, code, imputed, width) if imputed else None

    def told(self, state: Mapping[str, Tensor], action: Tensor) -> Tensor:
        """What dynamics is told.

        Args:
            action: commands ``(N, A)``; or with 1 for told and 0 for known ones, ``(N, A + 1)``; or with what was
                inferred, ``(N, A + L)``, where commands that are not known are NaN; or latent actions alone,
                ``(N, L)``, of a model that knows no commands.
        """
        if self.by == "labels":
            return self._marked(action) if self.marked else action
        if not self.action_size:
            return action
        assert self.ground is not None
        commands = action[..., : self.action_size]
        grounded: Tensor = self.ground(state, commands.nan_to_num())
        if action.shape[-1] == self.action_size:
            return grounded
        latents = action[..., self.action_size :]
        return torch.where(commands.isnan().any(dim=-1, keepdim=True), latents, grounded)

    def _marked(self, action: Tensor) -> Tensor:
        """Known commands, told ones and which they are, ``(N, 2A + 1)``.

        What is told of a command is read off what came of it, and never as large: learned from as if it were known, it
        would teach that commands do little.
        """
        commands, mark = action[..., : self.action_size], action[..., self.action_size :]
        if not mark.shape[-1]:
            mark = torch.zeros_like(commands[..., :1])
        return torch.cat([commands * (1 - mark), commands * mark, mark], dim=-1)

    def between(self, states: Mapping[str, Tensor]) -> Tensor:
        """What the inverse model says of each step of windows ``(B, T, ...)``, ``(B, T-1, ...)``."""
        names = ("places", "codes", *self.senses)
        told: Tensor = self.inverse({n: states[n][:, :-1] for n in names}, {n: states[n][:, 1:] for n in names})
        return told

    def infer(self, states: Mapping[str, Tensor]) -> Tensor:
        """Commands ``(B, T-1, A)``, or the middle of latent actions ``(B, T-1, L)``, of windows of states."""
        told = self.between(states)
        return told.clamp(-1, 1) if self.by == "labels" else told

    @torch.no_grad()
    def filled(self, model: StateModel, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Windows of states ``(B, T, *shape)`` with what is inferred between them in place of commands."""
        states = {n: batch[n] for n in model.spec.modalities}
        size, length = next(iter(states.values())).shape[:2]
        seen = model.recall({n: v.flatten(0, 1) for n, v in states.items()})
        told = self.infer({n: v.view(size, length, *v.shape[1:]) for n, v in seen.items()})
        return {**batch, "action": told.float()}


def equip(model: StateModel) -> None:
    """Gives a fresh model what learning from silent episodes takes; raises `UnknownNameError`, `SettingsError`."""
    size, spec = model.size, model.spec
    if size.silent not in WAYS:
        raise UnknownNameError("way to learn from silent episodes", size.silent, WAYS)
    if size.marked and size.silent != "labels":
        raise SettingsError("marked: only commands that are told (silent=labels) can be marked; leave it out.")
    if size.taught and (size.silent != "latent" or not spec.action_size):
        raise SettingsError("taught: only latent actions (silent=latent) beside known commands can be; leave it out.")
    if size.silent == "labels" and not spec.action_size:
        raise SettingsError(
            "silent=labels: commands can be written by an inverse model only where some are known; give labelled "
            "episodes too, or use silent=latent."
        )
    unknown = (set(size.shared) | set(size.imputed)) - set(model.vectors)
    if unknown:
        raise UnknownNameError("sense of silent episodes", sorted(unknown)[0], model.vectors)
    senses = {n: spec.modalities[n].channels for n in model.vectors if n in size.shared}
    imputed = {n: spec.modalities[n].channels for n in model.vectors if n in size.imputed}
    model.silent = Silent(
        size.silent,
        size.things,
        size.code,
        senses,
        spec.action_size,
        size.latent,
        size.token,
        imputed,
        size.marked,
        size.taught,
    )
    model.dynamics.told = model.silent.told
    model.dynamics.unfelt = nn.Parameter(0.1 * torch.randn(len(model.vectors), size.token))
    model.stages = tuple(stages_of(model.stages, size.silent, bool(imputed) or size.taught))


def stages_of(stages: Sequence[Stage], by: str, telling: bool = False) -> list[Stage]:
    """The stages of an objective, for windows of which some are silent.

    Raises `SettingsError` for one whose eye learns from commands.
    """
    found = []
    for stage in stages:
        if not stage.recalled:
            if stage.commanded:
                raise SettingsError(
                    "the objective latent learns to see by commands, which silent episodes lack; use pixel, flow or "
                    "frozen with --silent."
                )
            found.append(stage)
            if by == "labels" or telling:
                found.append(Stage(INFERRING, INFER, infer, windows=2.0, recalled=True))
        else:
            found.append(replace(stage, loss=heard(stage.loss, by, stage.name)))
    return found


def infer(model: StateModel, batch: dict[str, Tensor], generator: Generator, progress: float) -> dict[str, Tensor]:
    """What was done between two instants, and what was felt, from labelled windows alone."""
    parts = telling(model, batch, generator)
    return {"loss": torch.stack(list(parts.values())).sum(), **parts}


def telling(model: StateModel, batch: dict[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """Errors, on labelled windows, of commands and of senses that are told from what is seen."""
    part = model.silent
    assert part is not None
    known, lacking = ~_silent(batch), () if part.imputer is None else tuple(part.imputer.tell)
    states = _blurred({n: batch[n][known] for n in ("places", "codes", *part.senses, *lacking)}, generator)
    found = {} if part.imputer is None else part.imputer.missed(states)
    if part.by == "labels" or part.spell is not None:
        told, commands = part.between(states), batch["action"][known].float()
        told = told if part.spell is None else part.spell(told).float()
        found["commands"] = F.smooth_l1_loss(told, commands, beta=BEND) if known.any() else 0 * told.sum()
    return {f"told {name}": value for name, value in found.items()}


def heard(loss: StageLoss, by: str, name: str) -> StageLoss:
    """The same loss, of windows whose missing commands are inferred first."""

    def with_inferred(model: Any, batch: dict[str, Tensor], generator: Generator, progress: float) -> dict[str, Tensor]:
        teaching: dict[str, Tensor] = {}
        if name == "react":
            batch = _some(batch, generator)
        if name == "react" or (name == "foresee" and model.silent.spell is not None):
            teaching = telling(model, batch, generator)
        if model.silent.imputer is not None:
            batch = model.silent.imputer.filled(batch)
        if by == "labels":
            found = loss(model, written(model, batch), generator, progress)
            return {**found, **teaching, "loss": torch.stack([found["loss"], *teaching.values()]).sum()}
        # The hand alone learns from futures that are foreseen once and for all.
        with torch.set_grad_enabled(name != "redraw"):
            batch, besides = latently(model, batch, generator)
        found = loss(model, batch, generator, progress)
        if name == "redraw":
            return found
        whole = [found["loss"], PRICE * besides["nats"], AGREED * besides["agreed"], *teaching.values()]
        return {**found, **besides, **teaching, "loss": torch.stack(whole).sum()}

    return with_inferred


@torch.no_grad()
def written(model: StateModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch with the commands that its silent windows lack, as the inverse model tells them."""
    assert model.silent is not None
    silent = _silent(batch)
    if not silent.any():
        return batch
    states = {n: batch[n][silent] for n in ("places", "codes", *model.silent.senses)}
    actions = batch["action"].float().clone()
    actions[silent] = model.silent.infer(states)
    if model.silent.marked:
        actions = torch.cat([actions, silent[:, None, None].expand(-1, actions.shape[1], 1).float()], dim=-1)
    return {**batch, "action": actions}


def latently(
    model: StateModel, batch: dict[str, Tensor], generator: Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A batch with latent actions beside commands, their nats, and how far they are from those of known commands."""
    silent_part = model.silent
    assert silent_part is not None
    silent = _silent(batch)
    states = {n: batch[n] for n in ("places", "codes", *silent_part.senses)}
    middle = silent_part.between(_blurred(states, generator))
    assert silent_part.spread is not None
    spread = silent_part.spread.clamp(-8, 4)
    nats = 0.5 * (middle.square() + spread.exp() - spread - 1).sum(dim=-1)
    noise = torch.randn(middle.shape, generator=generator, device=middle.device)
    latents = middle + (0.5 * spread).exp() * noise
    agreed = middle.new_zeros(())
    if not silent_part.action_size:
        return {**batch, "action": latents}, {"nats": nats.mean(), "agreed": agreed}
    commands = batch["action"].float()
    known = ~silent
    if known.any():
        assert silent_part.ground is not None
        grounded = silent_part.ground({n: states[n][known][:, :-1] for n in ("places", "codes")}, commands[known])
        agreed = (grounded - middle[known]).square().mean()
    commands = torch.where(silent[:, None, None], torch.nan, commands)
    heard_of = nats[silent].mean() if silent.any() else nats.mean()
    return {**batch, "action": torch.cat([commands, latents], dim=-1)}, {"nats": heard_of, "agreed": agreed}


def _some(batch: dict[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """Windows cut to what `react` learns from, so that nothing is inferred in vain."""
    size, length = batch["action"].shape[:2]
    device = batch["action"].device
    first = torch.randint(0, length - REACTIONS + 1, (size, 1), generator=generator, device=device)
    rows, times = torch.arange(size, device=device)[:, None], first + torch.arange(REACTIONS + 1, device=device)
    cut = {n: v[rows, times] for n, v in batch.items() if n not in ("action", SILENT)}
    kept = {SILENT: batch[SILENT]} if SILENT in batch else {}
    return {**cut, **kept, "action": batch["action"][rows, times[:, :-1]]}


def _silent(batch: Mapping[str, Tensor]) -> Tensor:
    """``(B,)``; without a word about it, windows with commands are labelled."""
    if SILENT in batch:
        return batch[SILENT].bool()
    actions = batch["action"]
    return torch.full((len(actions),), actions.shape[-1] == 0, device=actions.device)


def _blurred(states: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    places = states["places"]
    noise = torch.randn(places.shape, generator=generator, device=places.device)
    return {**states, "places": places + UNSURE * noise}
