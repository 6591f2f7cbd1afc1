"""Objectives on one trunk: each learns, obeys actions, and comes back from disk as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextstate.commands.pretrain import Config, objective_of
from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models import StateModel, build
from nextstate.models.lite import Lite
from nextstate.models.objectives import OBJECTIVES, mixed, parse_weights
from nextstate.models.objectives.pixel import rare
from nextstate.models.operations import count_window
from nextstate.models.pretrained import from_pretrained, save_pretrained
from nextstate.training.loop import Trainer
from nextstate.training.run import Run
from nextstate.training.settings import TrainingSettings
from test_stages import Frames
from test_world_model import actions, history, spec, window

SMALL = {"things": 3, "gist": 1, "token": 16, "message": 8, "vision": 8, "drawing": 8}
OTHERS = [name for name in OBJECTIVES if name != "pixel"]
MIXTURE = ",".join(f"{name}={1 if name == 'pixel' else 0.1}" for name in OBJECTIVES)
DISTINCT = {OBJECTIVES[name].stages[place].loss: (name, place) for name in OTHERS for place in range(4)}
"""Where each loss that there is occurs first."""


@pytest.fixture(autouse=True)
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen encoder's weights come with a package that need not be there."""
    monkeypatch.setattr(Lite, "load_package", lambda self: None)


def make(objective: str, stirred: float = 0.05) -> StateModel:
    torch.manual_seed(0)
    model = build(spec(), "tiny", objective=objective, **SMALL)
    # A fresh network moves nothing; one that has learned does.
    for parameter in model.parameters():
        parameter.data += stirred * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("objective, stage", [*DISTINCT.values(), *((MIXTURE, place) for place in range(4))])
def test_every_stage_of_every_objective_learns(objective: str, stage: int) -> None:
    model = make(objective)
    shares = [s.share for s in model.stages]
    progress = (sum(shares[:stage]) + 0.5 * shares[stage]) / sum(shares)
    action = (batch := window(model, 4)).pop("action")
    batch = {**model.windows_for(model.stages[stage], batch), "action": action}
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = model.loss(batch, torch.Generator().manual_seed(0), progress)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.02 * abs(losses[0])


@pytest.mark.parametrize("objective", OTHERS)
@pytest.mark.parametrize("sample", [None, 1])
def test_an_action_changes_its_own_step_and_later_ones_only(objective: str, sample: int | None) -> None:
    model = make(objective)
    belief, plan = model.observe(history(model)), actions()
    other = plan.clone()
    other[:, 3] = -other[:, 3]
    one, two = (model.decode(model.imagine(belief, p, sample), ["rgb", "proprio"]) for p in (plan, other))
    for name in one:
        assert torch.equal(one[name][:, :3], two[name][:, :3])
        assert not torch.equal(one[name][:, 3], two[name][:, 3])
    last = plan.clone()
    last[:, -1] = -last[:, -1]
    assert not torch.equal(one["proprio"], model.decode(model.imagine(belief, last, sample), ["proprio"])["proprio"])


def test_a_sampled_future_goes_on_as_it_began() -> None:
    model = make("flow")
    belief, plan = model.observe(history(model)), actions()
    whole = model.imagine(belief, plan, 2)
    half = model.imagine(belief, plan[:, :3], 2)
    rest = model.imagine(half.map(lambda t: t[:, -1]), plan[:, 3:], 2)
    for name in ("places", "codes", "proprio", "touch"):
        assert torch.equal(whole.tensors[name][:, -1], rest.tensors[name][:, -1])
        assert not torch.equal(whole.tensors[name], model.imagine(belief, plan).tensors[name])


@pytest.mark.parametrize("objective", [*OTHERS, MIXTURE])
def test_a_saved_model_says_what_it_was_trained_for(objective: str, tmp_path: Path) -> None:
    model = make(objective).eval()
    save_pretrained(model, tmp_path / "model", {})
    again = from_pretrained(tmp_path / "model")
    assert again.config()["options"]["objective"] == objective and again.spec == model.spec
    belief, plan = model.observe(history(model)), actions()
    for sample in (None, 0):
        one, two = (m.imagine(belief, plan, sample).tensors for m in (model, again))
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_step_costs_the_same_throughout_a_stage_unless_that_says_it_grows() -> None:
    model = make(MIXTURE)
    for stage in model.stages:
        first, last = (count_window(model, stage, local) for local in (0.0, 1.0))
        assert last > first if stage.grows else last == first


def test_interrupted_the_weights_end_the_same(tmp_path: Path) -> None:
    def train(out: Path, stop: int | None = None) -> dict[str, torch.Tensor]:
        from dataclasses import replace

        kinds = {n: type(k)(shape=Frames().arrays[n].shape[1:]) for n, k in spec("rgb", "proprio").modalities.items()}
        torch.manual_seed(0)
        made = build(replace(spec(), modalities=kinds, context=2, horizon=4), "tiny", objective=MIXTURE, **SMALL)
        settings = TrainingSettings(
            steps=20, batch=4, checkpoint_every="4", precision="fp32", threads=1, tensorboard=False
        )
        run = Run(out, {"training": settings.to_dict()})
        try:
            Trainer(made, Frames(stop=stop), settings, run).fit()
        finally:
            run.close()
        return made.state_dict()

    whole = train(tmp_path / "whole")
    for stop in (3, 16):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", stop)
    resumed = train(tmp_path / "parts")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_mixtures_are_weighted_sums() -> None:
    assert parse_weights("flow=.5, pixel=2", OBJECTIVES) == {"pixel": 2.0, "flow": 0.5}
    stages = mixed({"pixel": 2.0, "flow": 0.5}, OBJECTIVES)
    model, generator = make(MIXTURE), lambda: torch.Generator().manual_seed(0)
    action = (batch := window(model, 4)).pop("action")
    batch = {**model.windows_for(stages[2], batch), "action": action}
    both = stages[2].loss(model, batch, generator(), 0.5)
    source = generator()
    apart = [OBJECTIVES[name].stages[2].loss(model, batch, source, 0.5)["loss"] for name in ("pixel", "flow")]
    assert float(both["loss"].detach()) == pytest.approx(float((2 * apart[0] + 0.5 * apart[1]).detach()), rel=1e-5)
    # What both learn alike is learned once, and a single objective is what it always was.
    assert len(stages[1].loss(model, batch, generator(), 0.5)) == len(model.state) + 1
    assert mixed({"pixel": 3.0}, OBJECTIVES) == OBJECTIVES["pixel"].stages


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("pixle", UnknownNameError, "pixel"),
        ("pixel=1,flaw=2", UnknownNameError, "flow"),
        ("pixel=much", SettingsError, "'much' is no weight of pixel"),
        ("pixel=-1", SettingsError, "above 0"),
        ("pixel=1,pixel=2", SettingsError, "named twice"),
    ],
)
def test_objectives_and_weights_that_cannot_be_are_named(text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        build(spec(), "tiny", objective=text)


def test_a_model_goes_on_with_the_objective_it_began_with(tmp_path: Path) -> None:
    def chosen(start: Path | None = None, objective: str = "") -> str:
        return objective_of(Config(data=tmp_path, out=tmp_path, init_from=start, objective=objective))

    untold = save_pretrained(build(spec(), "tiny"), tmp_path / "untold", {})
    latent = save_pretrained(make("latent"), tmp_path / "latent", {})
    assert chosen() == "flow"
    (tmp_path / "config.json").write_text('{"options": {}}', encoding="utf-8")
    assert chosen() == "pixel", "a run that began when there was another default goes on with it"
    (tmp_path / "config.json").unlink()
    assert chosen(untold) == "pixel" and chosen(latent) == "latent"
    assert chosen(untold, "flow") == "flow"


def test_options_of_an_objective_belong_to_it() -> None:
    model = build(spec(), "tiny", objective="flow", flow_steps=4)
    assert model.flow is not None and model.flow.steps == 4
    with pytest.raises(SettingsError, match="flow_steps"):
        build(spec(), "tiny", flow_steps=4)


def test_what_seldom_moves_is_redrawn_often() -> None:
    size, horizon = 60, 8
    gone = torch.zeros(size, horizon, 3, 2)
    gone[:, :, 0] = 0.3  # An arm, always elsewhere.
    gone[:6, 5:, 1] = 0.3  # A drawer, in a tenth of the windows and late in them.
    there = torch.ones(size, horizon, 3)
    there[:, :, 2], gone[..., 2, :] = 0.0, 0.3  # What is not there goes nowhere.
    chosen = [rare(gone, there, torch.Generator().manual_seed(seed)) for seed in range(50)]
    picked, instants = (torch.cat(part) for part in zip(*chosen, strict=True))
    assert len(picked) == 50 * size // 3
    drawers = picked < 6
    assert 0.2 < float(drawers.float().mean()) < 0.9, "often, and not to the exclusion of all else"
    assert float((instants[drawers] >= 5).float().mean()) > 0.7
    assert float((instants[~drawers] >= 5).float().mean()) < 0.5
