"""Policies: from what is sensed to what is done."""

from nextstate.policies.inverse import Inverse
from nextstate.policies.joint import Joint
from nextstate.policies.loading import load
from nextstate.policies.looking import Decision, Foreseen, Looking
from nextstate.policies.memory import Memory
from nextstate.policies.planned import Planned
from nextstate.policies.protocol import Actor

__all__ = ["Actor", "Decision", "Foreseen", "Inverse", "Joint", "Looking", "Memory", "Planned", "load"]
