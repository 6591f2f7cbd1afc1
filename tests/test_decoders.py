"""Decoders of motor commands: each finds what leads somewhere, and a perfect future is followed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nextstate.errors import CheckpointError, PlanningError, UnknownNameError
from nextstate.models.folders import SHIPPED
from nextstate.models.heads import Head, HeadShape
from nextstate.planning import SeenDistance
from nextstate.planning.costs import IN_HAND
from nextstate.planning.planners.guided import Guided
from nextstate.policies import load
from nextstate.policies.inverse import Inverse, inverse_loss
from nextstate.policies.joint import STEPS, Joint, Layer, fit_spread, joint_loss
from nextstate.policies.learning import HEADS, Loss
from nextstate.policies.looking import Foreseen, inverting
from nextstate.policies.planned import Planned
from nextstate.training.optimiser import Optimiser
from nextstate.worlds import make_world
from test_guide import SPEED, window

SHAPE = HeadShape(things=2, code=4, proprio=0, action=2, width=32)


def learned(head: Any, loss_of: Loss, steps: int, lr: float = 5e-3, muon: bool = False) -> Any:
    optimiser = Optimiser(head, lr, muon=muon)
    for step in range(steps):
        loss_of(head, window(step), torch.Generator().manual_seed(step))["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step(1.0 - step / steps)
    return head.eval()


@pytest.fixture(scope="module")
def inverse() -> Inverse:
    torch.manual_seed(0)
    return learned(Inverse(SHAPE), inverse_loss, 300)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def joint() -> Joint:
    torch.manual_seed(0)
    head = Joint(SHAPE)
    fit_spread(head, window(0))
    return learned(head, joint_loss, 300, lr=1e-2, muon=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    places = torch.tensor([[[0.0, 0.0], [0.3, 0.3]]]).expand(16, -1, -1)
    return {"places": places, "codes": torch.zeros(16, 2, 4)}


ANGLES = torch.arange(16) * torch.pi / 8
TOWARDS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)


def test_inverse_dynamics_finds_what_was_done(inverse: Inverse, state: dict[str, Tensor]) -> None:
    later = state["places"].clone()
    later[:, 0] += 2 * SPEED * 0.8 * TOWARDS
    with torch.no_grad():
        told = inverse(state, {"places": later, "there": torch.ones(16, 2)}, torch.full((16,), 2))
    assert (told[:, :2] - 0.8 * TOWARDS[:, None]).abs().mean() < 0.2


def test_whoever_follows_a_known_future_rests_when_it_is_over(inverse: Inverse, state: dict[str, Tensor]) -> None:
    now = {name: values[:1] for name, values in state.items()}
    after = now["places"] + torch.arange(1, 4)[:, None, None] * torch.tensor([[SPEED, 0.0], [0.0, 0.0]])
    future = Foreseen({"places": after, "there": torch.ones(3, 2)})
    goal = SeenDistance(None, after[-1:], torch.ones(1, 2))  # type: ignore[arg-type]
    follow = inverting(inverse, goal, future)
    assert follow(now, 0).commands[0, 0, 0] > 0.5
    assert not follow(now, 3).commands.any(), "although nothing has come of it"


def test_one_network_is_policy_inverse_and_video(joint: Joint, state: dict[str, Tensor]) -> None:
    wanted = state["places"].clone()
    wanted[:, 0] += STEPS * SPEED * 0.8 * TOWARDS
    there, generator = torch.ones(16, 2), torch.Generator().manual_seed(0)
    both = joint.draw(state, wanted, there, generator)
    video = joint.draw(state, wanted, there, generator, deaf=True)
    path = state["places"][:, None].repeat(1, STEPS, 1, 1)
    path[:, :, 0] += torch.arange(1, STEPS + 1)[None, :, None] * SPEED * 0.8 * TOWARDS[:, None]
    followed = joint.draw(state, wanted, there, generator, given={"places": path})
    for drawn in (both, followed):
        assert torch.cosine_similarity(drawn.commands.mean(dim=1), TOWARDS).mean() > 0.9
    missed = [(drawn.commands - 0.8 * TOWARDS[:, None]).abs().mean() for drawn in (followed, both)]
    assert missed[0] < missed[1]
    far = (state["places"] - wanted)[:, 0].norm(dim=-1).median()
    for drawn in (both, video):
        assert (drawn.places[:, -1] - wanted)[:, 0].norm(dim=-1).median() < 0.5 * far


def test_the_same_network_foresees_what_comes_of_commands(joint: Joint, state: dict[str, Tensor]) -> None:
    commands, nowhere = 0.8 * TOWARDS[:, None].repeat(1, STEPS, 1), torch.zeros(16, 2)
    ahead = joint.draw(state, state["places"], nowhere, torch.Generator().manual_seed(0), commanded=commands)
    assert torch.equal(ahead.commands, commands)
    moved, told = (ahead.places[:, -1] - state["places"])[:, 0], commands.sum(dim=1) * SPEED
    assert torch.cosine_similarity(moved, told).median() > 0.9
    assert (moved - told).norm(dim=-1).median() < 0.5 * told.norm(dim=-1).median()
    with pytest.raises(PlanningError, match="both settled"):
        joint.draw(state, state["places"], nowhere, torch.Generator(), deaf=True, commanded=commands)


def test_its_layers_are_those_of_torch() -> None:
    torch.manual_seed(0)
    mine = Layer(32, 4, 64)
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, 64, 0.0, torch.nn.functional.silu, batch_first=True, norm_first=True
    )
    theirs.load_state_dict(mine.state_dict())
    tokens = torch.randn(3, 8, 32)
    assert torch.allclose(mine(tokens), theirs(tokens), atol=1e-5)


def test_draws_differ_and_their_future_is_that_of_their_commands(joint: Joint, state: dict[str, Tensor]) -> None:
    wanted, there = state["places"], torch.zeros(16, 2)
    drawn = joint.draw(state, wanted, there, torch.Generator().manual_seed(1))
    assert drawn.commands.mean(dim=1).std(dim=0).min() > 0.1
    moved = (drawn.places[:, -1] - state["places"])[:, 0]
    told = drawn.commands.sum(dim=1) * SPEED
    assert torch.cosine_similarity(moved, told).median() > 0.8


def test_heads_are_kept_and_come_back(inverse: Inverse, joint: Joint, tmp_path: Any) -> None:
    heads: list[Head] = [inverse, joint]
    for head in heads:
        head.save(tmp_path)
        again = type(head).load(tmp_path)
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in head.state_dict().items())


@pytest.mark.parametrize("looks", [0, 24])
@pytest.mark.parametrize("decoder", ["planner", "cloned", "inverse", "joint"])
def test_a_policy_is_loaded_with_a_goal_and_acts(decoder: str, looks: int, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED / "push", folder)
    for path in folder.glob("*.safetensors"):
        if path.stem in HEADS:
            path.unlink()
    world = make_world("push")
    goal, _ = world.reset(seed=1)
    now, _ = world.reset(seed=2)
    if decoder != "planner":
        with pytest.raises(CheckpointError, match="nextstate guide"):
            load(folder, goal, decoder)
    shape = HeadShape(things=10, code=24, proprio=4, action=2, gist=96, looks=looks, touch=8 if looks else 0)
    for kind, _ in HEADS.values():
        kind(shape).save(folder)
    policy = load(folder, goal, decoder)
    policy.reset()
    for _ in range(3):
        action = policy.select_action(now)
        assert action.shape == (2,) and np.isfinite(action).all() and np.abs(action).max() <= 1
        now, *_ = world.step(action)


def test_arms_are_planned_step_by_step_and_seldom_depart_from_the_guide() -> None:
    for name, steps in {"push": (10, 2), "grasp": (6, 1)}.items():
        goal, _ = make_world(name).reset(seed=1)
        policy = load(SHIPPED / name, goal, "planner")
        assert isinstance(policy, Planned) and (policy.horizon, policy.block) == steps
        assert isinstance(policy.planner, Guided) == (name == "grasp")
    assert policy.planner.margin == IN_HAND  # type: ignore[attr-defined]


def test_a_policy_of_another_kind_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="wish"):
        load("push", {}, "wish")
