"""The models that come with the package: each loads, fits its world, and imagines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nextstate.commands.find import find_model, find_readout
from nextstate.imagination import reach
from nextstate.models.folders import SHIPPED
from nextstate.worlds import make_world

RESULTS = Path(__file__).parents[1] / "results" / "whatif"
NAMES = ("push", "spill", "grasp")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_tells_doing_from_doing_nothing(name: str) -> None:
    world = make_world(name)
    model = find_model(name, world)
    assert find_readout(name, world, list(model.spec.modalities)) is not None
    instant = reach(world, seed=2**31 + 5, step=10, policy=world.explore(np.random.default_rng(0)))
    belief = model.observe(instant.history(model.spec.context, list(model.spec.modalities)))
    plans = torch.stack([torch.zeros(8, world.action_size), 0.8 * torch.ones(8, world.action_size)])
    states = model.decode(model.imagine(belief.repeat(2), plans), list(model.spec.modalities))
    for value in states.values():
        assert torch.isfinite(value.float()).all()
    still, moved = states["proprio"][:, -1]
    assert (moved - still).abs().max() > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_is_small(name: str) -> None:
    assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) < 10e6


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_a_shipped_model_stand_beside_the_baselines(name: str) -> None:
    folder = SHIPPED / name
    assert {path.suffix for path in folder.iterdir()} == {
        ".json",
        ".md",
        ".safetensors",
    } and f"nextstate pretrain --data data/{name}" in (folder / "README.md").read_text()
    found = json.loads((RESULTS / f"{name}.json").read_text())
    assert {"command", "commit", "date", "machine", "model", "train_seconds", "metrics", "baselines"} <= set(found)
    assert found["suite"]["snapshots"] >= 200 and found["suite"]["alternatives"] == 8
