"""A small pretrained reader of sentences: MiniLM, as sentence-transformers trained it to tell what means the same.

The network is BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) of six layers, distilled (MiniLM, Wang et al.
2020, https://arxiv.org/abs/2002.10957); its weights come with a package and are read without that package's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.language.convert import PIECES
from nextstate.models.language.packages import MINILM, part
from nextstate.models.language.words import missing

MEANING = 384
"""Length of what is said of a word."""

LONGEST = 48
"""Pieces of a sentence that are read, its beginning and end included; later ones are left out."""


@dataclass(frozen=True)
class BertSizes:
    """Sizes of a `Bert`."""

    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden: int = 1536
    positions: int = 512
    eps: float = 1e-12


class _Layer(nn.Module):
    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out, self.norm_out = nn.Linear(width, width), nn.LayerNorm(width, sizes.eps)
        self.think, self.conclude = nn.Linear(width, sizes.hidden), nn.Linear(sizes.hidden, width)
        self.norm = nn.LayerNorm(width, sizes.eps)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        count, length, width = tokens.shape
        apart = (count, length, self.heads, width // self.heads)
        query, key, value = (layer(tokens).view(apart).transpose(1, 2) for layer in (self.query, self.key, self.value))
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None])
        tokens = self.norm_out(tokens + self.out(heard.transpose(1, 2).reshape(count, length, width)))
        done: Tensor = self.norm(tokens + self.conclude(F.gelu(self.think(tokens))))
        return done


class Bert(nn.Module):
    """Pieces of words to what each means where it stands."""

    def __init__(self, sizes: BertSizes) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = nn.Embedding(sizes.positions, sizes.width)
        self.kinds = nn.Embedding(2, sizes.width)
        self.norm = nn.LayerNorm(sizes.width, sizes.eps)
        self.layers = nn.ModuleList(_Layer(sizes) for _ in range(sizes.layers))

    def forward(self, pieces: Tensor, there: Tensor) -> Tensor:
        """
        Args:
            pieces: ``(N, L)`` numbers. there: ``(N, L)``, which of them belong to the sentence.

        Returns:
            ``(N, L, W)``.
        """
        places = torch.arange(pieces.shape[1], device=pieces.device)
        tokens = self.norm(self.words(pieces) + self.positions(places) + self.kinds.weight[0])
        for layer in self.layers:
            tokens = layer(tokens, there)
        return tokens  # type: ignore[no-any-return]


class MiniLM:
    """Reads sentences; frozen.

    Raises:
        MissingExtraError: when the package with its weights is not installed.
        CheckpointError: when its file is damaged, or another one than expected.
    """

    def __init__(self) -> None:
        weights, _, folder = part(MINILM)
        sizes = BertSizes()
        with torch.device("meta"):
            self.network = Bert(sizes).eval().requires_grad_(False)
        self.network.load_state_dict({n: w.float() for n, w in weights.items()}, assign=True)
        self._pieces = _tokenizer(str(folder / PIECES))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """What each piece of each text means, ``(L, 384)``: beginning and end are pieces too."""
        found = []
        for text in texts:
            # One by one: a batch's padding would change the last bits.
            numbers = torch.tensor([self._pieces.encode(text).ids[:LONGEST]])
            found.append(self.network(numbers, torch.ones_like(numbers, dtype=torch.bool))[0].numpy())
        return found


@lru_cache(maxsize=1)
def minilm() -> MiniLM:
    """The reader, made once in a process."""
    return MiniLM()


def _tokenizer(path: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing("tokenizers", "words") from error
    pieces = Tokenizer.from_file(path)
    pieces.no_padding()
    pieces.no_truncation()
    return pieces
