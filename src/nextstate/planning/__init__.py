"""Planning: commands whose imagined future is what is wanted."""

from nextstate.planning.costs import (
    LatentDistance,
    PictureDistance,
    Probability,
    SeenDistance,
    StateDistance,
    Sum,
    TimeToGo,
    goal_belief,
)
from nextstate.planning.goals import goal_from
from nextstate.planning.guide import Guide
from nextstate.planning.planners import PLANNERS, Planner, check_caution, make_planner
from nextstate.planning.problem import Cost, Future, Plan, Problem

__all__ = [
    "PLANNERS",
    "Cost",
    "Future",
    "Guide",
    "LatentDistance",
    "PictureDistance",
    "Plan",
    "Planner",
    "Probability",
    "Problem",
    "SeenDistance",
    "StateDistance",
    "Sum",
    "TimeToGo",
    "check_caution",
    "goal_belief",
    "goal_from",
    "make_planner",
]
