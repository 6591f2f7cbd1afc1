"""Senses that silent episodes lack, told from what is seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextstate.actions.silent import SILENT
from nextstate.errors import UnknownNameError
from nextstate.models.imputing import Imputer
from nextstate.models.silent import INFERRING
from test_silent import WAYS, half_silent, make

SENSES = {"proprio": 4, "touch": 1}


def windows(seed: int, count: int = 32) -> dict[str, Tensor]:
    """A thing whose place and speed are posture, and which feels when it has left the middle."""
    draws = torch.Generator().manual_seed(seed)
    places = 0.2 * torch.randn(count, 6, 3, 2, generator=draws)
    places[:, :, 1] = 0.05 * torch.randn(count, 6, 2, generator=draws).cumsum(dim=1)
    went = torch.cat([places[:, 1:2, 1] - places[:, :1, 1], places[:, 1:, 1] - places[:, :-1, 1]], dim=1)
    codes = torch.tensor([[0.0], [1.0], [2.0]]).expand(count, 6, -1, -1)
    touch = (places[:, :, 1, :1] > 0.1).float()
    return {
        "places": places,
        "codes": codes,
        "proprio": torch.cat([10 * places[:, :, 1], 20 * went], -1),
        "touch": touch,
    }


def test_posture_and_touch_are_learned_from_pictures_and_fill_only_gaps() -> None:
    torch.manual_seed(0)
    imputer = Imputer(3, 1, SENSES, 32)
    optimiser = torch.optim.Adam(imputer.parameters(), 5e-3)
    for step in range(300):
        optimiser.zero_grad()
        torch.stack(list(imputer.missed(windows(step)).values())).sum().backward()
        optimiser.step()
    truth = windows(1000)
    gaps = {name: values.clone() for name, values in truth.items()}
    gaps["proprio"][1::2], gaps["touch"][1::2] = torch.nan, torch.nan
    filled = imputer.filled(gaps)
    for name in SENSES:
        assert torch.equal(filled[name][::2], truth[name][::2])
        missed = (filled[name][1::2] - truth[name][1::2]).square().mean() / truth[name].var()
        assert float(missed) < 0.2, name


def test_windows_that_lack_a_sense_do_not_teach_it() -> None:
    imputer = Imputer(3, 1, SENSES, 32)
    whole = windows(0, 4)
    gaps = {name: torch.cat([values, values]) for name, values in whole.items()}
    gaps["proprio"][4:], gaps["touch"][4:] = torch.nan, torch.nan
    for name, missed in imputer.missed(gaps).items():
        torch.testing.assert_close(missed, imputer.missed(whole)[name])


@pytest.mark.parametrize("way", WAYS)
def test_dynamics_learns_a_sense_of_windows_that_lack_it(way: str) -> None:
    model = make(way, imputed=["touch"], objective="flow")
    assert INFERRING in [stage.name for stage in model.stages]
    batch = half_silent(model)
    besides = {"action": batch.pop("action"), SILENT: torch.ones_like(batch.pop(SILENT))}
    batch["touch"][:] = torch.nan
    stage = next(stage for stage in model.stages if stage.name == "foresee")
    found = stage.loss(model, {**model.windows_for(stage, batch), **besides}, torch.Generator().manual_seed(0), 0.5)
    found["loss"].backward()
    told = model.dynamics.tell["touch"].weight.grad
    assert told is not None and told.abs().max() > 0
    assert model.silent is not None and model.silent.imputer is not None
    assert all(p.grad is None for p in model.silent.imputer.parameters())


def test_a_sense_that_the_model_does_not_have_cannot_be_told() -> None:
    with pytest.raises(UnknownNameError, match="smell"):
        make("labels", imputed=["smell"])
