"""Measures any world model on a suite, beside the baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nextstate.evaluation.baselines import all_baselines
from nextstate.evaluation.building import Progress
from nextstate.evaluation.frames import drawn_frames, recorded_frames
from nextstate.evaluation.listening import delta_psnr, last_action_gradient
from nextstate.evaluation.prediction import Shown, predict
from nextstate.evaluation.readout import Readout, accuracy, train_readout
from nextstate.evaluation.results import Evaluation, Showcase
from nextstate.evaluation.scoring import Floors, by_snapshot, score
from nextstate.evaluation.suite import FLIP_SHARE, NULL_SHARE, Suite
from nextstate.models.protocol import WorldModel, WorldModelSpec

SHOWN = 4


def evaluate(
    model: WorldModel,
    suite: Suite,
    readout: Readout,
    samples: int = 8,
    shown: int = SHOWN,
    paired: bool = False,
    progress: Progress | None = None,
) -> tuple[Evaluation, Showcase | None]:
    """All figures of `model` and of the baselines, and the states that a report shows.

    Args:
        readout: for the modalities that the model foresees (see `make_readout`).
        samples: M sampled futures, of models that know several.
        shown: how many of the snapshots with pictures to keep imagined states of.
        paired: whether to keep what each snapshot contributes, so that models can be compared snapshot by snapshot.
    """
    read = accuracy(readout, suite) if suite.pictured else None
    reading = read.pop("error") if read else None
    collector = Shown(_telling(suite, shown)) if shown and suite.pictured else None
    prediction = predict(model, suite, readout, samples, shown=collector, reading=reading, progress=progress)
    floors = Floors.of(suite)
    metrics, intervals = score(suite, prediction, floors)
    gradient, heard = last_action_gradient(model, suite)
    metrics |= {"last_action_gradient": gradient, "actions_heard": heard, "delta_psnr": delta_psnr(model, suite)}
    baselines = {
        name: score(rows, what, floors, intervals=False)[0]
        for name, (rows, what) in all_baselines(suite, readout if read else None, reading).items()
    }
    evaluation = Evaluation(
        world=suite.recipe.world,
        model=model.spec.name,
        metrics=metrics,
        intervals=intervals,
        baselines=baselines,
        suite=suite.describe(),
        readout={**(read or {}), "modalities": list(readout.spec), "direct": list(readout.direct)},
        notes=_notes(suite, floors),
        by_snapshot={name: ratio.parts() for name, ratio in by_snapshot(suite, prediction).items()} if paired else {},
    )
    return evaluation, collector.showcase(suite, prediction) if collector else None


def make_readout(
    suite: Suite,
    spec: WorldModelSpec,
    dataset: Path | None = None,
    workers: int = 2,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Readout:
    """A readout for what a model foresees, trained on true frames of `dataset`, or on frames drawn for it."""
    modalities = [name for name in spec.modalities if name in suite.world_modalities()]
    if dataset is not None:
        frames = recorded_frames(dataset, modalities)
    else:
        size = suite.recipe.size
        frames = drawn_frames(suite.recipe.world, size, workers=workers, cache=cache, progress=progress)
        frames = replace(frames, states={name: frames.states[name] for name in modalities})
    return train_readout(suite, frames, cache, progress=progress)


def _telling(suite: Suite, count: int) -> list[int]:
    """The pictured snapshots whose branches differ most in events, then in outcomes."""
    happened = suite.events[: suite.pictured].any(axis=2)
    variety = happened.std(axis=1).sum(axis=-1)
    ends = suite.scale(suite.outcomes[: suite.pictured, :, -1])[..., suite.headline()]
    variety = variety + 1e-3 * ends.std(axis=1).mean(axis=-1)
    return sorted(np.argsort(-variety)[:count].tolist())


def _notes(suite: Suite, floors: Floors) -> list[str]:
    notes = [
        "The model's central future is scored; its samples give coverage, CRPS and event probabilities.",
        f"The oracle's row is the truth as the readout sees it on {suite.pictured} snapshots, and bounds the rest.",
        "Blind is the mean of the true branches, the best that can be said without hearing the action.",
    ]
    flip_share, null_share = suite.shares()
    if flip_share < FLIP_SHARE or null_share < NULL_SHARE:
        notes.append(f"The suite holds only {flip_share:.0%} pairs with a flip and {null_share:.0%} null pairs.")
    if suite.probes:
        chaotic = [name for name, floor in floors.by_group.items() if floor.max() > 0.5]
        if chaotic:
            notes.append(
                f"Where the chaos floor exceeds one half nothing is scored: {', '.join(chaotic)} at some steps."
            )
    return notes
