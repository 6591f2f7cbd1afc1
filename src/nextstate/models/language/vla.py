"""The language-first rival: a language model that sees through a grafted eye and acts through a grafted expert."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nextstate.errors import SettingsError, UnknownNameError
from nextstate.models.language.backbone import Adapter, Llama, LlamaShape, Norm
from nextstate.models.language.expert import Expert
from nextstate.models.language.eye import SIDE, Eye
from nextstate.models.language.packages import LITE0, SMOLLM2, part
from nextstate.models.language.words import ABSENT, Listed, Pieces, Words, instructed
from nextstate.models.protocol import WorldModelSpec
from nextstate.models.stages import Stage, stage_at

SEEN = SIDE**2
"""Tokens of a picture."""

FELT = ("proprio", "touch")

SMOLLM2_SHAPE = LlamaShape(576, 30, 9, 3, 1536, 49152)


@dataclass(frozen=True)
class VlaOptions:
    """Sizes, and what is learned.

    Args:
        pretrained: name of a pretrained backbone, else it starts fresh.
        sees: whether the eye is pretrained. looks: whether it keeps learning.
        layers: of the backbone that are kept, from the first on.
        backbone: frozen, bent by low-rank adapters of `rank`, or trained.
        width, depth: of the expert. chunk: commands drawn at once. draws: noise levels for each memory and step.
        graft: share of the run spent on all that learns, the rest on the expert alone; only if all else is frozen then.
        words: longest instruction in tokens. scripts: that instructions were in, when it learned.
        vocabulary: words that a backbone that starts fresh can read.
        taps, magnified: of the eye.
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
    draws: int = 4
    graft: float = 0.5
    words: int = 16
    scripts: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    taps: tuple[int, ...] = (4, 10)
    magnified: int = 2


PRESETS: dict[str, VlaOptions] = {
    "vla-smollm2": VlaOptions(),
    "vla-equal": VlaOptions(
        pretrained=False,
        looks=True,
        layers=4,
        shape=(96, 3, 1, 192),
        backbone="trained",
        width=92,
        depth=4,
        taps=(4,),
        magnified=1,
    ),
    "vla-tiny": VlaOptions(
        pretrained=False,
        sees=False,
        layers=2,
        shape=(32, 2, 1, 64),
        width=32,
        depth=1,
        taps=(2,),
        magnified=1,
        chunk=4,
    ),
}
"""Pretrained 135M; as many parameters as the world model's small preset; for tests, without any package."""


class Vla(nn.Module):
    """A vision-language-action model: commands from a picture, what the body feels, and an instruction.

    The sequence is ``[words, 16 tokens of the picture, one token for each sense of the body]``. Words come first, so
    that looking can depend on what is asked. The expert reads the tokens at three depths of the backbone. Frozen parts
    are no parameters of this module: they are had from the cache of pretrained parts, and are not saved again.
    """

    def __init__(self, spec: WorldModelSpec, preset: str, options: VlaOptions) -> None:
        super().__init__()
        self.spec, self.preset, self.options = spec, preset, options
        self._check()
        self.shape = _backbone_shape(options)
        width = self.shape.width
        self.senses = [name for name in FELT if name in spec.modalities]
        self.trained_backbone = options.backbone == "trained"
        backbone, eye = Llama(self.shape), Eye(options.taps, options.magnified, spec.modalities["rgb"].shape[0])
        if not backbone.embed.weight.is_meta:
            self._load(backbone, eye)
        # Inside a tuple torch does not count it as a part.
        self._backbone, self._eye = (backbone,), (eye,)
        if self.trained_backbone:
            self.backbone = backbone
        if options.looks:
            self.eye = eye
        self._freeze()
        self.project = nn.Linear(eye.size, width)
        self.place = nn.Parameter(0.3 * torch.randn(SEEN, width))
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
        if not backbone.embed.weight.is_meta:
            self.loudness.fill_(float(backbone.embed.weight.detach().float().square().mean().sqrt()))
        self.adapters = nn.ModuleList(
            Adapter(self.shape, options.rank) for _ in range(options.layers if options.backbone == "lora" else 0)
        )
        self.reads = (0, options.layers // 2, options.layers)
        self.read_norms = nn.ModuleList(Norm(width) for _ in self.reads)
        self.read = nn.Linear(len(self.reads) * width, options.width)
        self.kinds = nn.Parameter(0.3 * torch.randn(3, options.width))
        self.expert = Expert(options.width, options.depth, options.chunk, spec.action_size)
        self._words: Words | None = Listed(options.vocabulary) if not options.pretrained else None

    loudness: Tensor

    # What it reads and sees.

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

    def tokens(self, states: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The sequence ``(N, T, W)`` and what of it is absent ``(N, T)``.

        Args:
            states: ``rgb (N, H, W, 3)``, senses ``(N, *shape)``, ``words (N, L)``.
        """
        words = states["words"]
        embedded = self._ready(self._backbone[0]).embed(words.clamp_min(0)).float()
        seen = self.project(self.look(states["rgb"])) + self.place
        felt = [self.feel[n](self.spec.modalities[n].normalise(states[n]).flatten(1))[:, None] for n in self.senses]
        grafted = self.loudness * self.level(torch.cat([seen, *felt], dim=1))
        tokens = torch.cat([embedded, grafted], dim=1)
        absent = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        absent[:, : words.shape[1]] = words == ABSENT
        return tokens, absent

    def memory(self, states: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the expert attends to ``(N, T, E)``, and what of it is absent ``(N, T)``."""
        tokens, absent = self.tokens(states)
        adapters = list(self.adapters) or None
        found = self._ready(self._backbone[0])(tokens, absent, self.reads, adapters)
        read = self.read(torch.cat([norm(x) for norm, x in zip(self.read_norms, found, strict=True)], dim=-1))
        length = states["words"].shape[1]
        kinds = [length, SEEN, len(self.senses)]
        return read + self.kinds.repeat_interleave(torch.tensor(kinds, device=read.device), dim=0), absent

    @torch.no_grad()
    def draw(self, states: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """Commands ``(N, chunk, A)`` in [-1, 1]."""
        return self.expert.draw(*self.memory(states), generator)

    def precision(self) -> AbstractContextManager[object]:
        """Half precision for acting where the processor multiplies it in hardware."""
        kind = self.project.weight.device.type
        able = kind == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=able)

    # Learning, as the training loop asks for it.

    @property
    def stages(self) -> Sequence[Stage]:
        """All that learns, through the backbone; then, if that stays as it is, the expert on what was read once."""
        everything = Stage("graft", self.options.graft, graft_loss)
        if self.trained_backbone or self.options.looks:
            return (replace(everything, share=1.0),)
        return everything, Stage("act", 1 - self.options.graft, act_loss, windows=4.0, recalled=True)

    @property
    def images(self) -> Sequence[str]:
        return ("rgb",)

    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the expert will attend to, of each frame, in half precision."""
        memory, absent = self.memory(states)
        return {"memory": memory.half(), "absent": absent.half()}

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Error of the expert's velocities; see `nextstate.data.instructed` for what a batch holds."""
        index, local = stage_at(self.stages, progress)
        return self.stages[index].loss(self, batch, generator, local)

    def finish(self, batch: Mapping[str, Tensor]) -> None:
        """Nothing is left to do."""

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        """Two operations for each weight and token, once forward and once or twice back; the eye aside."""
        index, _ = stage_at(self.stages, progress)
        stage, length = self.stages[index], self.options.words + SEEN + len(self.senses)
        block = sum(p.numel() for p in self._backbone[0].blocks[0].parameters())
        through = 0.0 if stage.recalled else 2.0 * length * block * self.options.layers
        expert = sum(p.numel() for p in self.expert.layers.parameters())
        acting = 2.0 * expert * (length + self.options.draws * self.options.chunk) / 2
        return batch_size * stage.windows * (through * (3 if self.trained_backbone else 2) + 3 * acting)

    # What is kept of it.

    def config(self) -> dict[str, Any]:
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.options).items()}
        return {"preset": self.preset, "options": options}

    def owners(self) -> dict[str, int]:
        """Parameters by owner, frozen ones too."""
        backbone = self._backbone[0]
        count = {
            "language": _size(backbone, *self.adapters),
            "vision": _size(self._eye[0], self.project) + self.place.numel(),
            "action": _size(self.expert, self.read, *self.read_norms) + self.kinds.numel(),
        }
        senses = {"proprioception": "proprio", "touch": "touch"}
        return count | {o: _size(self.feel[n]) for o, n in senses.items() if n in self.feel}

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
        if (module is self._backbone[0] and self.trained_backbone) or (module is self._eye[0] and self.options.looks):
            return module
        device = self.project.weight.device
        kind = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
        first = next(module.parameters())
        if first.dtype != kind or first.device != device:
            module.to(device=device, dtype=kind, memory_format=torch.channels_last)
        return module


def graft_loss(model: Vla, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    memory, absent = model.memory(batch)
    loss = model.expert.loss(memory, absent, batch["action"], generator, model.options.draws)
    return {"loss": loss, "commands": loss}


def act_loss(model: Vla, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
    memory, absent = batch["memory"].float(), batch["absent"] > 0.5
    loss = model.expert.loss(memory, absent, batch["action"], generator, model.options.draws)
    return {"loss": loss, "commands": loss}


def build_vla(spec: WorldModelSpec, preset: str, **options: Any) -> Vla:
    """A fresh rival; raises `UnknownNameError` for an unknown preset and `TypeError` for an unknown option."""
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return Vla(spec, preset, replace(PRESETS[preset], **given))


def _backbone_shape(options: VlaOptions) -> LlamaShape:
    if options.pretrained:
        return replace(SMOLLM2_SHAPE, layers=options.layers)
    width, heads, groups, hidden = options.shape
    return LlamaShape(width, options.layers, heads, groups, hidden, Listed(options.vocabulary).size)


def _size(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())
