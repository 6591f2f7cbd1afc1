"""Suites, oracle, baselines, readout and the command, on small suites of every world."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nextstate.commands import evaluate as command
from nextstate.errors import DatasetError, SettingsError, SnapshotError, StateError, UnknownNameError
from nextstate.evaluation import baselines
from nextstate.evaluation.building import _choose, build_suite
from nextstate.evaluation.evaluate import evaluate
from nextstate.evaluation.frames import Frames
from nextstate.evaluation.oracle import ActionBlind, CopyLast, Oracle
from nextstate.evaluation.physics import WrongPhysics
from nextstate.evaluation.prediction import Prediction, predict, read_truth
from nextstate.evaluation.readout import Readout, make_network, train_readout
from nextstate.evaluation.readout_network import SpatialSoftArgmax
from nextstate.evaluation.results import Evaluation, Showcase
from nextstate.evaluation.scoring import Floors, score
from nextstate.evaluation.suite import Suite
from nextstate.models.protocol import Beliefs, History
from nextstate.worlds import HELD_OUT_SEED, WORLDS, make_world

Grow = Callable[..., Suite]
SMALL: dict[str, Any] = {
    "snapshots": 4,
    "alternatives": 6,
    "horizon": 20,
    "context": 4,
    "size": 32,
    "workers": 1,
    "climate_episodes": 4,
}


ROUNDED = 1e-4
"""Where a processor multiplies in half precision, readouts round the same picture by the batch that it is in."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def grow(cache: Path) -> Grow:
    def build(world: str, **options: Any) -> Suite:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Four snapshots may miss the shares that a suite should have.
            return build_suite(world, cache=cache, **{**SMALL, "pictures": 0, **options})

    return build


@pytest.fixture(scope="session")
def suite(grow: Grow) -> Suite:
    """Push, with pictures."""
    return grow("push", pictures=2)


@pytest.fixture(scope="session")
def readout(suite: Suite, cache: Path) -> Readout:
    """Barely trained, on the pictures of the suite itself: enough to see that it learns."""
    states = {
        name: suite.truth(name)[:2].reshape(-1, *suite.truth(name).shape[3:]) for name in suite.world_modalities()
    }
    flat = {"outcomes": suite.outcomes[:2], "events": suite.events[:2]}
    outcomes, events = (value.reshape(-1, value.shape[-1]) for value in flat.values())
    return train_readout(suite, Frames(states, outcomes, events, "the test's"), cache, steps=40)


# Every metric must order truth and what is worse than truth.


@pytest.mark.parametrize("world", WORLDS)
def test_every_metric_orders_the_baselines(grow: Grow, world: str) -> None:
    suite = grow(world)
    scores = {name: figures(rows, what) for name, (rows, what) in baselines.all_baselines(suite).items()}
    dealt = [figures(suite, baselines.shuffled(suite, seed)) for seed in range(30)]
    scores["shuffled"] = {name: float(np.nanmean([one[name] for one in dealt])) for name in dealt[0]}
    for metric, order in baselines.ORDER.items():
        better = -1.0 if metric in ("nce", "brier", "drift", "regret") else 1.0
        values = [better * scores[name][metric] for name in order]
        assert all(a > b for a, b in itertools.pairwise(values)), (metric, order, values)
        wrong, truth, blind = (better * scores[name][metric] for name in ("wrong_physics", "oracle", "blind"))
        # Choices and counts may all come out right although the physics is wrong; errors may not.
        assert truth >= wrong > blind, (metric, truth, wrong, blind)
        assert truth > wrong or metric not in ("nce", "slope", "drift", "shuffle_gap"), (metric, truth, wrong)
    assert [scores[name]["nce"] for name in ("oracle", "gain_0.8", "blind", "copy_last", "reversed")] == pytest.approx(
        [0, 0.04, 1, 1, 4], abs=1e-6
    )
    assert scores["shuffled"]["nce"] == pytest.approx(2, abs=0.35)


def figures(suite: Suite, prediction: Prediction) -> dict[str, float]:
    """One number for each metric that orders baselines: at 1 s, or a mean over events."""
    metrics, _ = score(suite, prediction, Floors.of(suite), intervals=False)
    found = {name: at["1.0"] for name, at in metrics.items() if isinstance(at, dict) and "1.0" in at}
    found |= {name: float(np.nanmean(list(metrics[name].values()))) for name in ("flips", "brier")}
    found["retrieval"] = found[f"retrieval_at_{suite.recipe.alternatives}"]
    return found | {"shuffle_gap": metrics["shuffle_gap"], "slope": -abs(found["slope"] - 1)}


# Suites.


def test_suites_are_held_out_and_reproducible(suite: Suite, tmp_path: Path) -> None:
    for row in range(len(suite)):
        snapshot = suite.snapshot(row)
        world = make_world("push")
        assert snapshot.steps == suite.arrays["instant"][row] >= SMALL["context"] - 1
        assert any(
            snapshot.factors == world.sample_factors(suite.recipe.scene_seed(candidate)) for candidate in range(20)
        )
    assert suite.recipe.scene_seed(0) >= HELD_OUT_SEED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = build_suite("push", cache=tmp_path, **{**SMALL, "pictures": 2, "workers": 2})
    assert again.snapshots == suite.snapshots
    for name, values in suite.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], values, err_msg=name)


def test_true_branches_are_what_the_world_does(suite: Suite) -> None:
    world = make_world("push", 32)
    branches = world.branch(suite.snapshot(1), suite.actions[1], ["rgb", "touch"])
    np.testing.assert_array_equal(branches.outcomes, suite.outcomes[1])
    np.testing.assert_array_equal(branches.events, suite.events[1])
    np.testing.assert_array_equal(branches.states["rgb"], suite.truth("rgb")[1])
    np.testing.assert_array_equal(branches.states["touch"], suite.truth("touch")[1])


def test_a_damaged_suite_is_built_again(cache: Path, tmp_path: Path) -> None:
    options = {**SMALL, "snapshots": 1, "probes": 0, "pictures": 0, "horizon": 3, "cache": tmp_path}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_suite("push", **options)
    (path,) = (tmp_path / "suites").iterdir()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DatasetError, match="damaged"):
        Suite.load(path)
    with pytest.warns(UserWarning, match="again"):
        assert len(build_suite("push", **options)) == 1
    assert len(Suite.load(path)) == 1


def test_candidates_are_exchanged_until_shares_suffice() -> None:
    shares = np.array([[0.0, 0.5]] * 4 + [[0.9, 0.1]] * 4)
    chosen = _choose(shares, 4)
    assert len(set(chosen)) == 4
    assert shares[chosen].mean(axis=0) == pytest.approx(np.maximum(shares[chosen].mean(axis=0), [0.3, 0.2]))
    assert _choose(shares[::-1][:4], 4) == [0, 1, 2, 3]


def test_a_hair_of_difference_matters_little_in_push(suite: Suite) -> None:
    floors = Floors.of(suite).by_group
    assert set(floors) == {*suite.world.outcome_groups, "headline"}
    assert 0 <= floors["body"].max() < 0.05


# World models.


def test_the_oracle_decodes_the_truth(suite: Suite, readout: Readout) -> None:
    oracle = Oracle(make_world("push", 32))
    history = suite.history([0, 1], oracle.spec.modalities, context=2)
    actions = torch.from_numpy(suite.actions[[0, 1], 3])
    futures = oracle.imagine(oracle.observe(history), actions)
    states = oracle.decode(futures.steps([4, 19]), ["rgb", "touch", "depth"])
    for name in ("rgb", "touch"):
        np.testing.assert_array_equal(states[name].numpy(), suite.truth(name)[:2, 3][:, [4, 19]])
    first = oracle.imagine(oracle.observe(history), actions[:, :5])
    last = Beliefs({"step": first.tensors["step"][:, -1]}, first.handles)
    onwards = oracle.decode(oracle.imagine(last, actions[:, 5:]), ["proprio"])["proprio"]
    np.testing.assert_array_equal(onwards.numpy(), suite.truth("proprio")[:2, 3, 5:])
    found, expected = predict(oracle, suite, readout), read_truth(suite, readout)
    np.testing.assert_allclose(found.outcomes[:2], expected.outcomes, atol=2e-3)


def test_the_wrong_simulator_is_wrong_the_same_way_each_time(suite: Suite) -> None:
    wrong = Oracle(make_world("push", 32), WrongPhysics())
    history = suite.history([0], ["rgb"], context=1)
    for _ in range(2):
        futures = wrong.imagine(wrong.observe(history).repeat(6), torch.from_numpy(suite.actions[0]))
        touch = wrong.decode(futures, ["touch"])["touch"].numpy()
        np.testing.assert_array_equal(touch, suite.arrays["wrong.touch"][0])


def test_simulators_need_snapshots() -> None:
    with pytest.raises(SnapshotError, match="no snapshots"):
        Oracle(make_world("push", 32)).observe(History({}, torch.zeros(1, 0, 2)))


def test_a_model_of_other_states_is_refused(suite: Suite, readout: Readout) -> None:
    for model, message in (
        (Oracle(make_world("push", 64)), "shape"),
        (Oracle(make_world("push", 32, ["proprio"])), "readout looks at rgb"),
        (Oracle(make_world("grasp", 32)), "actions"),
    ):
        with pytest.raises(StateError, match=message):
            predict(model, suite, readout)


class Unsure(Oracle):
    """The oracle, but for where the hand is: that it only knows up to a normal error, which it samples."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.spec = replace(self.spec, name="unsure", stochastic=True)

    def imagine(self, belief: Beliefs, actions: torch.Tensor, sample: int | None = None) -> Beliefs:
        found = super().imagine(belief, actions, sample)
        draw = torch.full((len(actions), actions.shape[1]), -1 if sample is None else sample)
        return replace(found, tensors={**found.tensors, "draw": draw})

    def decode(self, beliefs: Beliefs, modalities: Any) -> Any:
        states = dict(super().decode(beliefs, modalities))
        for i, draw in enumerate(beliefs.tensors["draw"][:, 0].tolist()):
            if draw >= 0:
                states["proprio"][i] += 0.05 * torch.from_numpy(np.random.default_rng(draw).standard_normal(4))
        return states


def test_samples_are_scored(suite: Suite, readout: Readout) -> None:
    found, _ = evaluate(Unsure(make_world("push", 32)), suite, readout, samples=4, shown=0)
    assert found.metrics["coverage_50"] <= found.metrics["coverage_80"] <= found.metrics["coverage_95"]
    assert found.metrics["crps"]["1.0"] > 0 and found.metrics["spread_skill"]["1.0"] > 0
    assert [level for level, _ in found.metrics["calibration"]["coverage"]] == sorted(
        level for level, _ in found.metrics["calibration"]["coverage"]
    )


# From suite to results.


def test_a_deaf_model_is_found_out(suite: Suite, readout: Readout, tmp_path: Path) -> None:
    oracle = Oracle(make_world("push", 32))
    found, showcase = evaluate(CopyLast(oracle.spec), suite, readout, shown=1)
    metrics = found.metrics
    assert list(metrics["nce"]) == ["0.5", "1.0", "2.0"]
    assert metrics["nce"]["1.0"] == pytest.approx(1, rel=ROUNDED) and metrics["slope"]["1.0"] == pytest.approx(
        0, abs=ROUNDED
    )
    assert metrics["retrieval_at_6"]["1.0"] == pytest.approx(1 / 6, abs=0.1)
    assert metrics["actions_heard"] == metrics["last_action_gradient"] == metrics["delta_psnr"] == 0
    assert set(metrics["flips"]) == set(suite.world.events)
    assert set(found.baselines) >= {"oracle", "wrong_physics", "gain_0.8", "blind", "climatology", "copy_last"}
    assert found.intervals["nce"]["1.0"] == pytest.approx([1, 1], rel=ROUNDED)

    found.save(tmp_path / "results.json")
    loaded = Evaluation.load(tmp_path / "results.json")
    assert loaded.metrics["groups"]["body"]["nce"] == pytest.approx(metrics["groups"]["body"]["nce"])
    assert showcase is not None
    showcase.save(tmp_path / "results.npz")
    again = Showcase.load(tmp_path / "results.npz")
    assert again.imagined["rgb"].shape == (1, 6, 20, 32, 32, 3) and again.truth["motion"].dtype == np.float32
    np.testing.assert_array_equal(again.truth["rgb"], showcase.truth["rgb"])
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(DatasetError, match="not a saved evaluation"):
        Evaluation.load(tmp_path / "results.json")


def test_an_attentive_model_is_heard(suite: Suite, readout: Readout) -> None:
    oracle = Oracle(make_world("push", 32))
    metrics = evaluate(oracle, suite, readout, shown=0)[0].metrics
    assert metrics["actions_heard"] == 1 and metrics["last_action_gradient"] > 0 and metrics["delta_psnr"] > 3
    assert metrics["groups"]["body"]["nce"]["1.0"] == pytest.approx(0, abs=1e-6)
    assert metrics["contact_f1"]["1.0"] == 1 or math.isnan(metrics["contact_f1"]["1.0"])
    deaf = evaluate(ActionBlind(oracle), suite, readout, shown=0)[0].metrics
    assert deaf["nce"]["1.0"] == pytest.approx(1, rel=ROUNDED) and deaf["actions_heard"] == 0


def test_a_readout_is_kept_and_the_same_from_disk(suite: Suite, readout: Readout, cache: Path) -> None:
    (path,) = (cache / "readouts").glob("push-*.safetensors")
    states = {name: torch.from_numpy(suite.truth(name)[:2]) for name in readout.spec}
    kept, fresh = Readout.load(path)(states), readout(states)
    np.testing.assert_array_equal(kept.outcomes, fresh.outcomes)
    np.testing.assert_array_equal(kept.events, fresh.events)
    assert fresh.outcomes.shape == suite.outcomes[:2].shape and fresh.contact.shape == (2, 6, 20)
    missed = suite.scale(fresh.outcomes)[..., suite.headline()] - suite.scale(suite.outcomes[:2])[..., suite.headline()]
    assert (missed**2).mean() < 0.5 * (suite.scale(suite.outcomes[:2])[..., suite.headline()] ** 2).mean()
    path.with_name("bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="not a readout"):
        Readout.load(path.with_name("bad.safetensors"))
    path.with_name("bad.safetensors").unlink()


def test_readouts_kept_before_there_were_shapes_still_read(suite: Suite, readout: Readout, tmp_path: Path) -> None:
    old = Readout(
        readout.world, readout.spec, make_network(readout.world, readout.spec, False).half().float(), readout.climate
    )
    path = tmp_path / "old.safetensors"
    path.write_bytes(old.to_bytes().replace(b', \\"shapes\\": false', b" " * 19))
    assert b"shapes" not in path.read_bytes()
    states = {name: torch.from_numpy(suite.truth(name)[:1]) for name in readout.spec}
    np.testing.assert_array_equal(Readout.load(path)(states).outcomes, old(states).outcomes)


def test_a_feature_tells_which_way_it_is_turned() -> None:
    look = SpatialSoftArgmax(1, 1, shapes=True)
    torch.nn.init.constant_(look.maps.weight, 1.5)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")

    def told(degrees: float, over: float = 0.0) -> torch.Tensor:
        angle = torch.tensor(degrees).deg2rad()
        along = (x - 15.5 - over) * angle.cos() + (y - 15.5) * angle.sin()
        beside = (y - 15.5) * angle.cos() - (x - 15.5 - over) * angle.sin()
        picture = torch.exp(-((along / 10) ** 2) - (beside / 5) ** 2)
        return look(picture[None, None])[0, 3:].detach()

    for degrees in (0.0, 30.0, 90.0, 135.0):
        double = torch.tensor(2 * degrees).deg2rad()
        direction = told(degrees) / told(degrees).norm()
        torch.testing.assert_close(direction, torch.stack([double.cos(), double.sin()]), atol=0.05, rtol=0)
        torch.testing.assert_close(told(degrees), told(degrees, over=4), atol=0.05, rtol=0)


# The command.


def test_the_command_prints_and_saves(
    suite: Suite, readout: Readout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nextstate.evaluation.building.build_suite", lambda *args, **options: suite)
    monkeypatch.setattr("nextstate.evaluation.evaluate.make_readout", lambda *args, **options: readout)
    monkeypatch.setattr(command, "load", lambda config: (CopyLast(Oracle(make_world("push", 32)).spec), 32))
    out = tmp_path / "deep" / "push.json"
    arguments = ["--model", "copy-last", "--world", "push", "--suite-snapshots", "4", "--out", str(out)]
    assert command.main(arguments) == 0
    saved = json.loads(out.read_text())
    assert {"command", "commit", "date", "machine", "model", "train_seconds", "metrics", "baselines"} <= set(saved)
    assert saved["model"] == "copy-last" and saved["metrics"]["nce"]["2.0"] == pytest.approx(1, rel=ROUNDED)
    assert out.with_suffix(".npz").exists() and out.with_suffix(".config.json").exists()
    printed = capsys.readouterr().out
    assert "NCE 1.0 s" in printed and "oracle" in printed and "blind" in printed


def test_the_command_refuses_what_cannot_be_used() -> None:
    for arguments, error in (
        (["--model", "oracle", "--world", "pusch"], UnknownNameError),
        (["--model", "oracle", "--world", "push", "--alternatives", "1"], SettingsError),
        (["--model", "oracle", "--world", "push", "--out", "somewhere"], SettingsError),
    ):
        with pytest.raises(error):
            command.main(arguments)
