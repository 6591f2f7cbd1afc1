"""Plain behaviour cloning: a small network from pixels and words to commands, the least that a rival must beat.

Convolutions whose channels are scaled and shifted by the instruction (FiLM: Perez et al. 2018,
https://arxiv.org/abs/1709.07871; for cloning: Jang et al. 2022, https://arxiv.org/abs/2202.02005), where things are by
spatial softmax (Finn et al. 2016, https://arxiv.org/abs/1509.06113), and commands by squared error. All of it learns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.models.language.graft import FELT, check_numb, half_precision, numbed, size_of
from nextstate.models.language.points import located, places
from nextstate.models.language.words import ABSENT, Listed, instructed
from nextstate.models.protocol import WorldModelSpec
from nextstate.models.stages import Stage

KERNELS = ((5, 2), (3, 2), (3, 2), (3, 1))
"""Of the convolutions: size and stride."""


@dataclass(frozen=True)
class ClonerSizes:
    """Sizes of a `Cloner`: channels, width of what follows, commands told at once, longest instruction in words.

    Args:
        numb: as of `nextstate.models.language.graft.Sizes`.
        scripts, vocabulary: of the instructions that it learned from.
    """

    channels: int = 64
    width: int = 256
    chunk: int = 8
    words: int = 16
    numb: float = 0.5
    scripts: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()

    @property
    def pretrained(self) -> bool:
        """Nothing of it is."""
        return False


class Cloner(nn.Module):
    """Commands from a picture, what the body feels, and which words an instruction holds."""

    about = "A policy that follows instructions: plain behaviour cloning, from scratch. It foresees nothing."

    def __init__(self, spec: WorldModelSpec, preset: str, sizes: ClonerSizes) -> None:
        super().__init__()
        check_numb(sizes.numb)
        self.spec, self.preset, self.options = spec, preset, sizes
        self.words = Listed(sizes.vocabulary)
        self.senses = [name for name in FELT if name in spec.modalities]
        channels = sizes.channels
        self.say = nn.Embedding(self.words.size, channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(5 if number == 0 else channels, channels, kernel, stride, kernel // 2)
            for number, (kernel, stride) in enumerate(KERNELS)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels, affine=False) for _ in KERNELS)
        self.modulate = nn.ModuleList(nn.Linear(channels, 2 * channels) for _ in KERNELS)
        felt = sum(math.prod(spec.modalities[n].shape) for n in self.senses)
        self.think = nn.Sequential(
            nn.Linear(4 * channels + felt, sizes.width),
            nn.SiLU(),
            nn.Linear(sizes.width, sizes.width),
            nn.SiLU(),
            nn.Linear(sizes.width, sizes.chunk * spec.action_size),
        )

    def instruction(self, text: str) -> np.ndarray:
        """Token numbers ``(words,)``; raises `InstructionError`, see `instructed`."""
        return instructed(self.words, text, self.options.words, self.options.scripts)

    def forward(self, states: Mapping[str, Tensor]) -> Tensor:
        """Commands ``(N, chunk, A)`` in [-1, 1].

        Args:
            states: ``rgb (N, H, W, 3)``, senses ``(N, *shape)``, ``words (N, L)``, and if need be ``numb (N,)``.
        """
        words = states["words"]
        said = (self.say(words.clamp_min(0)) * (words != ABSENT)[..., None]).sum(dim=1)
        x = states["rgb"].permute(0, 3, 1, 2).float().sub(127.0).div(128.0)
        x = torch.cat([x, places(x)], dim=1)
        for convolve, norm, modulate in zip(self.convolutions, self.norms, self.modulate, strict=True):
            scale, shift = modulate(said)[..., None, None].chunk(2, dim=1)
            x = F.silu(norm(convolve(x)) * (1 + scale) + shift)
        felt = [self.spec.modalities[n].normalise(states[n]).flatten(1) for n in self.senses]
        if "numb" in states:
            felt = [sense * ~states["numb"][:, None] for sense in felt]
        told: Tensor = self.think(torch.cat([*located(x), x.amax(dim=(2, 3)), said, *felt], dim=1))
        return told.float().tanh().view(-1, self.options.chunk, self.spec.action_size)

    @torch.no_grad()
    def draw(self, states: Mapping[str, Tensor], generator: torch.Generator, spread: float = 1.0) -> Tensor:
        """Commands ``(N, chunk, A)`` in [-1, 1]; nothing is drawn, it knows one answer."""
        return self(states)  # type: ignore[no-any-return]

    def precision(self) -> AbstractContextManager[object]:
        """Half precision for acting where the processor multiplies it in hardware."""
        return half_precision(self.say.weight.device)

    @property
    def stages(self) -> Sequence[Stage]:
        return (Stage("clone", 1.0, clone_loss),)

    @property
    def images(self) -> tuple[str, ...]:
        return ("rgb",)

    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Never called: its one stage learns from pictures."""
        raise NotImplementedError

    def finish(self, batch: Mapping[str, Tensor]) -> None:
        """Nothing is left to do."""

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Squared error of the commands; see `nextstate.data.instructed` for what a batch holds."""
        return clone_loss(self, batch, generator, progress)

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        """Two operations for each weight and place, forward and twice back."""
        side, whole = self.spec.modalities["rgb"].shape[0], float(size_of(self.think))
        for layer, (_, stride) in zip(self.convolutions, KERNELS, strict=True):
            side = -(-side // stride)
            whole += size_of(layer) * side * side
        return 6.0 * batch_size * whole

    def config(self) -> dict[str, Any]:
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.options).items()}
        return {"preset": self.preset, "options": options}

    def owners(self) -> dict[str, int]:
        """Number of parameters by owner."""
        return {
            "language": size_of(self.say, self.modulate),
            "vision": size_of(self.convolutions),
            "action": size_of(self.think),
        }


def clone_loss(
    model: Cloner, batch: dict[str, Tensor], generator: torch.Generator, progress: float
) -> dict[str, Tensor]:
    numb = numbed(len(batch["action"]), model.options.numb, generator)
    loss = F.mse_loss(model({**batch, "numb": numb}), batch["action"].float())
    return {"loss": loss, "commands": loss}
