"""How to train, apart from what and on which data. Imports nothing heavy: the command line shows it as help."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nextstate.errors import SettingsError

DEFAULT_MINUTES = 5.0


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; give either `minutes` or `steps`."""

    minutes: float | None = None
    """Train for this long, by the clock; 5 if nothing else is given."""
    steps: int | None = None
    """Train for this many steps; repeating such a run gives the same weights, bit for bit."""
    pace_of: Path | None = None
    """Repeat the schedule of this earlier run step for step (makes runs by the clock repeatable)."""
    batch: int = 32
    """Windows per step."""
    recalled: int = 6000
    """Frames that the later stages learn from, for each minute of a run by the clock, so that a short one does not
    spend it on looking at them once more; 0 for all."""
    seed: int = 0
    """Of initial weights, batches and noise."""
    lr: float = 2e-3
    """Peak learning rate."""
    optimiser: Literal["muon", "adamw"] = "muon"
    """Of matrices and kernels; all else learns by AdamW."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Memory of AdamW's first and second moments."""
    weight_decay: float = 0.05
    """Of matrices and kernels; vectors (norms, biases) never decay."""
    clip: float = 1.0
    """Longest gradient; longer ones are scaled down."""
    schedule: Literal["trapezoid", "cosine"] = "trapezoid"
    """Shape of the learning rate over the run."""
    warmup: float = 0.02
    """Share of the run in which the learning rate rises."""
    cooldown: float = 0.4
    """Share of the run in which a trapezoid falls."""
    final: float = 0.0
    """Learning rate at the end, as a share of the peak."""
    ema: float = 0.05
    """Width of the average over past weights, as a share of the run so far; 0 for none."""
    ema_every: int = 4
    """Steps between updates of the average."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 where the processor has it, else fp32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    threads: int = 0
    """Threads torch computes with; 0: all cores, or OMP_NUM_THREADS if that is set."""
    processes: int = 1
    """Processes on this machine that learn together, each from its part of every batch and on its part of the cores; on
    a cluster start them with torchrun instead."""
    channels_last: bool = True
    """Memory layout of convolutions; on processors bf16 wants it."""
    compile: bool = False
    """Compile the loss with torch.compile."""
    skip_limit: int = 5
    """Batches whose gradient is not finite that may be skipped within 1000 steps."""
    checkpoint_every: str = "2min"
    """Between checkpoints: 90s, 2min, or a number of steps."""
    validate_every: str = "1min"
    """Between validations: 90s, 2min, or a number of steps."""
    validation_windows: int = 32
    """Windows in the fixed validation set; 0 to skip validation."""
    log_every: str = "2s"
    """Between lines of metrics: 5s, or a number of steps."""
    tensorboard: bool = True
    """Also write TensorBoard events."""

    def __post_init__(self) -> None:
        given = [name for name in ("minutes", "steps", "pace_of") if getattr(self, name) is not None]
        if len(given) > 1:
            raise SettingsError(f"--{' and --'.join(n.replace('_', '-') for n in given)} exclude each other; keep one.")
        for name in ("minutes", "steps", "batch", "lr", "clip", "ema_every", "processes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"--{name.replace('_', '-')} is {value}; it must be above 0.")
        for name in ("warmup", "cooldown", "final", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"--{name} is {getattr(self, name)}; it is a share, from 0 to 1.")
        if self.ema > 0.25:
            raise SettingsError(f"--ema is {self.ema}; an average over more than 0.25 of the run is all past.")
        for name in ("checkpoint_every", "validate_every", "log_every"):
            Interval.parse(getattr(self, name))

    @property
    def run_minutes(self) -> float:
        """Length of a run by the clock."""
        return DEFAULT_MINUTES if self.minutes is None else self.minutes

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        fields = dataclasses.asdict(self)
        if self.steps is None and self.pace_of is None:
            fields["minutes"] = self.run_minutes
        return {**fields, "betas": list(self.betas), "pace_of": str(self.pace_of) if self.pace_of else None}


FREE_TO_CHANGE = frozenset(
    {
        "threads",
        "processes",
        "skip_limit",
        "checkpoint_every",
        "validate_every",
        "validation_windows",
        "log_every",
        "tensorboard",
    }
)
"""Settings that a resumed run may change: they decide what is noted and kept, not what is learned."""


@dataclass(frozen=True)
class Interval:
    """How often something recurs: exactly one of `seconds` and `steps` is set."""

    seconds: float | None = None
    steps: int | None = None

    @classmethod
    def parse(cls, text: str) -> Interval:
        """``"90s"``, ``"2min"``, ``"500"`` or ``"500 steps"``; anything else raises `SettingsError`."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|steps|)", text.strip().lower())
        if found and float(found[1]) > 0:
            number, unit = float(found[1]), found[2]
            if unit in ("s", "min"):
                return cls(seconds=number * (60.0 if unit == "min" else 1.0))
            if number.is_integer():
                return cls(steps=int(number))
        raise SettingsError(f"{text!r} is no interval; write for example 90s, 2min or 500 (steps).")
