"""Where what can be made again is kept for a user."""

from __future__ import annotations

import os
from pathlib import Path


def cache_home() -> Path:
    """``$NEXTSTATE_CACHE``, else ``nextstate`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; it need not be there yet."""
    given = os.environ.get("NEXTSTATE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else home / "nextstate"
