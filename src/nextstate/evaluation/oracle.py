"""Predictors that need no learning, as world models: the true simulator, a wrong one, and two that must lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import SnapshotError
from nextstate.evaluation.physics import WrongPhysics
from nextstate.evaluation.readout import Reading
from nextstate.models.protocol import Beliefs, History, States, WorldModel, WorldModelSpec
from nextstate.worlds.base import CONTROL_HZ, World
from nextstate.worlds.snapshot import Snapshot

OUTCOME, EVENTS = "outcome", "events"
"""What the simulator tells besides its states."""


@dataclass
class Future:
    """What will be done from a snapshot on, ``(T, A)``; readings are kept once they were simulated.

    Args:
        since: steps of the belief at which the snapshot was taken. end: the snapshot after the last command, once
            simulated.
    """

    snapshot: Snapshot
    actions: np.ndarray
    since: int = 0
    readings: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    end: Snapshot | None = None

    def then(self, step: int, actions: np.ndarray) -> Future:
        """What comes after `step`; from its end nothing has to be simulated twice."""
        if self.end is not None and step == self.since + len(self.actions):
            return Future(self.end, actions, step)
        return Future(self.snapshot, np.concatenate([self.actions[: step - self.since], actions]), self.since)


class Oracle:
    """The true simulator: it restores the snapshot of the history and really does what is to be imagined.

    Nothing is simulated before it is decoded.

    Args:
        world: of its own; it is left wherever the last future ended.
        physics: altered physics, which makes it the wrong-physics baseline.
    """

    def __init__(self, world: World, physics: WrongPhysics | None = None, name: str | None = None) -> None:
        self.world, self.physics = world, physics
        self.spec = WorldModelSpec(
            name=name or ("oracle" if physics is None else "wrong_physics"),
            modalities=dict(world.state_spec),
            action_size=world.action_size,
            hz=CONTROL_HZ,
            context=1,
            horizon=world.max_steps,
        )

    def observe(self, history: History) -> Beliefs:
        """Raises `SnapshotError` for a history without snapshots, such as a recorded one."""
        if history.snapshots is None:
            raise SnapshotError(
                f"{self.spec.name} forks the simulator, but this history carries no snapshots; "
                "take the history from a world (or a suite) instead of a dataset."
            )
        none = np.zeros((0, self.spec.action_size), np.float32)
        futures = [Future(snapshot, none) for snapshot in history.snapshots]
        return Beliefs({"step": torch.zeros(len(futures), dtype=torch.long)}, {"future": futures})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        done = belief.tensors["step"].tolist()
        futures = [
            old.then(step, new)
            for old, step, new in zip(belief.handles["future"], done, actions.detach().cpu().numpy(), strict=True)
        ]
        steps = belief.tensors["step"][:, None] + torch.arange(1, actions.shape[1] + 1)
        return Beliefs({"step": steps}, {"future": futures})

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        columns = self._columns(beliefs, modalities)
        return {name: torch.from_numpy(column) for name, column in columns.items()}

    def told(self, beliefs: Beliefs) -> Reading:
        """Outcomes and events of beliefs ``(N, H)`` as they are, without looking at states."""
        columns = self._columns(beliefs, (OUTCOME, EVENTS))
        outcomes, events = columns[OUTCOME], columns[EVENTS].astype(np.float32)
        return Reading(outcomes, events, np.zeros(outcomes.shape[:2], np.float32))

    def _columns(self, beliefs: Beliefs, names: Sequence[str]) -> dict[str, np.ndarray]:
        columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
        spans = beliefs.tensors["step"]
        for future, steps in zip(beliefs.handles["future"], spans.tolist(), strict=True):
            self._simulate(future, steps, names)
            for name in names:
                columns[name].append(np.stack([future.readings[step, name] for step in steps]))
        return {name: np.stack(column) for name, column in columns.items()}

    def _simulate(self, future: Future, steps: Sequence[int], names: Sequence[str]) -> None:
        missing = {(s, m) for s in steps for m in names} - future.readings.keys()
        if not missing:
            return
        self.world.restore(future.snapshot)
        if self.physics is not None:
            self.physics.apply(self.world.model)
        last = max(s for s, _ in missing)
        for step in range(future.since, last + 1):
            if step > future.since:
                self.world.advance_action(future.actions[step - future.since - 1])
            wanted = [m for m in names if (step, m) in missing]
            if wanted:
                future.readings |= {(step, name): value for name, value in self._read(wanted).items()}
        if last == future.since + len(future.actions):
            future.end = self.world.snapshot()

    def _read(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        read: dict[str, np.ndarray] = {}
        if OUTCOME in names:
            read[OUTCOME] = np.asarray(self.world.outcome(), np.float32)
        if EVENTS in names:
            read[EVENTS] = self.world.events_now()
        sensed = [name for name in names if name not in read]
        return read | (self.world.observe(sensed) if sensed else {})


class CopyLast:
    """Nothing will ever change: every imagined state is the last one sensed."""

    def __init__(self, spec: WorldModelSpec) -> None:
        self.spec = replace(spec, name="copy_last", stochastic=False)

    def observe(self, history: History) -> Beliefs:
        return Beliefs({name: values[:, -1] for name, values in history.states.items()})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        horizon = actions.shape[1]
        return belief.map(lambda values: values[:, None].expand(-1, horizon, *values.shape[1:]))

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        return {name: beliefs.tensors[name] for name in modalities}


class ActionBlind:
    """Any model, deaf: whatever is to be done, it imagines that nothing is."""

    def __init__(self, model: WorldModel) -> None:
        self.model = model
        self.spec = replace(model.spec, name=f"{model.spec.name}, action-blind")

    def observe(self, history: History) -> Beliefs:
        return self.model.observe(history)

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        return self.model.imagine(belief, torch.zeros_like(actions), sample)

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> Mapping[str, Tensor]:
        return self.model.decode(beliefs, modalities)
