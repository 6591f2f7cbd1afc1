"""Acting by planning: imagine, choose, do the beginning of it, look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nextstate.errors import PlanningError, StateError
from nextstate.imagination import Instant
from nextstate.imagination.thoughts import ThoughtTree
from nextstate.models.protocol import Beliefs, States, WorldModel
from nextstate.planning import Cost, Future, Plan, Planner, Problem, TimeToGo
from nextstate.planning.problem import check_settings
from nextstate.policies.memory import Memory
from nextstate.worlds import Snapshot

DOUBTED = 0.04
"""How far from where it was expected a thing may be, in halves of the picture for each step since it was looked at,
until it counts half as much."""


SETTLED = 1e-6
"""Cost at which a goal is reached for good."""


class Planned:
    """Model predictive control: plans anew every few steps, from where the last plan left off.

    Things that keep turning up where they were not expected count less in costs that know of things (`TimeToGo`).

    Args:
        model: in which it plans. planner: how. cost: what is wanted, for a batch of one instant.
        horizon: steps looked ahead. block: steps for which a command is held.
        stride, last, caution, samples: see `Problem`.
        every: steps acted before planning again, at most the horizon.
        seed: of the planner; each planning has its own, counted from here.
    """

    def __init__(
        self,
        model: WorldModel,
        planner: Planner,
        cost: Cost,
        horizon: int = 10,
        block: int = 2,
        every: int = 2,
        stride: int = 1,
        last: float = 0.0,
        caution: float = 0.0,
        samples: int = 0,
        seed: int = 0,
    ) -> None:
        if not 1 <= every <= horizon or every % block:
            raise PlanningError(f"every {every}: plan again after whole blocks of {block}, within {horizon} steps.")
        self.model, self.planner, self.cost = model, planner, cost
        self.horizon, self.block, self.every, self.seed = horizon, block, every, seed
        self.options = {"stride": stride, "last": last, "caution": caution, "samples": samples}
        check_settings(model, horizon, block, **self.options)  # type: ignore[arg-type]
        self.reset()

    def reset(self) -> None:
        self.memory = Memory(list(self.model.spec.modalities), self.model.spec.context)
        self.found: Plan | None = None
        self.imagined: Beliefs | None = None
        self.belief: Beliefs | None = None
        self.surprises: list[float] = []
        self._missed: Tensor | None = None
        self._acted, self._plans = 0, 0

    def recall(self, instant: Instant) -> None:
        """Takes over what was sensed and done before the instant at which this actor begins."""
        for step, action in enumerate(instant.actions):
            self.memory.sensed({name: values[step] for name, values in instant.states.items()})
            self.memory.done(action)

    def expected(self, modalities: Sequence[str]) -> States:
        """What it imagines for the step that it has just chosen, modality -> ``(*shape)``."""
        if self.imagined is None:
            raise StateError("nothing was planned yet; ask for an action first.")
        states = self.model.decode(self.imagined.steps([self._acted - 1]), modalities)
        return {name: values[0, 0] for name, values in states.items()}

    def cost_of(self, observation: Mapping[str, np.ndarray]) -> float:
        """What a state that really came costs."""
        known = {n: torch.from_numpy(np.array(observation[n]))[None, None] for n in self.model.spec.modalities}
        with torch.no_grad():
            future = Future(self.model, Beliefs(), Beliefs(), torch.zeros(1).long(), known)
            return float(self.cost(future)[0, 0])

    @property
    def confidence(self) -> float:
        """Share of what the present costs that the last plan expects to save by its end: 1 where it gets to the goal,
        0 where it comes no nearer, as towards a goal that cannot be reached."""
        if self.found is None or self.belief is None:
            raise StateError("nothing was planned yet; ask for an action first.")
        one = torch.zeros(1).long()
        with torch.no_grad():
            now = self.belief.map(lambda tensor: tensor[:, None])
            end = self.model.imagine(self.belief, self.found.actions).steps([self.found.actions.shape[1] - 1])
            before, after = (float(self.cost(Future(self.model, self.belief, b, one))[0, 0]) for b in (now, end))
        if after <= SETTLED:
            return 1.0
        return min(max((before - after) / max(before, SETTLED), 0.0), 1.0)

    @property
    def thoughts(self) -> Sequence[ThoughtTree]:
        """Trees of the last planning, of planners that think in branches."""
        return () if self.found is None else self.found.thoughts

    @property
    def due(self) -> bool:
        """Whether the next action will be planned first."""
        return self.found is None or self._acted == self.every

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        self.memory.sensed(observation)
        if self.due:
            self.found, self._acted = self._plan(snapshot), 0
        assert self.found is not None
        action = self.found.actions[0, self._acted].numpy().astype(np.float32)
        self._acted += 1
        self.memory.done(action)
        return np.asarray(action)

    def _plan(self, snapshot: Snapshot | None) -> Plan:
        history = self.memory.history(self.model.spec.action_size, snapshot)
        with torch.no_grad():
            belief = self.belief = self.model.observe(history)
            self._compare(belief)
            cost = self.cost
            if isinstance(cost, TimeToGo) and self._missed is not None:
                cost = cost.trusting(1 / (1 + (self._missed / DOUBTED).square()))
            problem = Problem(self.model, belief, cost, self.horizon, self.block, **self.options)  # type: ignore[arg-type]
            start = None if self.found is None else self.found.rest(self._acted // self.block)
            plan = self.planner.plan(problem, start, self.seed + self._plans)
            self.imagined = self.model.imagine(belief, plan.actions[:, : self.every])
        self._plans += 1
        return plan

    def _compare(self, belief: Beliefs) -> None:
        if self.imagined is not None and "places" in belief.tensors:
            promised = self.imagined.tensors["places"][:, self._acted - 1]
            missed = (belief.tensors["places"] - promised).norm(dim=-1)
            self.surprises.append(float(missed.max()))
            of_each_step = missed[0] / self._acted
            kept = of_each_step if self._missed is None else self._missed
            self._missed = 0.5 * (kept + of_each_step)
