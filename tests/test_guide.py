"""A guide: knows how long it takes and which way to go, and says when it is missing or damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nextstate.commands.guide import learned_before
from nextstate.data.storage import write_json
from nextstate.errors import CheckpointError, PlanningError
from nextstate.models.dynamics import PACE
from nextstate.models.heads import STILL, HeadShape, draw_stretches
from nextstate.planning.guide import Guide, obedience, restfulness, speeds
from nextstate.planning.journeys import HOME, Journey, guide_loss, homecoming, worth
from nextstate.training.optimiser import Optimiser

SPEED = 0.5 * PACE


def window(seed: int, size: int = 64, length: int = 24) -> dict[str, Tensor]:
    """Two things, the first of which goes as it is told; commands are held for eight steps."""
    generator = torch.Generator().manual_seed(seed)
    action = torch.rand(size, length // 8, 2, generator=generator).mul(2).sub(1).repeat_interleave(8, dim=1)
    start = torch.rand(size, 1, 2, 2, generator=generator) - 0.5
    moved = torch.cat([torch.zeros(size, 1, 2), action.cumsum(dim=1)], dim=1) * SPEED
    places = start + torch.stack([moved, torch.zeros_like(moved)], dim=2)
    there = torch.ones(size, length + 1, 2)
    return {"places": places, "codes": torch.zeros(size, length + 1, 2, 4), "there": there, "action": action}


@pytest.fixture(scope="module")
def guide() -> Guide:
    torch.manual_seed(0)
    guide = Guide(HeadShape(things=2, code=4, proprio=0, action=2, width=32))
    optimiser = Optimiser(guide, 2e-3)
    for step in range(400):
        guide_loss(guide, window(step), torch.Generator().manual_seed(step))["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step(1.0 - step / 400)
    return guide.eval()


def test_farther_takes_longer_and_the_way_leads_there(guide: Guide) -> None:
    places = torch.tensor([[[0.0, 0.0], [0.3, 0.3]]]).expand(16, -1, -1)
    angle = torch.arange(16) * torch.pi / 8
    towards = torch.stack([angle.cos(), angle.sin()], dim=1)
    state = {"places": places, "codes": torch.zeros(16, 2, 4)}
    there = torch.ones(16, 2)
    taken = []
    for steps in (0.0, 4.0, 10.0):
        wanted = places.clone()
        wanted[:, 0] += steps * SPEED * towards
        with torch.no_grad():
            needed, commands = guide(state, wanted, there)
        taken.append(needed.mean())
    assert taken[0] + 2 < taken[1] and taken[1] + 2 < taken[2]
    assert (torch.cosine_similarity(commands[:, 0], towards) > 0.9).all()


def test_members_learn_one_at_a_time_and_err_less_together_than_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    several = Guide(HeadShape(things=2, code=4, proprio=0, action=2, width=32, members=3))
    optimiser, learned = Optimiser(several, 2e-3), set()
    for step in range(240):
        guide_loss(several, window(step), torch.Generator().manual_seed(step))["loss"].backward()  # type: ignore[no-untyped-call]
        learning = {n.split(".")[0] for n, p in several.members.named_parameters() if p.grad is not None}
        assert len(learning) == 1
        learned |= learning
        optimiser.step(1.0 - step / 240)
    assert learned == {"0", "1", "2"}
    batch = window(1000, size=256)
    drawn = draw_stretches(batch, torch.Generator().manual_seed(0), 4, 16)
    rows = torch.arange(256)
    several = several.eval()
    several.save(tmp_path)
    again = Guide.load(tmp_path)

    def missed(member: int | None) -> float:
        with torch.no_grad():
            commands = again(drawn.now, drawn.places, drawn.there, member=member)[1]
        return float((commands[:, 0] - batch["action"][rows, drawn.first]).square().mean())

    assert missed(None) < min(missed(member) for member in range(3))


def test_a_guide_from_before_there_were_members_comes_back(guide: Guide) -> None:
    before = {name.removeprefix("members.0."): value for name, value in guide.state_dict().items()}
    again = Guide(guide.shape)
    again.load_state_dict(before)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in guide.state_dict().items())


def test_what_is_not_in_the_goal_does_not_matter(guide: Guide) -> None:
    state = {"places": torch.zeros(2, 2, 2), "codes": torch.zeros(2, 2, 4)}
    wanted = torch.tensor([[[0.1, 0.0], [0.0, 0.0]], [[0.1, 0.0], [0.7, -0.7]]])
    steps, commands = guide(state, wanted, torch.tensor([[1.0, 0.0]] * 2))
    # Rows of a batch that are shared among threads may differ in their last bits.
    torch.testing.assert_close(steps[0], steps[1])
    torch.testing.assert_close(commands[0], commands[1])


def turned(seed: int) -> dict[str, Tensor]:
    """Two things that stay where they are; how the first one looks follows the first command."""
    batch = window(seed)
    looks = torch.cat([torch.zeros(64, 1), batch["action"][..., 0].cumsum(dim=1)], dim=1) * 0.1
    batch["places"] = batch["places"][:, :1].expand(-1, 25, -1, -1).clone()
    batch["codes"][:, :, 0, 0] = looks
    return batch


def test_a_guide_that_looks_sees_more_than_places() -> None:
    torch.manual_seed(0)
    guide = Guide(HeadShape(things=2, code=4, proprio=0, action=2, width=32, looks=4))
    optimiser = Optimiser(guide, 2e-3)
    for step in range(300):
        guide_loss(guide, turned(step), torch.Generator().manual_seed(step))["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step(1.0 - step / 300)
    state = {"places": torch.zeros(3, 2, 2), "codes": torch.zeros(3, 2, 4)}
    like = torch.zeros(3, 2, 4)
    like[:, 0, 0] = torch.tensor([-0.8, 0.0, 0.8])
    with torch.no_grad():
        steps, commands = guide(state, state["places"], torch.ones(3, 2), guide.read(state["places"], {"codes": like}))
        with pytest.raises(PlanningError, match="look like"):
            guide.read(state["places"], None)
    assert steps[0] > steps[1] + 2 and steps[2] > steps[1] + 2
    assert commands[0, 0, 0] < -0.3 and commands[2, 0, 0] > 0.3


def test_a_goal_is_seen_as_a_still() -> None:
    batch = window(0)
    stills = {f"{STILL}{name}": torch.full_like(batch[name], 7.0) for name in ("places", "there", "codes")}
    generator = torch.Generator()
    for still in (False, True):
        drawn = draw_stretches({**batch, **stills}, generator.manual_seed(0), 1, 8, still)
        assert all(bool((values == 7).all()) == still for values in (drawn.places, drawn.there, drawn.looks["codes"]))
        assert not (drawn.now["places"] == 7).any()
    assert not (draw_stretches(batch, generator.manual_seed(0), 1, 8, still=True).places == 7).any()


def test_the_present_is_seen_as_a_still_as_often_as_asked() -> None:
    batch = window(0)
    stills = {f"{STILL}{name}": torch.full_like(batch[name], 7.0) for name in ("places", "there", "codes")}
    now = draw_stretches({**batch, **stills}, torch.Generator().manual_seed(0), 1, 8, True, calm=0.5).now
    share = (now["places"] == 7).flatten(1).float().mean(dim=1)
    assert set(share.tolist()) == {0.0, 1.0} and 0.3 < share.mean() < 0.7
    assert torch.equal((now["codes"] == 7).flatten(1).all(dim=1).float(), share)


def test_speeds_are_told_from_postures() -> None:
    generator = torch.Generator().manual_seed(0)
    turning = torch.randn(16, 20, 2, generator=generator)
    posture = turning.cumsum(dim=1) + torch.randn(16, 1, 2, generator=generator)
    noise = torch.randn(16, 20, 1, generator=generator)
    assert speeds(torch.cat([posture, 3 * turning, noise], dim=2)).tolist() == [False, False, True, True, False]


def test_what_a_guide_is_not_to_feel_it_does_not_feel() -> None:
    torch.manual_seed(0)
    guide = Guide(HeadShape(things=2, code=4, proprio=2, action=2, width=32))
    guide.not_feeling(torch.tensor([False, True]))
    optimiser = Optimiser(guide, 2e-3)
    for step in range(20):
        batch = window(step)
        told = torch.cat([batch["action"], batch["action"][:, -1:]], dim=1)[..., :1]
        batch["proprio"] = torch.cat([batch["places"][:, :, 0, :1], told], dim=2)
        guide_loss(guide, batch, torch.Generator().manual_seed(step))["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step(1.0)
    state = {"places": torch.zeros(2, 2, 2), "codes": torch.zeros(2, 2, 4)}
    wanted, there = torch.full((2, 2, 2), 0.1), torch.ones(2, 2)
    for reading, same in ((0, False), (1, True)):
        felt = torch.zeros(2, 2)
        felt[1, reading] = 1.0
        _, commands = guide({**state, "proprio": felt}, wanted, there)
        assert torch.equal(commands[0], commands[1]) == same


def test_one_has_arrived_once_things_are_home_for_good() -> None:
    """A thing goes out, comes back, goes out, and comes home at step 12; the body goes on."""
    batch = window(0, size=1)
    batch["places"] = torch.zeros(1, 25, 2, 2)
    batch["places"][0, 2:5, 1, 0] = batch["places"][0, 8:12, 1, 0] = 3 * HOME
    batch["places"][0, :, 0, 0] = torch.arange(25.0) * 0.9 * HOME
    drawn = draw_stretches(batch, torch.Generator().manual_seed(0), 24, 24)
    assert homecoming(batch, drawn, torch.tensor([0.0, 1.0])).tolist() == [12]
    assert homecoming(batch, drawn, torch.tensor([1.0, 1.0])).tolist() == [23], "but for the last step, which is within"
    batch["there"][:, :, 1] = 0
    assert homecoming(batch, drawn, torch.tensor([0.0, 1.0])).tolist() == [0], "what is not there is not away"


def test_commands_that_saved_time_count_more(guide: Guide) -> None:
    """One window goes home at once and rests there, one goes the other way first."""
    ways = torch.zeros(2, 12, 2)
    ways[0, :4, 0] = ways[1, 4:, 0] = 1.0
    ways[1, :4, 0] = -1.0
    batch = {name: values[:, :13] for name, values in window(0, size=2).items()} | {"action": ways}
    moved = torch.cat([torch.zeros(2, 1, 2), ways.cumsum(dim=1)], dim=1) * SPEED
    batch["places"] = torch.stack([moved, torch.zeros_like(moved)], dim=2)
    drawn = draw_stretches(batch, torch.Generator().manual_seed(0), 12, 12)
    drawn = replace(drawn, gap=homecoming(batch, drawn, torch.ones(2)))
    with torch.no_grad():
        steps, _ = guide(drawn.now, drawn.places, drawn.there)
    straight, round_about = worth(guide, Journey.of(guide, batch, drawn), steps)
    assert straight > 1.5 * round_about


def test_what_goes_as_it_is_told_is_known() -> None:
    batch = window(0)
    pushed = batch["places"].clone()
    pushed[:, :, 1] += 0.02 * torch.randn((*pushed.shape[:2], 2), generator=torch.Generator().manual_seed(1))
    obeys = obedience(pushed, batch["there"], batch["action"])
    assert obeys[0] > 0.99 and obeys[1] < 0.1
    absent = batch["there"] * torch.tensor([0.0, 1.0])
    assert obedience(pushed, absent, batch["action"])[0] == 0, "what is never there obeys nobody"
    assert obedience(pushed, 0.01 + 0.99 * absent, batch["action"])[0] == 0, "nor does a trace of it"


def test_what_hardly_ever_rests_is_no_thing_to_be_brought_home(guide: Guide) -> None:
    places, there = torch.zeros(4, 20, 3, 2), torch.ones(4, 20, 3)
    places[:, :, 1] = torch.arange(20.0)[:, None] // 10 * 0.1
    places[:, :, 2] = 0.1 * torch.randn(4, 20, 2, generator=torch.Generator().manual_seed(0))
    rests = restfulness(places, there)
    assert rests[0] == 1 and rests[1] == pytest.approx(18 / 19) and rests[2] < 0.1
    assert (restfulness(places, 0 * there) == 1).all()
    shown = Guide(replace(guide.shape, things=3))
    shown.rests.copy_(rests)
    assert torch.equal(shown.matters, torch.tensor([1.0, 1.0, 0.0]))
    shown.obeys[0] = 1.0
    assert torch.equal(shown.matters, torch.tensor([0.0, 1.0, 0.0]))
    shown.rests.zero_()
    assert torch.equal(shown.matters, torch.tensor([0.0, 1.0, 1.0])), "where nothing rests, all count that do not obey"


def test_it_is_saved_whole_and_damage_is_named(guide: Guide, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nextstate guide"):
        Guide.load(tmp_path)
    path = guide.save(tmp_path)
    again = Guide.load(tmp_path)
    for name, value in guide.state_dict().items():
        assert torch.allclose(again.state_dict()[name], value, rtol=2**-10, atol=1e-6), f"{name}, in half precision"
    assert again.to_bytes() == path.read_bytes(), "once it is rounded nothing more is lost"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="not a guide"):
        Guide.load(tmp_path)
    path.write_bytes(whole.replace(b'\\"width\\": 32', b'\\"width\\": 64'))
    with pytest.raises(CheckpointError, match="other sizes"):
        Guide.load(tmp_path)


def test_a_head_of_another_version_is_learned_again(
    guide: Guide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"seed": 0}
    write_json(guide.save(tmp_path).with_suffix(".json"), {"settings": settings})
    assert learned_before(Guide, tmp_path, settings)
    assert not learned_before(Guide, tmp_path, {"seed": 1})
    monkeypatch.setattr(Guide, "version", Guide.version + 1)
    assert not learned_before(Guide, tmp_path, settings)
