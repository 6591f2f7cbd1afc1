"""A director: from a state as a model imagines it and an instruction, the next motor command.

So words become an action of the world model: in each imagined step the director looks at where things are believed to
be, remembers what was said, and says what the body does next. Commands are a mixture of Gaussians (mixture density
network, Bishop 1994), since there are two ways around a thing and their mean runs into it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.actions.text import Sentence, check_known, check_said, nearest, occurring
from nextstate.models.dynamics import RELATIVE, relative_features
from nextstate.models.heads import THOUGHT, Head, HeadShape
from nextstate.models.language.minilm import MEANING, minilm

SAID = 64
"""Numbers in which an instruction is summed up: the one vector by which words condition everything else."""

LOOKS, HEARD = 4, 48
"""Times that a sentence is looked over, and numbers kept of each."""

POINTS = 4
"""Things that are looked at because of what was said: the body, what is named, what it is to go to."""

WAYS = 4
"""Commands that are considered at a time."""

UNHEARD, MUFFLED = 0.5, 0.3
"""While learning: chance that known words are not recognised at all, and that one of them is not."""

STEADY = -4.0
"""Logarithm of the smallest standard deviation of a command."""


class Hearing(nn.Module):
    """An instruction as one vector.

    Meaning comes from a pretrained reader's pieces, and carries words that were never learned from; but such readers
    hardly tell left from right. So known words and pairs of words are told besides, and are left out half of the time
    while learning, so that meaning alone must do too.

    Args:
        words: number of known words and pairs.
    """

    def __init__(self, words: int) -> None:
        super().__init__()
        self.attend = nn.Linear(MEANING, LOOKS)
        self.take = nn.Linear(MEANING, LOOKS * HEARD)
        self.think, self.conclude = nn.Linear(LOOKS * HEARD, THOUGHT), nn.Linear(THOUGHT, SAID)
        self.recognise = nn.Linear(words, SAID, bias=False)
        nn.init.zeros_(self.recognise.weight)

    def forward(
        self, meaning: Tensor, length: Tensor, known: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """
        Args:
            meaning: ``(N, L, 384)`` of pieces, of which the first `length` ``(N,)`` count. known: ``(N, V)``.
            generator: of what is left out while learning; None to hear everything.

        Returns:
            ``(N, 64)``.
        """
        if generator is not None:
            meaning = meaning * ((_chance(meaning, generator) > 0.2) / 0.8)
            here = _chance(known[:, :1], generator) > UNHEARD
            known = known * here * (_chance(known, generator) > MUFFLED)
        absent = torch.arange(meaning.shape[1], device=meaning.device) >= length[:, None]
        share = self.attend(meaning).masked_fill(absent[..., None], -1e9).softmax(dim=1)
        taken = self.take(meaning).view(*meaning.shape[:2], LOOKS, HEARD)
        heard = (share[..., None] * taken).sum(dim=1).flatten(1)
        said: Tensor = self.conclude(F.silu(self.think(heard))) + self.recognise(known)
        return F.layer_norm(said, (SAID,))


class Director(Head):
    """Commands from places, codes, what is felt, and what was said.

    Args:
        shape: `proprio` counts everything that is felt, of all senses together.
        known: words and pairs learned from. sentences: some of those learned from, for telling how far another is off.
        skills: names of what was learned, to tell as what a sentence is heard; no command depends on them.
    """

    name = "director"
    learned_by = "nextstate direct"

    def __init__(
        self,
        shape: HeadShape,
        known: Sequence[str] = (),
        sentences: Sequence[str] = (),
        skills: Sequence[str] = (),
    ) -> None:
        super().__init__(shape)
        self.known, self.sentences, self.skills = tuple(known), tuple(sentences), tuple(skills)
        self._numbers = {piece: number for number, piece in enumerate(self.known)}
        width = shape.width
        self.hearing = Hearing(len(self.known))
        self.thing = nn.Linear(shape.code + 2, width)
        self.feel, self.say = nn.Linear(max(shape.proprio, 1), width), nn.Linear(SAID, 2 * width)
        self.identity = nn.Parameter(0.1 * torch.randn(shape.things, width))
        self.consider, self.conclude = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.point, self.pointed = nn.Linear(SAID, POINTS * width), nn.Linear(width, width, bias=False)
        pairs = POINTS * (POINTS - 1) // 2
        self.think = nn.Linear(POINTS * (width + 2) + pairs * RELATIVE + width + SAID, 2 * THOUGHT)
        self.ponder = nn.Linear(2 * THOUGHT, 2 * THOUGHT)
        self.decide = nn.Linear(2 * THOUGHT, WAYS * (1 + 2 * shape.action))
        self.naming = nn.Linear(SAID, len(self.skills))
        self.register_buffer("gists", torch.zeros(len(self.sentences), MEANING, dtype=torch.float16))

    gists: Tensor
    """``(M, 384)``, what `sentences` mean."""

    def forward(self, state: Mapping[str, Tensor], said: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ways to go on: logits ``(N, W)``, means in [-1, 1] and logarithms of standard deviations ``(N, W, A)``.

        Args:
            state: ``places (N, K, 2)``, ``codes (N, K, Z)`` and ``felt (N, P)``. said: ``(N, 64)``.
        """
        places = state["places"]
        felt, (scale, shift) = self.feel(state["felt"]), self.say(said).chunk(2, dim=-1)
        tokens = self.thing(torch.cat([state["codes"], 3 * places], dim=-1)) + self.identity
        tokens = (tokens + felt[:, None]) * (1 + scale[:, None]) + shift[:, None]
        tokens = self.norm(tokens + self.conclude(F.silu(self.consider(tokens))))
        # Words speak of some of the things: those are what it looks at, and at how they lie to one another.
        wanted = self.point(said).view(len(said), POINTS, -1)
        share = (wanted @ self.pointed(tokens).transpose(1, 2) / tokens.shape[-1] ** 0.5).float().softmax(dim=-1)
        spots, (one, two) = share @ places, torch.triu_indices(POINTS, POINTS, 1)
        between = relative_features(spots)[:, one, two]
        looked = (share.to(tokens.dtype) @ tokens).flatten(1)
        parts = [looked, 3 * spots.flatten(1), between.flatten(1), felt, said]
        thought = F.silu(self.think(torch.cat(parts, dim=-1)))
        told = self.decide(F.silu(self.ponder(thought))).float()
        logits, rest = told.tensor_split([WAYS], dim=-1)
        mean, spread = rest.view(len(told), WAYS, 2 * self.shape.action).chunk(2, dim=-1)
        return logits, 1.1 * mean.tanh(), STEADY + F.softplus(spread - STEADY - 1)

    def command(self, state: Mapping[str, Tensor], said: Tensor) -> Tensor:
        """The likeliest way to go on, ``(N, A)`` in [-1, 1]."""
        logits, means, _ = self(state, said)
        likeliest: Tensor = means[torch.arange(len(means)), logits.argmax(dim=-1)]
        return likeliest.clamp(-1, 1)

    def listen(self, text: str) -> Sentence:
        """An instruction as it is heard.

        Raises:
            InstructionError: for one that is empty, or of which no word is known.
            MissingExtraError: without the pretrained reader.
        """
        said = check_said(text, self.sentences[0] if self.sentences else "push the red object to the left")
        (meaning,) = minilm()([said])
        found = Sentence(said, meaning, occurring(said, self._numbers))
        if self.sentences:
            close, likeness = nearest(meaning, self.gists.cpu().numpy(), self.sentences)
            found = Sentence(said, meaning, found.known, close, likeness)
        check_known(found, self._numbers)
        return found

    @torch.no_grad()
    def hear(self, sentences: Sequence[Sentence]) -> Tensor:
        """What is said, ``(N, 64)``."""
        meaning, length = padded([sentence.meaning for sentence in sentences])
        known = torch.from_numpy(np.stack([sentence.known for sentence in sentences]))
        device = self.gists.device
        heard: Tensor = self.hearing(meaning.to(device), length.to(device), known.to(device))
        return heard

    @torch.no_grad()
    def heard_as(self, said: Tensor) -> list[tuple[str, float]]:
        """As which skill each instruction ``(N, 64)`` is heard, and how surely."""
        chances = self.naming(said).softmax(dim=-1).max(dim=-1)
        pairs = zip(chances.indices.tolist(), chances.values.tolist(), strict=True)
        return [(self.skills[number], float(chance)) for number, chance in pairs]

    def facts(self) -> dict[str, Any]:
        return {"known": list(self.known), "sentences": list(self.sentences), "skills": list(self.skills)}

    @classmethod
    def made(cls, shape: HeadShape, facts: Mapping[str, Any]) -> Self:
        return cls(shape, facts["known"], facts["sentences"], facts["skills"])


class GuessedDirector(Director):
    """A director that learned from silent videos too, by commands that were guessed."""

    name = "director-guessed"
    learned_by, way = "nextstate follow", "directing-guessed"


def director_loss(director: Director, state: Mapping[str, Tensor], said: Tensor, action: Tensor) -> Tensor:
    """How unlikely commands ``(N, A)`` are, in nats a number, mean over the batch."""
    logits, means, spreads = director(state, said)
    off = (action[:, None] - means) / spreads.exp()
    each = (-0.5 * off.square() - spreads - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
    return -torch.logsumexp(logits.log_softmax(dim=-1) + each, dim=-1).mean() / action.shape[-1]


def padded(meanings: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Pieces of several sentences ``(N, L, 384)``, and how many each has ``(N,)``."""
    length = [len(meaning) for meaning in meanings]
    rows = np.zeros((len(meanings), max(length), MEANING), np.float32)
    for row, meaning in zip(rows, meanings, strict=True):
        row[: len(meaning)] = meaning
    return torch.from_numpy(rows), torch.tensor(length)


def _chance(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device)
