"""Learning from episodes of which no command is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nextstate.actions.silent import SILENT
from nextstate.commands.pretrain import main as pretrain
from nextstate.data import Windows, open_cache
from nextstate.data.mixed import Mixed
from nextstate.data.parts import part_of, silenced
from nextstate.errors import ActionError, DatasetError, SettingsError, UnknownNameError
from nextstate.models import History, StateModel, WorldModel, WorldModelSpec, build
from nextstate.models.latent_actions import ByLatents, inferred
from nextstate.models.pretrained import from_pretrained, save_pretrained
from nextstate.models.protocol import unfit_commands
from nextstate.models.silent import INFERRING, infer, written
from nextstate.studies.latent_actions import action_r2
from recordings import make_dataset
from test_objectives import SMALL
from test_world_model import actions, history, spec, window

WAYS = ("labels", "latent")


def make(way: str, stirred: float = 0.05, known: WorldModelSpec | None = None, **options: object) -> StateModel:
    torch.manual_seed(0)
    model = build(known or spec(), "tiny", silent=way, **{**SMALL, "shared": ["proprio"], **options})
    for parameter in model.parameters():
        parameter.data += stirred * torch.randn_like(parameter)
    return model


def half_silent(model: StateModel) -> dict[str, Tensor]:
    """Windows, every second of which has no commands and no touch."""
    batch = window(model, 4)
    silent = torch.tensor([False, True, False, True])
    batch["touch"][silent] = torch.nan
    batch["action"][silent] = 0
    return {**batch, SILENT: silent}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("objective", ["pixel", "flow"])
def test_every_stage_learns_from_windows_that_lack_commands_and_touch(way: str, objective: str) -> None:
    model = make(way, objective=objective)
    batch = half_silent(model)
    besides = {"action": batch.pop("action"), SILENT: batch.pop(SILENT)}
    begin, whole = 0.0, sum(stage.share for stage in model.stages)
    for stage in model.stages:
        progress, begin = (begin + 0.5 * stage.share) / whole, begin + stage.share
        windows = {**model.windows_for(stage, batch), **besides}
        model.zero_grad()
        found = model.loss(windows, torch.Generator().manual_seed(0), progress)
        found["loss"].backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        assert all(torch.isfinite(g).all() for g in gradients.values()), stage.name
        if stage.name == "react":
            assert gradients["dynamics.unfelt"].abs().max() > 0
            assert any(n.startswith("silent.inverse") for n in gradients)


def test_a_batch_that_lacks_touch_altogether_teaches_no_spread_and_breaks_nothing() -> None:
    model = make("labels", objective="flow")
    batch = half_silent(model)
    stage = next(stage for stage in model.stages if stage.name == "foresee")
    recalled = model.windows_for(stage, {n: batch[n] for n in model.spec.modalities})
    windows = {n: v.clone() for n, v in (recalled | {"action": batch["action"]}).items()}
    windows["touch"][:] = torch.nan
    windows[SILENT] = torch.ones_like(batch[SILENT])
    found = stage.loss(model, windows, torch.Generator().manual_seed(0), 0.5)
    assert torch.isfinite(found["loss"]) and found["spreading"] == 0


def test_commands_of_silent_windows_change_nothing() -> None:
    model = make("labels")
    batch = half_silent(model)
    recalled = model.windows_for(model.stages[2], {n: batch[n] for n in model.spec.modalities})
    losses = []
    for told in (0.0, 1.0):
        windows = {**recalled, "action": batch["action"].clone(), SILENT: batch[SILENT]}
        windows["action"][batch[SILENT]] = told
        stage = model.stages[2]
        losses.append(float(stage.loss(model, windows, torch.Generator().manual_seed(0), 0.5)["loss"].detach()))
    assert losses[0] == losses[1]


def test_told_commands_are_taken_otherwise_than_known_ones() -> None:
    model = make("labels", marked=True)
    batch = half_silent(model)
    recalled = model.windows_for(model.stages[2], {n: batch[n] for n in model.spec.modalities})
    state = {n: recalled[n][:, 0] for n in model.state}
    memory, command = torch.zeros(4, model.tokens, model.size.token), batch["action"][:, 0].float()
    with torch.no_grad():
        plain, known, told = (
            model.dynamics(state, memory, torch.cat([command, mark], dim=-1))[0]["places"]
            for mark in (torch.zeros(4, 0), torch.zeros(4, 1), torch.ones(4, 1))
        )
    torch.testing.assert_close(plain, known)
    assert not torch.allclose(known, told)
    filled = written(model, {**recalled, "action": batch["action"], SILENT: batch[SILENT]})["action"]
    assert torch.equal(filled[..., -1], batch[SILENT][:, None].float().expand(filled.shape[:2]))
    with pytest.raises(SettingsError, match="marked"):
        make("latent", marked=True)


def test_latent_actions_are_taught_by_labelled_windows_alone() -> None:
    model = make("latent", taught=True, objective="flow")
    batch = half_silent(model)
    stage = next(stage for stage in model.stages if stage.name == INFERRING)
    recalled = model.windows_for(stage, {n: batch[n] for n in model.spec.modalities})
    losses = []
    for changed in (slice(0, 0), slice(1, 2), slice(2, 3)):
        windows = {n: v.clone() for n, v in recalled.items()} | {
            "action": batch["action"].clone(),
            SILENT: batch[SILENT],
        }
        windows["action"][changed] += 1
        model.zero_grad()
        found = stage.loss(model, windows, torch.Generator().manual_seed(0), 0.5)
        found["loss"].backward()
        losses.append(float(found["told commands"].detach()))
    assert losses[0] == losses[1] != losses[2]
    assert model.silent is not None and model.silent.inverse.tell.weight.grad.abs().max() > 0
    with pytest.raises(SettingsError, match="taught"):
        make("labels", taught=True)


def test_a_sense_that_is_lacking_stays_lacking_and_moves_nothing_else() -> None:
    model = make("labels")
    batch = half_silent(model)
    recalled = model.windows_for(model.stages[2], {n: batch[n] for n in model.spec.modalities})
    state = {n: recalled[n][:, 0] for n in model.state}
    memory = torch.zeros(4, model.tokens, model.size.token)
    with torch.no_grad():
        after, _ = model.dynamics(state, memory, batch["action"][:, 0])
        alone, _ = model.dynamics({n: v[:1] for n, v in state.items()}, memory[:1], batch["action"][:1, 0])
    assert torch.equal(after["touch"].isnan().all(dim=1), batch[SILENT])
    torch.testing.assert_close(after["places"][:1], alone["places"])
    assert all(after[n].isfinite().all() for n in model.state if n != "touch")


def test_the_inverse_model_learns_which_command_moved_a_thing() -> None:
    model = make("labels", known=spec("rgb"), stirred=0.0, shared=[])
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)

    def moved(seed: int) -> dict[str, Tensor]:
        draws = torch.Generator().manual_seed(seed)
        commands = torch.rand(32, 5, 2, generator=draws) * 2 - 1
        places = 0.2 * torch.randn(32, 6, 3, 2, generator=draws)
        places[:, :, 1] = 0
        places[:, 1:, 1] = 0.1 * commands.cumsum(dim=1)
        codes = torch.randn(32, 1, 3, 24, generator=draws).expand(-1, 6, -1, -1)
        return {"places": places, "codes": codes, "action": commands, SILENT: torch.zeros(32)}

    for step in range(150):
        optimiser.zero_grad()
        infer(model, moved(step), generator, 0.5)["loss"].backward()
        optimiser.step()
    unseen = moved(1000)
    assert model.silent is not None
    missed = (model.silent.infer(unseen) - unseen["action"]).square().mean() / unseen["action"].var()
    assert float(missed.detach()) < 0.1


def test_commands_ground_in_latent_actions_and_both_move_the_same_world() -> None:
    model = make("latent")
    assert isinstance(ByLatents(model), WorldModel)
    belief, plan = model.observe(history(model)), actions()
    future = model.imagine(belief, plan)
    assert model.silent is not None and model.silent.ground is not None
    with torch.no_grad():
        latents = model.silent.ground({n: belief.tensors[n] for n in model.state}, plan[:, 0])
    by_latents = ByLatents(model).imagine(belief, latents[:, None])
    torch.testing.assert_close(future.tensors["places"][:, 0], by_latents.tensors["places"][:, 0])
    other = ByLatents(model).imagine(belief, latents[:, None] + 1)
    assert not torch.allclose(other.tensors["places"], by_latents.tensors["places"])


def test_a_model_of_silent_episodes_alone_refuses_commands_by_name_and_comes_back_from_disk(tmp_path: Path) -> None:
    known = WorldModelSpec("quiet", spec("rgb").modalities, 0, 10.0, 3, 5)
    model = make("latent", known=known, shared=[])
    full = window(model)
    before = History({"rgb": full["rgb"][:, :3]}, torch.zeros(2, 2, 2))
    with pytest.raises(ActionError, match="takes no motor commands; ground it"):
        model.observe(before)
    told = inferred(model, {"rgb": full["rgb"]})
    assert told.shape == (2, 7, model.size.latent)
    save_pretrained(model, tmp_path / "model", {})
    again = ByLatents(from_pretrained(tmp_path / "model"))
    found = [m.imagine(m.observe(History(before.states, told[:, :2])), told[:, 2:]) for m in (ByLatents(model), again)]
    torch.testing.assert_close(found[0].tensors["places"], found[1].tensors["places"])


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="guess"):
        make("guess")
    with pytest.raises(SettingsError, match="labels"):
        make("labels", known=WorldModelSpec("quiet", spec("rgb").modalities, 0, 10.0, 3, 5), shared=[])
    with pytest.raises(SettingsError, match="learns to see by commands"):
        make("labels", objective="latent")
    with pytest.raises(SettingsError, match="knows commands only"):
        ByLatents(make("labels"))


def test_labelled_and_silent_windows_share_a_batch(tmp_path: Path) -> None:
    make_dataset(tmp_path, episodes=6)
    cache = open_cache(tmp_path, workers=1)
    kinds = cache.state_spec
    told = Windows(part_of(cache, 0, 3), 5, "all", 0)
    untold = Windows(silenced(part_of(cache, 3), ["rgb", "depth"]), 5, "all", 0)
    both = Mixed(told, untold, 0.25, kinds)
    batch, again = both.batch(3, 8), both.batch(3, 8)
    assert batch[SILENT].sum() == 6 and all(np.array_equal(batch[n], again[n], equal_nan=True) for n in ("rgb", SILENT))
    assert np.isnan(batch["proprio"][batch[SILENT]]).all() and np.isfinite(batch["proprio"][~batch[SILENT]]).all()
    assert not batch["action"][batch[SILENT]].any() and batch["action"][~batch[SILENT]].any()
    frames = both.frames(told.rows - 2, 4)
    np.testing.assert_array_equal(frames["rgb"], cache.arrays["rgb"][told.rows - 2 : told.rows + 2])
    numbers = np.arange(both.rows, dtype=np.float32)[:, None]
    over = both.over({"places": numbers}).batch(3, 8)
    assert ((over["places"][:, 0, 0] >= told.rows) == over[SILENT]).all()
    with pytest.raises(DatasetError, match="--modalities rgb proprio"):
        Mixed(told, Windows(silenced(part_of(cache, 3), ["rgb"]), 5, "all", 0), 0.25, kinds)
    with pytest.raises(SettingsError, match="labelled-share"):
        Mixed(told, untold, 1.5, kinds)


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_run_goes_through_and_its_actions_can_be_compared(way: str, tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", episodes=8, length=20)
    data = str(tmp_path / "data")
    options = [f"{n}={v}" for n, v in SMALL.items()]
    common = ["--data", data, "--preset", "tiny", "--options", *options, "--context", "2", "--horizon", "3"]
    common += ["--steps", "10", "--batch", "4", "--validation-windows", "2", "--no-tensorboard", "--threads", "1"]
    part = ["--episodes", "0:4", "--silent", data, "--silent-episodes", "4:", "--silent-modalities", "rgb", "depth"]
    assert pretrain([*common, *part, "--silent-by", way, "--out", str(tmp_path / "run")]) == 0
    model = from_pretrained(tmp_path / "run" / "model")
    assert model.spec.action_size == 2 and model.silent.by == way
    found = action_r2(model, open_cache(data), windows=4)
    assert found.r2 <= 1 and found.interval[0] <= found.interval[1] and found.steps == 4 * 15
    if way == "latent":
        quiet = [*common, "--modalities", "rgb", "--silent-by", way]
        assert pretrain([*quiet, "--labelled-share", "0", "--out", str(tmp_path / "quiet")]) == 0
        begun = ["--init-from", str(tmp_path / "quiet/model"), "--init-partial", "--stages", "react", "foresee"]
        assert pretrain([*quiet, *begun, "--out", str(tmp_path / "grounded")]) == 0
        assert from_pretrained(tmp_path / "grounded" / "model").spec.action_size == 2


def test_a_model_that_takes_no_commands_fits_no_world() -> None:
    quiet, told = (WorldModelSpec("m", spec("rgb").modalities, size, 10.0, 3, 5) for size in (0, 2))
    assert "silent episodes alone" in unfit_commands(quiet, 2, "the world's")[0]
    assert unfit_commands(told, 3, "the world's") == ["its actions have 2 numbers, the world's 3"]
    assert unfit_commands(told, 2, "the world's") == []
