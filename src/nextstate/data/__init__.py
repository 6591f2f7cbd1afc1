"""Episodes: recording them, LeRobot v3 on disk, and the memory-mapped windows that training reads."""

from nextstate.data.cache import Cache, open_cache
from nextstate.data.windows import Windows

__all__ = ["Cache", "Windows", "open_cache"]
