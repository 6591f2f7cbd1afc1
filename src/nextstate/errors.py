"""Every error that nextstate raises on purpose. Each message says what was wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NextstateError(Exception):
    """Base of all errors raised on purpose; the command line prints its message without a traceback."""


class UnknownNameError(NextstateError, KeyError):
    """A world, modality, key, objective or preset that no registry holds."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")

    def __str__(self) -> str:
        return str(self.args[0])


class SettingsError(NextstateError, ValueError):
    """An option of a command that cannot be used, or options that exclude each other."""


class MissingExtraError(NextstateError, ImportError):
    """A package that only an extra of nextstate installs."""

    def __init__(self, package: str, extra: str, found: str, besides: str = "") -> None:
        then = f", then {besides}" if besides else ""
        super().__init__(f'{package} is needed here ({found}). Install it: pip install "nextstate[{extra}]"{then}.')


class ActionError(NextstateError, ValueError):
    """Actions that are not finite, of the wrong shape, or outside their space."""


class StateError(NextstateError, ValueError):
    """States that are not finite, or of the wrong shape, type or modality."""


class SnapshotError(NextstateError, ValueError):
    """A snapshot of another world, or of another version of it."""


class RenderingError(NextstateError, RuntimeError):
    """No way to draw on this machine."""


class DatasetError(NextstateError):
    """A dataset that is missing, damaged, inconsistent, or in use by another process."""


class HeldOutSeedError(NextstateError, ValueError):
    """Recording was asked for seeds that are reserved for evaluation."""


class CheckpointError(NextstateError):
    """A checkpoint that is missing, damaged, of another version, or for other modalities."""


class PlanningError(NextstateError, ValueError):
    """A goal, a cost or a planner's settings with which no plan can be made."""


class InstructionError(NextstateError, ValueError):
    """An instruction that is empty, too long, or in a script that the model never read."""


class DivergenceError(NextstateError, RuntimeError):
    """Training produced values that are not finite, or a loss that exploded."""


class TeamError(NextstateError, RuntimeError):
    """Another process of a training run ended, or cannot be reached."""


class CollapseError(DivergenceError):
    """Training went on, but the model no longer tells states or actions apart."""


class StorageError(NextstateError, OSError):
    """The disk is full or refuses to be written; nothing finished was lost."""
