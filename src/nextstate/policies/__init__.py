"""Policies: from what is sensed to what is done."""

from nextstate.policies.cloned import Cloned
from nextstate.policies.memory import Memory
from nextstate.policies.planned import Planned
from nextstate.policies.protocol import Actor

__all__ = ["Actor", "Cloned", "Memory", "Planned"]
