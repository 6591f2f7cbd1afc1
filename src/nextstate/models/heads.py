"""Small networks that read a frozen model's beliefs, each kept in one file beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import save as serialise
from torch import Tensor, nn

from nextstate.errors import CheckpointError, StorageError
from nextstate.models.dynamics import PACE, Interaction, relative_features
from nextstate.models.folders import force_to_disk

FAR = 10.0
"""Tenths of half a picture beyond which a thing is merely far from its goal."""

THOUGHT = 128
"""Numbers in which a `Gaze` sums up what it sees."""


@dataclass(frozen=True)
class HeadShape:
    """Sizes of a `Head`: things K; length of codes, posture and commands; width of tokens; commands told at once;
    length of what an eye says of the whole picture (gist); of what it says of each thing in a goal (looks), 0 where
    only the thing's place is looked at there; of what skin feels (touch), 0 for heads that are not told;
    how many of a guide look, each with weights of its own (members); and of how many things it knows where the body
    would be to hold them (holds)."""

    things: int
    code: int
    proprio: int
    action: int
    width: int = 96
    chunk: int = 4
    gist: int = 0
    looks: int = 0
    touch: int = 0
    members: int = 1
    holds: int = 0


class Head(nn.Module):
    """Base of networks over places, codes and posture that a model believes in.

    A subclass says under which name it is kept, what it is called, and its version.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    learned_by: ClassVar[str] = "nextstate guide"
    """The command that makes one."""
    way: ClassVar[str] = ""
    """Which way to follow words learns one, of heads that `nextstate follow` makes when they are first asked for."""
    gisted: ClassVar[bool] = False
    """Whether it is shown the gist of pictures too."""
    kept_in_half: ClassVar[bool] = False
    """Whether its file holds weights in half precision."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape

    @classmethod
    def asked_for(cls) -> str:
        """Option of the command that makes one, by which it is asked for."""
        if cls.way:
            return f" --ways {cls.way}"
        return f" --heads {cls.name}" if cls.learned_by == Head.learned_by else ""

    @classmethod
    def file(cls) -> str:
        """Name of its file in the folder of a model."""
        return f"{cls.name}.safetensors"

    def to_bytes(self) -> bytes:
        """As safetensors, its sizes in the header."""
        head = {"version": self.version, "shape": asdict(self.shape), "facts": self.facts()}
        weights = {
            name: (value.half() if self.kept_in_half and value.is_floating_point() else value).contiguous()
            for name, value in self.state_dict().items()
        }
        return serialise(weights, metadata={"nextstate": json.dumps(head)})

    def facts(self) -> dict[str, Any]:
        """What else it is made with, as JSON; `made` is its inverse."""
        return {}

    @classmethod
    def made(cls, shape: HeadShape, facts: Mapping[str, Any]) -> Self:
        """A fresh one."""
        return cls(shape)

    def save(self, folder: Path) -> Path:
        """Puts it beside the model whose beliefs it reads; raises `StorageError` where it cannot be written."""
        path, beside = folder / self.file(), folder / f".{self.file()}.unfinished"
        try:
            beside.write_bytes(self.to_bytes())
            force_to_disk(beside)
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise StorageError(f"cannot write {path}: {error}; free some space or choose another folder.") from error
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Inverse of `save`; raises `CheckpointError` where there is none, or a damaged one."""
        path = folder / cls.file()
        if not path.is_file():
            raise CheckpointError(
                f"there is no {path}; make one with `{cls.learned_by}{cls.asked_for()} --model {folder} --data "
                "DATASET`."
            )
        try:
            with safetensors.safe_open(str(path), "pt") as file:
                head: dict[str, Any] = json.loads(file.metadata()["nextstate"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if head["version"] != cls.version:
                raise ValueError(f"it has version {head['version']}, this nextstate reads {cls.version}")
            found = cls.made(HeadShape(**head["shape"]), head.get("facts", {}))
            found.load_state_dict(weights)
            return found.eval()
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            # Torch lists every weight that does not fit.
            why = "its weights have other sizes than this nextstate's" if isinstance(error, RuntimeError) else error
            raise CheckpointError(
                f"{path}: not a {cls.name} ({why}); make it again with `{cls.learned_by}{cls.asked_for()}`."
            ) from error


class Gaze(nn.Module):
    """Looks at a state and at places where things are to be, and sums both up.

    Args:
        extra: length of what else is to be considered.
        looks: length of what is known of each thing where it is wanted, besides its place.
    """

    def __init__(self, shape: HeadShape, extra: int = 0, looks: int = 0) -> None:
        super().__init__()
        self.thing = nn.Linear(shape.code + 5 + looks, shape.width)
        self.feel = nn.Linear(max(shape.proprio + extra, 1), shape.width)
        self.identity = nn.Parameter(0.1 * torch.randn(shape.things, shape.width))
        self.layers = nn.ModuleList(Interaction(shape.width, 32, 2 * shape.width) for _ in range(2))
        self.norm = nn.LayerNorm(shape.width)
        self.think = nn.Linear(shape.things * shape.width, THOUGHT)

    def forward(
        self,
        state: Mapping[str, Tensor],
        wanted: Tensor,
        there: Tensor,
        extra: Tensor | None = None,
        nearness: float = 1.0,
        like: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            state: ``places (N, K, 2)``, ``codes (N, K, Z)``, and ``proprio (N, P)``, normalised, where posture is felt.
            like: ``(N, K, looks)``, of a gaze that looks at that.
            wanted: places ``(N, K, 2)``. there: ``(N, K)``, from 0 to 1, how much of each is seen there.
            extra: ``(N, E)``, what else is to be considered.
            nearness: by which gaps are magnified.

        Returns:
            ``(N, 128)``.
        """
        places = state["places"]
        gap = (nearness * (wanted - places) / PACE).clamp(-FAR, FAR) * there[..., None]
        known = [state["codes"], 3 * places, 0.5 * gap, there[..., None]]
        if like is not None:
            known.append(like * there[..., None])
        tokens = self.thing(torch.cat(known, dim=-1)) + self.identity
        felt = [part for part in (state.get("proprio"), extra) if part is not None]
        if felt:
            tokens = tokens + self.feel(torch.cat(felt, dim=-1))[:, None]
        relative = relative_features(places).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, relative)
        return F.silu(self.think(self.norm(tokens).flatten(1)))


@dataclass(frozen=True)
class Stretch:
    """An instant and a later one of each of B windows.

    Args:
        now: modality -> ``(B, ...)`` at the first instant.
        places, there: ``(B, K, 2)`` and ``(B, K)`` at the later. looks: ``codes`` and, if known, ``gist`` there.
        first, gap: ``(B,)``, step of the one, and steps from it to the other.
    """

    now: Mapping[str, Tensor]
    places: Tensor
    there: Tensor
    looks: Mapping[str, Tensor]
    first: Tensor
    gap: Tensor


SEEN = ("places", "codes", "proprio", "touch")
"""What heads look at."""

LOOKS = ("codes", "gist")
"""What is seen of a goal besides the places of things."""

STILL = "still_"
"""Prefix of what is seen where motion is not: goals are stills."""


def draw_stretches(
    batch: Mapping[str, Tensor],
    generator: torch.Generator,
    shortest: int,
    longest: int,
    still: bool = False,
    calm: float = 0.0,
) -> Stretch:
    """Two instants of each window, `shortest` to `longest` steps apart.

    Args:
        batch: what a model recalls of windows, ``(B, T, ...)``, with ``areas`` as ``there``, and ``action``; and where
            it sees motion, ``still_places`` and so on, what it recalls of them as stills.
        still: whether the later instant is a goal, and so a still. calm: share of windows whose present is a still too.
    """
    size, length = batch["action"].shape[:2]
    device = batch["action"].device
    rows = torch.arange(size, device=device)
    gap = torch.randint(shortest, min(longest, length) + 1, (size,), generator=generator, device=device)
    first = (torch.rand(size, generator=generator, device=device) * (length - gap + 1)).long()
    now = {name: batch[name][rows, first] for name in SEEN if name in batch}
    seen = stills(batch) if still else batch
    if calm:
        resting = torch.rand(size, generator=generator, device=device) < calm
        for name in (name for name in now if f"{STILL}{name}" in batch):
            chosen = resting.view(-1, *[1] * (now[name].dim() - 1))
            now[name] = torch.where(chosen, batch[f"{STILL}{name}"][rows, first], now[name])
    looks = {name: seen[name][rows, first + gap] for name in LOOKS if name in seen}
    return Stretch(now, seen["places"][rows, first + gap], seen["there"][rows, first + gap], looks, first, gap)


def stills(batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The same windows as they look where motion is not seen."""
    return {**batch, **{name.removeprefix(STILL): v for name, v in batch.items() if name.startswith(STILL)}}
