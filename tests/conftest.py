"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def quick_peak() -> Iterator[None]:
    """What the machine can do takes longer to measure than small models take to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nextstate.training.loop.measure_peak", lambda *_, **__: 1e11)
        yield
