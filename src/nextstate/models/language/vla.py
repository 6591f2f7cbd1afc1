"""The language-first rival: a language model that sees through a grafted eye and acts through a grafted expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nextstate.models.language.backbone import Norm, Past
from nextstate.models.language.expert import Expert
from nextstate.models.language.graft import SEEN, Grafted, Sizes, numbed, size_of
from nextstate.models.language.words import ABSENT
from nextstate.models.protocol import WorldModelSpec
from nextstate.models.stages import Stage, stage_at


class Vla(Grafted):
    """A vision-language-action model: commands from a picture, what the body feels, and an instruction.

    The sequence is ``[words, tokens of the picture, one token for each sense of the body]``. Words come first, so that
    looking can depend on what is asked. The expert reads the tokens at three depths of the backbone, and beside them
    points that are followed in the picture, see `Points`.
    """

    about = "A policy that follows instructions: a vision-language-action model. It foresees nothing."

    def __init__(self, spec: WorldModelSpec, preset: str, sizes: Sizes) -> None:
        super().__init__(spec, preset, sizes)
        width = self.shape.width
        self.points = self.follows(sizes.width)
        self.reads = (0, sizes.layers // 2, sizes.layers)
        self.read_norms = nn.ModuleList(Norm(width) for _ in self.reads)
        self.read = nn.Linear(len(self.reads) * width, sizes.width)
        self.kinds = nn.Parameter(0.3 * torch.randn(3, sizes.width))
        self._told: dict[tuple[object, ...], Past] = {}
        self.expert = Expert(sizes.width, sizes.depth, sizes.chunk, spec.action_size)

    def memory(self, states: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the expert attends to ``(N, T, E)``, the last `shown` of it not words, and what is absent ``(N, T)``.

        Args:
            states: ``rgb (N, H, W, 3)`` or ``features`` of it, senses ``(N, *shape)``, ``words (N, L)``, and if need
                be ``numb (N,)``, where nothing is to be felt.
        """
        states = {**states, "features": self.features(states)}
        return self.completed(*self.understood(states), states)

    def understood(self, states: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the backbone makes of words, picture and senses, as of `memory`."""
        words, grafts = states["words"], self.grafts(states)
        absent = torch.zeros(grafts.shape[:2], dtype=torch.bool, device=grafts.device)
        if self.steady:
            past = self.remembered(words)
            found = self.read_through(grafts, absent, self.reads, past)
            found = [torch.cat([old.to(new.dtype), new], dim=1) for old, new in zip(past.states, found, strict=True)]
            absent = torch.cat([past.absent, absent], dim=1)
        else:
            # Absent words come first, and turns are relative: without them all is as it was.
            words = words[:, (words != ABSENT).any(dim=0)]
            absent = torch.cat([words == ABSENT, absent], dim=1)
            found = self.read_through(torch.cat([self.embedded(words), grafts], dim=1), absent, self.reads)
        read = self.read(torch.cat([norm(x) for norm, x in zip(self.read_norms, found, strict=True)], dim=-1))
        kinds = torch.tensor([words.shape[1], SEEN, len(self.senses)], device=read.device)
        return read + self.kinds.repeat_interleave(kinds, dim=0), absent

    def completed(self, read: Tensor, absent: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The same without what is not felt, and with points."""
        if "numb" in states and self.senses:
            felt, numb = read.shape[1] - len(self.senses), states["numb"][:, None]
            absent = torch.cat([absent[:, :felt], absent[:, felt:] | numb], dim=1)
        points = self.point(states["features"].float(), states["words"])
        here = torch.zeros(len(read), self.pointed, dtype=torch.bool, device=read.device)
        return torch.cat([read, *(p.to(read.dtype) for p in points)], dim=1), torch.cat([absent, here], dim=1)

    @property
    def shown(self) -> int:
        """Tokens of the memory that are not words."""
        return SEEN + len(self.senses) + self.pointed

    @property
    def steady(self) -> bool:
        """Whether words are to the backbone what they always were, so that each instruction is read but once."""
        return self.options.pretrained and self.options.backbone == "frozen"

    @torch.no_grad()
    def remembered(self, words: Tensor) -> Past:
        """What instructions ``(N, L)`` are to what follows them."""
        backbone, found = self._ready(self._backbone[0]), []
        kind = next(backbone.parameters()).dtype
        for row in words:
            key = kind, row.device, tuple(row.tolist())
            if key not in self._told:
                self._told[key] = backbone.read(self.embedded(row[None]), row[None] == ABSENT, self.reads)
            found.append(self._told[key])
        return Past.stack(found)

    @torch.no_grad()
    def draw(self, states: Mapping[str, Tensor], generator: torch.Generator, spread: float = 1.0) -> Tensor:
        """Commands ``(N, chunk, A)`` in [-1, 1]; see `Expert.draw`."""
        return self.expert.draw(*self.memory(states), generator, spread=spread)

    @property
    def stages(self) -> Sequence[Stage]:
        """All that learns, through the backbone; then, if that stays as it is, the expert on what was read once.

        A backbone that learns throughout has one stage, on what a frozen eye saw once.
        """
        if self.trained_backbone or self.options.looks:
            return (Stage("graft", 1.0, graft_loss, recalled=not self.options.looks),)
        act = Stage("act", 1 - self.options.graft, act_loss, windows=4.0, recalled=True)
        return Stage("graft", self.options.graft, graft_loss), act

    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is learned from when frames have been looked at once: what the expert attends to, or else features."""
        if self.trained_backbone:
            return self.looked(states)
        states = {**states, "features": self.features(states)}
        read, absent = self.understood(states)
        finest = states["features"][..., : self._eye[0].finest]
        return {"memory": read.half(), "absent": absent.half(), "features": finest.half()}

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Error of the expert's velocities; see `nextstate.data.instructed` for what a batch holds."""
        index, local = stage_at(self.stages, progress)
        return self.stages[index].loss(self, batch, generator, local)

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        """Two operations for each weight and token, once forward and once or twice back; the eye aside."""
        stage = self.stages[stage_at(self.stages, progress)[0]]
        length = self.options.words + SEEN + len(self.senses)
        acting = size_of(self.expert.layers) * (length + self.pointed + self.options.draws * self.options.chunk)
        return batch_size * stage.windows * ((0.0 if stage.recalled else self.through(length)) + 3 * acting)

    def owners(self) -> dict[str, int]:
        """Number of parameters by owner."""
        acting = size_of(self.expert, self.read, *self.read_norms) + self.kinds.numel()
        return self.owned() | {"action": acting}


def graft_loss(model: Vla, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    numb = numbed(len(batch["action"]), model.options.numb, generator)
    return _acted(model, *model.memory({**batch, "numb": numb}), batch, generator)


def act_loss(model: Vla, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    numb = numbed(len(batch["action"]), model.options.numb, generator)
    memory, absent = batch["memory"].float(), batch["absent"] > 0.5
    return _acted(model, *model.completed(memory, absent, {**batch, "numb": numb}), batch, generator)


def _acted(
    model: Vla, memory: Tensor, absent: Tensor, batch: Mapping[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    loss = model.expert.loss(memory, absent, batch["action"], generator, model.options.draws)
    return {"loss": loss, "commands": loss}
