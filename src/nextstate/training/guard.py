"""Notices when training goes wrong, before it has cost anything that was good."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nextstate.errors import DivergenceError

WINDOW = 200
"""Losses that the running median covers."""


class Guard:
    """Stops training on values that are not finite, and on a loss that explodes.

    A step whose gradient is not finite changed nothing (the optimiser skips it), so a few are only counted.

    Args:
        skip_limit: how many such steps are allowed within 1000.
        factor, patience: how many times its running median the loss may be, and for how many steps in a row.
    """

    def __init__(self, skip_limit: int = 5, factor: float = 10.0, patience: int = 30) -> None:
        self.skip_limit, self.factor, self.patience = skip_limit, factor, patience
        self.skipped: list[int] = []
        """Steps that were skipped."""
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._high = 0

    @property
    def calm(self) -> bool:
        """Whether nothing looks wrong now, so that a checkpoint made now is a good one."""
        return self._high == 0

    @property
    def shaken(self) -> bool:
        """Whether the loss has been high for so long that it is more than a hard batch or two."""
        return self._high >= max(self.patience // 3, 1)

    def check(self, step: int, parts: Mapping[str, float], gradient: float, cause: Callable[[], str]) -> bool:
        """Looks at a step that was made.

        Args:
            parts: the loss, under ``"loss"``, and its parts. gradient: its length.
            cause: looks for the reason in the batch; asked only if something is wrong.

        Returns:
            whether the step counted (it was not skipped). Raises `DivergenceError`.
        """
        broken = [name for name, value in parts.items() if not math.isfinite(value)]
        if broken or not math.isfinite(gradient):
            self.skipped.append(step)
            recent = [s for s in self.skipped if s > step - 1000]
            if len(recent) > self.skip_limit:
                raise DivergenceError(self._not_finite(step, parts, broken, gradient, len(recent), cause()))
            return False
        loss = parts["loss"]
        if len(self._losses) >= 50 and loss > self._threshold():
            self._high += 1
            if self._high >= self.patience:
                raise DivergenceError(
                    f"the loss has been far above its running median ({statistics.median(self._losses):.4g}) for "
                    f"{self._high} steps, at step {step} it is {loss:.4g} (parts: {_told(parts)}). The last good "
                    "checkpoint is kept. Train again with a lower --lr (half, say), a longer --warmup, or "
                    f"--precision fp32.{cause()}"
                )
            return True
        self._high = 0
        self._losses.append(loss)
        return True

    def forget(self) -> None:
        """Another loss begins: what the last one was used to means nothing for it."""
        self._losses.clear()
        self._high = 0

    def state(self) -> dict[str, Any]:
        """JSON form."""
        return {"skipped": self.skipped, "losses": list(self._losses), "high": self._high}

    def load(self, state: Mapping[str, Any]) -> None:
        self.skipped = [int(s) for s in state["skipped"]]
        self._losses = deque((float(x) for x in state["losses"]), maxlen=WINDOW)
        self._high = int(state["high"])

    def _threshold(self) -> float:
        # Likelihoods can be negative or pass through zero, where multiples of the median mean nothing: then
        # the usual spread of the loss is the yardstick.
        median = statistics.median(self._losses)
        spread = statistics.median(abs(x - median) for x in self._losses)
        return median + (self.factor - 1.0) * max(abs(median), 5.0 * spread)

    def _not_finite(
        self, step: int, parts: Mapping[str, float], broken: list[str], gradient: float, count: int, cause: str
    ) -> str:
        named = [name for name in broken if name != "loss"] or broken
        what = ", ".join(f"{n} is {parts[n]}" for n in named) if named else f"the gradient's length is {gradient}"
        return (
            f"at step {step} {what} ({count} such steps within 1000; parts of the loss: {_told(parts)}). The last "
            "good checkpoint is kept. Train again with a lower --lr (half, say), a smaller --clip, or "
            f"--precision fp32.{cause}"
        )


def flaw_in(batch: Mapping[str, np.ndarray], step: int) -> str:
    """A sentence that names what in a batch is not finite; empty if nothing is."""
    for name, array in batch.items():
        if array.dtype.kind != "f":
            continue
        finite = np.isfinite(array)
        if not finite.all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            return (
                f" The batch of step {step} itself holds {array[where]} in {name!r} at {where}: check the data "
                "with `nextstate data check`."
            )
    return ""


def _told(parts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in parts.items())
