"""Training can be killed at any moment, notices when it goes wrong, and says how good the model is."""

from __future__ import annotations

import json
import math
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nextstate.errors import CheckpointError, DivergenceError, SettingsError, StorageError
from nextstate.models.pretrained import from_pretrained
from nextstate.training.checkpoint import Checkpoint, Checkpoints
from nextstate.training.ema import PowerEma, exponent_of
from nextstate.training.guard import Guard
from nextstate.training.metrics import Metrics, read_metrics
from nextstate.training.muon import orthogonal
from nextstate.training.optimiser import Optimiser
from nextstate.training.prefetch import Prefetch
from nextstate.training.schedule import Schedule, TimePace, read_pace
from nextstate.training.settings import Interval, TrainingSettings
from nextstate.training.throughput import Throughput, measure_peak
from nextstate.training.validate import validate
from standin import Killer, PointModel, Points, build, held_out, spec, train

STANDIN = Path(__file__).with_name("standin.py")


def run_apart(out: Path, budget: str, at: int = -1, number: int = 0) -> int:
    command = [sys.executable, str(STANDIN), str(out), budget, str(at), str(number)]
    return subprocess.run(command, check=False, capture_output=True, timeout=120).returncode


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def assert_same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_after_sigkill_the_weights_are_the_same_bits(tmp_path: Path) -> None:
    assert run_apart(tmp_path / "killed", "40steps", 27, signal.SIGKILL) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    for name in ("whole", "killed"):
        train(tmp_path / name, precision="auto")
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    newest = [load_file(tmp_path / r / "checkpoints/step-000000040/tensors.safetensors") for r in ("whole", "killed")]
    assert_same_bits(*newest)
    steps = [line["step"] for line in read_metrics(tmp_path / "killed" / "metrics.jsonl") if line["kind"] == "train"]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    outcome = train(tmp_path / "run", Killer(13, number))
    assert outcome.interrupted and 10 < outcome.step <= 14
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1] == outcome.step
    assert not train(tmp_path / "run").interrupted
    train(tmp_path / "whole")
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_a_run_by_the_clock_can_be_repeated_bit_for_bit(tmp_path: Path) -> None:
    assert run_apart(tmp_path / "timed", "0.05min", 5, signal.SIGKILL) == -signal.SIGKILL
    before = read_pace(tmp_path / "timed" / "pace.f64")
    outcome = train(tmp_path / "timed", minutes=0.05, precision="auto")
    after = read_pace(tmp_path / "timed" / "pace.f64")
    assert (after[: len(before)] == before).all(), "steps made again have the progress they had"
    assert (np.diff(after) > 0).all() and after[-1] < 1 and len(after) == outcome.step
    train(tmp_path / "again", pace_of=tmp_path / "timed", precision="auto")
    assert_same_bits(weights(tmp_path / "timed"), weights(tmp_path / "again"))


def test_time_nobody_trained_does_not_count(tmp_path: Path) -> None:
    now = 100.0
    pace = TimePace(10.0, tmp_path / "pace", clock=lambda: now)
    assert pace.at(0) == 0.0
    now += 4.0
    assert pace.at(1) == pytest.approx(0.4)
    pace.close()
    now += 1000.0
    pace = TimePace(10.0, tmp_path / "pace", clock=lambda: now)
    assert [pace.at(0), pace.at(1)] == pytest.approx([0.0, 0.4])
    assert pace.at(2) == pytest.approx(0.4)
    now += 6.0
    assert pace.at(3) == 1.0


def test_training_learns_to_listen_and_leaves_everything_behind(tmp_path: Path) -> None:
    outcome = train(tmp_path / "run", steps=400, tensorboard=True)
    assert outcome.validated is not None and not outcome.interrupted
    error = outcome.validated.mean
    assert error("model") < 0.5 * min(error("copy-last"), error("blind"))
    assert error("shuffled") > error("blind")
    run = tmp_path / "run"
    assert {p.name for p in run.iterdir()} >= {"config.json", "environment.json", "metrics.jsonl", "model"}
    assert list((run / "tensorboard").iterdir())
    assert json.loads((run / "environment.json").read_text())["threads"] == 1
    kinds = {line["kind"] for line in read_metrics(run / "metrics.jsonl")}
    assert kinds == {"train", "validation", "end"}
    model = from_pretrained(run / "model", build)
    again = validate(model, held_out(), torch.device("cpu"))
    assert again.score == pytest.approx(outcome.validated.score, rel=1e-4)


def test_keeps_the_last_two_checkpoints_and_the_best(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for step, score in ((1, 0.9), (2, 0.1), (3, 0.5), (4, None), (5, 0.2)):
        kept.save(Checkpoint(step, {"weights/a": torch.full((2,), float(step))}, {"x": step}), score)
    assert kept.steps() == [2, 4, 5]


@pytest.mark.parametrize("damage", ["truncate", "flip", "numbers", "missing"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    said: list[str] = []
    kept = Checkpoints(tmp_path, warn=said.append)
    for step in (1, 2):
        kept.save(Checkpoint(step, {"weights/a": torch.arange(100.0)}, {}))
    newest = tmp_path / "step-000000002"
    content = bytearray((newest / "tensors.safetensors").read_bytes())
    if damage == "truncate":
        (newest / "tensors.safetensors").write_bytes(content[:-8])
    elif damage == "flip":
        content[-3] ^= 1
        (newest / "tensors.safetensors").write_bytes(content)
    elif damage == "numbers":
        (newest / "state.json").write_text("{")
    else:
        (newest / "tensors.safetensors").unlink()
    found = kept.newest()
    assert found is not None and found.step == 1
    assert "step-000000002 is damaged" in said[0]
    (tmp_path / "step-000000001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="every checkpoint"):
        kept.newest()


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Writes beyond so many bytes in a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(Checkpoint(1, {"weights/a": torch.zeros(10)}, {}))
    with small_disk(100_000), pytest.raises(StorageError, match="intact"):
        kept.save(Checkpoint(2, {"weights/a": torch.zeros(100_000)}, {}))
    found = kept.newest()
    assert found is not None and found.step == 1
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001"]


def test_notes_that_meet_a_full_disk_are_told_of_once(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, tensorboard=False)
    metrics.note("train", 1, {"loss": 1.0})
    with small_disk(30):
        with pytest.raises(StorageError, match="intact"):
            metrics.note("train", 2, {"loss": 1.0, "more": "x" * 100})
        metrics.close()
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1]


class Poisoned(Points):
    """Some batches hold what is not a number."""

    def __init__(self, steps: range) -> None:
        super().__init__()
        self.steps = steps

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        batch = super().batch(step, size)
        if step in self.steps:
            batch["proprio"][1, 3, 0] = np.nan
        return batch


def test_one_bad_batch_is_skipped_and_counted(tmp_path: Path) -> None:
    train(tmp_path / "run", Poisoned(range(12, 13)))
    last = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "train"][-1]
    assert last["skipped"] == 1
    assert all(torch.isfinite(w).all() for w in weights(tmp_path / "run").values())


def test_many_bad_batches_stop_with_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        DivergenceError, match=r"step 30 .*proprio is nan.*itself holds nan in 'proprio' at \(1, 3, 0\)"
    ):
        train(tmp_path / "run", Poisoned(range(25, 40)))
    found = Checkpoints(tmp_path / "run" / "checkpoints").newest()
    assert found is not None and found.step == 30
    assert all(torch.isfinite(t).all() for t in found.tensors.values())


def test_an_exploding_loss_stops_training_and_is_not_saved(tmp_path: Path) -> None:
    class Explodes(PointModel):
        def loss(self, batch, generator, progress):  # type: ignore[no-untyped-def]
            parts = super().loss(batch, generator, progress)
            return {"loss": parts["loss"] * (1e4 if progress > 0.5 else 1.0)}

    with pytest.raises(DivergenceError, match=r"running median .* at step 130"):
        train(tmp_path / "run", model=Explodes(spec()), steps=200)
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1] == 100


def test_what_explodes_at_the_very_end_is_no_model(tmp_path: Path) -> None:
    class Explodes(PointModel):
        def loss(self, batch, generator, progress):  # type: ignore[no-untyped-def]
            parts = super().loss(batch, generator, progress)
            return {"loss": parts["loss"] * (1e4 if progress > 0.92 else 1.0)}

    with pytest.raises(DivergenceError, match="exploding when training ended at step 200"):
        train(tmp_path / "run", model=Explodes(spec()), steps=200)
    assert not (tmp_path / "run" / "model").exists()


def test_divergence_of_a_loss_that_may_be_negative() -> None:
    guard = Guard(patience=3)
    rng = np.random.default_rng(0)
    for step in range(300):
        guard.check(step, {"loss": float(rng.normal(0, 0.2))}, 1.0, str)
    assert guard.calm
    with pytest.raises(DivergenceError):
        for step in range(300, 303):
            guard.check(step, {"loss": 8.0}, 1.0, str)


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=5)
    with pytest.raises(CheckpointError, match=r"training\.batch was 8, is 4"):
        train(tmp_path / "run", steps=5, batch=4)
    train(tmp_path / "run", steps=5, checkpoint_every="7")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.rmtree(tmp_path / "run" / "model")
    assert train(tmp_path / "run", steps=5, batch=4).step == 5, "nothing was learned yet, so nothing is refused"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="holds no run"):
        train(tmp_path / "other", steps=5)


def test_schedules_rise_stay_and_fall() -> None:
    trapezoid = Schedule("trapezoid", warmup=0.1, cooldown=0.4)
    assert [trapezoid(p) for p in (0.05, 0.1, 0.6, 0.8, 1.0)] == pytest.approx([0.5, 1, 1, 0.5, 0])
    cosine = Schedule("cosine", warmup=0.0, final=0.1)
    assert [cosine(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.55, 0.1])


def test_the_optimiser_clips_skips_and_spares_vectors_from_decay() -> None:
    layer = nn.Linear(3, 3)
    optimiser = Optimiser(layer, lr=0.1, weight_decay=0.5, clip=1.0)
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    for p in layer.parameters():
        p.grad = torch.full_like(p, math.nan)
    assert not optimiser.step(1.0).isfinite()
    assert all(torch.equal(before[n], p) for n, p in layer.named_parameters())
    reference = nn.Linear(3, 3)
    reference.load_state_dict(layer.state_dict())
    plain = torch.optim.AdamW(
        [{"params": [reference.weight], "weight_decay": 0.5}, {"params": [reference.bias], "weight_decay": 0.0}],
        lr=0.05,
        betas=(0.9, 0.95),
    )
    for scale in (5.0, 0.01, 3.0):
        for own, other in zip(layer.parameters(), reference.parameters(), strict=True):
            own.grad = torch.linspace(-scale, scale, own.numel()).view_as(own)
            other.grad = own.grad.clone()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimiser.step(0.5)
        plain.step()
    for own, other in zip(layer.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(own, other, atol=1e-6)


def test_muon_learns_in_all_directions_and_is_spared_what_is_not_finite() -> None:
    generator = torch.Generator().manual_seed(0)
    lopsided = torch.randn(2, 12, 40, generator=generator) * torch.logspace(0, -1.5, 12)[:, None]
    for matrices in (lopsided, lopsided.mT):
        values = torch.linalg.svdvals(orthogonal(matrices))
        assert values.min() > 0.5 and values.max() < 1.3
    layer = nn.Conv2d(8, 16, 3)
    optimiser = Optimiser(layer, lr=0.1, weight_decay=0.0)
    before = layer.weight.detach().clone()
    for value in (math.nan, 1.0):
        assert torch.equal(before, layer.weight)
        layer.weight.grad = torch.full_like(layer.weight, value)
        layer.bias.grad = torch.zeros(16)  # type: ignore[union-attr]
        optimiser.step(1.0)
    assert layer.weight.isfinite().all() and not torch.equal(before, layer.weight)
    other = Optimiser(layer, lr=0.1, weight_decay=0.0)
    other.load(optimiser.state())
    assert all(torch.equal(value, other.state()[name]) for name, value in optimiser.state().items())


def test_muon_learns_alike_whichever_way_a_matrix_lies() -> None:
    module = nn.ModuleDict({"wide": nn.Linear(24, 8), "tall": nn.Linear(8, 24)})
    wide, tall = module["wide"].weight, module["tall"].weight
    with torch.no_grad():
        tall.copy_(wide.T)
    before = wide.detach().clone()
    optimiser = Optimiser(module, lr=0.1)
    for step in range(3):
        wide.grad = torch.randn(8, 24, generator=torch.Generator().manual_seed(step))
        tall.grad = wide.grad.T.clone()
        module["wide"].bias.grad, module["tall"].bias.grad = torch.zeros(8), torch.zeros(24)
        optimiser.step(1.0)
    assert torch.equal(tall, wide.T) and not torch.equal(wide, before)


def test_the_average_covers_the_same_share_however_often_it_is_updated() -> None:
    assert exponent_of(0.05) == pytest.approx(16.97, abs=0.01)  # the paper's own pairing
    found = []
    for every in (1, 4):
        layer = nn.Linear(1, 1)
        ema = PowerEma(layer, 0.1, every)
        for step in range(1, 2001):
            nn.init.constant_(layer.weight, step / 2000)
            ema.update(step)
        with ema.applied():
            found.append(layer.weight.item())
        assert layer.weight.item() == 1.0
    assert found == pytest.approx([0.888, 0.888], abs=0.002)


def test_throughput_leaves_out_what_is_no_training() -> None:
    peak = measure_peak(torch.device("cpu"), torch.float32, size=256, seconds=0.0)
    assert 1e8 < peak < 1e14
    throughput = Throughput(peak=1e9)
    began = time.perf_counter()
    time.sleep(0.2)
    throughput.aside += time.perf_counter() - began - 0.1
    throughput.count(32, 1e6)
    figures = throughput.lap()
    assert figures["frames_per_second"] == pytest.approx(320, rel=0.2)
    assert figures["share_of_peak"] == pytest.approx(0.01, rel=0.2)


def test_prefetch_gives_batches_in_order_and_passes_errors_on() -> None:
    class Ends(Points):
        def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
            if step == 5:
                raise OSError("gone")
            return super().batch(step, size)

    with Prefetch(Ends(), 2, 4) as batches:
        for step in (2, 3, 4):
            assert (batches.get(step)["proprio"] == Points().batch(step, 4)["proprio"]).all()
        with pytest.raises(OSError, match="gone"):
            batches.get(5)


def test_unusable_settings_are_named() -> None:
    for wrong in ({"minutes": 1.0, "steps": 5}, {"steps": 0}, {"ema": 0.6}, {"validate_every": "soon"}):
        with pytest.raises(SettingsError):
            TrainingSettings(**wrong)  # type: ignore[arg-type]
    assert Interval.parse("2min").seconds == 120 and Interval.parse("50 steps").steps == 50
