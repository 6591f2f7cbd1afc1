"""Exploring a puzzle: now its ways are tried with an unsteady hand, now something else is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nextstate.worlds.base import Policy, World

Way = Callable[[World, np.random.Generator], Policy]
"""Makes a policy for a world as it stands."""

UNSTEADY = (0.0, 0.1, 0.3)


def trying(
    rng: np.random.Generator,
    about: Policy,
    ways: Sequence[Way],
    first: float = 0.3,
    unsteady: Sequence[float] = UNSTEADY,
) -> Policy:
    """One way after another, each for a few seconds, with something aimless in between.

    Args:
        about: what is done in between.
        ways: good ones and bad ones, drawn evenly.
        first: chance that an episode begins aimlessly.
        unsteady: standard deviations of commands, of which each trial has one.
    """
    now, left, noise, trial = about, 0, 0.0, rng.random() < first

    def policy(world: World) -> np.ndarray:
        nonlocal now, left, noise, trial
        if left <= 0:
            trial = not trial
            left = int(rng.integers(35, 80)) if trial else int(rng.integers(4, 16))
            noise = float(rng.choice(unsteady))
            now = ways[int(rng.integers(len(ways)))](world, rng) if trial else about
        left -= 1
        command = now(world) + noise * rng.normal(size=world.action_size)
        return np.asarray(command.clip(-1, 1), np.float32)

    return policy
