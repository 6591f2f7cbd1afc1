"""World and action predicted jointly: one network is policy, forward model, inverse model and video model.

Futures and commands of a few steps are drawn by flow matching (Lipman et al. 2023, https://arxiv.org/abs/2210.02747),
each with a noise level of its own. Given neither, both are drawn: a policy that knows what it expects. Given the
future it tells the commands (inverse), given the commands the future (forward), and a future drawn while commands stay
noise is what a video model would show (unified world models, Zhu et al. 2025, https://arxiv.org/abs/2504.02792).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextstate.errors import PlanningError
from nextstate.models.dynamics import PACE
from nextstate.models.heads import THOUGHT, Gaze, Head, HeadShape, draw_stretches
from nextstate.planning.journeys import commands_to

STEPS = 8
"""Steps of future and commands that are drawn at once."""

EULER = 4
"""Steps of integration from noise to a draw."""

WAVES = 8
"""Frequencies by which a noise level is told."""


@dataclass(frozen=True)
class Ahead:
    """What may come: places ``(N, S, K, 2)`` and posture ``(N, S, P)`` after each of S steps, and commands in between.

    Args:
        commands: ``(N, S, A)``.
    """

    places: Tensor
    proprio: Tensor
    commands: Tensor


class Layer(nn.TransformerEncoderLayer):
    """Torch's own, which norms first and drops nothing, without what that prepares for and nobody asks for here:
    for eight steps at a time that takes a third of the time."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden, 0.0, F.silu, batch_first=True, norm_first=True)

    def forward(self, src: Tensor, *_: object, **__: object) -> Tensor:
        """Tokens ``(N, S, width)``, each of which hears all."""
        hears, (count, length, width) = self.self_attn, src.shape
        asked = F.linear(self.norm1(src), hears.in_proj_weight, hears.in_proj_bias)
        parts = asked.view(count, length, 3, hears.num_heads, -1).permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(count, length, width)
        src = src + hears.out_proj(heard)
        thought: Tensor = self.linear2(F.silu(self.linear1(self.norm2(src))))
        return src + thought


class Joint(Head):
    """Velocities of futures and commands on their way from noise to what is drawn."""

    name = "joint"

    def __init__(self, shape: HeadShape) -> None:
        super().__init__(shape)
        self.future_size = 2 * shape.things + shape.proprio
        width = THOUGHT
        self.gaze = Gaze(shape)
        self.level = nn.Sequential(nn.Linear(4 * WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.enter = nn.Linear(self.future_size + shape.action, width)
        self.step = nn.Parameter(0.1 * torch.randn(STEPS, width))
        self.layers = nn.TransformerEncoder(Layer(width, 4, 2 * width), 3, enable_nested_tensor=False)
        self.leave = nn.Linear(width, self.future_size + shape.action)
        self.register_buffer("spread", torch.ones(self.future_size))

    spread: Tensor
    """``(F,)`` usual size of each number of a future."""

    def forward(self, thought: Tensor, future: Tensor, commands: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Velocities of both.

        Args:
            thought: ``(N, 128)``. future: ``(N, S, F)``. commands: ``(N, S, A)``.
            levels: ``(N, 2)``, how far each is on its way from noise (0) to what is drawn (1).
        """
        return self._velocities(thought + self._told(levels), future, commands)

    def _told(self, levels: Tensor) -> Tensor:
        waves = torch.pi * levels[..., None] * torch.arange(1, WAVES + 1, device=levels.device)
        told: Tensor = self.level(torch.cat([waves.sin(), waves.cos()], dim=-1).flatten(1))
        return told

    def _velocities(self, known: Tensor, future: Tensor, commands: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.enter(torch.cat([future, commands], dim=-1)) + self.step + known[:, None]
        found = self.leave(self.layers(tokens)).float()
        return found[..., : self.future_size], found[..., self.future_size :]

    @torch.no_grad()
    def draw(
        self,
        state: Mapping[str, Tensor],
        wanted: Tensor,
        there: Tensor,
        generator: torch.Generator,
        given: Mapping[str, Tensor] | None = None,
        deaf: bool = False,
        commanded: Tensor | None = None,
    ) -> Ahead:
        """Futures and commands, one for each of N states: of both as a policy, or of one of them where the other is
        known, as inverse or forward dynamics; or of the future alone, as a video model.

        Args:
            state, wanted, there: as of `Gaze`.
            given: ``places (N, S, K, 2)`` and ``proprio (N, S, P)`` of a future that is known: commands that lead
                to it are drawn.
            deaf: draw the future alone, whatever commands would bring it about.
            commanded: ``(N, S, A)`` commands that are known: what comes of them is drawn.

        Raises:
            PlanningError: where both are known, so that nothing is to be drawn.
        """
        if commanded is not None and (given is not None or deaf):
            raise PlanningError("commands and future are both settled; leave one of them to be drawn.")
        count, device = len(wanted), wanted.device
        thought = self.gaze(state, wanted, there)
        future = torch.randn(count, STEPS, self.future_size, generator=generator).to(device)
        commands = torch.randn(count, STEPS, self.shape.action, generator=generator).to(device)
        if given is not None:
            future = self.encode(state, given["places"], given.get("proprio"))
        levels = (torch.arange(EULER, device=device) / EULER)[:, None].repeat(1, 2)
        if given is not None:
            levels[:, 0] = 1.0
        if deaf:
            levels[:, 1] = 0.0
        if commanded is not None:
            commands, levels[:, 1] = commanded.to(device), 1.0
        for told in self._told(levels):
            towards, doing = self._velocities(thought + told, future, commands)
            if given is None:
                future = future + towards / EULER
            if not deaf and commanded is None:
                commands = commands + doing / EULER
        places, proprio = self.decode(state, future)
        return Ahead(places, proprio, commands.clamp(-1, 1))

    def encode(self, state: Mapping[str, Tensor], places: Tensor, proprio: Tensor | None) -> Tensor:
        """A future ``(N, S, F)``: what changes, in its usual size."""
        parts = [((places - state["places"][:, None]) / PACE).flatten(2)]
        if proprio is not None and self.shape.proprio:
            parts.append(proprio - state["proprio"][:, None])
        return torch.cat(parts, dim=-1) / self.spread

    def decode(self, state: Mapping[str, Tensor], future: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse of `encode`: places ``(N, S, K, 2)`` and posture ``(N, S, P)``."""
        count = 2 * self.shape.things
        moved, felt = (future * self.spread).tensor_split([count], dim=-1)
        places = state["places"][:, None] + PACE * moved.reshape(*moved.shape[:2], -1, 2)
        posture = state["proprio"][:, None] + felt if self.shape.proprio else felt
        return places, posture


def fit_spread(network: Joint, batch: Mapping[str, Tensor]) -> None:
    """Learns the usual size of changes from some windows, ``(B, T, ...)``."""
    ahead = min(STEPS, batch["places"].shape[1] - 1)
    now = {name: batch[name][:, 0] for name in ("places", "proprio") if name in batch}
    later = {name: values[:, ahead : ahead + 1] for name, values in batch.items() if name in now}
    moved = network.encode(now, later["places"], later.get("proprio"))
    network.spread.copy_(moved.flatten(0, 1).std(dim=0).clamp_min(0.05))


def joint_loss(network: Joint, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Error of velocities at random noise levels of either kind; what lies beyond the goal is not learned.

    Args:
        batch: as of `draw_stretches`.
    """
    drawn = draw_stretches(batch, generator, 0, batch["action"].shape[1], still=True)
    size, device = len(drawn.gap), drawn.gap.device
    rows = torch.arange(size, device=device)[:, None]
    times = (drawn.first[:, None] + torch.arange(1, STEPS + 1, device=device)).clamp_max(batch["places"].shape[1] - 1)
    proprio = batch["proprio"][rows, times] if network.shape.proprio else None
    there = batch["there"][rows, times]
    future = network.encode(drawn.now, batch["places"][rows, times], proprio)
    commands, on_the_way = commands_to(batch["action"], drawn, STEPS)
    levels = torch.rand(size, 2, generator=generator, device=device)
    # Now and then one of the two is given, or not known at all: what the modes of drawing ask.
    kind = torch.randint(0, 6, (size,), generator=generator, device=device)
    levels[kind == 0, 0], levels[kind == 1, 0], levels[kind == 2, 1] = 1.0, levels[kind == 1, 1], 0.0
    levels[kind == 3, 1] = 1.0
    noise = [torch.randn(x.shape, generator=generator, device=device) for x in (future, commands)]
    part = levels[:, :, None, None]
    mixed = [(1 - part[:, i]) * noise[i] + part[:, i] * x for i, x in enumerate((future, commands))]
    towards, doing = network(network.gaze(drawn.now, drawn.places, drawn.there), mixed[0], mixed[1], levels)
    # What is not there is nowhere.
    seen = there.repeat_interleave(2, dim=-1)
    counts = torch.cat([seen, torch.ones(size, STEPS, network.shape.proprio, device=device)], dim=-1)
    counts = counts * on_the_way[..., None] * (levels[:, 0] < 1)[:, None, None]
    foreseen = ((towards - (future - noise[0])).square() * counts).sum() / counts.sum().clamp_min(1)
    wrong = (doing - (commands - noise[1])).square().mean(dim=2)
    weight = (on_the_way + 0.3 * (1 - on_the_way)) * (levels[:, 1] < 1)[:, None]
    done = (wrong * weight).sum() / weight.sum().clamp_min(1e-6)
    return {"loss": 0.3 * foreseen + done, "future": foreseen, "commands": done}
