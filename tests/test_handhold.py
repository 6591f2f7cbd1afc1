"""Handholds: pictures are read in the body's own terms, and nobody has said where anything is."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nextstate.data import Windows
from nextstate.models.handhold import Handhold, handhold_loss, holdings
from nextstate.models.heads import HeadShape, Stretch
from nextstate.planning.guide import RESTFUL, RESTLESS, Guide
from nextstate.planning.journeys import homecoming
from nextstate.policies import fitting, schooling
from nextstate.policies.journeys import Frames, Journeys, steps_since_away
from nextstate.policies.schooling import prepare, teach

SHAPE = HeadShape(things=3, code=1, proprio=4, action=2)
TAKEN, PUT, PAUSE, LENGTH = 10, 30, 5, 40
SPEEDS = torch.tensor([False, False, False, True])
THINGS = torch.tensor([False, True, True])


def seen_at(where: torch.Tensor) -> torch.Tensor:
    """A picture of points ``(..., 3)``: what is higher is seen farther up, and farther out."""
    flat, height = where[..., :2], where[..., 2:]
    return 0.8 * flat * (1 + 0.2 * height) + torch.tensor([0.1, -0.4]) * height


def carrying(episodes: int, seed: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """A body fetches a thing and puts it elsewhere, past a shade that flickers: frames, and where the thing is."""
    generator = torch.Generator().manual_seed(seed)
    start, taken, put, end = torch.rand(4, episodes, 1, 3, generator=generator) - 0.5
    time = torch.arange(LENGTH)[None, :, None]
    legs = (
        (start, taken, 0, TAKEN),
        (taken, taken, TAKEN, TAKEN + PAUSE),
        (taken, put, TAKEN + PAUSE, PUT - PAUSE),
        (put, put, PUT - PAUSE, PUT),
        (put, end, PUT, LENGTH),
    )
    body = sum(
        (a + (b - a) * (time - first) / (last - first)) * ((time >= first) & (time < last))
        for a, b, first, last in legs
    )
    thing = torch.where(time < TAKEN, taken, torch.where(time >= PUT, put, body))
    shade = 0.1 * torch.rand(episodes, LENGTH, 2, generator=generator)
    held = (time >= TAKEN) & (time < PUT)
    codes = torch.stack([body[..., 2:], thing[..., 2:], torch.zeros_like(body[..., 2:])], dim=2)
    frames = {
        "places": torch.stack([seen_at(body), seen_at(thing), shade], dim=2),
        "codes": codes,
        "there": torch.ones(episodes, LENGTH, 3),
        "touch": 3.0 * held.expand(episodes, LENGTH, 1),
        "proprio": torch.cat([body, torch.randn(episodes, LENGTH, 1, generator=generator)], dim=2),
    }
    return {name: values.flatten(0, 1) for name, values in frames.items()}, thing.flatten(0, 1)


@pytest.fixture(scope="module")
def held() -> tuple[Handhold, torch.Tensor]:
    frames, _ = carrying(100, 0)
    starts = torch.arange(100) * LENGTH
    found = holdings(frames, starts, torch.full((100,), LENGTH), THINGS, SPEEDS)
    assert found is not None
    torch.manual_seed(0)
    head = Handhold(replace(SHAPE, holds=1))
    head.fit(frames, torch.tensor([False, True, False]), SPEEDS)
    optimiser = torch.optim.Adam(head.parameters(), 1e-3)
    batch = frames | {"hold": frames["proprio"][found.clamp_min(0)], "known": found >= 0}
    for step in range(300):
        rows = torch.randint(0, len(found), (512,), generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        some = {name: values[rows] for name, values in batch.items()}
        handhold_loss(head, some)["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return head.eval(), found


def test_what_rests_is_where_it_was_held(held: tuple[Handhold, torch.Tensor]) -> None:
    _, found = held
    frames, where = carrying(100, 0)
    assert (found[:, 0] < 0).all(), "the body does not hold itself"
    assert (found[:, 2] >= 0).float().mean() < 0.05, "a shade is nowhere to be held"
    known = found[:, 1] >= 0
    assert known.float().mean() > 0.6
    missed = (frames["proprio"][found[known, 1], :3] - where[known]).norm(dim=1)
    assert missed.median() < 0.02 and missed.quantile(0.9) < 0.15


def test_where_to_hold_a_thing_is_read_off_a_picture(held: tuple[Handhold, torch.Tensor], tmp_path: Path) -> None:
    held[0].save(tmp_path)
    head = Handhold.load(tmp_path)
    frames, where = carrying(20, 1)
    with torch.no_grad():
        told = head(frames)
    assert (told[:, 1, :3] - where).norm(dim=1).median() < 0.08
    assert head.which.tolist() == [1], "of what is never held nothing is known"
    offsets = head.offsets(told[:, head.which], frames["proprio"], told[:, head.which])
    assert not offsets[..., [3, 7, 11, 15]].any(), "a speed is no posture"
    holding = (torch.arange(LENGTH) >= TAKEN) & (torch.arange(LENGTH) < PUT)
    near = offsets[:, 0, :3].norm(dim=1).view(20, LENGTH)
    assert near[:, holding].median() < 0.3 * near[:, ~holding].median()


def test_where_nothing_is_held_there_are_no_handholds() -> None:
    frames, _ = carrying(100, 0)
    frames["touch"] = torch.zeros_like(frames["touch"])
    assert holdings(frames, torch.arange(100) * LENGTH, torch.full((100,), LENGTH), THINGS, SPEEDS) is None


def test_what_is_pushed_from_all_sides_is_not_held() -> None:
    frames, _ = carrying(100, 0)
    side = torch.rand(100, 1, 1, generator=torch.Generator().manual_seed(0)) * 2 * torch.pi
    aside = 0.2 * torch.cat([side.cos(), side.sin()], dim=2).expand(100, LENGTH, 2).flatten(0, 1)
    frames["places"][:, 1] += aside
    assert holdings(frames, torch.arange(100) * LENGTH, torch.full((100,), LENGTH), THINGS, SPEEDS) is None


def test_a_thing_that_is_carried_about_all_the_time_is_no_shadow() -> None:
    windows = recorded(50, 0).batch(0, 200)
    some = {name: torch.from_numpy(values) for name, values in windows.items()}
    guide = Guide(replace(SHAPE, action=3, touch=1))
    prepare(guide, some)
    assert guide.rests[1] > RESTFUL and guide.rests[2] < RESTLESS, "a shade flickers, whoever touches what"
    prepare(guide, {name: values for name, values in some.items() if name != "touch"})
    assert guide.rests[1] < RESTFUL, "whoever feels nothing cannot tell"


def test_a_guide_with_handholds_sees_how_far_a_thing_is_to_be_carried(held: tuple[Handhold, torch.Tensor]) -> None:
    torch.manual_seed(0)
    guide = Guide(replace(SHAPE, looks=1, touch=1, holds=1))
    assert guide.handhold is not None
    guide.handhold.load_state_dict(held[0].state_dict())
    frames, _ = carrying(1, 2)
    now = {name: values[:1] for name, values in frames.items()}
    goal = {name: values[-1:] for name, values in frames.items()}
    read = guide.read(goal["places"], {"codes": goal["codes"]})
    elsewhere = {**read, "holds": read["holds"] + 1.0}
    faster, bent = (now | {"proprio": now["proprio"] + torch.eye(4)[reading]} for reading in (3, 0))
    with torch.no_grad():
        usual, *others = (
            guide(state, goal["places"], goal["there"], one)[1]
            for state, one in ((now, read), (now, elsewhere), (bent, read), (faster, read))
        )
    assert [torch.equal(usual, other) for other in others] == [False, False, True], "speed alone is not felt"


def test_a_guide_is_kept_in_half_precision_and_says_the_same(
    held: tuple[Handhold, torch.Tensor], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    guide = Guide(replace(SHAPE, looks=1, touch=1, holds=1, members=2)).eval()
    assert guide.handhold is not None
    guide.handhold.load_state_dict(held[0].state_dict())
    size = sum(4 * value.numel() for value in guide.state_dict().values())
    assert guide.save(tmp_path).stat().st_size < 0.6 * size
    frames, _ = carrying(1, 2)
    read = guide.read(frames["places"], {"codes": frames["codes"]})
    with torch.no_grad():
        steps, commands = guide(frames, frames["places"].flip(0), frames["there"], read)
        again = Guide.load(tmp_path)(frames, frames["places"].flip(0), frames["there"], read)
    assert torch.allclose(steps, again[0], rtol=0.01, atol=0.05) and torch.allclose(commands, again[1], atol=0.01)


@given(seed=st.integers(0, 1000), longest=st.integers(2, 12))
def test_tables_tell_the_same_as_windows_do(seed: int, longest: int) -> None:
    """When things came home, looked up in a table of frames, is when they did in windows."""
    generator = torch.Generator().manual_seed(seed)
    episodes, length = 4, 16
    places = (0.02 * torch.randn(episodes, length, 2, 2, generator=generator)).cumsum(dim=1).round(decimals=2)
    there = (torch.rand(episodes, length, 2, generator=generator) > 0.2).float()
    guide = Guide(HeadShape(things=2, code=1, proprio=0, action=1))
    guide.obeys.copy_(torch.tensor([1.0, 0.0]))
    first = torch.arange(episodes).repeat_interleave(length) * length
    frames = {"places": places.flatten(0, 1), "there": there.flatten(0, 1), "codes": torch.zeros(64, 2, 1)}
    away = steps_since_away(frames, first, longest, guide)
    starts = torch.randint(0, length - longest, (episodes,), generator=generator)
    windows = cast(
        Windows,
        SimpleNamespace(
            seed=seed,
            length=longest + 1,
            first_rows=lambda step, size: (torch.arange(episodes) * length + starts).numpy(),
        ),
    )
    action = torch.arange(64.0)[:, None]
    drawn = Journeys(windows, Frames(frames, frames, action), away).draw(0, episodes, 1)
    plain = Journeys(windows, Frames(frames, frames, action), None).draw(0, episodes, 1)
    begun = torch.where(plain.gap > 0, plain.done[:, 0, 0].long() % length, 0)
    stretch = Stretch({}, drawn.places, drawn.there, {}, begun, plain.gap)
    expected = homecoming({"places": places, "there": there}, stretch, guide.matters)
    moved = plain.gap > 0
    assert torch.equal(drawn.gap[moved], expected[moved]) and not drawn.gap[~moved].any()


def recorded(episodes: int, seed: int) -> Windows:
    """`carrying` as windows; a command is how far the body goes in a step."""
    frames, _ = carrying(episodes, seed)
    body = frames["proprio"][:, :3].view(episodes, LENGTH, 3)
    frames["proprio"][:, 3] = torch.cat([torch.zeros(episodes, 1), (body[:, 1:] - body[:, :-1])[..., 0]], 1).flatten()
    action = torch.cat([body[:, 1:] - body[:, :-1], torch.zeros(episodes, 1, 3)], dim=1).mul(10).clamp(-1, 1)
    rows = frames | {"action": action.flatten(0, 1), "gist": torch.zeros(episodes * LENGTH, 1)}
    length, starts = 25, np.arange(episodes) * LENGTH

    def first_rows(step: int, size: int) -> np.ndarray:
        rng = np.random.default_rng([seed, step])
        return starts[rng.integers(0, episodes, size)] + rng.integers(0, LENGTH - length, size)

    def batch(step: int, size: int) -> dict[str, np.ndarray]:
        within = first_rows(step, size)[:, None] + np.arange(length)
        found = {name: values.numpy()[within] for name, values in rows.items()}
        return found | {"action": found["action"][:, :-1]}

    cache = SimpleNamespace(
        starts=starts, lengths=np.full(episodes, LENGTH), arrays={"action": action.flatten(0, 1).numpy()}
    )
    arrays = {name: values.numpy() for name, values in rows.items() if name != "action"}
    windows = SimpleNamespace(cache=cache, arrays=arrays, length=length, seed=seed, first_rows=first_rows, batch=batch)
    return cast(Windows, windows)


def test_who_is_to_carry_a_thing_goes_to_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    for learning in (fitting, schooling):
        # A clock that counts how often it is looked at makes as many steps on any machine.
        monkeypatch.setattr(learning, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    shape = HeadShape(things=3, code=1, proprio=4, action=3, gist=1, looks=1, touch=1)
    guide, errors = teach(recorded(100, 0), recorded(20, 1), shape, None, 450.0, torch.device("cpu"))
    assert guide.handhold is not None and guide.posture is None and guide.brings, errors
    frames, where = carrying(40, 2)
    early, late = torch.arange(40) * LENGTH + TAKEN - 4, torch.arange(40) * LENGTH + PUT
    now, goal = ({name: values[rows] for name, values in frames.items()} for rows in (early, late))
    with torch.no_grad():
        steps, commands = guide(now, goal["places"], goal["there"], guide.read(goal["places"], goal))
        home, rest = guide(goal, goal["places"], goal["there"], guide.read(goal["places"], goal))
    towards = where[early] - now["proprio"][:, :3]
    assert torch.cosine_similarity(commands[:, 0], towards).median() > 0.8
    assert steps.median() > home.median() + 4 and rest.norm(dim=2).median() < 0.3 * commands.norm(dim=2).median()
