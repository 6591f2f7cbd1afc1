"""Goals as people give them: a picture, some readings, or what should be the case."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nextstate.actions.text import split_words
from nextstate.errors import PlanningError, UnknownNameError
from nextstate.evaluation.readout import Reading, Readout
from nextstate.modalities import StateSpec
from nextstate.models.protocol import Beliefs
from nextstate.planning.costs import PictureDistance, Probability, StateDistance, Sum
from nextstate.planning.problem import Cost, Future
from nextstate.worlds.base import World

READING = re.compile(r"(?P<name>[a-z_0-9]+)(\[(?P<index>\d+)\])?=(?P<value>[-+.\deE]+)")
EVENT = re.compile(r"(?P<no>not )?(?P<name>[a-z_]+)")


@dataclass(frozen=True)
class Outcome:
    """Squared distance of outcomes that a readout finds in imagined states from wanted ones, in climatic deviations.

    Args:
        wanted: name of an outcome (``red_x``) -> value in physical units.
    """

    readout: Readout
    wanted: Mapping[str, float]

    def __call__(self, future: Future) -> Tensor:
        outcomes = read(self.readout, future).outcomes
        known = names_of(self.readout.world)
        total = np.zeros(outcomes.shape[:2])
        for name, value in self.wanted.items():
            column = known.index(name)
            scale = max(float(self.readout.climate[1][column]), 1e-6)
            total += ((outcomes[..., column] - value) / scale) ** 2
        return torch.from_numpy(total / len(self.wanted)).float()


def event_probability(readout: Readout, name: str) -> Cost:
    """Probability ``(N, H)`` that an event is the case at each imagined step."""
    column = readout.world.events.index(name)
    return lambda future: torch.from_numpy(read(readout, future).events[..., column]).float()


def read(readout: Readout | None, future: Future) -> Reading:
    """What a readout finds in all steps of a future; the simulator tells it without one.

    Raises:
        PlanningError: when there is neither.
    """
    told: Callable[[Beliefs], Reading] | None = getattr(future.model, "told", None)
    if told is not None and len(future.beliefs):
        return told(future.beliefs)
    if readout is None:
        raise PlanningError(
            f"outcomes have to be read out of what {future.model.spec.name} imagines, and there is no readout; "
            "evaluate the model with --keep-readout."
        )
    return readout(future.states(*readout.spec))


def names_of(world: type[World]) -> list[str]:
    """Names of all dimensions of a world's outcome, in order."""
    return [name for names in world.outcome_groups.values() for name in names]


def goal_from(
    texts: Sequence[str],
    spec: StateSpec,
    readout: Readout | None = None,
    pictured: Callable[[Tensor], Cost] | None = None,
    said: Callable[[str], Cost] | None = None,
) -> Cost:
    """The cost that several goals in words or files ask for together.

    Args:
        texts: each a picture (``goal.png``), readings (``proprio[0]=0.1,proprio[1]=-0.2``), outcomes
            (``red_x=0.2,red_y=0``), an event (``toppled``, ``not spilled``), or an instruction of several words.
        spec: modalities that the model foresees.
        readout: reads outcomes and events; without one they cannot be goals.
        pictured: from a picture ``(1, h, w, 3)`` to a cost; pixels are compared by default.
        said: from an instruction to a cost; without it nothing can be asked for in words.

    Raises:
        PlanningError: for a goal that cannot be read. UnknownNameError: for names that nothing has.
    """
    if not texts:
        raise PlanningError("no goal; give a picture, readings such as proprio[0]=0.1, or an event.")
    parts = [_one(text.strip(), spec, readout, pictured or PictureDistance, said) for text in texts]
    return parts[0] if len(parts) == 1 else Sum([(cost, 1.0) for cost in parts])


def _one(
    text: str,
    spec: StateSpec,
    readout: Readout | None,
    pictured: Callable[[Tensor], Cost],
    said: Callable[[str], Cost] | None,
) -> Cost:
    if text.lower().endswith((".png", ".jpg", ".jpeg", ".webp")):
        return pictured(_picture(Path(text), spec))
    if "=" in text:
        return _values(text, spec, readout)
    found = EVENT.fullmatch(text)
    if found is None:
        if said is not None and len(split_words(text)) > 1:
            return said(text)
        raise PlanningError(
            f"goal {text!r} is neither a picture, nor readings with =, nor an event; and for an instruction it takes "
            "several words, and a model that outlines things."
        )
    able = _needed(readout, text)
    if found["name"] not in able.world.events:
        raise UnknownNameError("event", found["name"], able.world.events)
    return Probability(event_probability(able, found["name"]), wanted=not found["no"])


def _picture(path: Path, spec: StateSpec) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    if "rgb" not in spec:
        raise PlanningError(f"goal {path} is a picture, but the model foresees {', '.join(spec)} and no rgb.")
    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise PlanningError(f"goal {path} cannot be opened as a picture ({error}).") from error
    if picture.shape != tuple(spec["rgb"].shape):
        height, width = spec["rgb"].shape[:2]
        raise PlanningError(
            f"goal {path} is {picture.shape[1]}x{picture.shape[0]} pixels, the model foresees {width}x{height}; "
            "give a picture of this world and size."
        )
    return torch.from_numpy(picture.copy())[None]


def _values(text: str, spec: StateSpec, readout: Readout | None) -> Cost:
    outcomes: dict[str, float] = {}
    readings: dict[str, dict[int, float]] = {}
    for part in text.split(","):
        found = READING.fullmatch(part.strip())
        if found is None:
            raise PlanningError(
                f"{part.strip()!r} in goal {text!r} is no reading; write name=number or name[i]=number."
            )
        try:
            value = float(found["value"])
        except ValueError:
            raise PlanningError(f"{found['value']!r} in goal {text!r} is no number.") from None
        if found["name"] in spec:
            readings.setdefault(found["name"], {})[int(found["index"] or 0)] = value
        else:
            able = _needed(readout, text)
            if found["name"] not in names_of(able.world):
                raise UnknownNameError("reading or outcome", found["name"], [*spec, *names_of(able.world)])
            outcomes[found["name"]] = value
    parts: list[Cost] = [_readings(name, wanted, spec) for name, wanted in readings.items()]
    if outcomes:
        parts.append(Outcome(_needed(readout, text), outcomes))
    return parts[0] if len(parts) == 1 else Sum([(cost, 1.0) for cost in parts])


def _readings(name: str, wanted: Mapping[int, float], spec: StateSpec) -> Cost:
    shape = tuple(spec[name].shape)
    length = int(np.prod(shape))
    values, matters = torch.zeros(length), torch.zeros(length)
    for index, value in wanted.items():
        if index >= length:
            raise PlanningError(f"{name}[{index}]: {name} has {length} numbers, 0 to {length - 1}.")
        values[index], matters[index] = value, 1.0
    return StateDistance(name, values.view(1, *shape), matters.view(1, *shape))


def _needed(readout: Readout | None, text: str) -> Readout:
    if readout is None:
        raise PlanningError(
            f"goal {text!r} has to be read out of imagined states, and there is no readout; evaluate the model with "
            "--keep-readout, or give the goal as a picture or as readings of a sense."
        )
    return readout
