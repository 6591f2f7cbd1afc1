"""Futures of the same instant with what cannot be seen drawn anew: what a sampled future should look like.

One true future says little about a distribution. With masses and frictions of a snapshot resampled, the simulator
itself says which futures are open, and sampled ones are scored against all of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nextstate.evaluation import uncertainty
from nextstate.evaluation.bootstrap import Ratio
from nextstate.evaluation.building import Progress
from nextstate.evaluation.prediction import predict
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.scoring import horizons
from nextstate.evaluation.store import cache_folder, content_key, read_arrays, write_arrays
from nextstate.evaluation.suite import Suite
from nextstate.models.protocol import WorldModel
from nextstate.worlds import make_world
from nextstate.worlds.base import World

HIDDEN = ("_mass", "_friction")
"""How names of factors end that no picture shows."""

SNAPSHOTS, ALTERNATIVES, DRAWS = 32, 2, 6
"""First snapshots, first branches of each, and draws of what is hidden."""


def hidden_factors(world: type[World] | World) -> list[str]:
    """Names of a world's factors that cannot be seen."""
    return [name for name in world.factor_ranges if name.endswith(HIDDEN)]


def resampled(
    suite: Suite,
    snapshots: int = SNAPSHOTS,
    alternatives: int = ALTERNATIVES,
    draws: int = DRAWS,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """True outcomes ``(R, N', S, H, D)`` under the suite's commands, with hidden factors drawn R times; kept on disk.

    They are drawn from all that occurs in recording, so that they are as open to a model as they can be.
    """
    rows, recipe = range(min(snapshots, len(suite))), suite.recipe
    key = content_key(
        recipe=str(recipe), version=suite.world.version, n=len(suite), rows=len(rows), s=alternatives, draws=draws
    )
    path = cache_folder(cache) / "hidden" / f"{recipe.world}-{key}.npz"
    if path.exists():
        return read_arrays(path)["outcomes"]
    world = make_world(recipe.world, recipe.size)
    names = hidden_factors(world)
    found = np.empty((draws, len(rows), alternatives, recipe.horizon, suite.outcomes.shape[-1]), np.float32)
    for row in rows:
        snapshot = suite.snapshot(row)
        for draw in range(draws):
            rng = np.random.default_rng([recipe.seed, row, draw, 7])
            factors = {name: world.factor_ranges[name].sample(rng, held_out=False) for name in names}
            other = replace(snapshot, factors={**snapshot.factors, **factors})
            for branch in range(alternatives):
                world.restore(other)
                for step, command in enumerate(suite.actions[row, branch]):
                    world.advance_action(command)
                    found[draw, row, branch, step] = world.outcome()
        if progress:
            progress("hidden factors", row + 1, len(rows))
    write_arrays(path, {"outcomes": found})
    return found


def hidden_crps(
    model: WorldModel,
    suite: Suite,
    readout: Readout,
    truths: np.ndarray,
    samples: int = 8,
    progress: Progress | None = None,
) -> dict[str, Ratio]:
    """Fair CRPS of sampled futures by horizon, headline outcomes in climatological deviations, over all `truths`.

    Args:
        truths: as `resampled` gives them.
    """
    draws, rows, branches = truths.shape[:3]
    few = suite.rows(range(rows))
    prediction = predict(model, few, readout, samples, rows, branches, progress=progress)
    if prediction.samples is None:
        return {}
    head = suite.headline()
    ours = suite.scale(prediction.samples.outcomes)[..., head]
    theirs = suite.scale(truths)[..., head]
    found = {}
    for label, t in horizons(suite).items():
        # Open is what commands or what is hidden decide.
        spread = np.concatenate([theirs[:, :, :, t].transpose(1, 0, 2, 3).reshape(rows, draws * branches, -1)], axis=1)
        where = uncertainty.open_dimensions(spread)
        scores = [uncertainty.fair_crps(ours[:, :, :, t], truth[:, :, t], where) for truth in theirs]
        found[label] = Ratio(
            np.sum([score.numerator for score in scores], axis=0),
            np.sum([score.denominator for score in scores], axis=0),
        )
    return found
