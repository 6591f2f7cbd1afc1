"""What keeps a space that is learned by foresight alone from shrinking to a point.

Each looks at N codes of each of T tokens, ``(N, T, D)``, and depends on the batch only through means, so that a
batch split over devices gives what the whole would: `mean_across` averages them, gradients included.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Generator, Tensor

DIRECTIONS = 64
"""Random directions along which codes are looked at."""

KNOTS, FURTHEST = 12, 4.0
"""Points at which characteristic functions are compared, and the last of them."""


def mean_across(values: Tensor) -> Tensor:
    """The mean of `values` over all processes of a data-parallel run, with gradients; themselves if there is one."""
    if not _several():
        return values
    from torch.distributed.nn.functional import all_reduce

    summed: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return summed / dist.get_world_size()


def sketched_gaussian(codes: Tensor, generator: Generator) -> Tensor:
    """How far each token's codes are from an isotropic Gaussian, looked at along random directions.

    Squared distance of characteristic functions, after Epps and Pulley (1983); the sketch is that of SIGReg
    (Balestriero and LeCun 2025, https://arxiv.org/abs/2511.08544).
    """
    directions = torch.randn(codes.shape[-1], DIRECTIONS, generator=generator, device=codes.device)
    if _several():
        # All look along the same ones, whatever each draws from.
        dist.broadcast(directions, 0)
    along = codes.float() @ (directions / directions.norm(dim=0))
    knots = torch.linspace(FURTHEST / KNOTS, FURTHEST, KNOTS, device=codes.device)
    angles = along[..., None] * knots
    means = mean_across(torch.stack([angles.cos().mean(dim=0), angles.sin().mean(dim=0)]))
    wanted = (-0.5 * knots.square()).exp()
    missed = (means[0] - wanted).square() + means[1].square()
    return (missed * wanted).sum(dim=-1).mean() * (FURTHEST / KNOTS)


def variance_covariance(codes: Tensor) -> tuple[Tensor, Tensor]:
    """By how much each number varies less than by one, and how much numbers of a token go together.

    As in VICReg (Bardes et al. 2022, https://arxiv.org/abs/2105.04906).
    """
    codes = codes.float()
    middle = mean_across(codes.mean(dim=0, keepdim=True))
    apart = codes - middle
    together = mean_across(torch.einsum("ntd,nte->tde", apart, apart) / len(codes))
    own = together.diagonal(dim1=1, dim2=2)
    variance = (1 - (own + 1e-4).sqrt()).clamp_min(0).mean()
    shared = together.square().sum(dim=(1, 2)) - own.square().sum(dim=1)
    return variance, (shared / codes.shape[-1]).mean()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
