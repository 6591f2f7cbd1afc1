"""What is done between two states: motor commands, later words and latent actions."""

from nextstate.actions.motor import check_actions

__all__ = ["check_actions"]
