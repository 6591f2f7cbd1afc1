"""Posture is read off pictures: angles where joints go round, numbers elsewhere, and nothing that does not show."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from nextstate.errors import PlanningError
from nextstate.modalities import Proprio
from nextstate.models.heads import HeadShape
from nextstate.models.posture import Posture, posture_loss
from nextstate.models.protocol import Beliefs
from nextstate.planning import Future
from nextstate.planning.posed import PostureDistance

SHAPE = HeadShape(things=2, code=1, proprio=3, action=1, gist=2)
KIND = Proprio(shape=(3,), mean=(0.5, 0.0, 0.0), std=(4.0, 0.5, 2.0))


def frames(count: int, seed: int) -> dict[str, torch.Tensor]:
    """An arm that has gone round several times, a slider, and a speed; the eye sees the arm's end and the slider."""
    generator = torch.Generator().manual_seed(seed)
    angle = 14 * torch.rand(count, generator=generator) - 7
    slide = torch.rand(count, generator=generator) - 0.5
    speed = 2 * torch.randn(count, generator=generator)
    end = torch.stack([angle.cos(), angle.sin()], dim=1)
    places = torch.stack([0.5 * end, torch.stack([slide, torch.zeros(count)], dim=1)], dim=1)
    felt = KIND.normalise(torch.stack([angle, slide, speed], dim=1))
    batch = {"places": places, "codes": torch.zeros(count, 2, 1), "gist": torch.zeros(count, 1, 2), "proprio": felt}
    return {name: values.unflatten(0, (-1, 8)) for name, values in batch.items()}


@pytest.fixture(scope="module")
def read() -> Posture:
    torch.manual_seed(0)
    head, batch = Posture(SHAPE), frames(4096, 0)
    head.fit(batch, KIND)
    optimiser = torch.optim.Adam(head.parameters(), 1e-3)
    for _ in range(400):
        optimiser.zero_grad()
        posture_loss(head, batch, torch.Generator())["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    head.judge(frames(512, 1))
    return head.eval()


def test_what_goes_round_is_read_as_an_angle_and_speeds_are_not_read(read: Posture) -> None:
    assert read.turns.tolist()[0] == 1
    assert read.matters.tolist() == [1, 1, 0]
    held = {name: values.flatten(0, 1) for name, values in frames(64, 2).items()}
    missed = read.gap(held["proprio"], read(held)) * read.std
    assert missed[:, 0].abs().median() < 0.1 and missed[:, 1].abs().median() < 0.1


def test_the_shorter_way_round(read: Posture) -> None:
    felt = KIND.normalise(torch.tensor([[6.0, 0.0, 0.0]]))
    told = torch.tensor([[[math.sin(0.1), 0, 0], [math.cos(0.1), 0, 0], [0.0, 0.0, 0.0]]])
    assert float(read.gap(felt, told)[0, 0] * read.std[0]) == pytest.approx(0.1 + 2 * math.pi - 6.0, abs=1e-4)


def test_a_future_costs_less_the_nearer_it_brings_the_body(read: Posture) -> None:
    there = {name: values.flatten(0, 1)[:1] for name, values in frames(8, 3).items()}
    cost, goal = PostureDistance.of(read, there), there["proprio"]
    here = goal + torch.tensor([[0.2, 0.4, 3.0]])
    way = torch.stack([here + share * (goal - here) for share in (0.0, 0.5, 1.0)], dim=1)

    class Nobody:
        pass

    found = cost(Future(Nobody(), Beliefs({"proprio": here}), Beliefs({"proprio": way}), torch.tensor([0])))  # type: ignore[arg-type]
    assert found.shape == (1, 3) and bool((found.diff() < 0).all())
    still = way * torch.tensor([1.0, 1.0, 0.0])
    rested = cost(Future(Nobody(), Beliefs({"proprio": here}), Beliefs({"proprio": still}), torch.tensor([0])))  # type: ignore[arg-type]
    assert bool((rested < found).all()), "who is there and rests is better off"


def test_what_shows_nowhere_leads_nowhere(tmp_path: Path, read: Posture) -> None:
    read.save(tmp_path)
    assert torch.equal(Posture.load(tmp_path).shows, read.shows)
    with pytest.raises(PlanningError, match="no posture can be read"):
        PostureDistance.of(Posture(SHAPE), {name: values[0] for name, values in frames(8, 4).items()})
    with pytest.raises(PlanningError, match="feels no posture"):
        Posture(HeadShape(things=2, code=1, proprio=0, action=1))
