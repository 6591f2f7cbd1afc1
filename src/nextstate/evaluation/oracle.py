"""Predictors that need no learning, as world models: the true simulator, a wrong one, and two that must lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import SnapshotError
from nextstate.evaluation.physics import WrongPhysics
from nextstate.models.protocol import Beliefs, History, States, WorldModel, WorldModelSpec
from nextstate.worlds.base import CONTROL_HZ, World
from nextstate.worlds.snapshot import Snapshot


@dataclass
class Future:
    """What will be done from a snapshot on, ``(T, A)``; readings are kept once they were simulated."""

    snapshot: Snapshot
    actions: np.ndarray
    readings: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)


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
            Future(old.snapshot, np.concatenate([old.actions[:step], new]))
            for old, step, new in zip(belief.handles["future"], done, actions.cpu().numpy(), strict=True)
        ]
        steps = belief.tensors["step"][:, None] + torch.arange(1, actions.shape[1] + 1)
        return Beliefs({"step": steps}, {"future": futures})

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        columns: dict[str, list[np.ndarray]] = {name: [] for name in modalities}
        spans = beliefs.tensors["step"]
        for future, steps in zip(beliefs.handles["future"], spans.tolist(), strict=True):
            self._simulate(future, steps, modalities)
            for name in modalities:
                columns[name].append(np.stack([future.readings[step, name] for step in steps]))
        return {name: torch.from_numpy(np.stack(column)) for name, column in columns.items()}

    def _simulate(self, future: Future, steps: Sequence[int], modalities: Sequence[str]) -> None:
        missing = {(s, m) for s in steps for m in modalities} - future.readings.keys()
        if not missing:
            return
        self.world.restore(future.snapshot)
        if self.physics is not None:
            self.physics.apply(self.world.model)
        for step in range(max(s for s, _ in missing) + 1):
            if step:
                self.world.advance_action(future.actions[step - 1])
            wanted = [m for m in modalities if (step, m) in missing]
            if wanted:
                future.readings |= {(step, name): value for name, value in self.world.observe(wanted).items()}


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
