"""The world model: see things, foresee how they move each other under an action, draw what that looks like.

A state becomes a handful of tokens: the things that the eye outlines, each with an explicit place, and one
token each for posture and touch. A step of dynamics moves tokens and places; the hand carries the last real
frame's pixels along, repaints them and keeps what did not change. The belief is recurrent, so the two
hundredth imagined step costs what the first one did.

Relatives: interaction networks (Battaglia et al. 2016, https://arxiv.org/abs/1612.00222), video prediction by
moving masks (Finn et al. 2016, https://arxiv.org/abs/1605.07157), noise trained by a proper score (Alet et al.
2025, https://arxiv.org/abs/2506.10772).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import SettingsError, StateError
from nextstate.models.dynamics import Dynamics
from nextstate.models.protocol import Beliefs, History, States, WorldModelSpec
from nextstate.models.vision import CELL, Eye, Hand, describe

SCENE = ("masks", "carried", "last", "from")
"""Parts of a belief that stay as the last real frame left them."""


@dataclass(frozen=True)
class Size:
    """Sizes of a `StateModel`.

    Args:
        things: masks. vision, drawing: channels of the eye and of the hand. token: length of a token.
        layers: of dynamics. message: length of what tokens tell each other. looks: real frames that are
            looked at. noise: length of a thing's noise.
    """

    things: int = 10
    vision: int = 32
    drawing: int = 48
    token: int = 128
    layers: int = 2
    message: int = 64
    carried: int = 12
    painted: int = 32
    looks: int = 2
    noise: int = 4


class StateModel(nn.Module):
    """Implements `WorldModel`, and what training needs; its objective lives in `objectives`."""

    def __init__(self, spec: WorldModelSpec, preset: str, size: Size, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.spec = replace(spec, stochastic=size.noise > 0)
        self.size = size
        self._config = {"preset": preset, "options": dict(options)}
        self.images = [n for n, m in spec.modalities.items() if m.kind == "image"]
        self.vectors = [n for n, m in spec.modalities.items() if m.kind == "vector"]
        if not self.images:
            raise StateError("a world model sees: give it at least one image modality (rgb, depth or motion).")
        heights = {spec.modalities[n].shape[:2] for n in self.images}
        if len(heights) != 1 or any(side % 8 for side in next(iter(heights))):
            raise StateError(f"image modalities must share one size that 8 divides, not {sorted(heights)}.")
        channels = sum(spec.modalities[n].channels for n in self.images)
        self.eye = Eye(channels, size.things, size.vision, size.carried)
        described = 3 + channels + size.vision + 1
        self.thing = nn.Sequential(nn.Linear(described, size.token), nn.SiLU(), nn.Linear(size.token, size.token))
        self.identity = nn.Parameter(0.1 * torch.randn(size.things, size.token))
        self.feel = nn.ModuleDict({n: nn.Linear(spec.modalities[n].channels, size.token) for n in self.vectors})
        self.tell = nn.ModuleDict({n: nn.Linear(size.token, spec.modalities[n].channels) for n in self.vectors})
        for layer in self.tell.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.surprise = nn.Linear(max(size.noise, 1), size.token, bias=False)
        self.correct = nn.Linear(2 * size.token, size.token)
        self.norm = nn.LayerNorm(size.token)
        self.dynamics = Dynamics(size.token, size.layers, size.message, spec.action_size)
        self.hand = Hand(channels, size.token, size.carried, size.painted, size.drawing)

    # The protocol.

    @torch.no_grad()
    def observe(self, history: History) -> Beliefs:
        with self.precision():
            states = {n: history.states[n].to(self.device) for n in self.spec.modalities}
            return Beliefs(self.believe(states, history.actions.to(self.device).float()))

    @torch.no_grad()
    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        noise = None
        if sample is not None and self.size.noise:
            generator = torch.Generator().manual_seed(sample)
            noise = torch.randn(self.tokens, self.size.noise, generator=generator).to(self.device)
        with self.precision():
            return Beliefs(self.foresee(belief.tensors, actions.to(self.device).float(), noise))

    @torch.no_grad()
    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        spec, found = self.spec.modalities, {}
        b = beliefs.tensors
        for name in modalities:
            if name in self.vectors:
                kind = spec[name]
                found[name] = kind.denormalise(b[name].float().reshape(*b[name].shape[:2], *kind.shape))
        if any(n in self.images for n in modalities):
            with self.precision():
                pictures = self.draw(b)
            for name, picture in self.split(pictures).items():
                if name in modalities:
                    values = (
                        spec[name].denormalise(picture.movedim(2, -1)).reshape(*picture.shape[:2], *spec[name].shape)
                    )
                    found[name] = values.round().clamp(0, 255).to(torch.uint8) if name == "rgb" else values
        return found

    # Its parts, with gradients.

    def believe(self, states: Mapping[str, Tensor], actions: Tensor) -> dict[str, Tensor]:
        """The belief at the last state: filters over the last few real states, ``looks`` of them."""
        looks = min(self.size.looks, next(iter(states.values())).shape[1])
        states = {n: v[:, -looks:] for n, v in states.items()}
        pictures = self.pictures(states)
        batch = pictures.shape[0]
        masks, carried, places, tokens = (v.view(batch, looks, *v.shape[1:]) for v in self.see(pictures.flatten(0, 1)))
        felt = {n: self.spec.modalities[n].normalise(states[n]).flatten(2) for n in self.vectors}
        senses = [layer(felt[n])[:, :, None] for n, layer in self.feel.items()]
        observed = self.norm(torch.cat([tokens, *senses], dim=2))
        state = observed[:, 0]
        for look in range(1, looks):
            everywhere = self.with_senses(places[:, look - 1])
            expected, _ = self.dynamics(state, everywhere, actions[:, look - looks])
            state = self.norm(observed[:, look] + self.correct(torch.cat([expected, observed[:, look]], dim=-1)))
        return {
            "masks": masks[:, -1],
            "carried": carried[:, -1],
            "last": pictures[:, -1],
            "from": places[:, -1],
            "tokens": state,
            "places": self.with_senses(places[:, -1]),
            **{n: felt[n][:, -1] for n in self.vectors},
        }

    def foresee(self, belief: Mapping[str, Tensor], actions: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Spans ``(B, H, ...)``. `noise` ``(B or nothing, T, Z)`` stands for what cannot be seen."""
        tokens, places = belief["tokens"], belief["places"]
        if noise is not None:
            tokens = tokens + self.surprise(noise)
        felt = {n: belief[n].float() for n in self.vectors}
        first = self.size.things
        spans: dict[str, list[Tensor]] = {n: [] for n in ("tokens", "places", *self.vectors)}
        for action in actions.unbind(1):
            tokens, places = self.dynamics(tokens, places, action)
            for index, (name, layer) in enumerate(self.tell.items()):
                change = layer(tokens[:, first + index]).float()
                # Posture changes smoothly, touch comes and goes.
                felt[name] = change if name == "touch" else felt[name] + change
            for name, value in (("tokens", tokens), ("places", places), *felt.items()):
                spans[name].append(value)
        span = {n: torch.stack(v, dim=1) for n, v in spans.items()}
        horizon = actions.shape[1]
        return span | {n: belief[n][:, None].expand(-1, horizon, *belief[n].shape[1:]) for n in SCENE}

    def draw(self, span: Mapping[str, Tensor]) -> Tensor:
        """Normalised pictures ``(B, S, C, size, size)`` of a span."""
        scene = {n: span[n][:, 0] for n in SCENE}
        shifts = span["places"][:, :, : self.size.things] - scene["from"][:, None]
        states = span["tokens"][:, :, : self.size.things]
        return self.hand(scene["masks"], scene["carried"], scene["last"], shifts, states)  # type: ignore[no-any-return]

    def see(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures ``(N, C, s, s)`` to masks, carried appearance, places ``(N, K, 2)`` and tokens ``(N, K, D)``."""
        masks, features, carried = self.eye(pictures)
        places, areas, averages = describe(masks, F.avg_pool2d(pictures, CELL), features)
        known = torch.cat([averages, (areas[..., None] * 50).clamp_max(4)], dim=-1)
        return masks, carried, places, self.thing(known) + self.identity

    def with_senses(self, places: Tensor) -> Tensor:
        """Places of all tokens: those of things, and the middle for senses that have none."""
        return F.pad(places, (0, 0, 0, len(self.vectors)))

    def pictures(self, states: Mapping[str, Tensor]) -> Tensor:
        """Normalised image modalities side by side ``(B, T, C, s, s)``."""
        parts = []
        for name in self.images:
            values = self.spec.modalities[name].normalise(states[name])
            parts.append(values[:, :, None] if values.dim() == 4 else values.movedim(-1, 2))
        return torch.cat(parts, dim=2)

    def split(self, pictures: Tensor) -> dict[str, Tensor]:
        """Inverse of `pictures`, channels third."""
        sizes = [self.spec.modalities[n].channels for n in self.images]
        return dict(zip(self.images, torch.split(pictures, sizes, dim=2), strict=True))

    # What training and tables ask.

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        from nextstate.models.objectives import OBJECTIVES

        return OBJECTIVES["pixel"](self, batch, generator, progress)

    def flops(self, batch_size: int) -> float:
        """Floating-point operations of a training step, counted while doing one on a single empty window."""
        from torch.utils.flop_counter import FlopCounterMode

        length = self.spec.context + self.spec.horizon
        batch = {n: torch.zeros(1, length, *m.shape, device=self.device) for n, m in self.spec.modalities.items()}
        batch["action"] = torch.zeros(1, length - 1, self.spec.action_size, device=self.device)
        with FlopCounterMode(display=False) as counter:
            loss = self.loss(batch, torch.Generator(self.device).manual_seed(0), 0.5)["loss"]
            torch.autograd.grad(loss, [p for p in self.parameters() if p.requires_grad], allow_unused=True)
        return float(counter.get_total_flops()) * batch_size

    def config(self) -> dict[str, Any]:
        return dict(self._config)

    def owners(self) -> dict[str, int]:
        """Parameters by owner: nearly all see, foresee and draw."""
        count = {name: sum(p.numel() for p in module.parameters()) for name, module in self.named_children()}
        senses = {"touch": 0, "proprio": 0}
        for table in (self.feel, self.tell):
            for name, layer in table.items():
                senses[name] += sum(p.numel() for p in layer.parameters())
        action = sum(p.numel() for p in self.dynamics.action.parameters())
        return {
            "vision": count["eye"] + count["hand"] + count["thing"] + self.identity.numel(),
            "dynamics": count["dynamics"] - action + count["surprise"] + count["correct"] + count["norm"],
            "touch": senses["touch"],
            "proprioception": senses["proprio"],
            "action": action,
            "language": 0,
        }

    @property
    def tokens(self) -> int:
        """Tokens of a state."""
        return self.size.things + len(self.vectors)

    @property
    def device(self) -> torch.device:
        return self.identity.device

    def precision(self) -> AbstractContextManager[object]:
        """Half precision for imagining where the processor multiplies it in hardware."""
        able = self.device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=able and self.device.type != "meta")


PRESETS: dict[str, Size] = {
    "tiny": Size(things=8, vision=24, drawing=32, token=96, message=48),
    "small": Size(),
    "base": Size(things=12, vision=48, drawing=64, token=256, layers=4, message=128),
    "large": Size(things=16, vision=128, drawing=192, token=512, layers=12, message=256),
    "huge": Size(things=24, vision=256, drawing=384, token=1024, layers=24, message=512),
    "giant": Size(things=32, vision=512, drawing=768, token=2048, layers=48, message=1024),
}


def build_state_model(spec: WorldModelSpec, preset: str, **options: Any) -> StateModel:
    """A fresh network; `options` override fields of the preset's `Size`."""
    unknown = set(options) - set(asdict(PRESETS[preset]))
    if unknown:
        raise SettingsError(f"options {', '.join(sorted(unknown))} are not among {', '.join(asdict(PRESETS[preset]))}.")
    return StateModel(spec, preset, replace(PRESETS[preset], **options), options)
