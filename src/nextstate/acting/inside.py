"""Policies that act on what is seen, let loose in a model as well as in the simulator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nextstate.acting.tasks import Task
from nextstate.acting.ways import Tools, seen_goal
from nextstate.models.protocol import Beliefs
from nextstate.planning import Future, SeenDistance
from nextstate.planning.planners.icem import coloured
from nextstate.policies.looking import Decide, Decision, Looking, State, cloning
from nextstate.worlds import World

Make = Callable[[Tools, Task], Decide]

HELD = 8
"""Commands of a decision that a policy knows, at least as many as are done of it."""


def _idle(tools: Tools, task: Task) -> Decide:
    return lambda state, step: Decision(torch.zeros(1, HELD, tools.model.spec.action_size))


def _aimless(tools: Tools, task: Task) -> Decide:
    generator = torch.Generator().manual_seed(task.seed % 2**31)
    drawn = coloured(torch.randn(1, 256, tools.model.spec.action_size, generator=generator), 1.0)
    return lambda state, step: Decision(0.8 * drawn[:, step : step + HELD])


def _changed(change: Callable[[Tensor, int, torch.Generator], Tensor]) -> Make:
    """What recorded policies do, changed: commands, the step of the episode and a source of noise to commands."""

    def make(tools: Tools, task: Task) -> Decide:
        clone = cloning(tools.guide(), seen_goal(tools, task))
        generator = torch.Generator().manual_seed(task.seed % 2**31)
        return lambda state, step: Decision(change(clone(state, step).commands, step, generator))

    return make


def _noisy(amount: float) -> Make:
    def noise(told: Tensor, step: int, generator: torch.Generator) -> Tensor:
        return told + amount * torch.randn(told.shape, generator=generator)

    return _changed(noise)


POLICIES: dict[str, Make] = {
    "still": _idle,
    "random": _aimless,
    "cloned": _changed(lambda told, step, _: told),
    "half as fast": _changed(lambda told, step, _: 0.5 * told),
    "a quarter as fast": _changed(lambda told, step, _: 0.25 * told),
    "shaky": _noisy(0.5),
    "very shaky": _noisy(1.0),
    "gives up": _changed(lambda told, step, _: told * (step < 10)),
    "left-handed": _changed(lambda told, step, _: told * torch.tensor([-1.0, *[1.0] * (told.shape[-1] - 1)])),
    "backwards": _changed(lambda told, step, _: -told),
}
"""Good and bad policies, so that there is an order to be found."""


@torch.no_grad()
def worth_inside(tools: Tools, task: Task, decide: Decide, steps: int) -> float:
    """Minus the distance to the goal after acting for `steps` steps in the model, on what it imagines itself."""
    eye = tools.eye
    belief = eye.observe(task.instant.history(eye.spec.context, list(eye.spec.modalities)))
    for step in range(0, steps, tools.every):
        state: State = {name: belief.tensors[name].float() for name in eye.state}
        commands = decide(state, step).commands[:, : min(tools.every, steps - step)].clamp(-1, 1)
        span = eye.imagine(belief, commands)
        belief = span.map(lambda tensor: tensor[:, -1])
    goal = things_goal(tools, task)
    return -float(goal(Future(eye, belief, belief.map(lambda tensor: tensor[:, None]), torch.zeros(1).long()))[0, 0])


def worth_outside(world: World, tools: Tools, task: Task, decide: Decide, steps: int) -> float:
    """The same in the simulator, its end being looked at with the model's eye."""
    assert task.instant.snapshot is not None
    world.restore(task.instant.snapshot)
    actor = Looking(tools.eye, decide, tools.every)
    for _ in range(steps):
        world.advance_action(actor.select_action(world.observe()))
    now = world.observe()
    known = {n: torch.from_numpy(np.array(now[n]))[None, None] for n in tools.eye.spec.modalities}
    with torch.no_grad():
        future = Future(tools.eye, Beliefs(), Beliefs(), torch.zeros(1).long(), known)
        return -float(things_goal(tools, task)(future)[0, 0])


def things_goal(tools: Tools, task: Task) -> SeenDistance:
    """Distance of things alone: the body may end anywhere."""
    seen = seen_goal(tools, task)
    return SeenDistance(seen.eye, seen.places, seen.there, tools.guide().matters)
