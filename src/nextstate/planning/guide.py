"""A guide: from where things are and where they are wanted, how many steps it takes and what to do first.

A distance between two states is not what it takes to get from one to the other: a pusher on the wrong side of a box is
near and has far to go. So the time between states is learned from recorded episodes, and with it, from the same look
at both, the commands that followed (goal-conditioned behaviour cloning, Ghosh et al. 2019,
https://arxiv.org/abs/1912.06088).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import save as serialise
from torch import Tensor, nn

from nextstate.data.storage import write_bytes
from nextstate.errors import CheckpointError
from nextstate.models.dynamics import PACE, Interaction, relative_features

VERSION = 1
FILE = "guide.safetensors"

UNIT = 10.0
"""Steps that count as one while learning."""

OPTIMISM = 0.3
"""Quantile of the time taken that is learned: recorded policies dawdle, and what is asked is how fast one can be."""

FAR = 10.0
"""Tenths of half a picture beyond which a thing is merely far from its goal."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a `Guide`: things K; length of codes, posture and commands; width of tokens; commands told at once."""

    things: int
    code: int
    proprio: int
    action: int
    width: int = 96
    chunk: int = 4


class Guide(nn.Module):
    """Looks at a state as a model believes it and at places where things are wanted."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.thing = nn.Linear(shape.code + 5, shape.width)
        self.feel = nn.Linear(max(shape.proprio, 1), shape.width)
        self.identity = nn.Parameter(0.1 * torch.randn(shape.things, shape.width))
        self.layers = nn.ModuleList(Interaction(shape.width, 32, 2 * shape.width) for _ in range(2))
        self.norm = nn.LayerNorm(shape.width)
        self.think = nn.Linear(shape.things * shape.width, 128)
        self.steps = nn.Linear(128, 1)
        self.commands = nn.Linear(128, shape.chunk * shape.action)
        self.register_buffer("obeys", torch.zeros(shape.things))

    obeys: Tensor
    """``(K,)`` from 0 to 1, how far each thing goes as it is told: the body does, and can be put anywhere later."""

    def forward(self, state: Mapping[str, Tensor], wanted: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            state: ``places (N, K, 2)``, ``codes (N, K, Z)``, and ``proprio (N, P)``, normalised, where posture is felt.
            wanted: places ``(N, K, 2)``. there: ``(N, K)``, from 0 to 1, how much of each is seen in the goal.

        Returns:
            steps that it takes ``(N,)``, at least 0, and the commands that come first ``(N, chunk, A)`` in [-1, 1].
        """
        places = state["places"]
        gap = ((wanted - places) / PACE).clamp(-FAR, FAR) * there[..., None]
        known = [state["codes"], 3 * places, 0.5 * gap, there[..., None]]
        tokens = self.thing(torch.cat(known, dim=-1)) + self.identity
        if self.shape.proprio:
            tokens = tokens + self.feel(state["proprio"])[:, None]
        relative = relative_features(places).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, relative)
        thought = F.silu(self.think(self.norm(tokens).flatten(1)))
        commands = self.commands(thought).float().tanh().view(-1, self.shape.chunk, self.shape.action)
        return UNIT * F.softplus(self.steps(thought).float())[:, 0], commands

    def to_bytes(self) -> bytes:
        """As safetensors, its sizes in the header."""
        head = {"version": VERSION, "shape": asdict(self.shape)}
        weights = {name: value.contiguous() for name, value in self.state_dict().items()}
        return serialise(weights, metadata={"nextstate": json.dumps(head)})

    def save(self, folder: Path) -> Path:
        """Puts it beside the model whose beliefs it reads."""
        write_bytes(folder / FILE, self.to_bytes())
        return folder / FILE

    @staticmethod
    def load(path: Path) -> Guide:
        """Inverse of `save`; raises `CheckpointError` where there is none, or a damaged one."""
        if not path.is_file():
            raise CheckpointError(
                f"there is no {path}; make one with `nextstate guide --model {path.parent} --data DATASET`."
            )
        try:
            with safetensors.safe_open(str(path), "pt") as file:
                head: dict[str, Any] = json.loads(file.metadata()["nextstate"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if head["version"] != VERSION:
                raise ValueError(f"it has version {head['version']}, this nextstate reads {VERSION}")
            guide = Guide(Shape(**head["shape"]))
            guide.load_state_dict(weights)
            return guide.eval()
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{path}: not a guide ({error}); make it again with `nextstate guide`.") from error


def obedience(places: Tensor, there: Tensor, action: Tensor) -> Tensor:
    """Share ``(K,)`` of the variance of each thing's steps that is linear in the command.

    Args:
        places: ``(B, T, K, 2)``. there: ``(B, T, K)``. action: ``(B, T-1, A)``.
    """
    weight = there[:, :-1].flatten(0, 1).double()
    moved = (places[:, 1:] - places[:, :-1]).flatten(0, 1).double()
    told = F.pad(action.flatten(0, 1).double(), (0, 1), value=1.0)
    shares = []
    for k in range(moved.shape[1]):
        mine = weight[:, k : k + 1].sqrt()
        fit = torch.linalg.lstsq(told * mine, moved[:, k] * mine, driver="gelsd").solution
        rest = ((moved[:, k] - told @ fit) * mine).square().sum()
        shares.append(1 - rest / (moved[:, k] * mine).square().sum().clamp_min(1e-12))
    return torch.stack(shares).clamp(0, 1).float()


def guide_loss(guide: Guide, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Two instants of each window: how long from one to the other, and what was done first.

    Args:
        batch: what a model recalls of windows, ``(B, T, ...)``, with ``areas`` as ``there``, and ``action``.
    """
    size, length = batch["action"].shape[:2]
    device = batch["action"].device
    rows = torch.arange(size, device=device)
    gap = torch.randint(0, length + 1, (size,), generator=generator, device=device)
    first = (torch.rand(size, generator=generator, device=device) * (length - gap + 1)).long()
    now = {name: batch[name][rows, first] for name in ("places", "codes", "proprio") if name in batch}
    goal = batch["places"][rows, first + gap], batch["there"][rows, first + gap]
    steps, commands = guide(now, *goal)
    short = (gap - steps) / UNIT
    timing = torch.maximum(OPTIMISM * short, (OPTIMISM - 1) * short).mean()
    ahead = torch.arange(guide.shape.chunk, device=device)
    counts = (ahead < gap[:, None]).float()
    done = batch["action"][rows[:, None], (first[:, None] + ahead).clamp_max(length - 1)]
    missed = ((commands - done).square().mean(dim=2) * counts).sum() / counts.sum().clamp_min(1)
    return {"loss": timing + missed, "timing": timing, "commands": missed}
