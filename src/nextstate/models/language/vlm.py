"""The rival that answers: the same backbone and eye, asked in words about a state and what is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.language.graft import SEEN, Grafted, Sizes, size_of
from nextstate.models.language.words import ABSENT
from nextstate.models.protocol import WorldModelSpec
from nextstate.models.stages import Stage

STRIDE = 2
"""Planned commands that share a token."""

ANSWERS = ("no", "yes")


class Vlm(Grafted):
    """A vision-language model: the next word after a question about a picture, a body, and commands to come.

    The sequence is ``[16 tokens of the picture, senses of the body, plan, points, question]``; the answer is the next
    word. Points depend on the question. What comes before them does not, and is read once for all questions about it.
    """

    about = "A vision-language model: it answers questions about a state and a plan with yes or no."

    def __init__(self, spec: WorldModelSpec, preset: str, sizes: Sizes) -> None:
        super().__init__(spec, preset, sizes)
        width = self.shape.width
        self.points = self.follows(width)
        self.plan = nn.Linear(STRIDE * spec.action_size, width)
        self.when = nn.Parameter(0.3 * torch.randn(-(-spec.horizon // STRIDE), width))

    def states(self, states: Mapping[str, Tensor]) -> Tensor:
        """What the backbone makes of the last word of a question, ``(N, W)``: from which the answer follows.

        Args:
            states: ``rgb (N, H, W, 3)``, senses ``(N, *shape)``, ``plan (N, H, A)`` of at most the spec's horizon,
                and ``words (N, L)`` of the question; or ``(N, Q, L)`` of several about each, for ``(N, Q, W)``.
        """
        given, plan = states["words"], states["plan"]
        count = given.shape[1] if given.dim() == 3 else 1
        words, length = first_come(given.reshape(len(plan) * count, -1))
        pairs = F.pad(plan, (0, 0, 0, -plan.shape[1] % STRIDE))
        pairs = pairs.reshape(len(plan), -1, STRIDE * plan.shape[2])
        features = self.features(states)
        shown = self.grafts({**states, "features": features}, self.plan(pairs) + self.when[: pairs.shape[1]])
        depth, adapters = (self.options.layers,), list(self.adapters) or None
        here = torch.zeros(shown.shape[:2], dtype=torch.bool, device=shown.device)
        past = self._ready(self._backbone[0]).read(shown, here, depth, adapters).repeated(count)
        asked = torch.cat([*map(self.loud, self.point(features, words)), self.embedded(words)], dim=1)
        absent = F.pad(words == ABSENT, (asked.shape[1] - words.shape[1], 0))
        told = self.read_through(asked, absent, depth, past)[0]
        last = asked.shape[1] - words.shape[1] + length - 1
        return told[torch.arange(len(told), device=told.device), last].view(*given.shape[:-1], -1)

    def logits(self, states: Mapping[str, Tensor]) -> Tensor:
        """Of every word to come next, ``(N, V)`` or ``(N, Q, V)``, see `states`."""
        told: Tensor = self._ready(self._backbone[0]).words(self.states(states)).float()
        return told

    @torch.no_grad()
    def yes(self, states: Mapping[str, Tensor]) -> Tensor:
        """Probability ``(N,)`` or ``(N, Q)`` of yes, of all that says yes or no."""
        return self.logits(states)[..., self.answers].softmax(dim=-1)[..., 1]

    @property
    def answers(self) -> list[int]:
        """Token numbers of no and yes."""
        return [self.words.encode(word)[0] for word in ANSWERS]

    @property
    def stages(self) -> Sequence[Stage]:
        return (Stage("answer", 1.0, answer_loss, recalled=not self.options.looks),)

    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a frozen eye saw once, and what is felt."""
        return self.looked(states)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Surprise at the answer, among all words; see `nextstate.data.asked` for what a batch holds."""
        return answer_loss(self, batch, generator, progress)

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        """Of the backbone alone."""
        shown, asked = SEEN + len(self.senses) + len(self.when), self.pointed + self.options.words
        return batch_size * (self.through(shown) + self.options.asked * self.through(asked))

    def owners(self) -> dict[str, int]:
        """Number of parameters by owner."""
        return self.owned() | {"action": size_of(self.plan) + self.when.numel()}


def first_come(words: Tensor) -> tuple[Tensor, Tensor]:
    """Words ``(N, L)`` without the absent ones before them, as long as the longest, and how many each has ``(N,)``.

    What stands between a picture and a question would make it another question: turns are relative.
    """
    length = (words != ABSENT).sum(dim=1)
    turned = (torch.arange(words.shape[1], device=words.device) - length[:, None]) % words.shape[1]
    return words.gather(1, turned)[:, : int(length.max())], length


def answer_loss(model: Vlm, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    wanted = torch.tensor(model.answers, device=batch["answer"].device)[batch["answer"].long()]
    loss = F.cross_entropy(model.logits(batch).flatten(0, -2), wanted.flatten())
    return {"loss": loss, "words": loss}
