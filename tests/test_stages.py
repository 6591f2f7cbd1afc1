"""Stages of a run: each learns from what it should, and a kill between or within them changes nothing."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nextstate.data import Windows, open_cache
from nextstate.errors import SettingsError, UnknownNameError
from nextstate.modalities import Proprio, Rgb
from nextstate.models import StateModel, WorldModelSpec, build
from nextstate.models.objectives.pixel import KEEN_SPREAD, hues, mixture, salience
from nextstate.models.stages import Stage, chosen_stages, stage_at
from nextstate.training.loop import Trainer
from nextstate.training.recall import chosen_frames
from nextstate.training.run import Run
from nextstate.training.settings import TrainingSettings
from nextstate.training.team import Team
from recordings import make_dataset

STAGES = (Stage("one", 1.0, lambda *_: {}), Stage("two", 3.0, lambda *_: {}))


class Frames:
    """Forty random frames, as one episode."""

    def __init__(self, length: int = 6, stop: int | None = None) -> None:
        rng = np.random.default_rng(0)
        self.arrays: Mapping[str, np.ndarray] = {
            "rgb": rng.integers(0, 255, (40, 16, 16, 3)).astype(np.uint8),
            "proprio": rng.standard_normal((40, 2)).astype(np.float32),
        }
        self.actions = rng.uniform(-1, 1, (40, 2)).astype(np.float32)
        self.length, self.stop, self.rows = length, stop, 40

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        if step == self.stop:
            raise KeyboardInterrupt
        first = np.random.default_rng([1, step]).integers(0, 40 - self.length, size)
        rows = first[:, None] + np.arange(self.length)
        return {n: a[rows] for n, a in self.arrays.items()} | {"action": self.actions[rows[:, :-1]]}

    def frames(self, first: int, count: int) -> dict[str, np.ndarray]:
        return {n: a[first : first + count] for n, a in self.arrays.items()}

    def over(self, arrays: Mapping[str, np.ndarray], keep: Sequence[str] = ()) -> Frames:
        other = copy.copy(self)
        other.arrays = {**{n: self.arrays[n] for n in keep}, **arrays}
        return other


def model() -> StateModel:
    kinds = {"rgb": Rgb(shape=(16, 16, 3)), "proprio": Proprio(shape=(2,))}
    torch.manual_seed(0)
    spec = WorldModelSpec("test", kinds, action_size=2, hz=10.0, context=2, horizon=4)
    return build(spec, "tiny", things=3, gist=1, token=16, message=8, vision=8, drawing=8)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, torch.Tensor]:
    return train(tmp_path_factory.mktemp("whole") / "run").state_dict()


def train(out: Path, stop: int | None = None) -> StateModel:
    settings = TrainingSettings(
        steps=20, batch=4, checkpoint_every="4", precision="fp32", threads=1, tensorboard=False, validation_windows=0
    )
    made = model()
    run = Run(out, {"training": settings.to_dict()})
    try:
        Trainer(made, Frames(stop=stop), settings, run).fit()
    finally:
        run.close()
    return made


def test_a_run_goes_through_its_stages_by_their_shares() -> None:
    assert stage_at(STAGES, 0.0) == (0, 0.0)
    assert stage_at(STAGES, 0.125) == (0, 0.5)
    assert stage_at(STAGES, 0.25) == (1, 0.0)
    assert stage_at(STAGES, 0.625) == (1, 0.5)
    assert stage_at(STAGES, 1.0) == (1, 1.0)


def test_stages_are_chosen_and_given_other_shares() -> None:
    assert chosen_stages(STAGES, ["one", "two=1"]) == (STAGES[0], replace(STAGES[1], share=1.0))
    assert chosen_stages(STAGES, ["two"]) == STAGES[1:]
    with pytest.raises(UnknownNameError, match="three"):
        chosen_stages(STAGES, ["one", "three=2"])
    with pytest.raises(SettingsError, match="named twice"):
        chosen_stages(STAGES, ["one", "one=2"])
    for share in ("0", "-1", "nan", "much", ""):
        with pytest.raises(SettingsError, match="number above 0"):
            chosen_stages(STAGES, [f"two={share}"])


@pytest.mark.parametrize("stop", [6, 9, 13, 16, 19])
def test_interrupted_in_any_stage_the_weights_end_the_same(
    stop: int, tmp_path: Path, uninterrupted: Mapping[str, torch.Tensor]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop)
    resumed = train(tmp_path).state_dict()
    assert all(torch.equal(weights, resumed[name]) for name, weights in uninterrupted.items())


def test_what_is_recalled_stays_as_it_was_when_recalled() -> None:
    made, frames = model(), Frames()
    states = {n: torch.from_numpy(a) for n, a in frames.arrays.items()}
    before = made.recall(states)
    recalled = frames.over({n: v.numpy() for n, v in before.items()}, ["rgb"]).batch(0, 4)
    optimiser = torch.optim.SGD(made.parameters(), 0.1)
    batch = {n: torch.from_numpy(v) for n, v in recalled.items()}
    for progress in (0.5, 0.7, 0.95):
        made.loss(batch, torch.Generator().manual_seed(0), progress)["loss"].backward()
    optimiser.step()
    after = made.recall(states)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_by_the_clock_looks_at_what_it_has_time_for_and_goes_on_with_that(tmp_path: Path) -> None:
    class Many(Frames):
        def __init__(self) -> None:
            super().__init__()
            self.rows = 10**6

        def within(self, frames: int) -> Many:
            other = copy.copy(self)
            other.rows = frames
            return other

    class Looker:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def recall(self, states: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            time.sleep(self.seconds)
            return {"seen": states["proprio"]}

    def looked(folder: str, seconds: float, **settings: Any) -> int:
        asked = TrainingSettings(**settings)
        run = Run(tmp_path / folder, {"training": asked.to_dict()})
        try:
            frames = chosen_frames(Looker(seconds), Many(), asked, run, torch.device("cpu"), torch.float32, Team())
        finally:
            run.close()
        return frames.rows

    # Forty frames in a tenth of a second; a tenth of a minute is six seconds.
    slow = looked("slow", 0.1, minutes=1.0, recalled=10**5)
    assert 0.5 * 2400 < slow <= 2400
    assert looked("slow", 0.0, minutes=1.0, recalled=10**5) == slow
    assert looked("asked for all", 0.1, minutes=1.0, recalled=10**7) <= 2400
    assert looked("again", 0.0, pace_of=tmp_path / "slow") == slow
    assert looked("fast", 0.0, minutes=1.0, recalled=500) == 500
    assert looked("all", 0.1, minutes=1.0, recalled=0) == looked("steps", 0.1, steps=5) == 10**6


def test_windows_over_other_arrays_are_the_same_windows(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data")
    cache = open_cache(tmp_path / "data")
    windows = Windows(cache, 3, "train", 0, ["proprio"])
    everything = windows.frames(0, windows.rows)["proprio"]
    doubled = windows.over({"twice": 2 * everything})
    one, two = windows.batch(5, 8), doubled.batch(5, 8)
    assert np.array_equal(2 * one["proprio"], two["twice"])
    assert np.array_equal(one["action"], two["action"])


def test_what_stands_out_counts_in_outlines_even_when_still() -> None:
    picture = torch.zeros(1, 3, 8, 8)
    picture[:, 0, :2, :2], picture[:, 1, 6:, 6:] = 0.9, 0.9
    red, green = picture[:, 0] > 0.5, picture[:, 1] > 0.5
    weight = salience(picture)
    assert weight.shape == (1, 1, 8, 8) and weight[:, 0][red].min() > 5 * weight[:, 0][~(red | green)].max()
    rest = (~(red | green)).float()
    shared = torch.stack([rest, (red | green).float(), torch.zeros_like(rest)], dim=1)
    apart = torch.stack([rest, red.float(), green.float()], dim=1)

    def gain(weights: torch.Tensor) -> float:
        return float(mixture(shared, picture, weights) - mixture(apart, picture, weights))

    assert gain(0.2 + weight) > 2 * gain(torch.full_like(weight, 0.2)) > 0


def test_what_stands_out_in_every_picture_alike_is_no_thing() -> None:
    pictures = torch.zeros(8, 3, 8, 8)
    pictures[:, :, 0] = -0.9
    for number in range(8):
        pictures[number, 0, 4:6, number : number + 1] = 0.9
    weight, things = salience(pictures, keen=True)[:, 0], pictures[:, 0] > 0.5
    rim = torch.zeros_like(things)
    rim[:, 0] = True
    assert weight[things].min() > 0.5 and weight[rim].max() < 0.05
    assert salience(pictures[:1], keen=True)[0, 0, 0].min() > 0.5, "of a single picture nobody knows"
    assert salience(pictures)[:, 0][rim].min() > 0.5


def test_shades_of_a_thing_are_nearer_to_each_other_than_things_of_other_hues() -> None:
    shades = torch.tensor([[0.9, -0.3, -0.5], [0.5, -0.5, -0.6], [-0.5, 0.5, -0.6]]).view(3, 3, 1, 1)
    lit, shaded, other = hues(shades)
    assert (lit - shaded).norm() < KEEN_SPREAD * 2 < 0.2 * (other - shaded).norm()
    grey = shades[:, :1]
    assert hues(grey) is grey
