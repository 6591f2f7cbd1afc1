"""A small language model of the Llama kind, as a backbone for tokens that need not be words.

Pre-norm blocks of grouped-query attention with rotary positions and gated units (Touvron et al. 2023,
https://arxiv.org/abs/2302.13971; Ainslie et al. 2023, https://arxiv.org/abs/2305.13245; Allal et al. 2025,
https://arxiv.org/abs/2502.02737), which low-rank adapters may bend (Hu et al. 2021, https://arxiv.org/abs/2106.09685).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kept = tuple[Tensor, Tensor]
"""Keys, turned by their positions, and values ``(B, T, groups, D)``."""

BLOCKED = -1e4
"""What keys are lowered by that may not be looked at; finite, so that a token with nothing to see stays finite."""


@dataclass(frozen=True)
class LlamaShape:
    """Sizes of a `Llama`.

    Args:
        base: of the rotary positions. hidden: width of the gated units.
    """

    width: int
    layers: int
    heads: int
    groups: int
    hidden: int
    vocabulary: int
    base: float = 1e5
    eps: float = 1e-5


class Norm(nn.Module):
    """Root-mean-square norm, in full precision (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467)."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, tokens: Tensor) -> Tensor:
        full = tokens.float()
        return full * (full.square().mean(dim=-1, keepdim=True) + self.eps).rsqrt() * self.weight.float()


class Adapter(nn.Module):
    """Low-rank changes to the queries and values of one block; none at first."""

    def __init__(self, shape: LlamaShape, rank: int) -> None:
        super().__init__()
        values = shape.width // shape.heads * shape.groups
        self.down = nn.ModuleList(nn.Linear(shape.width, rank, bias=False) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(rank, size, bias=False) for size in (shape.width, values))
        for layer in self.up:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        queries, values = (up(down(tokens)) for down, up in zip(self.down, self.up, strict=True))
        return queries, values


class Block(nn.Module):
    """Attention to what came before, then a gated unit."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.heads, self.groups, self.size = shape.heads, shape.groups, shape.width // shape.heads
        self.attention_norm, self.unit_norm = (Norm(shape.width, shape.eps) for _ in range(2))
        self.queries = nn.Linear(shape.width, shape.width, bias=False)
        self.keys, self.values = (nn.Linear(shape.width, self.size * shape.groups, bias=False) for _ in range(2))
        self.out = nn.Linear(shape.width, shape.width, bias=False)
        self.gate, self.up = (nn.Linear(shape.width, shape.hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(
        self,
        tokens: Tensor,
        turns: tuple[Tensor, Tensor],
        mask: Tensor,
        adapter: Adapter | None = None,
        before: Kept | None = None,
    ) -> tuple[Tensor, Kept]:
        """Tokens, and their keys and values: with these as `before`, others that follow may look at them."""
        normed = self.attention_norm(tokens)
        queries, keys, values = self.queries(normed), self.keys(normed), self.values(normed)
        if adapter is not None:
            more_queries, more_values = adapter(normed)
            queries, values = queries + more_queries, values + more_values
        batch, length = tokens.shape[:2]
        # Heads of one group lie side by side and share keys and values.
        queries = turned(queries.view(batch, length, self.heads, self.size), turns)
        keys = turned(keys.view(batch, length, self.groups, self.size), turns)
        values = values.view(batch, length, self.groups, self.size)
        kept = keys, values
        if before is not None:
            keys, values = (torch.cat([old.to(new.dtype), new], dim=1) for old, new in zip(before, kept, strict=True))
        shared = self.heads // self.groups
        keys, values = (x.repeat_interleave(shared, dim=2).transpose(1, 2) for x in (keys, values))
        scores = queries.transpose(1, 2) @ keys.transpose(-2, -1) * self.size**-0.5
        weights = (scores.float() + mask).softmax(dim=-1).to(values.dtype)
        tokens = tokens + self.out((weights @ values).transpose(1, 2).reshape(batch, length, -1))
        normed = self.unit_norm(tokens)
        return tokens + self.down(F.silu(self.gate(normed)) * self.up(normed)), kept


@dataclass(frozen=True)
class Past:
    """What was read before, as far as those that follow need it.

    Args:
        kept: of each block. absent: ``(B, P)``, tokens of it that nobody may look at.
        states: ``(B, P, W)`` of its tokens at each depth that was asked for.
    """

    kept: Sequence[Kept]
    absent: Tensor
    states: Sequence[Tensor]

    @staticmethod
    def stack(parts: Sequence[Past]) -> Past:
        """One batch of many."""

        def joined(tensors: Sequence[Tensor]) -> Tensor:
            return torch.cat(list(tensors))

        kept = [
            (joined([part.kept[i][0] for part in parts]), joined([part.kept[i][1] for part in parts]))
            for i in range(len(parts[0].kept))
        ]
        states = [joined([part.states[i] for part in parts]) for i in range(len(parts[0].states))]
        return Past(kept, joined([part.absent for part in parts]), states)

    def repeated(self, count: int) -> Past:
        """Each row so many times in a row."""

        def each(x: Tensor) -> Tensor:
            return x.repeat_interleave(count, dim=0)

        kept = [(each(keys), each(values)) for keys, values in self.kept]
        return Past(kept, each(self.absent), [each(states) for states in self.states])


class Llama(nn.Module):
    """A causal transformer over words and whatever else is embedded among them.

    While `skipped` is true its blocks are left out, and tokens come out as they went in.
    """

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.eps)
        self.skipped = False

    def forward(
        self,
        tokens: Tensor,
        absent: Tensor | None = None,
        reads: Sequence[int] = (),
        adapters: Sequence[Adapter] | None = None,
        past: Past | None = None,
    ) -> list[Tensor]:
        """States of the tokens ``(B, T, W)`` at the depths asked for, each ``(B, T, W)``.

        Args:
            tokens: embedded, ``(B, T, W)``. absent: ``(B, T)``, tokens that nobody may look at.
            reads: numbers of blocks, increasing: 0 is before the first; by default after the last.
            past: of `read`, if others come before these.
        """
        return self._through(tokens, absent, reads, adapters, past)[0]

    def read(
        self, tokens: Tensor, absent: Tensor, reads: Sequence[int], adapters: Sequence[Adapter] | None = None
    ) -> Past:
        """What tokens are to those that will follow them: causal as it is, the one need not wait for the other."""
        states, kept = self._through(tokens, absent, reads, adapters, None)
        return Past(kept, absent, states)

    def _through(
        self,
        tokens: Tensor,
        absent: Tensor | None,
        reads: Sequence[int],
        adapters: Sequence[Adapter] | None,
        past: Past | None,
    ) -> tuple[list[Tensor], list[Kept]]:
        reads = reads or (len(self.blocks),)
        first = past.absent.shape[1] if past else 0
        last = first + tokens.shape[1]
        mask = causal(last, tokens.device)[:, :, first:]
        if absent is None:
            absent = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        absent = torch.cat([past.absent, absent], dim=1) if past else absent
        mask = mask + BLOCKED * absent[:, None, None, :].float()
        cosines, sines = rotary(last, self.shape, tokens.device)
        turns = cosines[first:], sines[first:]
        found, kept = [tokens] if 0 in reads else [], []
        for depth, block in enumerate(self.blocks[: max(reads)]):
            if not self.skipped:
                adapter = None if adapters is None else adapters[depth]
                tokens, own = block(tokens, turns, mask, adapter, past.kept[depth] if past else None)
                kept.append(own)
            if depth + 1 in reads:
                found.append(tokens)
        return found, kept

    def words(self, states: Tensor) -> Tensor:
        """Logits ``(..., V)`` of the next word after states ``(..., W)`` of the last block."""
        return F.linear(self.norm(states), self.embed.weight.to(states.dtype))


def causal(length: int, device: torch.device) -> Tensor:
    """What scores of ``(queries, keys)`` are changed by so that none looks ahead, ``(1, 1, T, T)``."""
    return torch.full((length, length), BLOCKED, device=device).triu(1)[None, None]


def rotary(length: int, shape: LlamaShape, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(T, 1, D)`` by which positions turn queries and keys."""
    size = shape.width // shape.heads
    speeds = shape.base ** -(torch.arange(0, size, 2, device=device).float() / size)
    angles = torch.arange(length, device=device).float()[:, None] * speeds
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return angles.cos(), angles.sin()


def turned(parts: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys ``(B, T, H, D)`` turned by their positions."""
    cosines, sines = turns
    first, second = parts.chunk(2, dim=-1)
    turned_by = torch.cat([-second, first], dim=-1)
    return (parts * cosines + turned_by * sines).to(parts.dtype)
