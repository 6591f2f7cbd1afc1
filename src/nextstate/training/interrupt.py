"""Ctrl-C and SIGTERM end a run after the step that is being made, not in the middle of it."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first signal is only noted; the second Ctrl-C stops at once, as usual.

    True in boolean context once a signal came. Outside the main thread, where python allows no handlers, it
    does nothing.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: dict[signal.Signals, object] = {}

    def __bool__(self) -> bool:
        return self._came

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._came and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._came = True
