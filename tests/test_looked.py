"""What was seen is kept while it is seen: whoever is interrupted goes on; damage and a full disk cost no result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from nextstate.errors import StorageError
from nextstate.policies import looked
from nextstate.policies.looked import looked_once

FRAMES = 25
MODEL: Any = nn.Linear(2, 2)


class Eye:
    """Looks at numbered frames, and is interrupted where one does not want to wait for the rest."""

    def __init__(self, until: int = FRAMES) -> None:
        self.until = until
        self.rows: list[int] = []

    def __call__(self, rows: range) -> Mapping[str, np.ndarray]:
        if rows.stop > self.until:
            raise KeyboardInterrupt
        self.rows += rows
        return {"places": np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]}


Once = Callable[[Eye], list[float]]


@pytest.fixture
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Once:
    monkeypatch.setattr(looked, "PIECE", 10)
    cache: Any = SimpleNamespace(root=tmp_path)
    return lambda eye: looked_once(cache, MODEL, "so", FRAMES, eye)["places"][:, 0].tolist()


def test_whoever_is_interrupted_goes_on(once: Once, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        once(Eye(until=20))
    second = Eye()
    assert once(second) == list(range(FRAMES)) and second.rows == [20, 21, 22, 23, 24]
    third = Eye()
    assert once(third) == list(range(FRAMES)) and third.rows == []
    assert not list(tmp_path.rglob("*.npz")), "pieces go once the whole is kept"


def test_a_damaged_piece_is_seen_again(once: Once, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        once(Eye(until=20))
    piece = next(tmp_path.rglob("10.npz"))
    piece.write_bytes(piece.read_bytes()[:50])
    second = Eye()
    assert once(second) == list(range(FRAMES)) and second.rows == list(range(10, FRAMES))


def test_a_full_disk_costs_a_warning_and_no_second_look(once: Once, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(looked, "write_arrays", refuse)
    eye = Eye()
    with pytest.warns(UserWarning, match="not kept for another time: no room"):
        assert once(eye) == list(range(FRAMES))
    assert eye.rows == list(range(FRAMES))


def test_what_was_seen_is_read_where_nothing_can_be_written(once: Once, monkeypatch: pytest.MonkeyPatch) -> None:
    once(Eye())

    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("read-only")

    monkeypatch.setattr(looked, "exclusive", refuse)
    second = Eye()
    assert once(second) == list(range(FRAMES)) and second.rows == []
