"""What adapters of public environments share: the original simulates and draws, nextstate forks and records it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np

from nextstate.actions import check_actions
from nextstate.errors import SettingsError, SnapshotError, StateError
from nextstate.worlds.base import HELD_OUT_SEED, World
from nextstate.worlds.snapshot import Snapshot


class Yardstick(World):
    """Base of adapters: an environment of others as a `World`.

    Physics, pictures and what counts as solved stay the original's. A subclass makes the original, says what the
    body feels of itself (never where other things are), and how an instant is kept and brought back.
    """

    senses = ("rgb", "proprio")
    goal_of_body = True
    touch_shape = (1, 1)
    skin = ()
    factor_ranges = {}
    source: ClassVar[str]
    """The package and environment that it adapts."""

    def __init__(
        self, size: int = 64, modalities: Sequence[str] | None = None, render_mode: str | None = "rgb_array"
    ) -> None:
        wanted = self.senses if modalities is None else tuple(modalities)
        if unknown := [name for name in wanted if name not in self.senses]:
            raise StateError(
                f"{self.name} senses {' and '.join(self.senses)}, not {', '.join(unknown)}; "
                f"give --modalities {' '.join(self.senses)}."
            )
        super().__init__(size, wanted, render_mode)
        self.original = self.make()

    # What a subclass writes, beside `proprio` and `outcome`.

    def make(self) -> Any:
        """The original environment; raises `MissingExtraError`."""
        raise NotImplementedError

    def act(self, action: np.ndarray) -> None:
        """One step of the original."""
        self.original.step(action)

    def picture(self) -> np.ndarray:
        """What the original draws now, ``(h, w, 3)`` uint8."""
        return np.asarray(self.original.render())

    def keep(self) -> np.ndarray:
        """Everything that changes in an episode, from which `put` goes on bit for bit."""
        raise NotImplementedError

    def put(self, state: np.ndarray) -> None:
        """Brings back what was kept, in an original that was begun with the same seed."""
        raise NotImplementedError

    def begun(self) -> None:
        """Called after the original was reset: forget what was."""

    # What every adapter gets.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode of the original. Same seed, same bytes.

        Raises:
            SettingsError: for options: the original alone decides what a seed gives.
        """
        gymnasium.Env.reset(self, seed=seed)
        if options:
            raise SettingsError(f"{self.name} takes no options at reset; it is what {self.source} makes of the seed.")
        self._begin(int(self.np_random.integers(HELD_OUT_SEED)) if seed is None else seed)
        self.steps = 0
        self.memory = {"event_times": np.full(len(self.events), np.nan)}
        self._note_events()
        return self.observe(), self._info()

    def advance_action(self, action: np.ndarray) -> None:
        self.act(check_actions(action, self.action_size, f"{self.name} action"))
        self._events = None
        if not np.isfinite(self.outcome()).all():
            raise StateError(f"{self.name}: physics diverged at step {self.steps}; the state is not finite.")
        self.steps += 1
        self._note_events()

    def observe(self, only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        wanted = self.modalities if only is None else tuple(only)
        return {name: self._seen() if name == "rgb" else np.asarray(self.proprio(), np.float32) for name in wanted}

    def snapshot(self) -> Snapshot:
        memory = {name: value.copy() for name, value in self.memory.items()}
        return Snapshot(self.name, self.version, dict(self.factors), self.keep(), memory, self.steps)

    def restore(self, snapshot: Snapshot) -> None:
        if (snapshot.world, snapshot.version) != (self.name, self.version):
            raise SnapshotError(
                f"this snapshot is of world {snapshot.world!r} version {snapshot.version}, but it was given to "
                f"{self.name!r} version {self.version}; take a new snapshot with this version."
            )
        if "seed" not in snapshot.factors:
            raise SnapshotError(f"snapshot of {self.name!r} does not say which seed it began with; take a new one.")
        if self.factors != snapshot.factors:
            self._begin(int(snapshot.factors["seed"]))
        self.put(np.array(snapshot.state))
        self.memory = {name: value.copy() for name, value in snapshot.memory.items()}
        self.steps = snapshot.steps
        self._events = None

    def sample_factors(self, seed: int, overrides: Any = None) -> dict[str, float]:
        """The seed itself, from which the original draws whatever it draws."""
        return {"seed": float(seed)}

    def _begin(self, seed: int) -> None:
        self.original.reset(seed=seed)
        self.factors = self.sample_factors(seed)
        self._events = None
        self.begun()

    def _seen(self) -> np.ndarray:
        picture = np.ascontiguousarray(self.picture())
        if picture.shape[:2] == (self.size, self.size):
            return picture.copy()
        from PIL import Image

        small = Image.fromarray(picture).resize((self.size, self.size), Image.Resampling.BOX)
        return np.array(small)
