"""The world model: see things, foresee how they move each other under an action, draw what that looks like.

A state becomes a handful of tokens: the things that the eye outlines, each with a place and a code; the gist of the
whole scene; and one token for each sense of the body. A step of dynamics moves and changes them; the hand carries
the last real frame's pixels along and draws what changed. The belief is recurrent, so the two hundredth imagined
step costs what the first one did.

Relatives: interaction networks (Battaglia et al. 2016, https://arxiv.org/abs/1612.00222), transporting what moved
between two frames (Kulkarni et al. 2019, https://arxiv.org/abs/1906.11883), noise trained by a proper score (Alet
et al. 2025, https://arxiv.org/abs/2506.10772).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import ActionError, StateError
from nextstate.models.calibration import calibrate
from nextstate.models.dynamics import PACE, Dynamics, standard
from nextstate.models.flow import Flow, applied
from nextstate.models.light import MANY, Light, halves
from nextstate.models.operations import counted
from nextstate.models.protocol import Beliefs, History, States, WorldModelSpec
from nextstate.models.size import Size
from nextstate.models.stages import Stage, stage_at
from nextstate.models.vision import CELL, Eye, Hand, describe

if TYPE_CHECKING:
    from nextstate.models.silent import Silent

SCENE = ("masks", "carried", "last", "from")
"""Parts of a belief that stay as the last real frame left them."""

SEEING = ("eye", "thing", "whole", "hand")
"""Parts that see and draw."""


class StateModel(nn.Module):
    """Implements `WorldModel`, and what training needs; its objectives live in `objectives`."""

    def __init__(
        self,
        spec: WorldModelSpec,
        preset: str,
        size: Size,
        options: Mapping[str, Any],
        stages: Sequence[Stage],
        equip: Callable[[StateModel], None] = lambda model: None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.size, self.stages = size, tuple(stages)
        self._config: dict[str, Any] = {"preset": preset, "options": dict(options)}
        self.images = [n for n, m in spec.modalities.items() if m.kind == "image"]
        self.vectors = [n for n, m in spec.modalities.items() if m.kind == "vector"]
        if not self.images:
            raise StateError("a world model sees: give it at least one image modality (rgb, depth or motion).")
        heights = {spec.modalities[n].shape[:2] for n in self.images}
        if len(heights) != 1 or any(side % 8 for side in next(iter(heights))):
            raise StateError(f"image modalities must share one size that 8 divides, not {sorted(heights)}.")
        self.channels = sum(spec.modalities[n].channels for n in self.images)
        self.eye: nn.Module = Eye(self.channels, size.things, size.vision, size.carried)
        known = 3 + self.channels + size.vision + 1
        self.thing = nn.Sequential(nn.Linear(known, 128), nn.SiLU(), nn.Linear(128, size.code))
        self.whole = nn.Sequential(
            nn.Conv2d(size.vision, 32, 4, 4),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(8),
            nn.Conv2d(32, 16, 1),
            nn.Flatten(1),
            nn.Linear(16 * 64, size.gist * size.code),
        )
        senses = {n: spec.modalities[n].channels for n in self.vectors}
        self.dynamics = Dynamics(
            size.things,
            size.gist,
            size.code,
            senses,
            size.told(spec.action_size),
            size.token,
            size.layers,
            size.message,
            size.noise,
            size.angles,
        )
        self.hand = Hand(self.channels, size.code, size.gist * size.code, size.carried, size.painted, size.drawing)
        self.state = ("places", "codes", "gist", *self.vectors)
        self.light = Light()
        self.flow: Flow | None = None
        self.latent: nn.Module | None = None
        self.silent: Silent | None = None
        equip(self)
        self.spec = replace(spec, stochastic=size.noise > 0 or self.flow is not None)

    # The protocol.

    @torch.no_grad()
    def observe(self, history: History) -> Beliefs:
        with self.precision():
            states = {n: history.states[n].to(self.device) for n in self.spec.modalities}
            return Beliefs(self.believe(states, self._commands(history.actions)))

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        with torch.set_grad_enabled(actions.requires_grad), self.precision(len(actions)):
            commands = self._commands(actions)
            able = halves(self.device, len(actions)) and not torch.is_grad_enabled()
            light = self.light.of(self.dynamics) if able else None
            if sample is None:
                return Beliefs(self.foresee(belief.tensors, commands, physics=light))
            return Beliefs(self.sampled(belief.tensors, commands, sample, self.size.temperature, light))

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        with torch.set_grad_enabled(any(tensor.requires_grad for tensor in beliefs.tensors.values())):
            return self._decoded(beliefs.tensors, modalities)

    def embed(self, beliefs: Beliefs) -> Tensor:
        """Spans ``(B, H, ...)`` as points ``(B, H, D)`` of the model's own space: where things are, and what."""
        b = beliefs.tensors
        return torch.cat([(b["places"] / PACE).flatten(2), b["codes"].flatten(2), b["gist"].flatten(2)], dim=2).float()

    # Its parts, with gradients.

    def _commands(self, actions: Tensor) -> Tensor:
        if not self.spec.action_size:
            raise ActionError(
                f"{self.spec.name} learned from silent episodes alone and takes no motor commands; ground it with "
                "labelled ones (`nextstate pretrain --init-from MODEL --init-partial --silent-by latent`)."
            )
        return actions.to(self.device).float()

    def _decoded(self, b: Mapping[str, Tensor], modalities: Sequence[str]) -> States:
        spec, found = self.spec.modalities, {}
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

    def see(self, pictures: Tensor) -> dict[str, Tensor]:
        """What is seen in pictures ``(N, C, s, s)``.

        Returns:
            ``masks (N, K, h, w)``, ``carried (N, C', h, w)``, ``places (N, K, 2)`` in [-1, 1], ``areas (N, K)`` as
            shares of the picture, ``codes (N, K, Z)`` and ``gist (N, G, Z)``, the last two of unit scale.
        """
        masks, features, carried = self.eye(pictures)
        places, areas, averages = describe(masks, F.avg_pool2d(pictures, CELL), features)
        known = torch.cat([averages, (areas[..., None] * 50).clamp_max(4)], dim=-1)
        codes = self.thing(known).float()
        gist = self.whole(features).float().view(-1, self.size.gist, self.size.code)
        return {
            "masks": masks,
            "carried": carried,
            "places": places,
            "areas": areas,
            "codes": standard(codes),
            "gist": standard(gist),
        }

    def believe(self, states: Mapping[str, Tensor], actions: Tensor) -> dict[str, Tensor]:
        """The belief at the last of the states ``(B, T, ...)`` with ``T - 1`` actions between them."""
        pictures = self.pictures(states)
        batch, length = pictures.shape[:2]
        seen = {n: v.view(batch, length, *v.shape[1:]) for n, v in self.see(pictures.flatten(0, 1)).items()}
        seen |= self.felt(states)
        memory = self.blank(batch)
        for t in range(length - 1):
            _, memory = self.dynamics({n: seen[n][:, t] for n in self.state}, memory, actions[:, t])
        now = {n: seen[n][:, -1] for n in self.state}
        scene = {"masks": seen["masks"][:, -1], "carried": seen["carried"][:, -1], "last": pictures[:, -1]}
        return {**scene, "from": now["places"], **now, "memory": memory}

    def blank(self, count: int) -> Tensor:
        """The memory of who has just begun to look, ``(count, T, D)``."""
        return torch.zeros(count, self.tokens, self.size.token, device=self.device)

    def foresee(
        self,
        belief: Mapping[str, Tensor],
        actions: Tensor,
        noise: Tensor | None = None,
        physics: Dynamics | None = None,
    ) -> dict[str, Tensor]:
        """Spans ``(B, H, ...)`` under `actions` ``(B, H, A)``; `noise` ``(B or 1, T, Z)`` stands for the unseen.

        Args:
            physics: other dynamics than its own, such as `Light` ones.
        """
        physics = physics or self.dynamics
        state, memory = {n: belief[n] for n in self.state}, belief["memory"]
        spans: dict[str, list[Tensor]] = {n: [] for n in (*self.state, "memory")}
        for action in actions.unbind(1):
            state, memory = physics(state, memory, action, noise)
            noise = None
            for name, value in (*state.items(), ("memory", memory)):
                spans[name].append(value)
        span = {n: torch.stack(v, dim=1) for n, v in spans.items()}
        if physics is not self.dynamics:
            span["memory"] = span["memory"].float()
        horizon = actions.shape[1]
        scene = [n for n in SCENE if n in belief]
        return span | {n: belief[n][:, None].expand(-1, horizon, *belief[n].shape[1:]) for n in scene}

    def sampled(
        self,
        belief: Mapping[str, Tensor],
        actions: Tensor,
        sample: int,
        temperature: float = 1.0,
        physics: Dynamics | None = None,
    ) -> dict[str, Tensor]:
        """Like `foresee`, the sampled future of that number; `temperature` scales how far samples lie apart."""
        return self.strayed(belief, actions, [sample], physics)[0](temperature)

    def strayed(
        self, belief: Mapping[str, Tensor], actions: Tensor, samples: Sequence[int], physics: Dynamics | None = None
    ) -> list[Callable[[float], dict[str, Tensor]]]:
        """What `sampled` says of each sample under any temperature; what does not depend on them is computed once."""
        flow = self.flow
        if flow is None:

            def noisy(sample: int, temperature: float) -> dict[str, Tensor]:
                noise = temperature * self.draw_noise(sample) if self.size.noise else None
                return self.foresee(belief, actions, noise, physics)

            return [partial(noisy, sample) for sample in samples]
        # Goes on from the central future that a sampled belief strayed from: strayings do not add up.
        middle = {n: belief.get(f"central.{n}", belief[n]) for n in self.state}
        span = self.foresee({**belief, **middle}, actions, physics=physics)
        central = {n: span[n] for n in self.state}

        def around(straying: Mapping[str, Tensor], temperature: float) -> dict[str, Tensor]:
            found = applied({n: temperature * v for n, v in straying.items()}, central, self.vectors)
            return {**span, **found, **{f"central.{n}": v for n, v in central.items()}}

        return [partial(around, flow.draw(span["memory"], flow.noise(sample))) for sample in samples]

    def draw(self, span: Mapping[str, Tensor]) -> Tensor:
        """Normalised pictures ``(B, S, C, size, size)`` of a span."""
        scene = {n: span[n][:, 0] for n in SCENE}
        return self.hand(scene, span["places"], span["codes"], span["gist"].flatten(2))  # type: ignore[no-any-return]

    @torch.no_grad()
    def recall(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the eye makes of single frames, modality -> ``(N, *shape)``: all that dynamics learn from."""
        frames = {n: v[:, None] for n, v in states.items()}
        seen = self.see(self.pictures(frames)[:, 0])
        return {n: seen[n].float() for n in ("places", "codes", "gist", "areas")} | {
            n: v[:, 0] for n, v in self.felt(frames).items()
        }

    def windows_for(self, stage: Stage, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Windows of states ``(B, T, ...)`` as a stage wants them, without actions."""
        if not stage.recalled:
            return dict(states)
        size = next(iter(states.values())).shape[:2]
        seen = self.recall({n: v.flatten(0, 1) for n, v in states.items()})
        kept = {n: states[n] for n in self.images} if stage.pictured else {}
        return kept | {n: v.view(*size, *v.shape[1:]) for n, v in seen.items()}

    def draw_noise(self, sample: int) -> Tensor:
        """Noise ``(1, T, Z)`` of the sampled future with that number."""
        generator = torch.Generator().manual_seed(sample)
        return torch.randn(1, self.tokens, self.size.noise, generator=generator).to(self.device)

    def felt(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Normalised vector modalities ``(B, T, C)``."""
        return {n: self.spec.modalities[n].normalise(states[n]).flatten(2) for n in self.vectors}

    def pictures(self, states: Mapping[str, Tensor]) -> Tensor:
        """Normalised image modalities side by side ``(B, T, C, s, s)``, channels last in memory."""
        parts = []
        for name in self.images:
            values = self.spec.modalities[name].normalise(states[name])
            parts.append(values[..., None] if values.dim() == 4 else values)
        return torch.cat(parts, dim=-1).movedim(-1, 2)

    def split(self, pictures: Tensor) -> dict[str, Tensor]:
        """Inverse of `pictures`, channels third."""
        sizes = [self.spec.modalities[n].channels for n in self.images]
        return dict(zip(self.images, torch.split(pictures, sizes, dim=2), strict=True))

    # What training and tables ask.

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator, progress: float) -> dict[str, Tensor]:
        index, local = stage_at(self.stages, progress)
        return self.stages[index].loss(self, batch, generator, local)

    def finish(self, batch: Mapping[str, Tensor]) -> None:
        """Learns from validation windows how far sampled futures should lie apart, when all else is learned."""
        if self.spec.stochastic:
            with self.precision():
                if self.silent is not None and not self.spec.action_size:
                    batch = self.silent.filled(self, batch)
                temperature = calibrate(self, batch)
            self.scatter(temperature)

    def scatter(self, temperature: float) -> None:
        """From now on sampled futures lie so far apart, 1 as they were learned."""
        self.size = replace(self.size, temperature=temperature)
        self.note_option("temperature", temperature)

    def flops(self, batch_size: int, progress: float = 0.0) -> float:
        """Floating-point operations of a training step at `progress`.

        Counted at both ends of its stage, each once; in between steps grow evenly, by one of the horizon at a time.
        """
        index, local = stage_at(self.stages, progress)
        first, last = counted(self, self.stages[index])
        return batch_size * (first + local * (last - first))

    def config(self) -> dict[str, Any]:
        return dict(self._config)

    def note_option(self, name: str, value: Any) -> None:
        """Changes an option by which the model will be built again."""
        self._config["options"][name] = value

    def owners(self) -> dict[str, int]:
        """Parameters by owner: nearly all see, foresee and draw."""
        count = {name: sum(p.numel() for p in module.parameters()) for name, module in self.named_children()}
        senses = {"touch": 0, "proprio": 0, **dict.fromkeys(self.vectors, 0)}
        for table in (self.dynamics.feel, self.dynamics.tell, self.dynamics.impart):
            for name, layer in table.items():
                senses[name] += sum(p.numel() for p in layer.parameters())
        action = sum(p.numel() for p in self.dynamics.action.parameters()) + count.get("silent", 0)
        dynamics = sum(count.values()) - sum(count[n] for n in SEEING) - action - sum(senses.values())
        return {
            "vision": sum(count[n] for n in SEEING),
            "dynamics": dynamics,
            "touch": senses.pop("touch"),
            "proprioception": senses.pop("proprio"),
            "action": action,
            "language": 0,
            **senses,
        }

    @property
    def tokens(self) -> int:
        """Tokens of a state."""
        return self.size.things + self.size.gist + len(self.vectors)

    @property
    def device(self) -> torch.device:
        return self.dynamics.identity.device

    def precision(self, rows: int = MANY) -> AbstractContextManager[object]:
        """Half precision for `rows` futures at a time, where it is faster: in hardware, and for many at once."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=halves(self.device, rows))


PRESETS: dict[str, Size] = {
    "tiny": Size(vision=24, drawing=32, token=96, message=48),
    "small": Size(),
    "base": Size(things=12, vision=48, drawing=64, token=256, layers=4, message=128),
    "large": Size(things=16, code=48, vision=128, drawing=192, token=512, layers=12, message=256),
    "huge": Size(things=24, code=64, vision=256, drawing=384, token=1024, layers=24, message=512),
    "giant": Size(things=32, code=96, vision=512, drawing=768, token=2048, layers=48, message=1024),
}
