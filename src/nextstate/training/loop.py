"""The training loop. It can be killed at any step and goes on as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import CheckpointError, DivergenceError
from nextstate.models.pretrained import load_weights, save_pretrained, weights_of
from nextstate.models.stages import stage_at
from nextstate.training.checkpoint import Checkpoint, Checkpoints
from nextstate.training.display import Display, NoDisplay, PlainDisplay, Status
from nextstate.training.ema import PowerEma
from nextstate.training.guard import Guard, flaw_in
from nextstate.training.interrupt import Interruption
from nextstate.training.metrics import Metrics, plain
from nextstate.training.optimiser import Optimiser
from nextstate.training.parallel import prepare
from nextstate.training.precision import (
    autocast,
    choose_device,
    choose_dtype,
    make_repeatable,
    seed_step,
    settle_threads,
)
from nextstate.training.prefetch import Prefetch
from nextstate.training.recall import chosen_frames, recall
from nextstate.training.run import Outcome, Run
from nextstate.training.schedule import Pace, Recurring, Schedule, StepPace, choose_pace
from nextstate.training.settings import Interval, TrainingSettings
from nextstate.training.team import Team
from nextstate.training.throughput import Throughput, measure_peak
from nextstate.training.trainable import Batches, Frames, Learner, module_of, to_tensors
from nextstate.training.validate import Held, Validated
from nextstate.training.watch import Watch, look_at

GRADIENT = "gradient length"
"""Name under which the gradient's length travels with the parts of the loss."""

VALIDATION_SHARE = 0.03
"""Most of the time that validation by the clock may take: a slow one is done less often."""


class Trainer:
    """Trains a model on batches and leaves everything in the folder of a run.

    Each step is a pure function of the weights before it, seed, step and progress, and progress is a function of
    the step (by steps) or noted for every step (by the clock). So weights after a kill and a resume are the same
    bits as without, on the same machine with the same number of threads and processes.

    Args:
        validation: what the validation line is measured on; None for none.
        card: what the final model card tells (data, command, ...).
        team: the processes that train together; each calls `fit`, and the leader alone writes and speaks.
    """

    def __init__(
        self,
        model: Learner,
        batches: Batches,
        settings: TrainingSettings,
        run: Run,
        validation: Held | None = None,
        card: Mapping[str, Any] | None = None,
        display: Display | None = None,
        team: Team | None = None,
    ) -> None:
        self.team = team or Team()
        self.model, self.source, self.settings, self.run = model, batches, settings, run
        self.validation, self.card = validation, dict(card or {})
        self.display: Display = (display or PlainDisplay()) if self.team.leads else NoDisplay()
        self.threads = settle_threads(settings.threads)
        make_repeatable(settings.compile)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.precision, self.device)
        self.precision = str(self.dtype).removeprefix("torch.")
        self.loss = prepare(model, self.device, self.dtype, settings.compile, settings.channels_last)
        self.module = module_of(model)
        self.team.agree(self.module)
        self.optimiser = Optimiser(
            self.module, settings.lr, settings.betas, settings.weight_decay, settings.clip, settings.optimiser == "muon"
        )
        self.ema = PowerEma(self.module, settings.ema, settings.ema_every) if settings.ema else None
        self.schedule = Schedule(settings.schedule, settings.warmup, settings.cooldown, settings.final)
        self.guard, self.watch = Guard(settings.skip_limit), Watch()
        self.checkpoints = Checkpoints(run.checkpoints, warn=self.display.say)
        self.stages = model.stages
        self.batches: Prefetch | None = None
        self._stage, self._batch, self._read_from = 0, settings.batch, batches
        self._stopped = False
        self._memories: dict[str, np.ndarray] | None = None
        self._frames = cast(Frames, batches)
        self.step, self.seconds = 0, 0.0
        self._began_at = 0
        self._pending: list[tuple[int, tuple[str, ...], Tensor]] = []
        self._lap: list[dict[str, float]] = []
        self._validated: Validated | None = None
        self._validated_at = -1
        self._progress = 0.0
        # Looking at a loss makes the host wait for an accelerator; the processor has nothing to wait for.
        self._look_every = 1 if self.device.type == "cpu" else 10

    def fit(self) -> Outcome:
        """Trains to the end, or to a signal.

        Raises `DivergenceError`, `StorageError`, or whatever the batches raise; the last checkpoint is kept.
        """
        self._resume()
        peak = measure_peak(self.device, self.dtype)
        self._note_environment(peak)
        self.throughput = Throughput(peak * self.team.size)
        with ExitStack() as stack:
            interruption = stack.enter_context(Interruption())
            stack.callback(self._stop_reading)
            if self.team.leads:
                self.metrics = Metrics(self.run.root, self.step, self.settings.tensorboard)
                stack.callback(self.metrics.close)
            # Others never ask: the leader tells.
            self.pace: Pace = (
                choose_pace(self.settings, self.run.pace, self.seconds) if self.team.leads else StepPace(1)
            )
            stack.callback(self.pace.close)
            stack.enter_context(self.display)
            interrupted = self._train(interruption)
            if not interrupted and self.team.leads:
                self._finish()
            figures = self.throughput.total()
        return Outcome(self.step, self.seconds, interrupted, figures, self._validated)

    def _train(self, interruption: Interruption) -> bool:
        """Makes steps until the end or a signal, and returns whether it was a signal."""
        settings = self.settings
        lap, checking, saving = (
            Recurring(Interval.parse(text), self.step)
            for text in (settings.log_every, settings.validate_every, settings.checkpoint_every)
        )
        before, began = self.seconds, time.monotonic()
        self.module.train()
        while (progress := self._due(interruption)) < 1.0:
            if not self._enter(progress, interruption):
                break
            assert self.batches is not None
            batch = self.batches.get(self.step)
            self._learn(batch, progress)
            self.step += 1
            frames = batch["action"].shape[0] * (batch["action"].shape[1] + 1) * self.team.size
            self.throughput.count(frames, self.model.flops(self.settings.batch, progress))
            self.seconds = before + time.monotonic() - began
            if lap.due(self.step):
                self._report(progress)
            aside = time.perf_counter()
            if checking.due(self.step):
                self._validate()
                checking.rest((time.perf_counter() - aside) / VALIDATION_SHARE)
            if saving.due(self.step):
                self._save()
            self.throughput.aside += time.perf_counter() - aside
        self._report(self._progress)
        self._save()
        return self._stopped

    def _due(self, interruption: Interruption) -> float:
        """Progress of the step that comes next, 1 if none does: the leader knows, by its clock and its signals."""
        progress = 0.0
        if self.team.leads and not interruption:
            progress = self.pace.at(self.step)
        stopped, progress = self.team.told(float(bool(interruption)), progress)
        self._stopped = self._stopped or bool(stopped)
        return 1.0 if self._stopped else progress

    def _enter(self, progress: float, interruption: Interruption) -> bool:
        """Gets ready for the stage of `progress`, unless in it already; False if a signal came meanwhile."""
        index, _ = stage_at(self.stages, progress)
        if self.batches is not None and index == self._stage:
            return True
        self._look()
        stage, began = self.stages[index], time.perf_counter()
        self._stop_reading()
        if not stage.recalled:
            self._memories = None
        elif self._memories is None:
            # Parts that recall stay as they are from here on, so one look is enough for all stages that follow.
            model, device, dtype, team = self.model, self.device, self.dtype, self.team
            self._frames = chosen_frames(model, self.source, self.settings, self.run, device, dtype, team)
            self._memories = recall(
                model, self._frames, device, dtype, lambda: bool(interruption), self._recalled, team
            )
            if self._memories is None:
                self._stopped = True
                return False
        if index != self._stage:
            self.guard.forget()
        self._stage, self._batch = index, max(round(self.settings.batch * stage.windows), 1)
        self._read_from = self.source
        if self._memories is not None:
            kept = self.model.images if stage.pictured else ()
            self._read_from = self._frames.over(self._memories, kept)
        self._read_from = self.team.part_of(self._read_from)
        self.batches = Prefetch(self._read_from, self.step, self._batch).__enter__()
        self.throughput.aside += time.perf_counter() - began
        return True

    def _recalled(self, done: int, count: int) -> None:
        if done == count:
            self.display.say(f"looked at all {count:,} frames once; from now on learning from what was seen.")

    def _stop_reading(self) -> None:
        if self.batches is not None:
            self.batches.__exit__(None, None, None)
            self.batches = None

    def _learn(self, batch: Mapping[str, np.ndarray], progress: float) -> None:
        generator = seed_step(self.settings.seed, self.step * self.team.size + self.team.rank, self.device)
        parts = self.loss(to_tensors(batch, self.device), generator, progress)
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        losses = self.team.average(self.module, torch.stack([part.detach().float() for part in parts.values()]))
        length = self.optimiser.step(self._rate(progress))
        if self.ema is not None:
            self.ema.update(self.step + 1)
        values = torch.cat([losses, length.float()[None]])
        self._pending.append((self.step, (*parts, GRADIENT), values))
        if len(self._pending) >= self._look_every:
            self._look()

    def _rate(self, progress: float) -> float:
        """Learning rate as a share of its peak: each stage has a rise and a fall of its own."""
        index, local = stage_at(self.stages, progress)
        return self.stages[index].rate * self.schedule(local)

    def _look(self) -> None:
        """Reads the losses of steps just made; raises `DivergenceError`."""
        for step, names, values in self._pending:
            parts = dict(zip(names, values.tolist(), strict=True))
            losses = {name: value for name, value in parts.items() if name != GRADIENT}
            if self.guard.check(step, losses, parts[GRADIENT], partial(self._flaw, step)):
                self._lap.append(parts)
        self._pending.clear()

    def _report(self, progress: float) -> None:
        self._look()
        self._progress = progress
        if not self._lap or not self.team.leads:
            return
        means = {name: float(np.mean([p[name] for p in self._lap if name in p])) for name in self._lap[-1]}
        self._lap.clear()
        gradient = means.pop(GRADIENT)
        figures = self.throughput.lap()
        lr = self.settings.lr * self._rate(progress)
        noted = {"progress": progress, "seconds": self.seconds, "lr": lr, **means, "gradient": gradient, **figures}
        if self.batches is not None:
            noted["waited"], self.batches.waited = self.batches.waited, 0.0
        self.metrics.note("train", self.step, {**noted, "skipped": len(self.guard.skipped)})
        self.display.show(
            Status(
                self.step,
                progress,
                self.pace.seconds_left(self.step, self.throughput.seconds_per_step),
                means,
                lr,
                figures["frames_per_second"],
                figures["share_of_peak"],
                len(self.guard.skipped),
                self._validated.line if self._validated else "",
            )
        )

    def _validate(self) -> None:
        if self.validation is None or not self.team.leads:
            return
        self._look()
        self.module.eval()
        with self.ema.applied() if self.ema else nullcontext(), autocast(self.device, self.dtype):
            self._validated = self.validation.measure(self.model, self.device)
            signs = look_at(self.model, self.validation, self.device)
        self.module.train()
        self._validated_at = self.step
        self.throughput.peak = max(self.throughput.peak, measure_peak(self.device, self.dtype, seconds=0.0))
        noted = {"errors": self._validated.to_dict(), "space": signs.to_dict() if signs else {}}
        self.metrics.note("validation", self.step, noted)
        if signs:
            hearing = not all(stage.deaf for stage in self.stages)
            self.watch.check(signs, foresees=hearing and self._stage == len(self.stages) - 1)

    def _save(self) -> None:
        self._look()
        if not self.team.leads:
            return
        if not self.guard.calm:
            self.display.say(f"step {self.step}: no checkpoint, because the loss is far above its running median.")
            return
        if self.step in self.checkpoints.steps() and self._validated_at != self.step:
            return
        self.pace.keep()
        tensors = {f"weights/{name}": t for name, t in weights_of(self.module).items()}
        tensors |= {f"optimiser/{name}": t for name, t in self.optimiser.state().items()}
        tensors |= {f"ema/{name}": t for name, t in self.ema.state().items()} if self.ema else {}
        numbers = {
            "seconds": self.seconds,
            "threads": self.threads,
            "stage": self._stage,
            "guard": self.guard.state(),
            "validation": plain(self._validated.to_dict()) if self._validated else None,
        }
        score = self._validated.score if self._validated and self._validated_at == self.step else None
        self.checkpoints.save(Checkpoint(self.step, tensors, numbers), score)

    def _resume(self) -> None:
        found = self.checkpoints.newest()
        if found is None:
            return
        try:
            load_weights(self.module, found.part("weights"), str(self.run.checkpoints))
            self.optimiser.load(found.part("optimiser"))
            if self.ema is not None:
                self.ema.load(found.part("ema"))
            self._stage = int(found.numbers["stage"])
            self.guard.load(found.numbers["guard"])
            self.seconds = float(found.numbers["seconds"])
            validation = found.numbers["validation"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"the checkpoint of step {found.step} in {self.run.checkpoints} does not fit this run ({error}); "
                "it was made by another version: start a new run with another --out."
            ) from error
        self._validated = Validated(validation) if validation else None
        self.step = self._began_at = found.step
        self.display.say(f"going on from step {self.step}.")

    def _note_environment(self, peak: float) -> None:
        if not self.team.leads:
            return
        facts = {
            "processes": self.team.size,
            "threads": self.threads,
            "device": str(self.device),
            "precision": self.precision,
            "matrix_peak_gflops": round(peak / 1e9, 1),
        }
        changed = self.run.note_environment(facts)
        if changed and self.step:
            self.display.say(
                f"note: {'; '.join(changed)}. The weights will be as good, but not the same bits as those of an "
                "uninterrupted run."
            )

    def _finish(self) -> None:
        if self.guard.shaken:
            raise DivergenceError(
                f"the loss was exploding when training ended at step {self.step}, so no model is made of it; the last "
                f"good checkpoint, if there was time for one, is in {self.run.checkpoints}. Train with a lower --lr."
            )
        aside = time.perf_counter()
        self._validate()
        self._save()
        self.throughput.aside += time.perf_counter() - aside
        figures = self.throughput.total()
        told: dict[str, Any] = {"steps": self.step, "training_seconds": round(self.seconds, 1)}
        if self.step > self._began_at:
            told |= figures
        if self._validated is not None:
            told["validation_error"] = self._validated.to_dict()
        card = {**self.card, "figures": plain(told, 4)}
        with self.ema.applied() if self.ema else nullcontext():
            if self.validation is not None:
                held = {n: torch.from_numpy(v).to(self.device) for n, v in self.validation.last.items()}
                self.model.finish({n: v.float() if v.dtype == torch.float16 else v for n, v in held.items()})
            save_pretrained(self.model, self.run.model, card)
        self.metrics.note("end", self.step, {"seconds": self.seconds, **figures})
        if self._validated is not None:
            self.display.say(self._validated.line)

    def _flaw(self, step: int) -> str:
        return flaw_in(self._read_from.batch(step, self._batch), step)
