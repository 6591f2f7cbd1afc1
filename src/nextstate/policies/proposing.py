"""What a learned policy would do over a whole horizon, drawn many times over, for planners that judge it."""

from __future__ import annotations

import torch
from torch import Tensor

from nextstate.planning.costs import SeenDistance
from nextstate.planning.planners.proposed import Propose
from nextstate.planning.problem import Future, Problem
from nextstate.policies.joint import STEPS, Joint


def proposing(joint: Joint, goal: SeenDistance) -> Propose:
    """Draws commands a few steps at a time, and imagines in between where they have led."""

    @torch.no_grad()
    def propose(problem: Problem, count: int, generator: torch.Generator) -> Tensor:
        size = problem.instants
        rows = torch.arange(size).repeat_interleave(count)
        belief = problem.belief.repeat(count)
        span = belief.map(lambda tensor: tensor[:, None])
        parts: list[Tensor] = []
        left = problem.horizon
        while left:
            seen = goal.state(Future(problem.model, belief, span, rows))
            state = {name: values[:, -1].float() for name, values in seen.items()}
            wanted, there = (
                (part[rows] if len(part) > 1 else part.expand(len(rows), *part.shape[1:]))
                for part in (goal.places, goal.there)
            )
            steps = min(STEPS, left)
            commands = joint.draw(state, wanted, there, generator).commands[:, :steps]
            commands = problem.bounded(commands)
            parts.append(commands)
            left -= steps
            if left:
                span = problem.model.imagine(span.map(lambda tensor: tensor[:, -1]), commands)
        problem.count.imagined += len(rows) * (problem.horizon - steps) / problem.horizon
        return torch.cat(parts, dim=1).view(size, count, problem.horizon, -1)

    return propose
