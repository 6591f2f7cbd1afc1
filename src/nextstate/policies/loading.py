"""From a folder of weights and a goal to something that acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nextstate.errors import PlanningError, UnknownNameError
from nextstate.imagination import Instant
from nextstate.imagination.saying import say
from nextstate.models.director import Director
from nextstate.models.folders import folder_of
from nextstate.models.heads import LOOKS
from nextstate.models.language import Cloner, Vla
from nextstate.models.pretrained import from_pretrained
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning import Cost, Guide, Planner, SeenDistance, TimeToGo, make_planner
from nextstate.planning.costs import look
from nextstate.planning.planners import PLANNERS
from nextstate.policies.following import Following
from nextstate.policies.heeding import Heeding, heeding
from nextstate.policies.inverse import Inverse
from nextstate.policies.joint import Joint
from nextstate.policies.learning import HEADS
from nextstate.policies.looking import Looking, cloning, directing, inverting, jointly
from nextstate.policies.planned import Planned
from nextstate.policies.protocol import Actor

EVERY = 2
"""Commands done of each decision."""

AHEAD = 40
"""Steps after which what an instruction asks for is done, as imagined: four seconds."""


def load(
    model: Path | str,
    goal: Mapping[str, np.ndarray] | None = None,
    decoder: str = "planner",
    seed: int = 0,
    now: Mapping[str, np.ndarray] | None = None,
    body: bool = False,
    instruction: str | None = None,
) -> Actor:
    """A policy that brings the world to where it looks like `goal`, or does what `instruction` says.

    ``policy.select_action(observation)`` is what it does next.

    Args:
        model: folder of a model, or the world of a shipped one.
        goal: pictures of the goal, modality -> ``(*shape)``; a whole observation will do, and so will ``rgb`` alone
            together with `now`.
        decoder: ``planner`` (led by time to go where the folder holds a guide, else by plain distance), ``cloned``,
            ``inverse`` or ``joint``, which need the heads that `nextstate guide` makes.
        seed: of whatever is drawn.
        now: an observation of the present, from which what the goal lacks is filled in, see `filled_in`.
        body: whether the body must be where it is in the goal too; else it may be anywhere.
        instruction: in words, instead of a goal, for the language-first rival, for plain cloning, and for models with
            a head `director` (those that come along have one) or `heeding`.

    Raises:
        InstructionError: for an instruction that cannot be followed.
        UnknownNameError: for another decoder. CheckpointError: for a model or head that is missing or damaged.
        PlanningError: for a model that outlines no things, or a goal of another size.
    """
    if decoder not in DECODERS:
        raise UnknownNameError("decoder", decoder, DECODERS)
    folder, eye = folder_of(model), from_pretrained(model)
    if (goal is None) == (instruction is None):
        raise PlanningError("say what is wanted: either by a goal or by an instruction.")
    if instruction is not None:
        return _instructed(folder, eye, instruction, seed)
    assert goal is not None
    if isinstance(eye, (Vla, Cloner)):
        raise PlanningError(f"{eye.spec.name} follows words and sees no goals; give an instruction.")
    seen = SeenDistance.of(eye, _batch(goal), None if now is None else _batch(now))
    assert isinstance(eye, StateModel)
    if body:
        seen = replace(seen, matters=torch.ones(seen.there.shape[1]))
    return DECODERS[decoder](folder, eye, seen, seed)


def _instructed(folder: Path, model: Vla | Cloner | StateModel, instruction: str, seed: int) -> Actor:
    if isinstance(model, (Vla, Cloner)):
        return Following(model, instruction, EVERY, seed)
    if not (folder / Heeding.file()).is_file():
        return Looking(model, directing(model, Director.load(folder), instruction, EVERY), EVERY)
    return Looking(model, heeding(Heeding.load(folder), instruction, seed), EVERY)


def _batch(observation: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(values))[None] for name, values in observation.items()}


def led(folder: Path, seen: SeenDistance) -> Cost:
    """The cost that leads there: time to go where the folder holds a guide, else plain distance.

    Raises:
        CheckpointError: for a guide that is damaged.
    """
    if not (folder / Guide.file()).is_file():
        return seen
    return TimeToGo.led_by(Guide.load(folder), seen)


def meant(folder: Path, eye: StateModel, instant: Instant, instruction: str) -> Cost:
    """The cost that leads to where things end up in imagination when an instruction is acted out there.

    Raises:
        InstructionError: for an instruction that is empty, or of which no word is known.
        CheckpointError: for a model without a director, or with one that is damaged.
    """
    ends = say(eye, Director.load(folder), instant, [instruction], AHEAD)[0].map(lambda tensor: tensor[:, -1])
    seen = look(eye, {name: torch.from_numpy(instant.now(name).copy())[None] for name in eye.spec.modalities})
    looks = {name: ends.tensors[name].float() for name in LOOKS}
    return led(folder, SeenDistance(eye, ends.tensors["places"].float(), presence(seen["areas"]), looks=looks))


def planner_by(name: str, folder: Path, **settings: Any) -> Planner:
    """A planner by name, with the heads beside a model that it needs; raises `CheckpointError` where one is missing."""
    needs = getattr(PLANNERS.get(name), "needs", ())
    return make_planner(name, **settings, **{head: HEADS[head][0].load(folder) for head in needs})


def _planner(folder: Path, eye: StateModel, seen: SeenDistance, seed: int) -> Actor:
    cost = led(folder, seen)
    if not isinstance(cost, TimeToGo):
        return Planned(eye, make_planner("icem", candidates=40), seen, seed=seed)
    planner, pace = make_planner(cost.planner, **cost.reserve), cost.pace
    return Planned(eye, planner, cost, **pace, stride=pace["block"], last=0.5, seed=seed)


def _cloned(folder: Path, eye: StateModel, seen: SeenDistance, seed: int) -> Actor:
    guide = Guide.load(folder)
    return Looking(eye, cloning(guide, seen), EVERY, guide.calm)


def _inverse(folder: Path, eye: StateModel, seen: SeenDistance, seed: int) -> Actor:
    return Looking(eye, inverting(Inverse.load(folder), seen, Joint.load(folder), seed))


def _joint(folder: Path, eye: StateModel, seen: SeenDistance, seed: int) -> Actor:
    return Looking(eye, jointly(Joint.load(folder), seen, seed=seed), EVERY)


DECODERS: dict[str, Callable[[Path, StateModel, SeenDistance, int], Actor]] = {
    "planner": _planner,
    "cloned": _cloned,
    "inverse": _inverse,
    "joint": _joint,
}
"""Name -> maker."""
