"""A rectified flow around the central future: it samples what may happen, and only that."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextstate.errors import SettingsError
from nextstate.models.flow import Flow


def toy() -> Flow:
    """Where the first token says so, the only thing went left or right by chance; else it stayed, all but exactly."""
    torch.manual_seed(0)
    flow = Flow(things=1, gist=1, code=2, senses={"touch": 1}, token=8, width=32)
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(flow.parameters(), 6e-3)
    tokens = scenes(128)
    for step in range(600):
        for group in optimiser.param_groups:
            group["lr"] = 6e-3 * min(1.0, 2 - step / 300)
        side = torch.randint(0, 2, (128, 1, 1, 1), generator=generator) * 2.0 - 1
        moved = torch.cat([side, torch.zeros(128, 1, 1, 1)])
        noise = 0.01 * torch.randn((256, 1, 1, 4), generator=generator)
        things = noise + torch.cat([moved, torch.zeros(256, 1, 1, 3)], dim=-1)
        # What is felt tells the side too: both must be drawn together.
        off = {"things": things, "touch": moved[..., :1] + noise[..., :1], "gist": noise[..., :2]}
        order = torch.randperm(256, generator=generator)
        off = {name: value[order] for name, value in off.items()}
        flowing, spreading = flow.losses(tokens[order], off, torch.ones(256, 1, 1, 1), generator)
        optimiser.zero_grad()
        (flowing + spreading).backward()
        optimiser.step()
    return flow


def scenes(count: int) -> Tensor:
    """Tokens ``(2 * count, 1, 3, 8)``: open scenes, then certain ones."""
    tokens = torch.zeros(2 * count, 1, 3, 8)
    tokens[:count, ..., 0] = 1.0
    tokens[count:, ..., 1] = 1.0
    return tokens


@pytest.fixture(scope="module")
def flow() -> Flow:
    return toy()


@pytest.mark.parametrize("steps", [1, 2, 4])
@torch.no_grad()
def test_both_outcomes_are_drawn_where_there_are_two_and_none_where_there_is_one(flow: Flow, steps: int) -> None:
    drawn = [flow.draw(scenes(1), flow.noise(sample), steps) for sample in range(200)]
    places = torch.stack([d["things"][:, 0, 0, 0] for d in drawn])
    felt = torch.stack([d["touch"][:, 0, 0, 0] for d in drawn])
    left, right = (places[:, 0] < -0.5).float().mean(), (places[:, 0] > 0.5).float().mean()
    # Of one normal law of the same spread, a fifth would lie between; more steps leave the gap emptier.
    between = (places[:, 0].abs() < 0.25).float().mean()
    assert left > 0.3 and right > 0.3 and between < {1: 0.16, 2: 0.13, 4: 0.06}[steps]
    assert (places[:, 0].sign() == felt[:, 0].sign()).float().mean() > 0.9
    assert places[:, 1].abs().max() < 0.2


def test_a_future_is_the_same_each_time_it_is_drawn(flow: Flow) -> None:
    one, two, other = (flow.draw(scenes(1), flow.noise(sample))["things"] for sample in (3, 3, 4))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_steps_that_were_not_learned_are_refused() -> None:
    with pytest.raises(SettingsError, match="1, 2, 4"):
        Flow(things=1, gist=1, code=2, senses={}, token=8, steps=3)
