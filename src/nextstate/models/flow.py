"""Which futures there may be around the central one: a rectified flow over what each token turns out to be."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from nextstate.errors import SettingsError
from nextstate.models.dynamics import PACE, standard

STRIDES = (0.125, 0.25, 0.5, 1.0)
"""Lengths of a step from noise to a draw. The shortest is learned as if it were infinitely short."""

LEARNED = (1, 2, 4)
"""Steps in which a draw can be made."""

FINEST, WIDEST = -7.0, 2.0
"""Logarithms of the smallest and largest scale of straying."""

FAR = 10.0
"""Strayings are cut off at so many times their scale while learning."""

SHORT = 0.375
"""Share of windows from which longer strides are learned; the others show the flow itself."""

FREQUENCIES = 4
"""Waves by which the way already gone is told."""


class Mingle(nn.Module):
    """Tokens hear a summary of all, and each thinks for itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.speak = nn.Linear(width, width // 2)
        self.hear = nn.Linear(width // 2, width)
        self.think = nn.Linear(width, 2 * width)
        self.conclude = nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm(tokens)
        common = self.hear(F.silu(self.speak(normed)).mean(dim=-2, keepdim=True))
        thought: Tensor = self.conclude(F.silu(self.think(normed + common)))
        return tokens + thought


class Flow(nn.Module):
    """Draws where a state strays from the central future, given what dynamics made of past and commands.

    How far each number strays on the whole is told first (a normal likelihood), so that nothing is scattered where the
    future is certain; what shapes and joint directions that takes is a rectified flow from noise (Liu et al. 2022,
    https://arxiv.org/abs/2209.03003), taught to take long strides as well (shortcut models, Frans et al. 2024,
    https://arxiv.org/abs/2410.12557), since its own single step would end in the mean. One future has one noise
    throughout: what cannot be seen, like a mass, stays the same along it.

    Args:
        things, gist: numbers of these tokens. code: length of either's code. senses: vector modality -> length.
        token: length of a token of the dynamics. width: of the flow. steps: from noise to a draw, 1, 2 or 4.
    """

    def __init__(
        self, things: int, gist: int, code: int, senses: Mapping[str, int], token: int, width: int = 128, steps: int = 2
    ) -> None:
        super().__init__()
        if steps not in LEARNED:
            raise SettingsError(f"steps of a flow: {steps!r}; give one of {', '.join(map(str, LEARNED))}.")
        self.steps = steps
        self.counts = {"things": things, **dict.fromkeys(senses, 1), "gist": gist}
        self.lengths = {"things": 2 + code, **senses, "gist": code}
        self.know = nn.Linear(token, width)
        self.identity = nn.Parameter(0.1 * torch.randn(sum(self.counts.values()), width))
        self.enter = nn.ModuleDict({n: nn.Linear(length, width) for n, length in self.lengths.items()})
        self.way = nn.Linear(2 * FREQUENCIES + len(STRIDES), width)
        self.layers = nn.ModuleList(Mingle(width) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.ModuleDict({n: nn.Linear(width, length) for n, length in self.lengths.items()})
        self.judge = nn.Sequential(nn.Linear(token, width), nn.SiLU())
        self.spread = nn.ModuleDict({n: nn.Linear(width, length) for n, length in self.lengths.items()})
        for layer in (*self.leave.values(), *self.spread.values()):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.constant_(layer.bias, -2.0 if layer in self.spread.values() else 0.0)  # type: ignore[arg-type]

    def scales(self, tokens: Tensor) -> dict[str, Tensor]:
        """Root mean square by which numbers stray, kind -> ``(..., n, length)``, from tokens ``(..., T, D)``."""
        parts = torch.split(self.judge(tokens), list(self.counts.values()), dim=-2)
        return {
            n: self.spread[n](part).float().clamp(FINEST, WIDEST).exp()
            for n, part in zip(self.counts, parts, strict=True)
        }

    def velocity(self, known: Tensor, points: Mapping[str, Tensor], gone: Tensor, stride: Tensor) -> dict[str, Tensor]:
        """Where to go from `points`, in units of `scales`.

        Args:
            known: what `know` makes of tokens, ``(..., T, W)``. points: kind -> ``(..., n, length)``.
            gone: share of the way already gone, shaped to go with tokens, ``(..., 1, 1)``; 0 is noise, 1 a draw.
            stride: which of `STRIDES`, of the same shape.
        """
        waves = torch.pi * gone * 2.0 ** torch.arange(-1, FREQUENCIES - 1, device=gone.device)
        lengths = F.one_hot(stride.squeeze(-1), len(STRIDES)).to(waves.dtype)
        way = self.way(torch.cat([waves.sin(), waves.cos(), lengths], dim=-1))
        entered = torch.cat([self.enter[n](points[n]) for n in self.counts], dim=-2)
        tokens = entered + known + self.identity + way
        for layer in self.layers:
            tokens = layer(tokens)
        parts = torch.split(self.norm(tokens), list(self.counts.values()), dim=-2)
        return {n: self.leave[n](part).float() for n, part in zip(self.counts, parts, strict=True)}

    def draw(self, tokens: Tensor, noise: Mapping[str, Tensor], steps: int | None = None) -> dict[str, Tensor]:
        """Strayings kind -> ``(..., n, length)`` drawn in `steps` from `noise`, shaped alike or to be broadcast."""
        steps = steps or self.steps
        scales, known = self.scales(tokens), self.know(tokens)
        points = {n: value.expand_as(scales[n]) for n, value in noise.items()}
        place = tokens.new_zeros((1,) * tokens.dim(), dtype=torch.float32)
        stride = torch.full_like(place, STRIDES.index(1 / steps), dtype=torch.long)
        for step in range(steps):
            velocity = self.velocity(known, points, place + step / steps, stride)
            points = {n: points[n] + velocity[n] / steps for n in points}
        return {n: points[n] * scales[n] for n in points}

    def noise(self, sample: int) -> dict[str, Tensor]:
        """Noise of the future with that number, kind -> ``(1, 1, n, length)``."""
        generator, device = torch.Generator().manual_seed(sample), self.identity.device
        return {
            n: torch.randn(1, 1, count, self.lengths[n], generator=generator).to(device)
            for n, count in self.counts.items()
        }

    def losses(
        self, tokens: Tensor, strayed: Mapping[str, Tensor], there: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Of velocities, and of scales.

        Args:
            tokens: ``(B, H, T, D)``. strayed: what is to be drawn, kind -> ``(B, H, n, length)``.
            there: ``(B, H, K, 1)``, how much of each thing was there.
        """
        scales = self.scales(tokens)
        spreading = torch.stack(
            [_weighed(n, 0.5 * (strayed[n] / s).square() + s.log(), there).mean() for n, s in scales.items()]
        ).mean()
        ends = {n: (value / scales[n].detach()).clamp(-FAR, FAR) for n, value in strayed.items()}
        starts = {
            n: torch.randn(value.shape, generator=generator, device=value.device, dtype=value.dtype)
            for n, value in ends.items()
        }
        known, size, horizon = self.know(tokens), *tokens.shape[:2]
        gone = torch.rand((size, horizon, 1, 1), generator=generator, device=tokens.device)
        stride = torch.zeros((size, horizon, 1, 1), dtype=torch.long, device=tokens.device)
        few = round(SHORT * size)
        if few:
            shape = (few, horizon, 1, 1)
            stride[:few] = torch.randint(1, len(STRIDES), shape, generator=generator, device=tokens.device)
            length = torch.tensor(STRIDES, device=tokens.device)[stride[:few]]
            # A long stride begins where one of its length would.
            gone[:few] = (gone[:few] / length).floor().clamp_max(1 / length - 1) * length
        points = {n: (1 - gone) * starts[n] + gone * ends[n] for n in ends}
        wanted = {n: ends[n] - starts[n] for n in ends}
        if few:
            shorter = self._two_strides(
                known[:few], {n: v[:few] for n, v in points.items()}, gone[:few], stride[:few] - 1
            )
            wanted = {n: torch.cat([shorter[n], wanted[n][few:]]) for n in wanted}
        found = self.velocity(known, points, gone, stride)
        flowing = [_weighed(n, (found[n] - wanted[n]).square(), there).mean() for n in found]
        return torch.stack(flowing).mean(), spreading

    @torch.no_grad()
    def _two_strides(
        self, known: Tensor, points: Mapping[str, Tensor], gone: Tensor, stride: Tensor
    ) -> dict[str, Tensor]:
        """Mean velocity of two strides one after the other: what one of twice the length should have."""
        length = torch.tensor(STRIDES, device=gone.device)[stride]
        one = self.velocity(known, points, gone, stride)
        halfway = {n: points[n] + length * one[n] for n in points}
        other = self.velocity(known, halfway, gone + length, stride)
        return {n: 0.5 * (one[n] + other[n]) for n in points}


def _weighed(kind: str, error: Tensor, there: Tensor) -> Tensor:
    # What is not there is nowhere, and looks like nothing.
    return error * there if kind == "things" else error


def strayed(truth: Mapping[str, Tensor], central: Mapping[str, Tensor], senses: list[str]) -> dict[str, Tensor]:
    """By how much a state is another than the central one, as kinds of tokens."""
    off = {n: truth[n] - central[n] for n in ("places", "codes", "gist", *senses)}
    things = torch.cat([off["places"] / PACE, off["codes"]], dim=-1)
    return {"things": things, **{n: off[n][..., None, :] for n in senses}, "gist": off["gist"]}


def applied(straying: Mapping[str, Tensor], central: Mapping[str, Tensor], senses: list[str]) -> dict[str, Tensor]:
    """The state that strays so from the central one; inverse of `strayed`, but for codes, brought to unit scale."""
    places, codes = straying["things"][..., :2], straying["things"][..., 2:]
    return {
        "places": central["places"] + PACE * places,
        "codes": standard(central["codes"] + codes),
        "gist": standard(central["gist"] + straying["gist"]),
        **{n: central[n] + straying[n][..., 0, :] for n in senses},
    }
