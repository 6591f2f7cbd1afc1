"""The next batch is read while this one is learned from."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from types import TracebackType

import numpy as np

from nextstate.training.trainable import Batches


class Prefetch:
    """Reads batches ahead, in order, in one thread.

    The thread only copies with numpy: a torch operation in a second thread would start a second team of workers
    that fights with the first over the cores.

    Args:
        first: step of the first batch. size: windows per batch. ahead: how many batches may wait.
    """

    def __init__(self, source: Batches, first: int, size: int, ahead: int = 2) -> None:
        self._source, self._size, self._next = source, size, first
        self._ready: queue.Queue[Mapping[str, np.ndarray] | BaseException] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(first,), name="prefetch", daemon=True)
        self.waited = 0.0
        """Seconds the caller has waited for batches."""

    def get(self, step: int) -> Mapping[str, np.ndarray]:
        """The batch of `step`; steps must be asked for in order. Errors of the source are raised here."""
        assert step == self._next, f"batch {step} asked for, but {self._next} is next"
        began = time.perf_counter()
        batch = self._ready.get()
        self.waited += time.perf_counter() - began
        if isinstance(batch, BaseException):
            raise batch
        self._next += 1
        return batch

    def __enter__(self) -> Prefetch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        while self._thread.is_alive():
            # The thread may be blocked on a full queue: make room until it sees that it should stop.
            while not self._ready.empty():
                self._ready.get_nowait()
            self._thread.join(0.01)

    def _read(self, step: int) -> None:
        while not self._stop.is_set():
            try:
                self._ready.put(self._source.batch(step, self._size))
            except BaseException as error:
                self._ready.put(error)
                return
            step += 1
