"""Foresight in the model's own terms: no pixels reach the eye, and it does not collapse, on one device or several."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nextstate.errors import CollapseError, SettingsError
from nextstate.models import StateModel, build
from nextstate.models.objectives.regularisers import sketched_gaussian, variance_covariance
from nextstate.training.loop import Trainer
from nextstate.training.metrics import read_metrics
from nextstate.training.run import Run
from nextstate.training.settings import TrainingSettings
from nextstate.training.validate import ValidationSet
from nextstate.training.watch import PATIENCE, Watch, effective_dimensions, look_at
from test_objectives import SMALL, make
from test_world_model import spec, window

EYE = ("eye.", "thing.", "whole.")


def gradients(terms: str) -> dict[str, Tensor]:
    model = make("latent")
    parts = model.loss(window(model, 6), torch.Generator().manual_seed(0), 0.1)
    parts[terms].backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_drawing_teaches_the_hand_and_never_the_eye() -> None:
    assert all(name.startswith("hand.") for name in gradients("drawing"))
    whole = gradients("loss")
    assert any(name.startswith("hand.") for name in whole)
    assert all(any(name.startswith(part) for name in whole) for part in (*EYE, "dynamics.", "latent."))
    # Later stages draw from what was foreseen: that, too, teaches the hand alone.
    model = make("latent")
    batch = window(model, 4)
    action = batch.pop("action")
    batch = {**model.windows_for(model.stages[3], batch), "action": action}
    model.loss(batch, torch.Generator().manual_seed(0), 0.99)["loss"].backward()
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None} == {"hand"}


@pytest.mark.parametrize("term", ["sketch", "variance", "covariance", "inverse", "temporal"])
def test_each_term_can_be_switched(term: str) -> None:
    def parts(weight: float) -> set[str]:
        off = dict.fromkeys(("sketch", "variance", "covariance", "inverse", "temporal"), 0.0)
        torch.manual_seed(0)
        model = build(spec(), "tiny", objective="latent", **SMALL, **{**off, term: weight})
        found = model.loss(window(model), torch.Generator().manual_seed(0), 0.1)
        return {name for name, value in found.items() if name in off and value.detach() != 0}

    assert parts(1.0) == {term} and parts(0.0) == set()


def test_terms_that_cannot_be_are_named() -> None:
    with pytest.raises(SettingsError, match="sketch='much'"):
        build(spec(), "tiny", objective="latent", sketch="much")


@pytest.mark.parametrize("kind", ["sketch", "variance and covariance"])
def test_codes_that_shrank_to_a_point_or_a_line_are_pushed_apart(kind: str) -> None:
    def spread(codes: Tensor) -> float:
        if kind == "sketch":
            return float(sketched_gaussian(codes, torch.Generator().manual_seed(0)))
        return float(sum(variance_covariance(codes)))

    wide = torch.randn(512, 2, 6, generator=torch.Generator().manual_seed(0))
    line = wide[..., :1].expand(-1, -1, 6)
    assert spread(wide) < 0.3 * spread(line) and spread(wide) < 0.1 * spread(torch.zeros_like(wide))


SPLIT = """
import sys, torch, torch.distributed as dist
from nextstate.models.objectives.regularisers import sketched_gaussian, variance_covariance
rank, size, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if size > 1:
    dist.init_process_group("gloo", init_method=f"file://{path}/meet", rank=rank, world_size=size)
codes = torch.randn(32, 2, 5, generator=torch.Generator().manual_seed(0))[rank::size]
weight = torch.eye(5).requires_grad_()
generator = torch.Generator().manual_seed(rank)
loss = sketched_gaussian(codes @ weight, generator) + sum(variance_covariance(codes @ weight))
loss.backward()
gradient = weight.grad
if size > 1:
    dist.all_reduce(gradient)
    gradient /= size
if rank == 0:
    print(" ".join(f"{x:.5f}" for x in [float(loss.detach()), *gradient.flatten().tolist()]), flush=True)
if size > 1:
    # Who leaves while the other still listens makes the other crash.
    dist.barrier()
    dist.destroy_process_group()
"""


def test_a_batch_split_over_processes_is_regularised_as_a_whole(tmp_path: Path) -> None:
    def run(size: int) -> list[float]:
        command = [sys.executable, "-c", SPLIT]
        running = [
            subprocess.Popen([*command, str(rank), str(size), str(tmp_path)], stdout=subprocess.PIPE, text=True)
            for rank in range(size)
        ]
        told = [process.communicate(timeout=120)[0] for process in running]
        assert all(process.returncode == 0 for process in running)
        return [float(x) for x in told[0].split()]

    assert run(2) == pytest.approx(run(1), abs=2e-4)


def test_a_space_of_few_dimensions_is_told_from_one_of_many() -> None:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(256, 20, generator=generator)
    flat = torch.randn(256, 3, generator=generator) @ torch.randn(3, 20, generator=generator)
    half = torch.cat([wide[:, :10], torch.ones(256, 10)], dim=1)
    assert effective_dimensions(wide)[0] > 18 and effective_dimensions(flat)[0] < 3.1
    assert effective_dimensions(half)[1] == pytest.approx(0.5)
    assert effective_dimensions(torch.ones(256, 20)) == (1.0, 1.0)


def held(model: StateModel) -> ValidationSet:
    batch = {n: v.numpy() for n, v in window(model, 16).items()}
    climate = {n: v[:, :1] for n, v in batch.items() if n != "action"}
    return ValidationSet(batch, model.spec.context, climate)


def test_a_model_that_hears_and_sees_raises_no_alarm_and_others_do() -> None:
    model, cpu = make("latent"), torch.device("cpu")
    good = look_at(model, held(model), cpu)
    assert good is not None and good.heard > 0.01 and good.rank > 2
    with torch.no_grad():
        model.dynamics.action.weight.zero_()
    deaf = look_at(model, held(model), cpu)
    assert deaf is not None and deaf.heard == 0 and deaf.rank == pytest.approx(good.rank)
    watch = Watch()
    for signs in (good, deaf, good, deaf, deaf):
        watch.check(signs, foresees=True)
    with pytest.raises(CollapseError, match="does not listen"):
        watch.check(deaf, foresees=True)
    for _ in range(PATIENCE):
        watch.check(deaf, foresees=False)


def test_who_only_learns_to_look_need_not_listen(tmp_path: Path) -> None:
    model = make("pixel", stirred=0.0)
    model.stages = tuple(stage for stage in model.stages if stage.name == "look")
    settings = TrainingSettings(steps=20, batch=4, validate_every="4", precision="fp32", threads=1, tensorboard=False)
    with closing(Run(tmp_path / "run", {"training": settings.to_dict()})) as run:
        Trainer(model, Windows(model), settings, run, held(model)).fit()
    noted = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "validation"]
    assert len(noted) > PATIENCE and all(line["space"]["heard"] == 0 for line in noted)


def test_collapse_stops_training_with_a_clear_message(tmp_path: Path) -> None:
    model = make("latent", stirred=0.0)
    with torch.no_grad():
        # An eye that sees the same in everything, and a rate at which it stays so.
        for part in (model.eye.outline, model.thing[-1], model.whole[-1]):
            part.weight.zero_()
    settings = TrainingSettings(
        steps=80, batch=4, lr=1e-12, validate_every="4", precision="fp32", threads=1, tensorboard=False
    )
    run = Run(tmp_path / "run", {"training": settings.to_dict()})
    with closing(run), pytest.raises(CollapseError, match=r"collapsed: 1\.0 effective dimensions"):
        Trainer(model, Windows(model), settings, run, held(model)).fit()
    noted = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "validation"]
    assert [line["step"] for line in noted] == [4, 8, 12] and noted[-1]["space"]["dead"] > 0.95


class Windows:
    """The same windows each time."""

    def __init__(self, model: StateModel) -> None:
        self.windows = {n: v.numpy() for n, v in window(model, 4).items()}

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        return {n: v[:size] for n, v in self.windows.items()}
