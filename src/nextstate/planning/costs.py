"""What a future costs: how far it is from what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.errors import PlanningError
from nextstate.modalities import Modality
from nextstate.models.dynamics import PACE
from nextstate.models.heads import LOOKS, SEEN
from nextstate.models.leap import Leaping
from nextstate.models.protocol import Beliefs, History, WorldModel
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning.guide import Guide
from nextstate.planning.likeness import filled_in
from nextstate.planning.problem import Cost, Future


@dataclass(frozen=True)
class StateDistance:
    """Squared distance of one modality from a wanted reading, in its own standard deviations.

    Args:
        modality: which. wanted: ``(B or 1, *shape)`` in physical units.
        matters: ``(B or 1, *shape)``, weights; zero for what may be anything. All count alike by default.
    """

    modality: str
    wanted: Tensor
    matters: Tensor | None = None

    def __call__(self, future: Future) -> Tensor:
        kind = _kind(future, self.modality, self.wanted)
        reading = kind.normalise(future.states(self.modality)[self.modality])
        wanted = _of_rows(kind.normalise(self.wanted), future)
        error = (reading - wanted).square()
        if self.matters is None:
            return error.flatten(2).mean(dim=2)
        weight = _of_rows(self.matters.float(), future)
        if not bool((weight.flatten(2).sum(dim=2) > 0).all()):
            raise PlanningError(f"a goal in {self.modality} in which nothing matters; give some weight above 0.")
        return (error * weight).flatten(2).sum(dim=2) / weight.flatten(2).sum(dim=2)


@dataclass(frozen=True)
class PictureDistance:
    """Difference of pictures from a wanted one, at several sharpnesses, so that near is nearer than far.

    Where pixel is compared with pixel alone, a thing next to its goal is as wrong as one far away; in a picture made
    small it is not.

    Args:
        wanted: ``(B or 1, h, w, 3)`` uint8. sizes: factors by which both are made smaller.
    """

    wanted: Tensor
    sizes: Sequence[int] = (1, 4, 8)

    def __call__(self, future: Future) -> Tensor:
        kind = _kind(future, "rgb", self.wanted)
        imagined = kind.normalise(future.states("rgb")["rgb"])
        pictures = imagined.flatten(0, 1).movedim(-1, 1)
        wanted = _of_rows(kind.normalise(self.wanted), future).expand_as(imagined).flatten(0, 1).movedim(-1, 1)
        total = torch.zeros(len(pictures))
        for size in self.sizes:
            gap = F.avg_pool2d(pictures, size) - F.avg_pool2d(wanted, size)
            total = total + gap.square().flatten(1).mean(dim=1)
        return total.view(imagined.shape[:2]) / len(self.sizes)


@dataclass(frozen=True)
class LatentDistance:
    """Distance in the model's own space from the belief that a wanted state gives.

    Args:
        wanted: ``(B or 1, ...)``, what the model believes where the goal is reached.
    """

    wanted: Beliefs

    def __call__(self, future: Future) -> Tensor:
        embed = getattr(future.model, "embed", None)
        if embed is None:
            raise PlanningError(
                f"{future.model.spec.name} has no space of its own to measure distances in; "
                "give the goal as a picture or as a state."
            )
        here = embed(future.beliefs)
        there = embed(self.wanted.map(lambda tensor: tensor[:, None]))
        rows = future.rows if len(self.wanted) > 1 else torch.zeros_like(future.rows)
        return (here - there[rows]).square().mean(dim=-1)  # type: ignore[no-any-return]


BLUNT = 0.1
"""Gap, in tenths of half a picture, below which a distance grows with its square: any nearer is hardly seen."""


@dataclass(frozen=True)
class SeenDistance:
    """How far things are from where an eye sees them in the goal's pictures, in tenths of half a picture.

    Futures of the eye's own model tell places without a picture being drawn; those of any other model, the oracle's
    among them, are looked at with the same eye, so that planning in either is led by the same measure.

    Args:
        eye: a model that outlines things (`StateModel`), or foresees in leaps what such a one outlined.
        places: ``(B or 1, K, 2)`` where they are wanted. there: ``(B or 1, K)`` how much there is of each, 0 to 1.
        matters: ``(K,)`` weights of things; all count alike by default.
        looks: ``codes (B or 1, K, Z)`` and ``gist (B or 1, ...)``, what else is seen there, for guides that ask.
    """

    eye: StateModel | Leaping
    places: Tensor
    there: Tensor
    matters: Tensor | None = None
    looks: Mapping[str, Tensor] | None = None

    @staticmethod
    def of(eye: WorldModel, goal: Mapping[str, Tensor], now: Mapping[str, Tensor] | None = None) -> SeenDistance:
        """For a goal as pictures, modality -> ``(B, *shape)``.

        Args:
            now: the present, ``(1, *shape)``, from which pictures that the goal lacks are filled in; without it
                they count as unremarkable, and things are seen less well.

        Raises:
            PlanningError: for a model that outlines no things, for pictures of another size, and for a goal that
                looks nothing like the present: of another world or scene.
        """
        if not isinstance(eye, StateModel):
            raise PlanningError(f"{eye.spec.name} outlines no things; give the goal as a picture or as readings.")
        if now is not None:
            check_scene(goal, now)
        size = len(next(iter(goal.values())))
        needed = [name for name in eye.images if name != "motion"]
        if now is not None:
            goal = filled_in(goal, now, needed)
        states = {}
        for name, kind in eye.spec.modalities.items():
            shown = name in goal and name in needed
            values = goal[name] if shown else kind.denormalise(torch.zeros(size, *kind.shape))
            if tuple(values.shape[1:]) != tuple(kind.shape):
                raise PlanningError(
                    f"a goal in {name} of shape {tuple(values.shape[1:])}, but {eye.spec.name} sees "
                    f"{tuple(kind.shape)}; give one of this size, and of this world."
                )
            states[name] = values
        seen = look(eye, states)
        return SeenDistance(eye, seen["places"], presence(seen["areas"]), looks={n: seen[n] for n in LOOKS})

    def __call__(self, future: Future) -> Tensor:
        gap = (self.state(future)["places"] - _of_rows(self.places, future)) / PACE
        there = _of_rows(self.there, future) * (1.0 if self.matters is None else self.matters)
        far = (gap.square().sum(dim=-1) + BLUNT**2).sqrt() - BLUNT
        return (far * there).sum(dim=-1) / there.sum(dim=-1).clamp_min(1e-6)

    def state(self, future: Future) -> Mapping[str, Tensor]:
        """What the eye makes of every imagined step: places, codes and what is felt, ``(N, H, ...)``."""
        if future.model is self.eye and "places" in future.beliefs.tensors:
            return {name: future.beliefs.tensors[name].float() for name in self.eye.state}
        assert isinstance(self.eye, StateModel)
        states = future.states(*self.eye.spec.modalities)
        size = next(iter(states.values())).shape[:2]
        seen = look(self.eye, {name: values.flatten(0, 1) for name, values in states.items()})
        return {name: values.view(*size, *values.shape[1:]) for name, values in seen.items()}


STRANGE, ELSEWHERE = 60, 0.25
"""Levels by which a pixel's colour differs for good, and share of such pixels in a goal of another scene: within one
they are 3 to 12 % three seconds later (grasp most), between worlds that are no mere variants 14 to 35 % at least, and
between scenes of one world, lit and coloured otherwise, up to 80."""


def check_scene(goal: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> None:
    """Raises `PlanningError` for a goal ``rgb (1, h, w, 3)`` in which most looks otherwise than now."""
    if "rgb" not in goal or "rgb" not in now or goal["rgb"].shape[1:] != now["rgb"].shape[1:]:
        return
    apart = (goal["rgb"].float() - now["rgb"].float()).abs().amax(dim=-1)
    if (share := float((apart > STRANGE).float().mean())) > ELSEWHERE:
        raise PlanningError(
            f"{share:.0%} of the goal's picture looks otherwise than what is seen now: it is of another world, or of "
            "another scene of this one. Give a picture of this scene."
        )


NEAR = 60.0
"""Steps that are worth a mean gap of a tenth of half a picture: a guide's steps are known to a few, no finer."""

NEAR_IN_HAND = 10.0
"""The same where guides see what goals look like: what is carried is seldom as near as it seems."""

IN_HAND = 12.0
"""Steps by which another plan has to be better there than what the guide would do: docs/decisions/0035."""


@dataclass(frozen=True)
class TimeToGo:
    """Steps that it still takes, as a `Guide` learned them, and a little of the plain distance, which is finer.

    `planner`, `reserve` and `pace` are who gets along with it best, and how, where nobody asks for anything else.

    Args:
        guide: that reads beliefs of the eye's model. seen: the goal. near: weight of the distance.
    """

    guide: Guide
    seen: SeenDistance
    near: float = NEAR

    @staticmethod
    def led_by(guide: Guide, seen: SeenDistance) -> TimeToGo:
        """As far as a guide of that kind knows more than distances do."""
        matters = guide.matters if seen.matters is None else seen.matters
        return TimeToGo(guide, replace(seen, matters=matters), NEAR_IN_HAND if guide.calm else NEAR)

    @property
    def planner(self) -> str:
        """Where arms grip and carry, pushing things home from all sides is of no use."""
        return "guided" if self.guide.calm else "striking"

    @property
    def reserve(self) -> Mapping[str, float]:
        """Settings of that planner."""
        return {"margin": IN_HAND} if self.guide.calm else {}

    @property
    def pace(self) -> Mapping[str, int]:
        """Steps looked ahead, and steps for which a command is held: who grips is told anew at every step."""
        return {"horizon": 6, "block": 1} if self.guide.calm else {"horizon": 10, "block": 2}

    def trusting(self, trust: Tensor) -> TimeToGo:
        """The same cost, in which each thing counts as far as one trusts what the model says of it, ``(K,)``."""
        matters = trust if self.seen.matters is None else trust * self.seen.matters
        return replace(self, seen=replace(self.seen, matters=matters))

    def __call__(self, future: Future) -> Tensor:
        return self.advise(future)[0]

    def advise(self, future: Future) -> tuple[Tensor, Tensor]:
        """Cost ``(N, H)`` of states; what recorded policies did in such, on the way to such a goal, ``(N, H, A)``.

        A model whose command is several of the world's in a row is told so many, as far as the guide looks ahead.
        """
        steps, told = self._told(future)
        count = future.model.spec.action_size // told.shape[3]
        commands = told[:, :, [min(step, told.shape[2] - 1) for step in range(count)]].flatten(2)
        return steps + self.near * self.seen(future), commands

    def _told(self, future: Future) -> tuple[Tensor, Tensor]:
        state = self.seen.state(future)
        size = state["places"].shape[:2]
        flat = {n: v.flatten(0, 1) for n, v in state.items() if n in SEEN}
        wanted = _of_rows(self.seen.places, future).expand_as(state["places"]).flatten(0, 1)
        there = _of_rows(self.seen.there, future).expand(*size, -1).flatten(0, 1)
        looks = {}
        for name, values in self.guide.read(self.seen.places, self.seen.looks).items():
            of_each = _of_rows(values, future)
            looks[name] = of_each.expand(*size, *of_each.shape[2:]).flatten(0, 1)
        with self.seen.eye.precision(len(wanted)):
            steps, commands = self.guide(flat, wanted, there, looks)
        return steps.view(size), commands.view(*size, *commands.shape[1:])


@dataclass(frozen=True)
class Probability:
    """Minus the logarithm of the probability that something is the case (or is not).

    Args:
        read: probabilities ``(N, H)`` out of a future, such as a readout's of one event.
        wanted: whether it should be the case.
    """

    read: Cost
    wanted: bool = True

    def __call__(self, future: Future) -> Tensor:
        probability = self.read(future)
        return -(probability if self.wanted else 1 - probability).clamp_min(1e-4).log()


@dataclass(frozen=True)
class Sum:
    """Several costs, each with its weight."""

    parts: Sequence[tuple[Cost, float]]

    def __call__(self, future: Future) -> Tensor:
        if not self.parts:
            raise PlanningError("a sum of no costs; name at least one.")
        return torch.stack([weight * cost(future) for cost, weight in self.parts]).sum(dim=0)


def goal_belief(model: WorldModel, states: Mapping[str, Tensor]) -> Beliefs:
    """What a model believes where the world stands still in `states`, modality -> ``(B, *shape)``."""
    size = next(iter(states.values())).shape[0]
    still = {name: values[:, None] for name, values in states.items()}
    return model.observe(History(still, torch.zeros(size, 0, model.spec.action_size)))


def look(eye: StateModel, states: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """What an eye makes of single states ``(N, *shape)``: places, codes, areas and what is felt."""
    with torch.no_grad(), eye.precision():
        return eye.recall({n: values.to(eye.device) for n, values in states.items()})


def _kind(future: Future, name: str, wanted: Tensor) -> Modality:
    kind = future.foreseen(name)
    if tuple(wanted.shape[1:]) != tuple(kind.shape):
        raise PlanningError(
            f"a goal in {name} of shape {tuple(wanted.shape[1:])}, but {future.model.spec.name} foresees "
            f"{tuple(kind.shape)}; give one of this size, and of this world."
        )
    if wanted.is_floating_point() and not bool(wanted.isfinite().all()):
        raise PlanningError(f"a goal in {name} that is not finite.")
    return kind


def _of_rows(wanted: Tensor, future: Future) -> Tensor:
    """The goal of each future, ``(N, 1, *shape)``."""
    return (wanted[future.rows] if len(wanted) > 1 else wanted)[:, None]
