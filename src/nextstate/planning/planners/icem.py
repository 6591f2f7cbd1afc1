"""CEM with what makes it cheap: coloured noise, elites that live on, fewer candidates in later rounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.planning.planners.search import Search, check_counts, elites_of
from nextstate.planning.problem import Plan, Problem


@dataclass(frozen=True)
class ICEM:
    """Pinneri et al. 2020, https://arxiv.org/abs/2008.06389.

    Args:
        candidates, rounds, elites, spread, keep, narrowest: as of `CEM`.
        colour: exponent of the noise's spectrum over time; 0 is white, 2 a random walk.
        surviving: share of elites that are candidates again in the next round.
        shrink: by which candidates become fewer from round to round.
    """

    candidates: int = 160
    rounds: int = 4
    elites: int = 12
    spread: float = 0.6
    keep: float = 0.1
    narrowest: float = 0.03
    colour: float = 2.0
    surviving: float = 0.3
    shrink: float = 1.25

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        check_counts(candidates=self.candidates, rounds=self.rounds, elites=self.elites)
        search = Search(problem, seed, start)
        mean, spread = search.start, torch.full_like(search.start, self.spread)
        kept = search.start[:, None]
        for number in range(self.rounds):
            count = max(round(self.candidates * self.shrink**-number), 2 * self.elites)
            noise = coloured(search.normal(problem.instants, count, *problem.shape), self.colour)
            drawn = problem.bounded(mean[:, None] + spread[:, None] * noise)
            candidates = torch.cat([kept, problem.bounded(mean)[:, None], drawn], dim=1)
            best = elites_of(candidates, search.score(candidates), self.elites)
            kept = best[:, : max(round(self.surviving * self.elites), 1)]
            mean = self.keep * mean + (1 - self.keep) * best.mean(dim=1)
            spread = self.keep * spread + (1 - self.keep) * best.std(dim=1, correction=0)
            spread = spread.clamp_min(self.narrowest)
        search.score(problem.bounded(mean)[:, None])
        return search.plan()


def coloured(white: Tensor, exponent: float) -> Tensor:
    """White noise ``(..., T, A)`` with its power over time falling as frequency to the minus `exponent`, unit scale."""
    length = white.shape[-2]
    if length < 3 or exponent == 0:
        return white
    spectrum = torch.fft.rfft(white, dim=-2)
    frequency = torch.fft.rfftfreq(length)
    frequency[0] = frequency[1]
    shape = frequency ** (-exponent / 2)
    # By Parseval, this brings the mean square back to one.
    power = shape.square().clone()
    power[1 : (length + 1) // 2] *= 2
    shape = shape * (length / power.sum()).sqrt()
    noise: Tensor = torch.fft.irfft(spectrum * shape[:, None], n=length, dim=-2)
    return noise
