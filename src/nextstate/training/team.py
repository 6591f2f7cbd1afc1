"""Processes that train one model together: each learns from its part of every batch, and all make the same steps.

One of them leads: it keeps the clock, hears signals, validates, writes and speaks. The others do what it does, since
gradients are averaged and whatever is decided by the clock is told by the leader (data parallelism, as in Li et al.
2020, https://arxiv.org/abs/2006.15704, for models that fit on one device).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from nextstate.errors import SettingsError, TeamError
from nextstate.training.trainable import Batches

PATIENCE = timedelta(hours=2)
"""How long the others wait for the leader, who may be validating or building a cache of pictures."""


class Team:
    """This process among those that train together; alone, everything below does nothing.

    Args:
        rank: of this process, from 0 on; 0 leads. size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @staticmethod
    @contextmanager
    def joined() -> Iterator[Team]:
        """The team that the environment speaks of, as `torchrun` and `--processes` set it; else a team of one.

        Raises:
            SettingsError: for an environment that names a team and not how to find it.
            TeamError: when another process of the team ends before its time.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size <= 1:
            yield Team()
            return
        try:
            rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
            if torch.cuda.is_available():
                torch.cuda.set_device(local % torch.cuda.device_count())
            # The leader speaks of its decisions through the processor, whatever the gradients lie on.
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=PATIENCE)
        except (KeyError, ValueError) as error:
            raise SettingsError(
                f"WORLD_SIZE is {size}, but {error} is missing or wrong: start it with torchrun, or with --processes."
            ) from error
        try:
            with _together():
                yield Team(rank, size)
        finally:
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The leader goes through this before the others do, so that they find what it has made."""
        if self.size > 1 and not self.leads:
            dist.barrier()
        try:
            yield
        finally:
            if self.size > 1 and self.leads:
                dist.barrier()

    def told(self, *values: float) -> list[float]:
        """What the leader says of these."""
        if self.size == 1:
            return list(values)
        said = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(said, 0)
        return [float(value) for value in said]

    def agree(self, module: nn.Module) -> None:
        """Everybody has the leader's parameters and buffers."""
        if self.size == 1:
            return
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.detach(), 0)

    def average(self, module: nn.Module, values: Tensor) -> Tensor:
        """Gradients of `module` become means over the team, and so do `values` ``(V,)``, which are returned.

        A parameter learns if it does anywhere. What does is told first, in a short message, and all of it, in most
        stages a fifth of the whole, goes round in a second one.
        """
        if self.size == 1:
            return values
        learning = [p for p in module.parameters() if p.requires_grad]
        has = torch.tensor([p.grad is not None for p in learning], dtype=torch.float32, device=values.device)
        mean, anywhere = self._mean([values.detach().float(), has])
        used = [p for p, learns in zip(learning, anywhere.tolist(), strict=True) if learns]
        if not used:
            return mean
        for parameter, gradient in zip(used, self._mean([_gradient(p) for p in used]), strict=True):
            # Kernels of optimisers want gradients laid out as parameters are.
            parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(gradient.view(parameter.shape))
        return mean

    def _mean(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Means over the team of flat tensors, which go round in one message."""
        message = torch.cat(list(parts))
        dist.all_reduce(message)
        message /= self.size
        return list(torch.split(message, [len(part) for part in parts]))

    def gathered(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Arrays of which each process filled its part, with zeros elsewhere, are filled wholly, in place."""
        if self.size == 1:
            return
        for array in arrays.values():
            dist.all_reduce(torch.from_numpy(array))

    def part_of(self, source: Batches) -> Batches:
        """This process's part of every batch."""
        return Part(source, self.rank, self.size) if self.size > 1 else source


class Part:
    """Of a source whose batches are drawn by lot, as many other ones as there are processes, for each step.

    Nothing is read that another process learns from.
    """

    def __init__(self, source: Batches, rank: int, size: int) -> None:
        self.source, self.rank, self.size = source, rank, size

    def batch(self, step: int, size: int) -> Mapping[str, np.ndarray]:
        """`size` windows in all of the team are ``size / team`` here, at least one."""
        return self.source.batch(step * self.size + self.rank, max(size // self.size, 1))


def _gradient(parameter: Tensor) -> Tensor:
    """Flat, ``(numel,)`` float32; zeros where nothing was learned here."""
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), device=parameter.device)
    return parameter.grad.float().reshape(-1)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        # Gloo and NCCL tell of a lost peer by plain runtime errors that name the connection.
        if any(word in str(error).lower() for word in ("gloo", "nccl", "connection closed", "peer", "timed out")):
            raise TeamError(
                f"another process of this run ended or cannot be reached ({str(error).splitlines()[0][:120]}); its "
                "message says why. Run the same command again to go on from the last checkpoint."
            ) from error
        raise
