"""Futures: reach an instant of a world, choose what to do, and see what is true beside what is imagined."""

from nextstate.imagination.futures import Futures, compare, rollout
from nextstate.imagination.instant import Instant, reach, resume
from nextstate.imagination.plans import plan, policy_named

__all__ = ["Futures", "Instant", "compare", "plan", "policy_named", "reach", "resume", "rollout"]
