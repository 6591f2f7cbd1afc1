"""A language model that was given an eye and a sense of its body: what the rival's policy and its talker share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models.language.backbone import Adapter, Llama, LlamaShape, Norm, Past
from nextstate.models.language.eye import SIDE, Eye
from nextstate.models.language.packages import LITE0, SMOLLM2, part
from nextstate.models.language.points import TOGETHER, Points
from nextstate.models.language.words import ABSENT, Listed, Pieces, Words, instructed
from nextstate.models.protocol import WorldModelSpec

SEEN = SIDE**2
"""Tokens that the eye makes of a picture."""

FELT = ("proprio", "touch")

SMOLLM2_SHAPE = LlamaShape(576, 30, 9, 3, 1536, 49152)


@dataclass(frozen=True)
class Sizes:
    """Sizes, and what is learned.

    Args:
        pretrained: name of a pretrained backbone, else it starts fresh.
        sees: whether the eye is pretrained. looks: whether it keeps learning.
        layers: of the backbone that are kept, from the first on.
        backbone: frozen, bent by low-rank adapters of `rank`, or trained.
        width, depth: of the expert. chunk: commands drawn at once. draws: noise levels for each memory and step.
        graft: share of the run spent on all that learns, the rest on the expert alone; only if all else is frozen then.
        asked: questions about each look, while answers are learned.
        words: longest instruction in tokens. scripts: that instructions were in, when it learned.
        vocabulary: words that a backbone that starts fresh can read.
        taps, magnified: of the eye.
        points: that are followed over the eye's finest maps, see `Points`; 0 for none.
        numb: share of frames, while commands are learned, at which the body feels nothing. What a body does just now
            says what it was told, and a policy that may copy itself hardly looks (de Haan et al. 2019,
            https://arxiv.org/abs/1905.11979).
    """

    pretrained: bool = True
    sees: bool = True
    looks: bool = False
    layers: int = 16
    shape: tuple[int, int, int, int] = (576, 9, 3, 1536)
    backbone: Literal["frozen", "lora", "trained"] = "frozen"
    rank: int = 8
    width: int = 256
    depth: int = 4
    chunk: int = 8
    draws: int = 2
    graft: float = 0.5
    asked: int = 4
    words: int = 16
    scripts: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    taps: tuple[int, ...] = (4, 10)
    magnified: int = 2
    points: int = 64
    numb: float = 0.5


PRESETS: dict[str, Sizes] = {
    "smollm2": Sizes(),
    "equal": Sizes(
        pretrained=False,
        layers=4,
        shape=(96, 3, 1, 192),
        backbone="trained",
        width=84,
        depth=4,
        taps=(2, 4),
        magnified=1,
    ),
    "tiny": Sizes(
        pretrained=False,
        sees=False,
        layers=2,
        shape=(32, 2, 1, 64),
        width=32,
        depth=1,
        taps=(2,),
        magnified=1,
        points=8,
        chunk=4,
    ),
}
"""Pretrained 135M; as many parameters as the world model's small preset; for tests, without any package."""


class Grafted(nn.Module):
    """A backbone of language, an eye projected into its tokens, and one token for each sense of the body.

    Pretrained parts that stay as they are are no parameters of this module: they are had from the cache, and are not
    saved again.
    """

    def __init__(self, spec: WorldModelSpec, preset: str, sizes: Sizes) -> None:
        super().__init__()
        self.spec, self.preset, self.options = spec, preset, sizes
        self._check()
        self.shape = _backbone_shape(sizes)
        width = self.shape.width
        self.senses = [name for name in FELT if name in spec.modalities]
        self.trained_backbone = sizes.backbone == "trained"
        backbone, eye = Llama(self.shape), Eye(sizes.taps, sizes.magnified, spec.modalities["rgb"].shape[0])
        made = not backbone.embed.weight.is_meta
        if made:
            self._load(backbone, eye)
        # Inside a tuple torch does not count it as a part: what the cache holds need not be kept twice.
        self._backbone, self._eye = (backbone,), (eye,)
        if self.trained_backbone or not sizes.pretrained:
            self.backbone = backbone
        if sizes.looks or not sizes.sees:
            self.eye = eye
        self._freeze()
        self.project = nn.Linear(eye.size, width)
        self.place = nn.Parameter(0.3 * torch.randn(SEEN, width))
        self.points: Points | None = None
        self.feel = nn.ModuleDict(
            {
                n: nn.Sequential(
                    nn.Linear(math.prod(spec.modalities[n].shape), width), nn.SiLU(), nn.Linear(width, width)
                )
                for n in self.senses
            }
        )
        self.level = Norm(width)
        self.register_buffer("loudness", torch.tensor(1.0))
        if made:
            self.loudness.fill_(float(backbone.embed.weight.detach().float().square().mean().sqrt()))
        self.adapters = nn.ModuleList(
            Adapter(self.shape, sizes.rank) for _ in range(sizes.layers if sizes.backbone == "lora" else 0)
        )
        self._words: Words | None = None if sizes.pretrained else Listed(sizes.vocabulary)

    loudness: Tensor

    @property
    def backbone_in_use(self) -> Llama:
        """The language model, learned or not."""
        return self._backbone[0]

    @property
    def words(self) -> Words:
        """Its vocabulary."""
        if self._words is None:
            _, facts, folder = part(SMOLLM2)
            self._words = Pieces(folder / "tokenizer.json", facts["end"])
        return self._words

    def instruction(self, text: str) -> np.ndarray:
        """Token numbers ``(words,)``; raises `InstructionError`, see `instructed`."""
        return instructed(self.words, text, self.options.words, self.options.scripts)

    def look(self, rgb: Tensor) -> Tensor:
        """Pictures ``(N, H, W, 3)`` to ``(N, 16, features)``."""
        eye = self._ready(self._eye[0])
        if self.options.looks:
            return eye(rgb)  # type: ignore[no-any-return]
        with torch.no_grad():
            return eye(rgb)  # type: ignore[no-any-return]

    def follows(self, width: int) -> Points | None:
        """What follows points, in tokens of some width; None if it is not to."""
        eye = self._eye[0]
        return Points(self.options.points, eye.detail, self.shape.width, width) if self.options.points else None

    @property
    def pointed(self) -> int:
        """Tokens of points."""
        return self.options.points // TOGETHER

    def point(self, features: Tensor, words: Tensor) -> list[Tensor]:
        """Tokens of points ``(N, points / 4, W)`` in what was seen ``(N, 16, F)``, or none; words are ``(N, L)``, or
        those of several sentences about each, see `Points`."""
        if self.points is None:
            return []
        said = (self.embedded(words) * (words != ABSENT)[..., None]).sum(dim=1)
        return [self.points(self._eye[0].finest_map(features), said * said.square().mean(-1, True).add(1e-9).rsqrt())]

    def features(self, states: Mapping[str, Tensor]) -> Tensor:
        """What was seen ``(N, 16, features)``: as it is given, or looked at now."""
        return states["features"].float() if "features" in states else self.look(states["rgb"])

    def embedded(self, words: Tensor) -> Tensor:
        """Token numbers ``(N, L)`` to ``(N, L, W)``."""
        found: Tensor = self._ready(self._backbone[0]).embed(words.clamp_min(0)).float()
        return found

    def grafts(self, states: Mapping[str, Tensor], *more: Tensor) -> Tensor:
        """Tokens of picture and body, and others ``(N, n, W)``, as loud as words: ``(N, T, W)``.

        Args:
            states: ``rgb (N, H, W, 3)``, or ``features`` of it as of `look`, and senses ``(N, *shape)``.
        """
        seen = self.project(self.features(states)) + self.place
        felt = [self.feel[n](self.spec.modalities[n].normalise(states[n]).flatten(1))[:, None] for n in self.senses]
        return self.loud(torch.cat([seen, *felt, *more], dim=1))

    def loud(self, tokens: Tensor) -> Tensor:
        """Tokens ``(N, T, W)`` as loud as words."""
        told: Tensor = self.loudness * self.level(tokens)
        return told

    def read_through(
        self, tokens: Tensor, absent: Tensor, reads: tuple[int, ...], past: Past | None = None
    ) -> list[Tensor]:
        """States of tokens ``(N, T, W)`` at depths of the backbone; `absent` ``(N, T)`` is not looked at."""
        found: list[Tensor] = self._ready(self._backbone[0])(tokens, absent, reads, list(self.adapters) or None, past)
        return found

    def precision(self) -> AbstractContextManager[object]:
        """Half precision for acting where the processor multiplies it in hardware."""
        return half_precision(self.project.weight.device)

    def looked(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """States whose pictures were looked at once and for all: features in half precision, and what is felt."""
        return {"features": self.look(states["rgb"]).half(), **{n: states[n] for n in self.senses}}

    @property
    def images(self) -> tuple[str, ...]:
        return ("rgb",)

    def finish(self, batch: Mapping[str, Tensor]) -> None:
        """Nothing is left to do."""

    def config(self) -> dict[str, Any]:
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.options).items()}
        return {"preset": self.preset, "options": options}

    def through(self, length: int) -> float:
        """Operations of reading one sequence of tokens, forward and back: no weights learn where they are frozen."""
        block = sum(p.numel() for p in self._backbone[0].blocks[0].parameters())
        return 2.0 * length * block * self.options.layers * (3 if self.trained_backbone else 2)

    def owned(self) -> dict[str, int]:
        """Parameters by owner of what is here, frozen ones too."""
        count = {
            "language": size_of(self._backbone[0], *self.adapters),
            "vision": size_of(self._eye[0], self.project, *([self.points] if self.points else [])) + self.place.numel(),
        }
        senses = {"proprioception": "proprio", "touch": "touch"}
        return count | {o: size_of(self.feel[n]) for o, n in senses.items() if n in self.feel}

    def _check(self) -> None:
        if "rgb" not in self.spec.modalities:
            raise SettingsError("a vision-language-action model needs pictures; keep rgb among --modalities.")
        most = SMOLLM2_SHAPE.layers if self.options.pretrained else 64
        if not 2 <= self.options.layers <= most:
            raise SettingsError(
                f"layers={self.options.layers}: this backbone has {most}, of which at least 2 are kept."
            )
        if self.options.backbone not in ("frozen", "lora", "trained"):
            raise UnknownNameError("way to learn of the backbone", self.options.backbone, ("frozen", "lora", "trained"))
        if self.options.points % TOGETHER or self.options.points < 0:
            raise SettingsError(f"points={self.options.points}: give a multiple of {TOGETHER}, or 0.")
        check_numb(self.options.numb)
        if self.options.asked < 1:
            raise SettingsError(f"asked={self.options.asked}: ask at least one question about each look.")
        if not 0 < self.options.graft < 1:
            raise SettingsError(f"graft={self.options.graft}: it is a share of the run, between 0 and 1.")

    def _load(self, backbone: Llama, eye: Eye) -> None:
        if self.options.pretrained:
            weights, _, _ = part(SMOLLM2)
            backbone.load_state_dict({n: weights[n].float() for n in backbone.state_dict()})
        if self.options.sees:
            weights, _, _ = part(LITE0)
            eye.load_state_dict({n: weights[n] for n in eye.state_dict()})

    def _freeze(self) -> None:
        for module, learns in ((self._backbone[0], self.trained_backbone), (self._eye[0], self.options.looks)):
            for parameter in module.parameters():
                parameter.requires_grad_(learns)

    def _ready(self, module: Any) -> Any:
        """A part, on the device; frozen ones in the number format of the moment, so that nothing is cast twice."""
        if any(module is part for part in self.children()):
            return module
        device = self.project.weight.device
        kind = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
        first = next(module.parameters())
        if first.dtype != kind or first.device != device:
            module.to(device=device, dtype=kind, memory_format=torch.channels_last)
        return module


def _backbone_shape(options: Sizes) -> LlamaShape:
    if options.pretrained:
        return replace(SMOLLM2_SHAPE, layers=options.layers)
    width, heads, groups, hidden = options.shape
    return LlamaShape(width, options.layers, heads, groups, hidden, Listed(options.vocabulary).size)


def check_numb(share: float) -> None:
    """Raises `SettingsError` for what is no share of frames."""
    if not 0 <= share <= 1:
        raise SettingsError(f"numb={share}: it is a share of frames, from 0 to 1.")


def numbed(count: int, share: float, generator: torch.Generator) -> Tensor:
    """At which of so many frames nothing is felt, ``(count,)``."""
    return torch.rand(count, generator=generator, device=generator.device) < share


def size_of(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Half precision where the processor multiplies it in hardware."""
    able = device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=able)
