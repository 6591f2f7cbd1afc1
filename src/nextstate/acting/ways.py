"""Ways to act: each makes, for a task, something that acts on it. A new one is a function and a line in `WAYS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from nextstate.acting.tasks import Task
from nextstate.acting.truth import TrueMiss
from nextstate.errors import PlanningError, UnknownNameError
from nextstate.evaluation.oracle import Oracle
from nextstate.models.heads import LOOKS, SEEN, Head
from nextstate.models.leap import STRIDE, Leap, Leaping
from nextstate.models.posture import Posture
from nextstate.models.protocol import WorldModel
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.planning import Cost, Guide, PictureDistance, Planner, SeenDistance, TimeToGo
from nextstate.planning.costs import NEAR, look
from nextstate.planning.planners.proposed import Proposed
from nextstate.planning.posed import PostureDistance
from nextstate.policies import Actor, Foreseen, Inverse, Joint, Looking, Planned
from nextstate.policies.leaping import InLeaps
from nextstate.policies.looking import Decide, cloning, inverting, jointly
from nextstate.policies.proposing import proposing
from nextstate.worlds import Snapshot


@dataclass
class Fixed:
    """Does what it was given, step by step, and then nothing."""

    actions: np.ndarray

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._step = 0

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        self._step += 1
        if self._step > len(self.actions):
            return np.zeros(self.actions.shape[1], np.float32)
        return np.asarray(self.actions[self._step - 1])


GOALS = ("time", "view", "posture", "picture")


@dataclass(frozen=True)
class Tools:
    """What ways of acting are made of.

    Args:
        model: the world model in which is planned, and whose eye sees goals.
        simulator: the true one, behind the same protocol.
        planner: of the ways that plan. heads: by name, see `policies.learning`.
        goal: how plans are led, see `aim`. near: weight of plain distance beside time to go.
        settings: of `Planned`. candidates, descend: of `Proposed`.
        every: commands done of each decision of a decoder; inverse dynamics looks at every step.
        body: whether the body must be where it was too, see `World.goal_of_body`.
    """

    model: WorldModel
    simulator: WorldModel
    planner: Planner
    heads: Mapping[str, Head] = field(default_factory=dict)
    goal: str = "view"
    near: float = NEAR
    settings: Mapping[str, int | float] = field(default_factory=dict)
    candidates: int = 32
    descend: int = 0
    every: int = 2
    body: bool = False

    @property
    def eye(self) -> StateModel:
        """The model as one that outlines things; raises `PlanningError` for any other."""
        if not isinstance(self.model, StateModel):
            raise PlanningError(f"{self.model.spec.name} outlines no things; plan towards a picture.")
        return self.model

    def head(self, name: str) -> Head:
        """Raises `PlanningError` for a head that is missing."""
        if name not in self.heads:
            raise PlanningError(f"this way to act needs the head {name!r}; make it with `nextstate guide`.")
        return self.heads[name]

    def guide(self) -> Guide:
        return self.head(Guide.name)  # type: ignore[return-value]

    def inverse(self) -> Inverse:
        return self.head(Inverse.name)  # type: ignore[return-value]

    def joint(self) -> Joint:
        return self.head(Joint.name)  # type: ignore[return-value]


Way = Callable[[Tools, Task], Actor]
"""Makes an actor for a task."""


def still(tools: Tools, task: Task) -> Actor:
    """Does nothing."""
    return Fixed(np.zeros_like(task.demonstration))


def aimless(tools: Tools, task: Task) -> Actor:
    """Commands at random, each held for a few steps."""
    rng = np.random.default_rng(task.seed)
    drawn = rng.uniform(-1, 1, (100, task.demonstration.shape[1])).repeat(3, axis=0)
    return Fixed(drawn.astype(np.float32))


def replay(tools: Tools, task: Task) -> Actor:
    """Does what led to the goal when it was first reached: that it can be done."""
    return Fixed(task.demonstration)


def aim(tools: Tools, task: Task) -> Cost:
    """The cost that leads to a task's goal, given as what is seen there.

    Kinds of goal: ``time``, steps that it still takes, as a guide learned them; ``view``, how far things are from
    where the model's eye sees them in the goal's pictures; ``posture``, how far the body's posture is from the one seen
    there; ``picture``, pixels against pixels.

    Raises:
        UnknownNameError: for other kinds. PlanningError: for a kind that the model or a missing head rules out.
    """
    if tools.goal == "picture":
        return PictureDistance(torch.from_numpy(np.array(task.goal["rgb"]))[None])
    if tools.goal not in GOALS:
        raise UnknownNameError("kind of goal", tools.goal, GOALS)
    if tools.goal == "posture":
        return posed_goal(tools, task)
    seen = seen_goal(tools, task)
    if tools.goal == "view":
        return seen
    matters = None if tools.body else tools.guide().matters
    return TimeToGo(tools.guide(), replace(seen, matters=matters), tools.near)


def seen_goal(tools: Tools, task: Task) -> SeenDistance:
    """Where the eye sees things in the pictures of a task's goal."""
    return SeenDistance.of(tools.eye, {n: torch.from_numpy(np.array(v))[None] for n, v in task.goal.items()})


def posed_goal(tools: Tools, task: Task) -> PostureDistance:
    """The posture that shows in the pictures of a task's goal; what the body felt there is not told."""
    eye = tools.eye
    pictures = {n: torch.from_numpy(np.array(task.goal[n]))[None] for n in eye.spec.modalities}
    return PostureDistance.of(tools.head(Posture.name), look(eye, pictures))  # type: ignore[arg-type]


def told(tools: Tools, task: Task) -> Foreseen:
    """The future that really came when the goal was first reached, as the eye sees it: a perfect prediction."""
    eye = tools.eye
    seen = look(eye, {n: torch.from_numpy(np.array(task.shown[n])) for n in eye.spec.modalities})
    known = {n: v.float() for n, v in seen.items() if n in (*SEEN, *LOOKS)}
    return Foreseen({**known, "there": presence(seen["areas"])})


def planned(tools: Tools, task: Task) -> Actor:
    """Plans in the model."""
    return _planning(tools, task, tools.model, tools.planner)


def planned_in_simulator(tools: Tools, task: Task) -> Actor:
    """Plans in the true simulator, led by the same cost."""
    return _planning(tools, task, tools.simulator, tools.planner)


def knowing(tools: Tools, task: Task) -> Actor:
    """Plans in the true simulator, led by the true distance: what is left to fail is the planner."""
    simulator = tools.simulator
    if not isinstance(simulator, Oracle):
        raise PlanningError("the way 'simulator' plans in the true simulator; give an Oracle.")
    cost = TrueMiss(simulator.world, task.wanted)
    return Planned(simulator, tools.planner, cost, seed=task.seed, **tools.settings)  # type: ignore[arg-type]


def leaping(tools: Tools, task: Task) -> Actor:
    """Plans in leaps of the model."""
    model = Leaping(tools.eye, tools.head(Leap.name))  # type: ignore[arg-type]
    cost: Cost
    if tools.goal == "posture":
        cost = posed_goal(tools, task)
    elif tools.goal in ("time", "view"):
        goal = replace(seen_goal(tools, task), eye=model)
        cost = TimeToGo(tools.guide(), goal, tools.near) if tools.goal == "time" else goal
    else:
        raise PlanningError(f"leaps imagine no pictures, so they cannot be led by {tools.goal}; give time or view.")
    leaps = max(int(tools.settings.get("horizon", 5 * STRIDE)) // STRIDE, 1)
    settings = {"horizon": leaps, "block": 1, "every": 1, "last": tools.settings.get("last", 1.0)}
    planned = Planned(model, tools.planner, cost, seed=task.seed, **settings)  # type: ignore[arg-type]
    return InLeaps(planned)


def proposed(tools: Tools, task: Task) -> Actor:
    """Best of N proposals of the joint network, judged in the model, then down the gradient."""
    return _planning(tools, task, tools.model, _proposals(tools, task, tools.descend))


def proposed_in_simulator(tools: Tools, task: Task) -> Actor:
    """The same proposals, judged by what really comes of them."""
    return _planning(tools, task, tools.simulator, _proposals(tools, task, 0))


def _planning(tools: Tools, task: Task, inside: WorldModel, planner: Planner) -> Actor:
    return Planned(inside, planner, aim(tools, task), seed=task.seed, **tools.settings)  # type: ignore[arg-type]


def _proposals(tools: Tools, task: Task, descend: int) -> Planner:
    return Proposed(proposing(tools.joint(), seen_goal(tools, task)), tools.candidates, descend=descend)


def _looking(decide: Callable[[Tools, Task], Decide], every: int | None = None) -> Way:
    return lambda tools, task: Looking(tools.eye, decide(tools, task), every or tools.every)


def _cloning(foreseen: Callable[[Tools, Task], Foreseen] | None = None) -> Way:
    def way(tools: Tools, task: Task) -> Actor:
        guide = tools.guide()
        decide = cloning(guide, seen_goal(tools, task), foreseen(tools, task) if foreseen else None)
        return Looking(tools.eye, decide, tools.every, guide.calm)

    return way


WAYS: dict[str, Way] = {
    "still": still,
    "random": aimless,
    "replay": replay,
    "cloned": _cloning(),
    # Inverse dynamics looks at every step: what came of one command is mended by the next.
    "inverse": _looking(lambda t, task: inverting(t.inverse(), seen_goal(t, task), t.joint(), task.seed), every=1),
    "joint": _looking(lambda t, task: jointly(t.joint(), seen_goal(t, task), seed=task.seed)),
    "model": planned,
    "proposals": proposed,
    "leaps": leaping,
    "cloned_told": _cloning(told),
    "inverse_told": _looking(
        lambda t, task: inverting(t.inverse(), seen_goal(t, task), told(t, task), task.seed), every=1
    ),
    "joint_told": _looking(lambda t, task: jointly(t.joint(), seen_goal(t, task), told(t, task), task.seed)),
    "oracle": planned_in_simulator,
    "simulator": knowing,
    "proposals_oracle": proposed_in_simulator,
}
"""Those that end in ``told`` or ``oracle`` are given the true future: what is left to fail is the decoding."""

NEEDS: dict[str, tuple[str, ...]] = {
    "cloned": (Guide.name,),
    "inverse": (Inverse.name, Joint.name),
    "joint": (Joint.name,),
    "proposals": (Joint.name,),
    "leaps": (Leap.name,),
    "cloned_told": (Guide.name,),
    "inverse_told": (Inverse.name,),
    "joint_told": (Joint.name,),
    "proposals_oracle": (Joint.name,),
}
"""Heads that a way needs, whatever the goal."""

PLANS = ("model", "oracle", "proposals", "proposals_oracle", "leaps")
"""Ways whose plans follow a cost."""
