"""A network and data small enough to train in a test: a point that moves as it is told, seen as a grey picture."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.modalities import Proprio, Rgb
from nextstate.models import Beliefs, History, States, WorldModelSpec
from nextstate.models.stages import Stage
from nextstate.training import loop
from nextstate.training.loop import Outcome, Trainer
from nextstate.training.run import Run
from nextstate.training.settings import TrainingSettings
from nextstate.training.validate import ValidationSet

SIZE = 8
CONTEXT = 2


def spec(**changes: Any) -> WorldModelSpec:
    modalities = {"rgb": Rgb(shape=(SIZE, SIZE, 3)), "proprio": Proprio(shape=(2,))}
    fields = {"name": "point", "modalities": modalities, "action_size": 2, "hz": 10.0, "context": 2, "horizon": 6}
    return WorldModelSpec(**{**fields, **changes})


class Points:
    """Batches of windows: ``x[t+1] = x[t] + 0.2 a[t]``; the picture's red and green are the point's place."""

    def __init__(self, length: int = 8, seed: int = 0) -> None:
        self.length, self.seed = length, seed

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self.seed, step])
        action = rng.uniform(-1, 1, (size, self.length - 1, 2)).astype(np.float32)
        start = rng.uniform(-1, 1, (size, 1, 2)).astype(np.float32)
        place = np.concatenate([start, start + 0.2 * np.cumsum(action, axis=1)], axis=1)
        colour = np.concatenate([place, np.zeros_like(place[..., :1])], axis=-1)
        rgb = np.clip(127.5 + 60 * colour, 0, 255).astype(np.uint8)
        shape = (*rgb.shape[:2], SIZE, SIZE, 3)
        return {"rgb": np.broadcast_to(rgb[:, :, None, None], shape).copy(), "proprio": place, "action": action}


class PointModel(nn.Module):
    """Sees with a convolution, steps with a linear layer, and uses every kind of randomness a network may use."""

    def __init__(self, spec: WorldModelSpec, preset: str = "tiny", width: int = 16) -> None:
        super().__init__()
        self.spec, self.preset, self.width = spec, preset, width
        self.see = nn.Conv2d(3, width, 3)
        self.enter = nn.Linear(width + 2, width)
        self.forget = nn.Dropout(0.1)
        self.next = nn.Linear(width + spec.action_size, width)
        self.feel = nn.Linear(width, 2)
        self.draw = nn.Linear(width, 3)
        self.register_buffer("scale", torch.tensor(0.1))

    def config(self) -> dict[str, Any]:
        return {"preset": self.preset, "options": {"width": self.width}}

    def owners(self) -> dict[str, int]:
        count = {n: sum(p.numel() for p in m.parameters()) for n, m in self.named_children()}
        return {
            "vision": count["see"] + count["draw"],
            "dynamics": count["enter"] + count["next"],
            "proprioception": count["feel"],
        }

    stages = (Stage("all", 1.0, lambda *_: {}),)

    def recall(self, states: States) -> dict[str, Tensor]:
        raise NotImplementedError

    def finish(self, batch: States) -> None:
        pass

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        return 6.0 * batch_size * self.spec.horizon * sum(self.owners().values())

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        context = self.spec.context
        history = {name: batch[name][:, :context] for name in self.spec.modalities}
        belief = self.observe(History(history, batch["action"][:, : context - 1]))
        noise = torch.randn(len(belief), self.width, generator=generator)
        hidden = self.forget(belief.tensors["h"]) + 0.1 * (1 - progress) * noise
        imagined = self.imagine(Beliefs({"h": hidden}), batch["action"][:, context - 1 :])
        parts = {}
        for name, guess in self._read(imagined.tensors["h"], list(self.spec.modalities)).items():
            parts[name] = (guess - self.spec.modalities[name].normalise(batch[name][:, context:])).square().mean()
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def observe(self, history: History) -> Beliefs:
        last = {name: m.normalise(history.states[name][:, -1]) for name, m in self.spec.modalities.items()}
        seen = self.see(last["rgb"].permute(0, 3, 1, 2)).mean(dim=(2, 3)).relu()
        return Beliefs({"h": self.enter(torch.cat([seen, last["proprio"]], dim=-1))})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        hidden, found = belief.tensors["h"], []
        for action in actions.unbind(dim=1):
            hidden = hidden + self.scale * self.next(torch.cat([hidden, action], dim=-1))
            found.append(hidden)
        return Beliefs({"h": torch.stack(found, dim=1)})

    def decode(self, beliefs: Beliefs, modalities: Any) -> States:
        read = self._read(beliefs.tensors["h"], modalities)
        found = {name: self.spec.modalities[name].denormalise(value) for name, value in read.items()}
        return {n: v.clamp(0, 255).to(torch.uint8) if n == "rgb" else v for n, v in found.items()}

    def _read(self, hidden: Tensor, modalities: Any) -> dict[str, Tensor]:
        found = {}
        if "rgb" in modalities:
            colour = self.draw(hidden).float()[:, :, None, None]
            found["rgb"] = colour.expand(-1, -1, SIZE, SIZE, -1)
        if "proprio" in modalities:
            found["proprio"] = self.feel(hidden).float()
        return found


def build(spec: WorldModelSpec, preset: str, **options: Any) -> PointModel:
    return PointModel(spec, preset, **options)


class Killer(Points):
    """Ends its own process when asked for a certain batch."""

    def __init__(self, at: int, number: int) -> None:
        super().__init__()
        self.at, self.number = at, number

    def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
        if step == self.at:
            os.kill(os.getpid(), self.number)
        return super().batch(step, size)


def held_out() -> ValidationSet:
    climate = {n: a for n, a in Points(1, seed=8).batch(0, 64).items() if n != "action"}
    return ValidationSet(Points(12, seed=9).batch(0, 24), CONTEXT, climate)


def settings(**changes: Any) -> TrainingSettings:
    fields = {"steps": 40, "batch": 8, "checkpoint_every": "10", "validate_every": "15", "tensorboard": False}
    if "minutes" in changes or "pace_of" in changes:
        fields["steps"] = None
    return TrainingSettings(**{**fields, "lr": 1e-2, "precision": "fp32", "threads": 1, **changes})


def train(out: Path, batches: Any = None, model: PointModel | None = None, **changes: Any) -> Outcome:
    """Trains the stand-in into `out`."""
    loop.measure_peak = lambda *_, **__: 1e11  # the real one takes longer than the stand-in trains
    chosen = settings(**changes)
    torch.manual_seed(chosen.seed)
    model = model or PointModel(spec())
    held = held_out()
    run = Run(out, {"training": chosen.to_dict()})
    try:
        return Trainer(model, batches or Points(), chosen, run, held, {"data": "points"}).fit()
    finally:
        run.close()


def main(arguments: list[str]) -> int:
    """``standin.py OUT BUDGET KILL_AT SIGNAL``: trains, and gets a signal at a step; budget is 40steps or 0.1min."""
    out, budget, at, number = arguments
    length: dict[str, Any] = (
        {"steps": int(budget.removesuffix("steps"))}
        if budget.endswith("steps")
        else {"minutes": float(budget.removesuffix("min"))}
    )
    batches = Killer(int(at), int(number)) if int(number) else Points()
    outcome = train(Path(out), batches, precision="auto", **length)
    return 130 if outcome.interrupted else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
