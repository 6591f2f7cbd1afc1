"""Instructed policies on a world model's beliefs: the rival's hand, on our eye.

The same action expert as the rival's, but what it attends to are things with places, and a few words. What it draws are
commands (cloning), where everything will be seen (to be decoded by inverse dynamics, as by Du et al. 2023,
https://arxiv.org/abs/2302.00111), or both at once (Zhu et al. 2025, https://arxiv.org/abs/2504.02792).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.actions.text import check_said
from nextstate.models.heads import THOUGHT, Gaze, Head, HeadShape
from nextstate.models.language.expert import Expert
from nextstate.models.language.words import split
from nextstate.models.vision import presence
from nextstate.policies.inverse import Inverse
from nextstate.policies.looking import Decide, Decision, State

BUCKETS = 256
"""Numbers by which an instruction is told: which words and pairs of words occur."""

CHUNK, WIDTH, DEPTH = 8, 128, 3

SPREAD = 0.0
"""Of the noise that commands come from when one is enough: what is drawn at random misses more often."""

WIDE = 8.0
"""Usual sizes by which futures may differ from the present."""


def told(text: str) -> np.ndarray:
    """Which words and pairs of neighbouring words occur in a text, ``(256,)`` of 0 and 1.

    Raises `InstructionError` where nothing is said.
    """
    words = split(check_said(text, "push the red block left"))
    row = np.zeros(BUCKETS, np.float32)
    for piece in (*words, *(" ".join(pair) for pair in pairwise(words))):
        row[zlib.crc32(piece.encode()) % BUCKETS] = 1.0
    return row


class Heeding(Head):
    """Draws commands from places, codes, posture and an instruction."""

    name = "heeding"
    learned_by, way = "nextstate follow", "heeding"
    commands, futures = True, False

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.gaze = Gaze(shape, BUCKETS)
        self.sum_up = nn.Linear(THOUGHT, WIDTH)
        self.thing, self.say = nn.Linear(shape.code + 3, WIDTH), nn.Linear(BUCKETS, WIDTH)
        self.identity = nn.Parameter(0.1 * torch.randn(shape.things, WIDTH))
        size = shape.action * self.commands + 2 * shape.things * self.futures
        self.expert = Expert(WIDTH, DEPTH, shape.chunk, size)
        if self.futures:
            self.register_buffer("spread", torch.ones(shape.chunk, 2 * shape.things))

    spread: Tensor

    def memory(self, state: Mapping[str, Tensor], words: Tensor) -> tuple[Tensor, Tensor]:
        """What the expert attends to ``(N, K + 2, W)``, all of it present.

        Args:
            state: ``places``, ``codes``, ``there (N, K)``, and ``proprio`` if felt. words: ``(N, 256)``.
        """
        there = state["there"]
        thought = self.sum_up(self.gaze(state, state["places"], there, words))
        things = torch.cat([state["codes"], 3 * state["places"], there[..., None]], dim=-1)
        tokens = [self.thing(things) + self.identity, self.say(words)[:, None], thought[:, None]]
        memory = torch.cat(tokens, dim=1)
        return memory, torch.zeros(memory.shape[:2], dtype=torch.bool, device=memory.device)

    def wanted(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What is to be drawn ``(N, S, F)``: ``action (N, S, A)``, and how far things go by ``ahead (N, S, K, 2)``."""
        parts = [batch["action"]] if self.commands else []
        if self.futures:
            parts.append(batch["ahead"].float().flatten(2) / self.spread)
        return torch.cat(parts, dim=-1)

    @torch.no_grad()
    def draw(
        self, state: Mapping[str, Tensor], words: Tensor, generator: torch.Generator, spread: float = 1.0
    ) -> tuple[Tensor | None, Tensor | None]:
        """Commands ``(N, S, A)``, and how far things go ``(N, S, K, 2)``; None for what it does not draw.

        Args:
            spread: see `Expert.draw`.
        """
        size = self.shape.action * self.commands
        bound = WIDE if self.futures else 1.0
        drawn = self.expert.draw(*self.memory(state, words), generator, bound=bound, spread=spread)
        commands, ahead = drawn.tensor_split([size], dim=-1)
        going = (ahead * self.spread).view(*ahead.shape[:2], -1, 2) if self.futures else None
        return (commands.clamp(-1, 1) if self.commands else None), going

    def known(self, state: State) -> dict[str, Tensor]:
        """What it looks at of what an eye sees."""
        names = ("places", "codes", *(("proprio",) if self.shape.proprio else ()))
        return {**{name: state[name] for name in names}, "there": presence(state["areas"])}


class Foretelling(Heeding):
    """Draws where things will be seen when an instruction is followed; it needs no commands to learn that."""

    name = "foretelling"
    learned_by, way = "nextstate follow", "decoding"
    commands, futures = False, True


class Uniting(Heeding):
    """Draws commands and futures together."""

    name = "uniting"
    learned_by, way = "nextstate follow", "joint"
    commands, futures = True, True


class Labelled(Heeding):
    """Draws commands, some of which it learned from videos without any."""

    name = "labelled"
    learned_by, way = "nextstate follow", "labelled"


def heeding(head: Heeding, instruction: str, seed: int = 0) -> Decide:
    """Draws commands that follow an instruction."""
    words = torch.from_numpy(told(instruction))[None]
    generator = torch.Generator().manual_seed(seed)

    def decide(state: State, step: int) -> Decision:
        commands, ahead = head.draw(head.known(state), words, generator, SPREAD)
        assert commands is not None
        return Decision(commands, None if ahead is None else state["places"][:, None] + ahead)

    return decide


def decoding(head: Foretelling, inverse: Inverse, instruction: str, seed: int = 0) -> Decide:
    """Draws a future in which the instruction is followed, then the commands that lead there."""
    words = torch.from_numpy(told(instruction))[None]
    generator = torch.Generator().manual_seed(seed)

    def decide(state: State, step: int) -> Decision:
        known = head.known(state)
        _, ahead = head.draw(known, words, generator, SPREAD)
        assert ahead is not None
        return Decision(*decoded(inverse, known, ahead))

    return decide


def decoded(inverse: Inverse, known: Mapping[str, Tensor], ahead: Tensor) -> tuple[Tensor, Tensor]:
    """Commands ``(N, S', A)`` that lead where things are to go by ``(N, S, K, 2)``, and where they then are."""
    reach = inverse.shape.chunk
    expected = known["places"][:, None] + ahead
    later = {"places": expected[:, reach - 1], "there": known["there"]}
    return inverse(known, later, torch.full((len(ahead),), reach)), expected
