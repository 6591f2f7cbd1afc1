"""A goal that is a lone picture: what it leaves out is taken from what looks alike in the present."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nextstate.commands.find import find_model
from nextstate.errors import PlanningError
from nextstate.planning import SeenDistance
from nextstate.planning.likeness import filled_in
from nextstate.worlds import make_world
from nextstate.worlds.pusher import PusherWorld


def scene(right: int) -> dict[str, Tensor]:
    """A red block on grey, nearer than the table."""
    rgb, depth = torch.full((1, 16, 16, 3), 120, dtype=torch.uint8), torch.full((1, 16, 16), 2.0)
    rgb[:, 4:8, right : right + 4] = torch.tensor([200, 30, 30], dtype=torch.uint8)
    depth[:, 4:8, right : right + 4] = 1.5
    return {"rgb": rgb, "depth": depth}


def test_what_was_moved_keeps_its_height() -> None:
    now, then = scene(2), scene(9)
    assert torch.equal(filled_in({"rgb": then["rgb"]}, now, ["rgb", "depth"])["depth"], then["depth"])
    assert torch.equal(filled_in({"rgb": now["rgb"]}, now, ["depth"])["depth"], now["depth"])
    given = {**then, "depth": torch.zeros_like(then["depth"])}
    assert filled_in(given, now, ["depth"])["depth"] is given["depth"]


def test_what_cannot_be_compared_is_named() -> None:
    now = scene(2)
    with pytest.raises(PlanningError, match="of the present"):
        filled_in({"rgb": now["rgb"]}, {"rgb": now["rgb"]}, ["depth"])
    with pytest.raises(PlanningError, match="this world and size"):
        filled_in({"rgb": now["rgb"][:, :8]}, now, ["depth"])


def test_the_eye_sees_a_lone_picture_nearly_as_well_as_one_with_depth() -> None:
    world, model = make_world("push"), find_model("push", make_world("push"))
    assert isinstance(world, PusherWorld)
    now, _ = world.reset(seed=11)
    for _ in range(25):
        then, *_ = world.step(np.array([0.6, -0.3], np.float32))
    there, here = ({n: torch.from_numpy(np.array(v))[None] for n, v in state.items()} for state in (then, now))
    whole, lone = SeenDistance.of(model, there), {"rgb": there["rgb"]}
    filled, bare = SeenDistance.of(model, lone, here), SeenDistance.of(model, lone)
    off = [((other.places - whole.places).norm(dim=-1) * whole.there).max() for other in (filled, bare)]
    assert off[0] < 0.05 and off[0] < 0.3 * off[1]
