"""How fast the network learns and imagines.

    python -m benchmarks.models [--preset small] [--world push] [--seconds 6] [--threads 0]

Training: steps of each stage on windows of random numbers, as shares of the matrix peak measured in the same run.
Imagining: one future with rgb drawn at each step, 256 alternatives of 20 steps without drawing, and the cost of a
late step beside an early one. Medians over rounds. Writes results/bench/models.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from nextstate.commands.pretrain import BEST
from nextstate.data.storage import write_json
from nextstate.models import Beliefs, StateModel, WorldModelSpec, build
from nextstate.models.protocol import History
from nextstate.provenance import provenance
from nextstate.training.precision import autocast, choose_device, choose_dtype, settle_threads
from nextstate.training.throughput import measure_peak
from nextstate.worlds import make_world

BATCH = 32
WANTED = {"frames_per_second": 60, "alternatives_milliseconds": 300, "share_of_peak": 0.4}
OUT = Path(__file__).parents[1] / "results" / "bench" / "models.json"


def median_seconds(work: Callable[[], object], seconds: float) -> float:
    """Median time of `work`, over at least three rounds."""
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def random_states(model: StateModel, batch: int, length: int) -> dict[str, torch.Tensor]:
    states = {n: torch.rand(batch, length, *m.shape) for n, m in model.spec.modalities.items()}
    return {n: (v * 255).to(torch.uint8) if n == "rgb" else v for n, v in states.items()}


def learning(model: StateModel, peak: float, dtype: torch.dtype, seconds: float) -> dict[str, dict[str, float]]:
    """Stage -> figures of its steps."""
    found, whole = {}, sum(stage.share for stage in model.stages)
    length, begin = model.spec.context + model.spec.horizon, 0.0
    for stage in model.stages:
        progress = begin + 0.9 * stage.share / whole
        begin += stage.share / whole
        windows = round(BATCH * stage.windows)
        with autocast(model.device, dtype):
            batch = model.windows_for(stage, random_states(model, windows, length))
        batch["action"] = torch.rand(windows, length - 1, model.spec.action_size)

        def step(batch: dict[str, torch.Tensor] = batch, progress: float = progress) -> None:
            with autocast(model.device, dtype):
                model.loss(batch, torch.Generator().manual_seed(0), progress)["loss"].backward()
            model.zero_grad(set_to_none=True)

        took = median_seconds(step, seconds)
        flops = model.flops(BATCH, progress)
        found[stage.name] = {
            "milliseconds": round(1e3 * took, 1),
            "windows_per_second": round(windows / took, 1),
            "gflop": round(flops / 1e9, 2),
            "share_of_peak": round(flops / took / peak, 3),
        }
        print(f"{stage.name:8} {found[stage.name]}", flush=True)
    return found


def imagining(model: StateModel, seconds: float) -> dict[str, float]:
    """How long imagining takes."""
    model.eval()
    states = random_states(model, 1, model.spec.context)
    belief = model.observe(History(states, torch.zeros(1, model.spec.context - 1, model.spec.action_size)))
    plan = torch.rand(1, 20, model.spec.action_size) * 2 - 1

    def one() -> None:
        now: Beliefs = belief
        for action in plan.unbind(1):
            span = model.imagine(now, action[:, None])
            model.decode(span, ["rgb"])
            now = span.map(lambda t: t[:, -1])

    many, plans = belief.repeat(256), plan.expand(256, -1, -1)
    early = median_seconds(lambda: model.imagine(belief, plan[:, :1].expand(-1, 10, -1)), seconds / 2)
    late = median_seconds(lambda: model.imagine(belief, plan[:, :1].expand(-1, 200, -1)), seconds / 2)
    found = {
        "frames_per_second": round(20 / median_seconds(one, seconds), 1),
        "alternatives_milliseconds": round(1e3 * median_seconds(lambda: model.imagine(many, plans), seconds), 1),
        "late_step_over_early": round((late - early) / 190 / (early / 10), 3),
    }
    print(f"imagine  {found}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--world", default="push")
    parser.add_argument("--seconds", type=float, default=6.0, help="time for each figure")
    parser.add_argument("--threads", type=int, default=0, help="0 for as many as cores")
    options = parser.parse_args()
    threads, device = settle_threads(options.threads), choose_device("cpu")
    dtype = choose_dtype("auto", device)
    world = make_world(options.world)
    spec = WorldModelSpec("bench", world.state_spec, world.action_size, 10.0, 4, 16)
    model = build(spec, options.preset, objective=BEST)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    peak = measure_peak(device, dtype, seconds=2.0)
    figures = {
        "preset": options.preset,
        "parameters": sum(model.owners().values()),
        "threads": threads,
        "matrix_peak_gflops": round(peak / 1e9, 1),
        "learning": learning(model, peak, dtype, options.seconds),
        "imagining": imagining(model, options.seconds),
        "wanted": WANTED,
    }
    command = " ".join(["python -m benchmarks.models", *sys.argv[1:]])
    write_json(OUT, {**provenance(command), **figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
