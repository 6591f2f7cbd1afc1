"""What a predictor says about a suite, in outcomes: the one thing that is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import StateError
from nextstate.evaluation.agreement import felt
from nextstate.evaluation.building import Progress
from nextstate.evaluation.readout import Reading, Readout
from nextstate.evaluation.results import Showcase
from nextstate.evaluation.suite import Suite
from nextstate.evaluation.uncertainty import ReadingError
from nextstate.models.protocol import Beliefs, WorldModel, unfit_commands
from nextstate.worlds.base import CONTROL_HZ

BATCH = 8
"""Snapshots imagined at once."""


@dataclass(frozen=True)
class Samples:
    """Sampled futures of the first N' snapshots and the first S alternatives.

    Args:
        outcomes: ``(M, N', S, H, D)`` in physical units. happened: ``(M, N', S, H, E)`` probabilities.
    """

    outcomes: np.ndarray
    happened: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """Foretold outcomes of every branch of a suite.

    The point that is scored is the central future, ``imagine(..., sample=None)``: it is what planners and people
    see. Sampled futures are scored for what only they can tell: coverage, CRPS and event probabilities.

    Args:
        outcomes: ``(N, K, H, D)`` in physical units. events: ``(N, K, H, E)``, probability that each is the case.
        happened: ``(N, K, H, E)``, probability that it has been the case at some step up to here.
        felt: ``(N, K, H)``, contact by the foretold touch; None where touch is not foretold.
        seen: the same by the foretold picture.
        samples: of models that know several futures.
        reading: error of the readout in climatological standard deviations; None for what is not read but known.
    """

    outcomes: np.ndarray
    events: np.ndarray
    happened: np.ndarray
    felt: np.ndarray | None = None
    seen: np.ndarray | None = None
    samples: Samples | None = None
    reading: ReadingError | None = None


@dataclass
class Shown:
    """Collects imagined states of some snapshots while they are predicted."""

    rows: Sequence[int]
    states: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)

    def showcase(self, suite: Suite, prediction: Prediction) -> Showcase:
        """These snapshots, truth beside imagination."""
        rows = np.asarray(self.rows)
        names = list(self.states[int(rows[0])])
        return Showcase(
            rows=rows,
            actions=suite.actions[rows],
            last={n: suite.arrays[f"history.{n}"][rows, -1] for n in suite.world_modalities()},
            truth={n: suite.truth(n)[rows] for n in suite.world_modalities()},
            imagined={n: np.stack([self.states[int(row)][n] for row in rows]) for n in names},
            events=suite.events[rows],
            event_probability=prediction.events[rows],
            outcomes=suite.outcomes[rows],
            imagined_outcomes=prediction.outcomes[rows],
        )


def predict(
    model: WorldModel,
    suite: Suite,
    readout: Readout,
    samples: int = 8,
    sampled_snapshots: int = 64,
    sampled_alternatives: int = 2,
    shown: Shown | None = None,
    reading: ReadingError | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Lets `model` imagine every branch of `suite` and reads the outcomes out of what it imagined."""
    check_fits(model, suite, readout)
    count, horizon = len(suite), suite.recipe.horizon
    points: list[tuple[Reading, np.ndarray | None]] = []
    wanted = list(dict.fromkeys([*readout.spec, *(model.spec.modalities if shown else ())]))
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        with torch.inference_mode():
            belief = model.observe(suite.history(rows, model.spec.modalities, model.spec.context))
            states = _imagined(model, belief, suite.actions[rows], wanted)
            points.append((readout(states), _felt(states, suite)))
            if shown:
                for row in set(rows) & set(shown.rows):
                    shown.states[row] = {n: v[row - start].numpy().copy() for n, v in states.items()}
        if progress:
            progress("imagining", rows[-1] + 1, count)
    felt_parts = [touched for _, touched in points if touched is not None]
    has_pictures = any(kind.kind == "image" for kind in readout.spec.values())
    events = np.concatenate([point.events for point, _ in points])
    return Prediction(
        outcomes=np.concatenate([point.outcomes for point, _ in points]).reshape(
            count, -1, horizon, suite.outcomes.shape[-1]
        ),
        events=events,
        happened=read_happened(events),
        felt=np.concatenate(felt_parts) if felt_parts else None,
        seen=np.concatenate([point.contact for point, _ in points]) > 0.5 if has_pictures and felt_parts else None,
        samples=sample(model, suite, readout, samples, sampled_snapshots, sampled_alternatives),
        reading=reading,
    )


def sample(
    model: WorldModel,
    suite: Suite,
    readout: Readout,
    samples: int = 8,
    snapshots: int = 64,
    alternatives: int = 2,
    progress: Progress | None = None,
) -> Samples | None:
    """Sampled futures of the first snapshots and alternatives of `suite`; None where one future is all there is."""
    if not model.spec.stochastic or samples < 2:
        return None
    draws, count = [], min(snapshots, len(suite))
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        actions = suite.actions[rows, :alternatives]
        with torch.inference_mode():
            belief = model.observe(suite.history(rows, model.spec.modalities, model.spec.context))
            draws.append([readout(_imagined(model, belief, actions, list(readout.spec), i)) for i in range(samples)])
        if progress:
            progress("drawing futures", rows[-1] + 1, count)
    return _joined(draws)


def read_happened(events: np.ndarray) -> np.ndarray:
    """Probability ``(..., H, E)`` that events have happened by each step, from what single states were read to show.

    The largest probability of any one state so far.
    """
    return np.asarray(np.maximum.accumulate(events, axis=-2))


def read_truth(suite: Suite, readout: Readout, reading: ReadingError | None = None) -> Prediction:
    """The oracle as seen through the readout: the true pictures of the first P snapshots, read like imagined ones."""
    states = {name: torch.from_numpy(suite.truth(name)[: suite.pictured]) for name in (*readout.spec, "touch")}
    found = readout(states)
    happened = read_happened(found.events)
    return Prediction(
        found.outcomes, found.events, happened, _felt(states, suite), found.contact > 0.5, reading=reading
    )


def check_fits(model: WorldModel, suite: Suite, readout: Readout) -> None:
    """Raises `StateError` when a model cannot be asked about a suite."""
    wrong = []
    for name, kind in model.spec.modalities.items():
        ours = suite.arrays.get(f"history.{name}")
        if ours is None:
            wrong.append(f"it needs {name}, which the suite does not hold")
        elif ours.shape[2:] != kind.shape:
            wrong.append(f"its {name} has shape {kind.shape}, the suite's {ours.shape[2:]}")
    wrong += unfit_commands(model.spec, suite.actions.shape[-1], "the suite's")
    if model.spec.hz != CONTROL_HZ:
        wrong.append(f"it foresees {model.spec.hz:g} states per second, the suite holds {CONTROL_HZ:g}")
    wrong += [
        f"the readout looks at {name}, which it does not foresee"
        for name in readout.spec
        if name not in model.spec.modalities
    ]
    if wrong:
        raise StateError(
            f"{model.spec.name} cannot be measured on this suite of world {suite.recipe.world!r}: {'; '.join(wrong)}. "
            "Build the suite for the model's world and picture size."
        )


def _imagined(
    model: WorldModel, belief: Beliefs, actions: np.ndarray, wanted: Sequence[str], sample: int | None = None
) -> dict[str, Tensor]:
    """Central or sampled futures under `actions` ``(B, K, H, A)``: modality -> ``(B, K, H, *shape)``."""
    count, alternatives = actions.shape[:2]
    flat = torch.from_numpy(np.ascontiguousarray(actions)).flatten(0, 1)
    states = model.decode(model.imagine(belief.repeat(alternatives), flat, sample), wanted)
    return {n: v.cpu().reshape(count, alternatives, *v.shape[1:]) for n, v in states.items()}


def _felt(states: dict[str, Tensor], suite: Suite) -> np.ndarray | None:
    return felt(states["touch"].numpy(), suite.world.touch_shape) if "touch" in states else None


def _joined(draws: list[list[Reading]]) -> Samples:
    per_sample = list(zip(*draws, strict=True))
    outcomes = np.stack([np.concatenate([batch.outcomes for batch in sample]) for sample in per_sample])
    events = np.stack([np.concatenate([batch.events for batch in sample]) for sample in per_sample])
    return Samples(outcomes, read_happened(events))
