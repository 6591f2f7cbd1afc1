"""Commands that break off: data from which *what if* can be learned.

A policy that follows its own plan shows what usually happens, and its commands are as good as told by the state: a
model learns what such a policy does next, and errs where another is asked for. So exploring episodes break off now
and then, as an experimenter would: for a few steps the commands are withheld or turned about, or another policy takes
over. Commands that are merely scaled down stay out: they are what evaluation holds out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nextstate.worlds import Policy, World

SHORTEST, LONGEST = 2, 12
"""Steps of a digression."""


def digressing(
    policy: Policy, others: Sequence[Callable[[], Policy]], chance: float, rng: np.random.Generator
) -> Policy:
    """`policy`, but now and then something else for 2 to 12 steps.

    Args:
        others: make policies that may take over.
        chance: that a digression begins, at each step outside of one; 0 for none.
    """
    left, now = 0, policy

    def still(world: World) -> np.ndarray:
        return np.zeros(world.action_size, np.float32)

    def reversed_(world: World) -> np.ndarray:
        return np.negative(policy(world))

    def command(world: World) -> np.ndarray:
        nonlocal left, now
        if left == 0:
            now = policy
            if rng.random() < chance:
                left = int(rng.integers(SHORTEST, LONGEST + 1))
                kind = rng.random()
                now = still if kind < 0.25 else reversed_ if kind < 0.5 else others[int(rng.integers(len(others)))]()
        else:
            left -= 1
        return now(world)

    return command
