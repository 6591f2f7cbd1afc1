"""Acting on what is seen now: no futures imagined step by step, so a decision takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nextstate.imagination.saying import acted_out
from nextstate.models.director import Director
from nextstate.models.heads import LOOKS
from nextstate.models.world_model import StateModel
from nextstate.planning.costs import SeenDistance, look
from nextstate.planning.guide import Guide
from nextstate.policies.inverse import Inverse
from nextstate.policies.joint import STEPS, Joint
from nextstate.worlds import Snapshot

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Decision:
    """What to do next, and what is expected to come of it.

    Args:
        commands: ``(1, S, A)``. expected: places ``(1, S, K, 2)`` after each of them, if it knows.
    """

    commands: Tensor
    expected: Tensor | None = None


Decide = Callable[[State, int], Decision]
"""From what is seen now, ``(1, ...)``, and the step of the episode, what to do."""


class Looking:
    """Looks, decides, and does the beginning of it.

    Args:
        eye: whose view of the world decisions are made on. every: commands done of each decision.
        calm: whether it looks as if nothing moved, see `nextstate.planning.Guide.calm`.
    """

    def __init__(self, eye: StateModel, decide: Decide, every: int = 1, calm: bool = False) -> None:
        self.eye, self.decide, self.every, self.calm = eye, decide, every, calm
        self.reset()

    def reset(self) -> None:
        self._left: list[np.ndarray] = []
        self._step = 0
        self._promise: Tensor | None = None
        self.surprises: list[float] = []

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(self.eye.spec.modalities)

    @property
    def due(self) -> bool:
        """Whether the next command takes a look."""
        return not self._left

    @torch.inference_mode()
    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        if self.due:
            state = glance(self.eye, observation, self.calm)
            if self._promise is not None:
                self.surprises.append(float((state["places"] - self._promise).norm(dim=-1).max()))
            decision = self.decide(state, self._step)
            commands = decision.commands[0, : self.every]
            self._promise = None if decision.expected is None else decision.expected[:, len(commands) - 1]
            self._left = list(commands.clamp(-1, 1).float().cpu().numpy())
        self._step += 1
        return self._left.pop(0)


def glance(eye: StateModel, observation: Mapping[str, np.ndarray], calm: bool = False) -> State:
    """What an eye makes of one observation, ``(1, ...)``; `calm` as if nothing moved."""
    states = {n: torch.from_numpy(np.array(observation[n]))[None] for n in eye.spec.modalities}
    if calm and "motion" in states:
        states["motion"] = eye.spec.modalities["motion"].denormalise(torch.zeros_like(states["motion"]))
    seen = look(eye, states)
    return {name: values.float() for name, values in seen.items()}


@dataclass(frozen=True)
class Foreseen:
    """A future that someone knows: what an eye sees of it, at each of T steps from the start of the episode.

    Args:
        seen: ``places (T, K, 2)``, ``there (T, K)``, ``proprio (T, P)``, and `LOOKS`; after its end it stands still.
    """

    seen: State

    def over(self, step: int) -> bool:
        """Whether nothing more is known to come after `step`."""
        return step >= len(self.seen["places"])

    def ahead(self, step: int, count: int) -> State:
        """The next `count` instants after `step`, ``(1, count, ...)``."""
        length = len(self.seen["places"])
        rows = (step + torch.arange(count)).clamp_max(length - 1)
        return {name: values[rows][None] for name, values in self.seen.items()}


def until_over(decide: Decide, foreseen: Foreseen) -> Decide:
    """The same until a known future is over, and nothing after that: who follows on only disturbs what has come."""

    def decided(state: State, step: int) -> Decision:
        decision = decide(state, step)
        return replace(decision, commands=torch.zeros_like(decision.commands)) if foreseen.over(step) else decision

    return decided


def cloning(guide: Guide, goal: SeenDistance, foreseen: Foreseen | None = None) -> Decide:
    """Goal-conditioned behaviour cloning: what recorded policies did first on their way to such a goal.

    Args:
        foreseen: a known future: its next instants are the goal, instead of the end.
    """

    def decide(state: State, step: int) -> Decision:
        places, there, looks = goal.places, goal.there, goal.looks
        if foreseen is not None:
            near = foreseen.ahead(step, guide.shape.chunk)
            places, there = near["places"][:, -1], near["there"][:, -1]
            looks = {name: near[name][:, -1] for name in LOOKS if name in near}
        return Decision(guide(state, places, there, guide.read(places, looks))[1])

    return decide if foreseen is None else until_over(decide, foreseen)


def inverting(inverse: Inverse, goal: SeenDistance, source: Joint | Foreseen, seed: int = 0, reach: int = 2) -> Decide:
    """Inverse dynamics: foresee without commands, then the commands that lead there.

    Args:
        source: of futures: a network that draws them deaf to commands, or one that is known.
        reach: steps ahead that commands are to bridge.
    """
    generator = torch.Generator().manual_seed(seed)

    def decide(state: State, step: int) -> Decision:
        if isinstance(source, Foreseen):
            future = source.ahead(step, reach)
            places, there, proprio = future["places"], future["there"][:, -1], future.get("proprio")
        else:
            drawn = source.draw(state, goal.places, goal.there, generator, deaf=True)
            places, there, proprio = drawn.places[:, :reach], goal.there, drawn.proprio[:, :reach]
        later = {"places": places[:, -1], "there": there}
        if inverse.shape.proprio and proprio is not None:
            later["proprio"] = proprio[:, -1]
        return Decision(inverse(state, later, torch.tensor([reach]))[:, :reach], places)

    return until_over(decide, source) if isinstance(source, Foreseen) else decide


def jointly(joint: Joint, goal: SeenDistance, foreseen: Foreseen | None = None, seed: int = 0) -> Decide:
    """Draws a future and the commands to it together; given a future, the commands alone."""
    generator = torch.Generator().manual_seed(seed)

    def decide(state: State, step: int) -> Decision:
        given = None if foreseen is None else foreseen.ahead(step, STEPS)
        drawn = joint.draw(state, goal.places, goal.there, generator, given)
        return Decision(drawn.commands, drawn.places)

    return decide if foreseen is None else until_over(decide, foreseen)


def directing(eye: StateModel, director: Director, instruction: str, count: int) -> Decide:
    """Does what a director says about an instruction: now, and in what is imagined after that, `count` commands."""
    said = director.hear([director.listen(instruction)])

    def decide(state: State, step: int) -> Decision:
        now = {name: state[name] for name in eye.state}
        states, _, commands = acted_out(eye, director, now, eye.blank(1), said, count)
        expected = torch.stack([then["places"].float() for then in states], dim=1)
        return Decision(torch.stack(commands, dim=1), expected)

    return decide
