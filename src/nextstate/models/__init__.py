"""Everything that predicts implements `WorldModel`."""

from nextstate.models.protocol import Beliefs, History, States, WorldModel, WorldModelSpec

__all__ = ["Beliefs", "History", "States", "WorldModel", "WorldModelSpec"]
