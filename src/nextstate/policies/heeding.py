"""Instructed behaviour cloning on a world model's beliefs: the rival's hand, on our eye.

The same action expert as the rival's, but what it attends to are things with places, and a few words.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.data.instructed import InstructedFrames
from nextstate.data.windows import Split
from nextstate.models.heads import SEEN, THOUGHT, Gaze, Head, HeadShape
from nextstate.models.language.expert import Expert
from nextstate.models.language.words import split
from nextstate.models.vision import presence
from nextstate.models.world_model import StateModel
from nextstate.policies.looking import Decide, Decision, State
from nextstate.training.ema import PowerEma
from nextstate.training.optimiser import Optimiser
from nextstate.training.precision import autocast, choose_dtype, seed_step
from nextstate.training.recall import recall
from nextstate.training.schedule import Schedule
from nextstate.training.trainable import to_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from nextstate.data import Cache

BUCKETS = 256
"""Numbers by which an instruction is told: which words and pairs of words occur."""

CHUNK, WIDTH, DEPTH, DRAWS = 8, 128, 3, 4

BATCH, RATE = 128, 1e-3


def told(text: str) -> np.ndarray:
    """Which words and pairs of neighbouring words occur in a text, ``(256,)`` of 0 and 1."""
    words = split(text)
    row = np.zeros(BUCKETS, np.float32)
    for piece in (*words, *(" ".join(pair) for pair in pairwise(words))):
        row[zlib.crc32(piece.encode()) % BUCKETS] = 1.0
    return row


class Heeding(Head):
    """Draws commands from places, codes, posture and an instruction."""

    name = "heeding"

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.gaze = Gaze(shape, BUCKETS)
        self.sum_up = nn.Linear(THOUGHT, WIDTH)
        self.thing, self.say = nn.Linear(shape.code + 3, WIDTH), nn.Linear(BUCKETS, WIDTH)
        self.identity = nn.Parameter(0.1 * torch.randn(shape.things, WIDTH))
        self.expert = Expert(WIDTH, DEPTH, shape.chunk, shape.action)

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


def learn_heeding(
    model: StateModel, cache: Cache, seconds: float, seed: int = 0, show: Callable[[int, int], None] | None = None
) -> tuple[Heeding, dict[str, float]]:
    """Learned from the instructed episodes of a dataset, and its error on held-out ones.

    Args:
        show: told how many of how many seconds have passed, after all frames have been looked at.

    Raises:
        DatasetError: for a dataset without instructions.
    """
    device, names = model.device, list(model.spec.modalities)
    dtype = choose_dtype("auto", device)
    parts = {}
    sides: tuple[Split, ...] = ("train", "validation")
    for side in sides:
        frames = InstructedFrames(cache, CHUNK, told, names, side, seed)
        seen = recall(model, frames, device, dtype, lambda: False, lambda done, count: None)
        assert seen is not None
        seen["there"] = presence(torch.from_numpy(seen.pop("areas"))).numpy()
        parts[side] = frames.over({n: seen[n] for n in (*SEEN, "there") if n in seen})
    train = parts["train"]
    some = train.batch(0, 1)
    proprio = some["proprio"].shape[1] if "proprio" in some else 0
    torch.manual_seed(seed)
    shape = HeadShape(some["places"].shape[1], some["codes"].shape[2], proprio, model.spec.action_size, chunk=CHUNK)
    head = Heeding(shape).to(device)
    optimiser, schedule, average = Optimiser(head, RATE), Schedule(), PowerEma(head, 0.1)
    began, step = time.monotonic(), 0

    def loss_of(batch: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        memory, absent = head.memory(batch, batch["words"])
        return head.expert.loss(memory, absent, batch["action"], generator, DRAWS)

    while (done := (time.monotonic() - began) / seconds) < 1.0:
        with autocast(device, dtype):
            loss = loss_of(to_tensors(train.batch(step, BATCH), device), seed_step(seed, step, device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(schedule(done))
        step += 1
        average.update(step)
        if show:
            show(int(time.monotonic() - began), int(seconds))
    head.load_state_dict(head.state_dict() | average.state())
    head.eval()
    held = to_tensors(parts["validation"].batch(0, 1024), device)
    with torch.no_grad():
        drawn = head.expert.draw(*head.memory(held, held["words"]), torch.Generator().manual_seed(seed))
    gap = (drawn - held["action"]).square()
    vary = (held["action"] - held["action"].mean(dim=(0, 1))).square().mean()
    return head, {"commands": float(gap.mean() / vary), "steps": float(step)}


def heeding(head: Heeding, instruction: str, seed: int = 0) -> Decide:
    """Draws commands that follow an instruction."""
    words = torch.from_numpy(told(instruction))[None]
    generator = torch.Generator().manual_seed(seed)

    def decide(state: State, step: int) -> Decision:
        known = {**state, "there": presence(state["areas"])}
        return Decision(head.expert.draw(*head.memory(known, words), generator))

    return decide
