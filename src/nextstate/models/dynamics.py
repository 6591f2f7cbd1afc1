"""How things move each other: one step of physics among a few tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACE = 0.1
"""Scale of a step's change of place, in halves of the picture."""


WAVES, WIDTHS, WIDEST = 4, 5, 0.8
"""Scales of sines, and of Gaussians with the widest of these, in halves of the picture."""

RELATIVE = 3 + 4 * WAVES + WIDTHS
"""Features of a pair; a multiple of eight, since others multiply at half the speed in half precision."""


TOUCHING = 1e-4
"""Squared distance, in halves of the picture, below which the direction from one thing to another fades."""


def relative_features(places: Tensor, angles: int = 0) -> Tensor:
    """Relative positions ``(N, K, K, 24 + 2 * angles)`` of things at `places` ``(N, K, 2)``, at several scales.

    Displacement, its square, its sines and cosines at wavelengths of 2 to 1/4, Gaussians of widths 0.8 to 0.05, and
    cosines and sines of 1, 2, 4, ... times its direction: of which side a thing is struck decides where it goes.
    In memory each feature is a plane: put side by side pair by pair, it would take longer than all their sines. Each
    scale follows from the next by doubling angles, or by powers, which costs less than another sine or exponential.
    """
    planes = places.movedim(-1, 0)
    delta = planes[:, :, None, :] - planes[:, :, :, None]
    distance = delta.square().sum(dim=0, keepdim=True)
    angle = torch.pi * delta
    sines, cosines = [angle.sin()], [angle.cos()]
    for _ in range(WAVES - 1):
        cosines.append(1 - 2 * sines[-1].square())
        sines.append(2 * sines[-1] * cosines[-2])
    near = [torch.exp(distance * (-0.5 / WIDEST**2))]
    for _ in range(WIDTHS - 1):
        near.append(near[-1].square().square())
    waves = (torch.stack(sines, dim=1).flatten(0, 1), torch.stack(cosines, dim=1).flatten(0, 1))
    directions = []
    if angles:
        cosine, sine = delta * (distance + TOUCHING).rsqrt()
        directions = [cosine, sine]
        for _ in range(angles - 1):
            cosine, sine = cosine.square() - sine.square(), 2 * cosine * sine
            directions += [cosine, sine]
        directions = [torch.stack(directions)]
    return torch.cat([delta, distance, *waves, *reversed(near), *directions]).movedim(0, -1)


def standard(codes: Tensor) -> Tensor:
    """Codes of unit scale, as those that are seen have it: so they stay among these however far one imagines."""
    return F.layer_norm(codes, codes.shape[-1:])


class Interaction(nn.Module):
    """Things tell each other where they are and what they do; all tokens hear a summary; each thinks for itself.

    Messages depend on relative positions, so that physics is the same everywhere (interaction networks,
    Battaglia et al. 2016, https://arxiv.org/abs/1612.00222).
    """

    def __init__(self, width: int, message: int, hidden: int, angles: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.receive = nn.Linear(width, message)
        self.send = nn.Linear(width, message, bias=False)
        self.where = nn.Linear(RELATIVE + 2 * angles, message, bias=False)
        self.gather = nn.Linear(message, width)
        self.speak = nn.Linear(width, message)
        self.hear = nn.Linear(message, width)
        self.norm_think = nn.LayerNorm(width)
        self.think = nn.Linear(width, hidden)
        self.conclude = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, relative: Tensor) -> Tensor:
        """Tokens ``(N, T, D)``, the first K of which are things with `relative` features ``(N, K, K, R)``."""
        things = relative.shape[1]
        normed = self.norm(tokens)
        placed = normed[:, :things]
        # Pairs are many: added up in place, and the cheapest bend there is.
        messages = self.where(relative).add_(self.receive(placed)[:, :, None]).add_(self.send(placed)[:, None])
        gathered = self.gather(messages.relu_().sum(dim=2))
        common = self.hear(F.silu(self.speak(normed)).sum(dim=1, keepdim=True))
        tokens = tokens + common
        tokens[:, :things] += gathered
        thought: Tensor = self.conclude(F.silu(self.think(self.norm_think(tokens))))
        return tokens + thought


class Dynamics(nn.Module):
    """One control step: what is sensed at an instant, and a memory, under an action to the same 0.1 s later.

    Args:
        things, gist, code: numbers of things and of gist tokens, and the length of the code of either.
        senses: vector modality -> its length. width: D, of tokens. angles: of which directions are told, in octaves.
    """

    def __init__(
        self,
        things: int,
        gist: int,
        code: int,
        senses: Mapping[str, int],
        action_size: int,
        width: int,
        layers: int,
        message: int,
        noise: int,
        angles: int = 0,
    ) -> None:
        super().__init__()
        self.angles = angles
        self.counts = (things, gist, len(senses))
        self.thing = nn.Linear(code + 2, width)
        self.gist = nn.Linear(code, width)
        self.feel = nn.ModuleDict({n: nn.Linear(length, width) for n, length in senses.items()})
        self.identity = nn.Parameter(0.1 * torch.randn(things + gist + len(senses), width))
        self.action = nn.Linear(action_size, width)
        self.remember = nn.Linear(width, width, bias=False)
        self.surprise = nn.Linear(max(noise, 1), width, bias=False)
        self.layers = nn.ModuleList(Interaction(width, message, 2 * width, angles) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.move = nn.Linear(width, 2)
        self.recode = nn.Linear(width, code)
        self.regist = nn.Linear(width, code)
        self.tell = nn.ModuleDict({n: nn.Linear(width, length) for n, length in senses.items()})
        # What is felt is also a sum over things, for each of them may press on the skin.
        self.impart = nn.ModuleDict({n: nn.Linear(width, length, bias=False) for n, length in senses.items()})
        self.told: Callable[[Mapping[str, Tensor], Tensor], Tensor] | None = None
        """What makes of an action what is told here, where that is something else (`silent`)."""
        self.unfelt: nn.Parameter | None = None
        """Tokens ``(S, D)`` of senses that some episodes lack; such readings are NaN, and stay so."""
        # A fresh network foresees that everything stays.
        for layer in (self.move, self.recode, self.regist, *self.tell.values(), *self.impart.values()):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self, state: Mapping[str, Tensor], memory: Tensor, action: Tensor, noise: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """
        Args:
            state: ``places (N, K, 2)``, ``codes (N, K, Z)``, ``gist (N, G, Z)``, and each sense ``(N, C)``, float32.
            memory: ``(N, T, D)``, zeros at first. action: ``(N, A)``, or what `told` takes.
            noise: ``(N or 1, T, Z')`` standing for what cannot be seen; None for none.

        Returns:
            state and memory at the next instant.
        """
        things, _, senses = self.counts
        places = state["places"]
        if self.told is not None:
            action = self.told(state, action)
        tokens = torch.cat(
            [
                self.thing(torch.cat([state["codes"], 3 * places], dim=-1)),
                *(self._felt(index, state[name])[:, None] for index, name in enumerate(self.feel)),
                self.gist(state["gist"]),
            ],
            dim=1,
        )
        tokens = tokens + self.identity + self.action(action)[:, None] + self.remember(memory)
        if noise is not None:
            tokens = tokens + self.surprise(noise)
        relative = relative_features(places, self.angles).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, relative)
        tokens = self.norm(tokens)
        them, felt, whole = tokens[:, :things], tokens[:, things : things + senses], tokens[:, things + senses :]
        following = {
            "places": places + PACE * self.move(them).float(),
            "codes": standard(state["codes"] + self.recode(them).float()),
            "gist": standard(state["gist"] + self.regist(whole).float()),
        }
        for index, (name, layer) in enumerate(self.tell.items()):
            told = layer(felt[:, index]).float() + self.impart[name](them).float().sum(dim=1)
            # Posture changes smoothly, touch comes and goes.
            following[name] = told if name == "touch" else state[name] + told
            if self.unfelt is not None and name == "touch":
                following[name] = torch.where(state[name].isnan(), torch.nan, told)
        return following, tokens

    def _felt(self, index: int, readings: Tensor) -> Tensor:
        layer = self.feel[list(self.feel)[index]]
        if self.unfelt is None:
            return layer(readings)  # type: ignore[no-any-return]
        missing = readings.isnan().any(dim=-1, keepdim=True)
        return torch.where(missing, self.unfelt[index], layer(readings.nan_to_num()))
