"""The network: what it must respect whatever it has learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from nextstate.errors import SettingsError, StateError, UnknownNameError
from nextstate.modalities import MODALITIES
from nextstate.models import PRESETS, Beliefs, History, StateModel, WorldModel, WorldModelSpec, build
from nextstate.models.dynamics import RELATIVE, relative_features
from nextstate.models.light import MANY, halves
from nextstate.models.objectives import OBJECTIVES
from nextstate.models.objectives.pixel import eventful
from nextstate.models.operations import Operations
from nextstate.models.vision import dye, place_each, stamp

SHAPES = {"rgb": (32, 32, 3), "depth": (32, 32), "motion": (32, 32, 3), "proprio": (4,), "touch": (1, 8)}


def spec(*names: str) -> WorldModelSpec:
    kinds = {n: MODALITIES[n](shape=SHAPES[n]) for n in names or SHAPES}
    return WorldModelSpec("test", kinds, action_size=2, hz=10.0, context=3, horizon=5)


def make(*names: str) -> StateModel:
    torch.manual_seed(0)
    model = build(spec(*names), "tiny")
    # A fresh network moves nothing; one that has learned does.
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def window(model: StateModel, batch: int = 2, length: int = 8) -> dict[str, Tensor]:
    rng = np.random.default_rng(1)
    states = {
        n: torch.from_numpy(rng.random((batch, length, *m.shape), np.float32)) for n, m in model.spec.modalities.items()
    }
    if "rgb" in states:
        states["rgb"] = (states["rgb"] * 255).to(torch.uint8)
    return states | {"action": torch.from_numpy(rng.uniform(-1, 1, (batch, length - 1, 2)).astype(np.float32))}


def history(model: StateModel, batch: int = 2) -> History:
    full = window(model, batch)
    return History({n: full[n][:, :3] for n in model.spec.modalities}, full["action"][:, :2])


def actions(batch: int = 2, horizon: int = 6) -> Tensor:
    return torch.rand(batch, horizon, 2, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.parametrize("names", [(), ("rgb",), ("rgb", "proprio"), ("depth", "touch")])
def test_any_subset_of_modalities_is_foreseen_in_its_own_units(names: tuple[str, ...]) -> None:
    model = make(*names)
    assert isinstance(model, WorldModel)
    futures = model.decode(model.imagine(model.observe(history(model)), actions()), list(model.spec.modalities))
    for name, kind in model.spec.modalities.items():
        assert futures[name].shape == (2, 6, *kind.shape)
        assert (futures[name].dtype == torch.uint8) == (name == "rgb")
        assert torch.isfinite(futures[name].float()).all()


def test_an_action_changes_its_own_step_and_later_ones_only() -> None:
    model = make()
    belief, plan = model.observe(history(model)), actions()
    other = plan.clone()
    other[:, 3] = -other[:, 3]
    one, two = (model.decode(model.imagine(belief, p), ["rgb", "proprio"]) for p in (plan, other))
    for name in one:
        assert torch.equal(one[name][:, :3], two[name][:, :3])
        assert not torch.equal(one[name][:, 3], two[name][:, 3])


def test_every_action_reaches_the_end_by_gradient() -> None:
    model = make()
    full = window(model)
    belief = model.believe({n: full[n][:, :3] for n in model.spec.modalities}, full["action"][:, :2])
    plan = actions().requires_grad_()
    model.draw({n: v[:, -1:] for n, v in model.foresee(belief, plan).items()}).square().sum().backward()
    assert plan.grad is not None
    assert (plan.grad.abs().sum(dim=(0, 2)) > 0).all()


def test_imagining_in_pieces_is_imagining_at_once() -> None:
    model = make()
    belief, plan = model.observe(history(model)), actions()
    whole = model.imagine(belief, plan)
    half = model.imagine(belief, plan[:, :3])
    rest = model.imagine(half.map(lambda t: t[:, -1]), plan[:, 3:])
    ends = [model.decode(span.steps([-1]), ["rgb", "depth", "proprio"]) for span in (whole, rest)]
    for name in ends[0]:
        assert torch.equal(ends[0][name], ends[1][name])


def test_alternatives_in_one_batch_do_not_see_each_other() -> None:
    model = make()
    belief, plan = model.observe(history(model)), actions(4)
    together = model.imagine(belief.repeat(2), plan)
    alone = model.imagine(belief.select([1]), plan[2:3])
    torch.testing.assert_close(together.tensors["codes"][2:3], alone.tensors["codes"], atol=0.05, rtol=0.05)


@pytest.mark.skipif(not halves(torch.device("cpu"), MANY), reason="this processor has no half precision")
def test_many_futures_are_imagined_lightly_and_still_follow_the_weights() -> None:
    model = make("rgb", "touch").eval()
    belief, commands = model.observe(history(model)).repeat(MANY), actions(2 * MANY)
    with torch.inference_mode():
        lightly, fully = model.imagine(belief, commands).tensors, model.foresee(belief.tensors, commands)
    for name in model.state:
        assert (lightly[name] - fully[name]).abs().mean() < 0.02 * fully[name].abs().mean()
    few = model.imagine(Beliefs(lightly).steps([0]).select([0]).map(lambda tensor: tensor[:, 0]), commands[:1])
    assert few.tensors["places"].dtype == torch.float32
    assert len(model.state_dict()) == len(make("rgb", "touch").state_dict())
    with torch.no_grad():
        for parameter in model.dynamics.move.parameters():
            parameter.zero_()
        still = model.imagine(belief, commands).tensors["places"]
    assert torch.equal(still, belief.tensors["places"][:, None].expand_as(still))


def test_a_sample_is_the_same_draw_each_time_and_differs_from_others() -> None:
    model = make()
    belief, plan = model.observe(history(model)), actions()
    codes = [model.imagine(belief, plan, sample).tensors["codes"] for sample in (0, 0, 1, None)]
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])
    assert not torch.equal(codes[0], codes[3])


def test_a_fresh_model_believes_that_nothing_changes_much() -> None:
    torch.manual_seed(0)
    model = build(spec(), "tiny")
    past = history(model)
    futures = model.decode(model.imagine(model.observe(past), actions()), ["depth"])
    held = past.states["depth"][:, -1:]
    assert (futures["depth"] - held).abs().mean() < held.abs().mean()


@pytest.mark.parametrize("stage", range(len(OBJECTIVES["pixel"].stages)))
def test_every_stage_learns(stage: int) -> None:
    model = make()
    shares = [s.share for s in model.stages]
    progress = (sum(shares[:stage]) + 0.5 * shares[stage]) / sum(shares)
    action = (batch := window(model)).pop("action")
    batch = {**model.windows_for(model.stages[stage], batch), "action": action}
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = model.loss(batch, torch.Generator().manual_seed(0), progress)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_sampled_futures_are_spread_as_wide_as_what_comes() -> None:
    model = make()
    model.dynamics.surprise.weight.data *= 0.1
    batch = window(model, 8)
    timid = model.size.temperature
    model.finish(batch)
    assert model.size.temperature > timid
    assert model.config()["options"]["temperature"] == model.size.temperature


def test_a_shape_is_stamped_where_the_thing_is() -> None:
    patches, places = torch.zeros(1, 2, 1, 4, 4), torch.tensor([[[-0.5, 0.0], [0.75, 0.5]]])
    patches[:, 0] = 1.0
    drawn = stamp(patches, places, 32, 32)[0, 0]
    columns, rows = torch.arange(32.0), torch.arange(32.0)[:, None]
    assert drawn.sum() == pytest.approx(16, rel=1e-4)
    assert (drawn * columns).sum() / 16 == pytest.approx(7.5) and (drawn * rows).sum() / 16 == pytest.approx(15.5)


def test_windows_in_which_much_happens_are_learned_from_more_often() -> None:
    pictures = torch.zeros(9, 2, 1, 16, 16)
    pictures[::3, 1, :, :8] = 1.0
    chosen = torch.cat([pictures[eventful(pictures, torch.Generator().manual_seed(seed))] for seed in range(50)])
    assert len(chosen) == 50 * 3
    assert chosen.sum(dim=(1, 2, 3, 4)).gt(0).float().mean() > 0.95


def test_a_thing_that_spreads_keeps_its_colour() -> None:
    last, masks = torch.zeros(1, 3, 64, 64), torch.zeros(1, 2, 32, 32)
    last[:, 2, 8:16, 8:16] = 1.0  # a blue square on black
    masks[:, 0, 4:8, 4:8], masks[:, 1] = 1.0, 1.0
    masks[:, 1, 4:8, 4:8] = 0.0
    patches = torch.zeros(2, 2, 8, 8)
    patches[:, 0, :, 4:] = 1.0
    silhouettes = place_each(patches, torch.tensor([[[0.5, 0.5], [0.0, 0.0]]] * 2), 32, 32)
    assert torch.allclose(silhouettes.sum(dim=1), stamp(patches[:, :, None], torch.full((2, 2, 2), 0.5), 32, 32)[:, 0])
    colours, covered = dye(last, masks, silhouettes)
    assert colours.shape == (2, 3, 32, 32) and covered.shape == (2, 1, 32, 32)
    blue = colours[0, :, covered[0, 0] > 0.99]
    assert blue.shape[1] > 20 and (blue[2] > 0.9).all() and (blue[:2] < 1e-3).all()


def test_what_things_tell_each_other_depends_on_where_they_are_to_one_another_only() -> None:
    places = 0.5 * torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    features = relative_features(places, angles=3)
    assert features.shape == (3, 5, 5, RELATIVE + 6)
    assert torch.equal(features[..., :RELATIVE], relative_features(places))
    assert torch.allclose(features, relative_features(places + torch.tensor([0.3, -0.2]), angles=3), atol=1e-3)
    apart = places[0, 2, 0] - places[0, 1, 0]
    distance = (places[0, 2] - places[0, 1]).square().sum()
    waves = [f(torch.pi * 2**n * apart) for f in (torch.sin, torch.cos) for n in range(4)]
    near = [torch.exp(-distance / (2 * width**2)) for width in (0.05, 0.1, 0.2, 0.4, 0.8)]
    found = features[0, 1, 2]
    assert torch.allclose(found[[0, 2, 3, 4, 5, 6, 11, 12, 13, 14]], torch.stack([apart, distance, *waves]), atol=1e-4)
    assert torch.allclose(found[RELATIVE - 5 : RELATIVE], torch.stack(near), atol=1e-4)
    across, down = places[0, 2] - places[0, 1]
    angle = torch.atan2(down, across)
    turns = torch.stack([f(k * angle) for k in (1, 2, 4) for f in (torch.cos, torch.sin)])
    assert torch.allclose(found[RELATIVE:], turns, atol=0.01)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_build_without_memory_and_vision_leads(preset: str) -> None:
    with torch.device("meta"):
        model = build(spec(), preset)
    owners = model.owners()
    assert sum(owners.values()) == sum(p.numel() for p in model.parameters())
    assert owners["vision"] + owners["dynamics"] > 0.9 * sum(owners.values())


def test_flops_grow_with_the_batch_and_with_the_horizon() -> None:
    model = make()
    assert model.flops(4) == pytest.approx(4 * model.flops(1))
    foreseeing = [model.flops(1, progress) for progress in (0.5, 0.6, 0.7)]
    assert foreseeing == sorted(foreseeing) and foreseeing[2] > foreseeing[0] > 1e6


def test_operations_are_those_that_torch_counts() -> None:
    def learned() -> None:
        weight = torch.ones(4, 3, 3, 3, requires_grad=True)
        seen = functional.conv2d(torch.ones(2, 3, 8, 8), weight, padding=1).flatten(2)
        heard = functional.scaled_dot_product_attention(seen, seen, seen)
        functional.linear(heard, torch.ones(5, 64, requires_grad=True)).exp().sum().backward()  # type: ignore[no-untyped-call]

    with FlopCounterMode(display=False) as counter:
        learned()
    with Operations() as made:
        learned()
    assert made.total == counter.get_total_flops() > 0


def test_what_cannot_be_built_is_named() -> None:
    with pytest.raises(UnknownNameError, match="small"):
        build(spec(), "smal")
    with pytest.raises(SettingsError, match="things"):
        build(spec(), "tiny", thingies=3)
    with pytest.raises(StateError, match="image"):
        build(spec("proprio"), "tiny")
