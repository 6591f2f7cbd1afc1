"""A guide: from where things are and where they are wanted, how many steps it takes and what to do first.

A distance between two states is not what it takes to get from one to the other: a pusher on the wrong side of a box is
near and has far to go. So the time between states is learned from recorded episodes, and with it, from the same look
at both, the commands that followed (goal-conditioned behaviour cloning, Ghosh et al. 2019,
https://arxiv.org/abs/1912.06088).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import PlanningError
from nextstate.models.handhold import Handhold
from nextstate.models.heads import Head, HeadShape
from nextstate.models.posture import Posture
from nextstate.planning.opinions import Grip, Opinion

STILL = 0.004
"""Step of a thing, in halves of the picture, below which it rests."""

RARE = 0.05
"""Presence below which a thing obeys nothing: a trace of it that stirs with the body would pass for the body."""

RESTLESS, RESTFUL = 0.5, 0.875
"""Shares of steps in which a thing rests, up to which its place says nothing and from which on it counts in full."""

SPEED = 0.8
"""Correlation with steps of some reading from which on a reading of the body tells speed, and no posture."""

OUTSTRETCHED = 4.0
"""Standard deviations beyond which a posture is merely far from the one wanted."""


class Guide(Head):
    """Looks at a state as a model believes it and at places where things are wanted.

    One that is shown more of a goal (`HeadShape.looks`) also sees how things are turned there and how high they are,
    and where the body is: its posture is read off the goal's picture, and compared with the one that is felt. If its
    body holds things (`HeadShape.holds`), it knows instead of each how far the body is from holding it, and how far it
    is to be carried: where the body is to be in the end is left to it.

    Several members (`HeadShape.members`) learn from other batches each and differ most where they know least, so their
    mean errs less than any of them, and plans cannot please all with the error of one (deep ensembles,
    Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474).
    """

    name = "guide"
    version = 3
    kept_in_half = True

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        bodily = shape.looks and shape.proprio and shape.gist and not shape.holds
        self.posture = Posture(shape) if bodily else None
        self.handhold = Handhold(shape) if shape.holds else None
        extra = (shape.proprio if self.posture else 0) + shape.touch
        kind = Grip if shape.holds else Opinion
        self.members = nn.ModuleList(kind(shape, extra) for _ in range(shape.members))
        self.register_buffer("obeys", torch.zeros(shape.things))
        self.register_buffer("rests", torch.ones(shape.things))

    obeys: Tensor
    """``(K,)`` from 0 to 1, how far each thing goes as it is told: the body does, and can be put anywhere later."""

    rests: Tensor
    """``(K,)`` from 0 to 1, share of steps in which each thing stays where it is."""

    @property
    def matters(self) -> Tensor:
        """``(K,)`` from 0 to 1, how much it counts where each thing is.

        What has a place to be brought to rests in most steps of a recording, and moves where it is pushed. What obeys
        is the body itself, and what hardly ever rests is no thing: a shadow, or a slot of now this and now that.
        """
        steady = ((self.rests - RESTLESS) / (RESTFUL - RESTLESS)).clamp(0, 1) ** 4
        weight = (1 - self.obeys).square() * steady
        return weight / weight.max() if float(weight.max()) > 0 else (1 - self.obeys).square()

    brings: bool = False
    """While it learns: whether things that matter are moved about, so that there is an arriving."""

    @property
    def calm(self) -> bool:
        """Whether it is to look as if nothing moved: so does one that looks at goals, which are stills."""
        return self.shape.looks > 0

    def not_feeling(self, readings: Tensor) -> None:
        """From now on it learns nothing from some readings of the body, ``(P,)`` bool.

        How fast a body goes is what it was told just now, and who may copy himself does not look (de Haan et al. 2019,
        https://arxiv.org/abs/1905.11979).
        """
        # Where handholds are known, so is which readings tell a posture.
        for name, weight in self.members.named_parameters():
            if not name.endswith("gaze.feel.weight"):
                continue
            kept = torch.ones(weight.shape[1], dtype=weight.dtype, device=weight.device)
            times = 2 if self.posture is not None else 1
            kept[: times * len(readings)] = 1 - readings.to(weight).repeat(times)
            with torch.no_grad():
                weight.mul_(kept)
            weight.register_hook(lambda gradient, kept=kept: gradient * kept.to(gradient))  # type: ignore[no-untyped-call]

    def read(self, wanted: Tensor, looks: Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
        """What `forward` asks of a goal besides places ``(B, K, 2)``, out of what is seen there.

        Args:
            looks: ``codes (B, K, Z)`` and ``gist (B, ...)``.

        Returns:
            nothing, or ``codes`` and, where posture is felt, ``posture (B, 3, P)`` as of `Posture`, and of a body that
            holds things ``holds (B, K, P)`` as of `Handhold`.

        Raises:
            PlanningError: where the guide asks, and is not told.
        """
        asked = ("codes", "gist") if self.posture else ("codes",) if self.shape.looks else ()
        for name in asked:
            if looks is None or name not in looks:
                raise PlanningError(f"this guide asks what goals look like; give {name} with their places.")
        if not asked or looks is None:
            return {}
        read = {"codes": looks["codes"].float()}
        if self.posture is not None:
            read["posture"] = self.posture({"places": wanted, **looks})
        if self.handhold is not None:
            read["holds"] = self.handhold({"places": wanted, **looks})
        return read

    def forward(
        self,
        state: Mapping[str, Tensor],
        wanted: Tensor,
        there: Tensor,
        looks: Mapping[str, Tensor] | None = None,
        member: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Steps that it takes ``(N,)``, at least 0, and commands that come first ``(N, chunk, A)`` in [-1, 1].

        Args:
            state, wanted, there: as of `Gaze`; the state with ``holds (N, K, P)`` where that is known already.
            looks: what `read` says of the goal, ``(N, ...)``.
            member: whose opinion is asked for; by default the mean of all.
        """
        looks, extra = looks or {}, []
        if self.posture is not None:
            bent = self.posture.gap(state["proprio"].float(), looks["posture"].detach())
            extra.append(bent.clamp(-OUTSTRETCHED, OUTSTRETCHED))
        if self.shape.touch:
            extra.append(state["touch"].float().flatten(1).clamp(-OUTSTRETCHED, OUTSTRETCHED))
        besides = torch.cat(extra, dim=1) if extra else None
        like = looks.get("codes")
        if self.handhold is not None:
            which = self.handhold.which
            state, like = self._held(state, looks["holds"].detach().float(), which)
            wanted, there = wanted[:, which], there[:, which]
        asked = self.members if member is None else [self.members[member]]
        opinions = [one(state, wanted, there, besides, like=like) for one in asked]
        steps, commands = (torch.stack(told).mean(dim=0) for told in zip(*opinions, strict=True))
        return steps, commands

    def _held(self, state: Mapping[str, Tensor], wanted: Tensor, which: Tensor) -> tuple[Mapping[str, Tensor], Tensor]:
        """What a `Grip` asks: a state that feels no speed, and what is known of each thing that is ever held."""
        assert self.handhold is not None
        now = (state["holds"].float() if "holds" in state else self.handhold(state)).detach()[:, which]
        felt = state["proprio"].float() * self.handhold.feels
        known = torch.cat([now * self.handhold.feels, self.handhold.offsets(now, felt, wanted[:, which])], dim=2)
        return {**state, "proprio": felt, "places": state["places"][:, which]}, known

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Also takes weights from before there were several members."""
        own = {
            name if name.split(".")[0] not in ("gaze", "steps", "commands") else f"members.0.{name}": value
            for name, value in state_dict.items()
        }
        return super().load_state_dict(own, *args, **kwargs)


def obedience(places: Tensor, there: Tensor, action: Tensor) -> Tensor:
    """Share ``(K,)`` of the variance of each thing's steps that is linear in the command; 0 for what is hardly there.

    Args:
        places: ``(B, T, K, 2)``. there: ``(B, T, K)``. action: ``(B, T-1, A)``.
    """
    weight = there[:, :-1].flatten(0, 1).double()
    moved = (places[:, 1:] - places[:, :-1]).flatten(0, 1).double()
    told = F.pad(action.flatten(0, 1).double(), (0, 1), value=1.0)
    shares = []
    for k in range(moved.shape[1]):
        mine = weight[:, k : k + 1].sqrt()
        fit = torch.linalg.lstsq(told * mine, moved[:, k] * mine, driver="gelsd").solution
        rest, whole = ((moved[:, k] - told @ fit) * mine).square().sum(), (moved[:, k] * mine).square().sum()
        shares.append((whole - rest) / whole.clamp_min(1e-12) * (mine.square().mean() > RARE))
    return torch.stack(shares).clamp(0, 1).float()


def restfulness(places: Tensor, there: Tensor) -> Tensor:
    """Share ``(K,)`` of steps in which each thing rests; 1 for what is never there.

    Args:
        places, there: as of `obedience`.
    """
    weight = there[:, :-1] * there[:, 1:]
    moving: Tensor = ((places[:, 1:] - places[:, :-1]).norm(dim=-1) >= STILL) * weight
    share: Tensor = moving.sum(dim=(0, 1)) / weight.sum(dim=(0, 1)).clamp_min(1e-6)
    return 1 - share.float()


def speeds(proprio: Tensor) -> Tensor:
    """Which readings of the body tell how fast others change, ``(P,)`` bool.

    Args:
        proprio: ``(B, T, P)``.
    """
    steps = (proprio[:, 1:] - proprio[:, :-1]).flatten(0, 1).double()
    values = proprio[:, 1:].flatten(0, 1).double()

    def unit(x: Tensor) -> Tensor:
        return (x - x.mean(dim=0)) / x.std(dim=0).clamp_min(1e-9)

    alike = unit(values).T @ unit(steps) / len(values)
    return alike.abs().amax(dim=1) > SPEED
