"""Leaps: five steps at once, in order, learned from what a model sees."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from nextstate.errors import PlanningError
from nextstate.models.heads import HeadShape
from nextstate.models.leap import STRIDE, Leap, Leaping, leap_loss
from nextstate.models.pretrained import from_pretrained
from nextstate.models.protocol import History
from nextstate.models.world_model import StateModel
from nextstate.planning import Future, Guide, Problem, SeenDistance, TimeToGo
from nextstate.planning.planners.guided import Guided
from nextstate.policies.leaping import InLeaps
from nextstate.policies.planned import Planned

SHAPE = HeadShape(things=3, code=4, proprio=2, action=2)


def state(rows: int) -> dict[str, torch.Tensor]:
    return {"places": torch.rand(rows, 3, 2), "codes": torch.rand(rows, 3, 4), "proprio": torch.rand(rows, 2)}


def test_a_fresh_leap_foresees_that_everything_stays() -> None:
    now = state(4)
    places, felt = Leap(SHAPE)(now, torch.ones(4, 3), torch.rand(4, 6, STRIDE * 2))
    assert torch.equal(places, now["places"][:, None].expand_as(places))
    assert torch.equal(felt, now["proprio"][:, None].expand_as(felt))


def test_a_command_changes_what_follows_and_nothing_before() -> None:
    torch.manual_seed(0)
    leap, now, there = Leap(SHAPE), state(1), torch.ones(1, 3)
    torch.nn.init.normal_(leap.conclude.weight, std=0.1)
    commands = torch.rand(1, 4, STRIDE * 2)
    other = commands.clone()
    other[:, 2, -1] += 1
    before, after = leap(now, there, commands)[0], leap(now, there, other)[0]
    assert torch.equal(before[:, :2], after[:, :2]) and not torch.equal(before[:, 2:], after[:, 2:])


def test_leaps_learn_where_commands_lead() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    action = rng.uniform(-1, 1, (64, 20, 2)).astype(np.float32)
    walk = np.concatenate([np.zeros((64, 1, 2)), 0.03 * action.cumsum(axis=1)], axis=1).astype(np.float32)
    places = np.zeros((64, 21, 3, 2), np.float32)
    places[:, :, 0] = walk
    batch = {
        "places": torch.from_numpy(places),
        "codes": torch.zeros(64, 21, 3, 4),
        "there": torch.ones(64, 21, 3),
        "proprio": torch.from_numpy(walk / 0.1),
        "action": torch.from_numpy(action),
    }
    leap, generator = Leap(SHAPE), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(leap.parameters(), 3e-3)
    for _ in range(120):
        optimiser.zero_grad()
        losses = leap_loss(leap, batch, generator)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert losses["places"].item() < 0.2 * losses["still"].item()


def test_a_plan_in_leaps_is_done_command_by_command() -> None:
    asked = []

    def select_action(observation: Any) -> np.ndarray:
        asked.append(observation)
        return np.arange(2 * STRIDE, dtype=np.float32) + 100 * len(asked)

    actor = InLeaps(cast(Planned, SimpleNamespace(select_action=select_action, reset=lambda: None, due=True)))
    done = [actor.select_action({"step": np.array(step)}) for step in range(STRIDE + 1)]
    assert len(asked) == 2 and np.array_equal(done[1], [102, 103]) and np.array_equal(done[STRIDE], [200, 201])


def test_plans_in_leaps_begin_with_what_a_guide_says() -> None:
    eye = cast(StateModel, from_pretrained("push"))
    kinds = eye.spec.modalities
    shape = HeadShape(eye.size.things, eye.size.code, kinds["proprio"].shape[0], eye.spec.action_size)
    torch.manual_seed(0)
    model, guide = Leaping(eye, Leap(shape).eval()), Guide(shape).eval()
    states = {name: kind.denormalise(torch.zeros(1, 1, *kind.shape)) for name, kind in kinds.items()}
    belief = model.observe(History(states, torch.zeros(1, 0, model.spec.action_size)))
    wanted = SeenDistance(model, torch.zeros(1, shape.things, 2), torch.ones(1, shape.things))
    cost = TimeToGo(guide, wanted)
    plan = Guided(candidates=6, polish=0).plan(Problem(model, belief, cost, horizon=2))
    assert plan.actions.shape == (1, 2, STRIDE * shape.action)
    future = Future(model, belief, belief.map(lambda tensor: tensor[:, None]), torch.zeros(1).long())
    told = cost.advise(future)[1][0, 0].view(STRIDE, shape.action)
    assert torch.equal(told[shape.chunk - 1], told[shape.chunk]), "beyond what a guide tells, its last command is held"
    assert not torch.equal(told[0], told[1])
    with pytest.raises(PlanningError, match="draws nothing"):
        model.decode(belief, ["rgb"])
