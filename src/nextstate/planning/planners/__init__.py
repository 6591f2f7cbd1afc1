"""Planners: each finds commands for a `Problem`, through the `WorldModel` protocol alone."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from nextstate.errors import PlanningError, UnknownNameError
from nextstate.planning.planners.categorical import CategoricalCEM
from nextstate.planning.planners.cem import CEM
from nextstate.planning.planners.gradient import Gradient
from nextstate.planning.planners.guided import Guided
from nextstate.planning.planners.icem import ICEM
from nextstate.planning.planners.mppi import MPPI
from nextstate.planning.planners.reminded import Reminded
from nextstate.planning.planners.shooting import Shooting
from nextstate.planning.planners.striking import Striking
from nextstate.planning.planners.tree import TreeSearch
from nextstate.planning.problem import Plan, Problem


class Planner(Protocol):
    """Finds commands for all instants of a problem at once."""

    def plan(self, problem: Problem, start: Tensor | None = None, seed: int = 0) -> Plan:
        """The best plan found from `start` ``(B, blocks, A)``; the same seed finds the same plan."""
        ...


PLANNERS: dict[str, type[Any]] = {
    "shooting": Shooting,
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "gradient": Gradient,
    "categorical": CategoricalCEM,
    "guided": Guided,
    "striking": Striking,
    "reminded": Reminded,
    "tree": TreeSearch,
}


CAUTIOUS = ("shooting", "cem", "icem", "mppi", "gradient", "categorical")
"""Planners that judge whole plans, so that a plan whose cost is not sure can count less."""


def check_caution(planner: str, caution: float, samples: int) -> None:
    """Raises `PlanningError` where sampled futures are asked of a planner that does not look at them."""
    if (caution or samples) and planner not in CAUTIOUS:
        raise PlanningError(
            f"planner {planner} imagines one future of each plan, so caution and samples mean nothing to it; use one "
            f"of {', '.join(CAUTIOUS)}."
        )


def make_planner(name: str, **settings: Any) -> Planner:
    """A planner by name; raises `UnknownNameError`, or `PlanningError` for settings that it lacks or does not have."""
    if name not in PLANNERS:
        raise UnknownNameError("planner", name, PLANNERS)
    try:
        planner: Planner = PLANNERS[name](**settings)
    except TypeError as error:
        raise PlanningError(f"planner {name}: {str(error).split('__init__() ')[-1]}.") from error
    return planner


__all__ = [
    "CEM",
    "ICEM",
    "MPPI",
    "PLANNERS",
    "CategoricalCEM",
    "Gradient",
    "Planner",
    "Reminded",
    "Shooting",
    "TreeSearch",
    "check_caution",
    "make_planner",
]
