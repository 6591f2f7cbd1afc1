"""Plans named in words: a skill, exploration, waiting, or commands from a file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from nextstate.actions import check_actions
from nextstate.errors import ActionError, UnknownNameError
from nextstate.worlds import Policy, Snapshot, World

FORMS = "skill:NAME, explore:SEED, zero, or the path of a .npy file"


def policy_named(world: World, text: str, seed: int = 0) -> Policy | None:
    """The policy that `text` names (``skill:NAME``, ``explore[:SEED]`` or ``zero``) in a world as it stands.

    Returns None for ``zero``. Raises `UnknownNameError` for an unknown skill, `ActionError` for
    other text, or when the scene lacks what the skill needs.
    """
    kind, _, detail = text.partition(":")
    if text == "zero":
        return None
    if kind == "skill":
        if detail not in world.skills:
            raise UnknownNameError(f"skill of world {world.name!r}", detail, world.skills)
        skill = world.skills[detail]
        if not skill.possible(world):
            raise ActionError(
                f"{text!r} is not possible in this scene of {world.name!r}; choose another seed or skill."
            )
        return skill.make(world, np.random.default_rng(seed))
    if kind == "explore":
        if detail and not detail.isdecimal():
            raise ActionError(f"{text!r}: the seed of exploration must be a whole number, as in explore:3.")
        return world.explore(np.random.default_rng(int(detail) if detail else seed))
    raise ActionError(f"cannot understand the actions {text!r}; give {FORMS}.")


def plan(world: World, snapshot: Snapshot, text: str, horizon: int, seed: int = 0) -> np.ndarray:
    """The commands ``(horizon, A)`` that `text` names, from the instant of `snapshot`.

    Skills and exploration are acted out once in the true world, so that every branch is a fixed sequence of
    commands, the same for truth and imagination. A file may hold more commands than `horizon`, not fewer.

    Raises:
        ActionError: commands that are not finite, of the wrong shape, outside [-1, 1] or too few.
        UnknownNameError: the world has no such skill.
    """
    if text.endswith(".npy"):
        return _from_file(Path(text), world.action_size, horizon)
    world.restore(snapshot)
    policy = policy_named(world, text, seed)
    actions = np.zeros((horizon, world.action_size), np.float32)
    if policy is not None:
        for step in range(horizon):
            actions[step] = policy(world)
            world.advance_action(actions[step])
        world.restore(snapshot)
    return actions


def _from_file(path: Path, size: int, horizon: int) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ActionError(f"{path}: not a readable .npy array of commands ({error}).") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu":
        found = getattr(values, "shape", type(values).__name__)
        raise ActionError(f"{path}: expected numbers of shape (steps, {size}), found {found}.")
    if len(values) < horizon:
        raise ActionError(f"{path}: holds {len(values)} commands, {horizon} are needed; shorten --horizon.")
    return check_actions(values[:horizon], size, str(path))
