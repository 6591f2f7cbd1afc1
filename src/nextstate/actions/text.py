"""Instructions in words: what is said, which of its words are known, and why it may not be understood."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nextstate.errors import InstructionError


@dataclass(frozen=True)
class Sentence:
    """An instruction as it is heard.

    Args:
        text: what was said.
        meaning: ``(L, D)`` of its pieces, by a pretrained reader.
        known: ``(V,)`` of 0 and 1, which known words and pairs of neighbouring words occur.
        nearest, likeness: the sentence learned from that means most nearly the same, and how nearly: 1 is the same.
    """

    text: str
    meaning: np.ndarray
    known: np.ndarray
    nearest: str = ""
    likeness: float = 1.0


def split_words(text: str) -> list[str]:
    """The words of a text, without capitals and marks."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())


def pieces(text: str) -> list[str]:
    """Its words, and pairs of neighbouring words: what is near what is half of what is said."""
    words = split_words(text)
    return [*words, *(" ".join(pair) for pair in pairwise(words))]


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """All words and pairs that occur, sorted."""
    return tuple(sorted({piece for text in texts for piece in pieces(text)}))


def occurring(text: str, numbers: Mapping[str, int]) -> np.ndarray:
    """Which of the known pieces (piece -> number) occur, ``(V,)`` of 0 and 1; others leave no trace."""
    row = np.zeros(len(numbers), np.float32)
    row[[numbers[piece] for piece in pieces(text) if piece in numbers]] = 1.0
    return row


def gist(meaning: np.ndarray) -> np.ndarray:
    """What a whole sentence means, ``(D,)`` of unit length, out of its pieces ``(L, D)``."""
    mean = np.asarray(meaning, np.float32).mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9))


def nearest(meaning: np.ndarray, gists: np.ndarray, texts: Sequence[str]) -> tuple[str, float]:
    """Of some sentences that with the most similar meaning, and the cosine between them.

    Args:
        gists: ``(M, D)`` of `texts`.
    """
    likeness = np.asarray(gists, np.float32) @ gist(meaning)
    best = int(likeness.argmax())
    return texts[best], float(likeness[best])


def check_said(text: str, example: str) -> str:
    """`text` without blanks around it; raises `InstructionError` where nothing is said."""
    said = text.strip()
    if not split_words(said):
        what = f"the instruction {said!r} holds no word" if said else "the instruction is empty"
        raise InstructionError(f"{what}; say what is to be done, for example {example!r}.")
    return said


def check_known(sentence: Sentence, numbers: Mapping[str, int]) -> None:
    """Raises `InstructionError`, which says how far off it is, for a sentence of which no word is known."""
    words = split_words(sentence.text)
    if not any(word in numbers for word in words):
        raise InstructionError(
            f"none of the words of {sentence.text!r} is known here. Nearest to it in meaning, of all that was learned "
            f"from, is {sentence.nearest!r} (similarity {sentence.likeness:.2f}, 1 is the same); say it like that."
        )
