"""A world: a simulator that can be forked at any instant, bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np

from nextstate.actions import check_actions
from nextstate.errors import SettingsError, SnapshotError, StateError, UnknownNameError
from nextstate.modalities import MODALITIES, Modality, StateSpec, modality
from nextstate.worlds.factors import Factor as Factor
from nextstate.worlds.factors import check_names
from nextstate.worlds.render import shared_renderer
from nextstate.worlds.snapshot import Snapshot

HELD_OUT_SEED = 2**31
"""Seeds from here on are for evaluation only: recording refuses them."""

CONTROL_HZ = 10.0

DIVERGED = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)
"""Warnings that MuJoCo counts where it begins a scene anew because it diverged."""


Policy = Callable[["World"], np.ndarray]
"""Looks at the world and returns the next motor command ``(A,)`` in [-1, 1]."""


@dataclass(frozen=True)
class Skill:
    """A scripted behaviour and how people would ask for it.

    Args:
        instructions: paraphrases of one instruction.
        make: from a world just reset and a generator to the policy that does it.
        possible: whether a world just reset holds what the skill needs.
    """

    instructions: tuple[str, ...]
    make: Callable[[World, np.random.Generator], Policy]
    possible: Callable[[World], bool] = lambda world: True


@dataclass(frozen=True)
class Branches:
    """K true futures of one snapshot.

    Args:
        states: modality -> ``(K, T, *shape)``, the states after each of T actions.
        outcomes: ``(K, T, D)``; events: ``(K, T, E)`` booleans.
    """

    states: Mapping[str, np.ndarray]
    outcomes: np.ndarray
    events: np.ndarray


class World(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Base of all worlds: 10 Hz control, every modality exact, forkable.

    A subclass names its factors, events and outcome, writes its scene as MJCF, and says what commands do
    and what body and skin feel. Everything random is drawn once per episode into ``factors``, from which
    the scene is rebuilt bit for bit in any process. Whatever physics alone does not hold (stains, event
    times) lives in ``memory``, which snapshots carry along.

    Args:
        size: height and width of pictures in pixels.
        modalities: which modalities observations hold; all five by default.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    senses: ClassVar[tuple[str, ...]] = tuple(MODALITIES)
    """Modalities that there are."""
    factor_ranges: ClassVar[Mapping[str, Factor]]
    action_size: ClassVar[int]
    events: ClassVar[tuple[str, ...]]
    outcome_groups: ClassVar[Mapping[str, tuple[str, ...]]]
    """Outcome group -> names of its dimensions, in the order of `outcome`."""
    headline: ClassVar[tuple[str, ...]]
    """Outcome groups that the headline error counts."""
    goal_within: ClassVar[Mapping[str, tuple[int, float]]] = {}
    """Outcome group -> dimensions of one place in it, and distance from which a goal counts as reached (metres, or
    what the group is measured in)."""
    goal_of_body: ClassVar[bool] = False
    """Whether the body must be where it was too when a goal was reached; else it may be anywhere."""
    read_directly: ClassVar[Mapping[str, tuple[str, Callable[[np.ndarray], np.ndarray]]]] = {}
    """Outcome group -> modality and function that reads it from that modality ``(..., *shape)`` to ``(..., D)``.

    Groups that are missing here are read by a readout trained on true frames."""
    skills: ClassVar[Mapping[str, Skill]] = {}
    proprio_size: ClassVar[int]
    touch_shape: ClassVar[tuple[int, int]]
    skin: ClassVar[tuple[str, ...]]
    """Geoms whose contacts `touch` reports: its taxels add up to the normal forces on them."""
    timestep: ClassVar[float] = 0.005
    max_steps: ClassVar[int] = 80

    metadata = {"render_modes": ["rgb_array"], "render_fps": int(CONTROL_HZ)}

    def __init__(
        self, size: int = 64, modalities: Sequence[str] | None = None, render_mode: str | None = "rgb_array"
    ) -> None:
        self.size = size
        self.render_mode = render_mode
        self.modalities = tuple(modalities) if modalities is not None else tuple(MODALITIES)
        self.state_spec: StateSpec = {name: self._modality(name) for name in self.modalities}
        self.observation_space = gymnasium.spaces.Dict({n: _space(m) for n, m in self.state_spec.items()})
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.action_size,), np.float32)
        self.factors: dict[str, float] = {}
        self.memory: dict[str, np.ndarray] = {}
        self.steps = 0
        self.model: Any = None
        self.data: Any = None
        self._built: dict[str, float] | None = None
        self._events: np.ndarray | None = None
        self._contacts: dict[int, Contacts] = {}

    # What a subclass writes.

    def layout(self, rng: np.random.Generator, factors: dict[str, float]) -> None:
        """Adds what depends on other factors (positions without overlap) to `factors`."""

    def scene(self, factors: Mapping[str, float]) -> str:
        """The scene as MJCF, with a camera named ``main``."""
        raise NotImplementedError

    def begin(self) -> None:
        """Sets initial positions and `memory` after the scene is built; may let things settle."""

    def act(self, action: np.ndarray) -> None:
        """Turns a command in [-1, 1] into controls, and advances physics by one control step."""
        self.data.ctrl[:] = action
        self.advance()

    def proprio(self) -> np.ndarray:
        """What the body feels of its posture, ``(proprio_size,)``."""
        raise NotImplementedError

    def touch(self) -> np.ndarray:
        """Normal forces on the taxels, ``touch_shape``, newtons."""
        raise NotImplementedError

    def detect(self) -> dict[str, bool]:
        """Which events are the case now, from physics."""
        raise NotImplementedError

    def outcome(self) -> np.ndarray:
        """What evaluation scores, ``(D,)`` in the order of `outcome_groups`; never a model input."""
        raise NotImplementedError

    def explore(self, rng: np.random.Generator) -> Policy:
        """A policy whose commands make things happen in many ways."""
        raise NotImplementedError

    def coach(self, wanted: np.ndarray, rng: np.random.Generator) -> Policy:
        """Who knows where everything is, and brings about the outcome ``(D,)``; raises `SettingsError` for none."""
        raise SettingsError(f"{self.name} has no coach; practise by planner or cloned, or choose grasp or pusht.")

    def miss(self, outcome: np.ndarray, wanted: np.ndarray) -> float:
        """How far the farthest thing is from its goal, in units of what counts as reached: at most 1 is there."""
        misses, first = [0.0], 0
        for group, names in self.outcome_groups.items():
            if group in self.goal_within:
                size, within = self.goal_within[group]
                gap = (np.asarray(outcome) - wanted)[first : first + len(names)].reshape(-1, size)
                misses.append(float(np.linalg.norm(gap, axis=1).max()) / within)
            first += len(names)
        return max(misses)

    # What every world gets.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new scene. Same seed, same bytes; ``options={"factors": {...}}`` overrides drawn factors."""
        super().reset(seed=seed)
        seed = int(self.np_random.integers(HELD_OUT_SEED)) if seed is None else seed
        overrides = dict((options or {}).get("factors", {}))
        self._load(self.sample_factors(seed, overrides))
        self.begin()
        self.steps = 0
        self.memory["event_times"] = np.full(len(self.events), np.nan)
        self._settle_derived()
        self._note_events()
        return self.observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One control step of 0.1 s. The reward is 0: a world has no task of its own."""
        self.advance_action(action)
        return self.observe(), 0.0, False, self.steps >= self.max_steps, self._info()

    def advance_action(self, action: np.ndarray) -> None:
        """`step` without looking; raises `ActionError` for commands that are not finite or out of range."""
        action = check_actions(action, self.action_size, f"{self.name} action")
        self.act(action)
        self._settle_derived()
        # Where physics diverges, MuJoCo begins the scene anew, counts it, and goes on.
        if not np.isfinite(self.data.qpos).all() or any(self.data.warning[kind].number for kind in DIVERGED):
            raise StateError(f"{self.name}: physics diverged at step {self.steps}; restore a snapshot, or reset.")
        self.steps += 1
        self._note_events()

    def observe(self, only: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The state now, modality -> reading; raises `UnknownNameError` for a modality there is not."""
        wanted = self.modalities if only is None else tuple(only)
        for name in wanted:
            if name not in MODALITIES:
                raise UnknownNameError("modality", name, MODALITIES)
        pictures = [n for n in wanted if MODALITIES[n].kind == "image"]
        drawn = shared_renderer(self.size).render(self.model, self.data, pictures) if pictures else {}
        felt = {"proprio": self.proprio, "touch": self.touch}
        return {n: drawn[n] if n in drawn else np.asarray(felt[n](), np.float32) for n in wanted}

    def render(self) -> np.ndarray:
        """The picture now, ``(H, W, 3)`` uint8."""
        return self.observe(["rgb"])["rgb"]

    def events_now(self) -> np.ndarray:
        """Which events are the case now, ``(E,)`` booleans in the order of `events`."""
        if self._events is None:
            found = self.detect()
            self._events = np.array([found[name] for name in self.events], bool)
        return self._events.copy()

    def contacts(self, geom: int) -> Contacts:
        """`contact_forces` of one geom at this control instant, computed once."""
        if geom not in self._contacts:
            self._contacts[geom] = contact_forces(self.model, self.data, geom)
        return self._contacts[geom]

    def snapshot(self) -> Snapshot:
        """Everything needed to continue bit for bit, here or in another process."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION.value
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        memory = {name: value.copy() for name, value in self.memory.items()}
        return Snapshot(self.name, self.version, dict(self.factors), state, memory, self.steps)

    def restore(self, snapshot: Snapshot) -> None:
        """Continues from `snapshot`; raises `SnapshotError` for another world or version of it."""
        if (snapshot.world, snapshot.version) != (self.name, self.version):
            raise SnapshotError(
                f"this snapshot is of world {snapshot.world!r} version {snapshot.version}, but it was given to "
                f"{self.name!r} version {self.version}; take a new snapshot with this version."
            )
        if missing := sorted(self.factor_ranges.keys() - snapshot.factors.keys()):
            raise SnapshotError(f"snapshot of {self.name!r} lacks the factors {', '.join(missing)}; take a new one.")
        self._load(snapshot.factors)
        kind = mujoco.mjtState.mjSTATE_INTEGRATION.value
        expected = mujoco.mj_stateSize(self.model, kind)
        if snapshot.state.shape != (expected,):
            raise SnapshotError(
                f"snapshot of {self.name!r} holds {snapshot.state.size} numbers, its scene needs {expected}; "
                "it is damaged or was made with another MuJoCo version."
            )
        mujoco.mj_setState(self.model, self.data, snapshot.state, kind)
        self.memory = {name: value.copy() for name, value in snapshot.memory.items()}
        self.steps = snapshot.steps
        self.restored()
        self._settle_derived()

    def restored(self) -> None:
        """Called after `memory` came back: redraw what it governs (stains, colours)."""

    def branch(self, snapshot: Snapshot, actions: np.ndarray, modalities: Sequence[str] | None = None) -> Branches:
        """K true futures: `actions` ``(K, T, A)`` from one snapshot. Leaves the world at the last branch's end."""
        actions = check_actions(actions, self.action_size, f"{self.name} branch actions")
        wanted = self.modalities if modalities is None else tuple(modalities)
        states: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        outcomes, events = [], []
        for sequence in actions:
            self.restore(snapshot)
            for action in sequence:
                self.advance_action(action)
                for name, reading in self.observe(wanted).items():
                    states[name].append(reading)
                outcomes.append(self.outcome())
                events.append(self.events_now())
        shape = actions.shape[:2]
        return Branches(
            {name: np.stack(r).reshape(*shape, *r[0].shape) for name, r in states.items()},
            np.stack(outcomes).reshape(*shape, -1).astype(np.float32),
            np.stack(events).reshape(*shape, -1),
        )

    def sample_factors(self, seed: int, overrides: Mapping[str, float] | None = None) -> dict[str, float]:
        """All factors of the episode with this seed; raises `UnknownNameError` for an override that nothing has."""
        rng = np.random.default_rng([seed, self.version])
        held_out = seed >= HELD_OUT_SEED
        factors = {name: factor.sample(rng, held_out) for name, factor in self.factor_ranges.items()}
        given = {name: float(value) for name, value in (overrides or {}).items()}
        if not given.keys() <= factors.keys():
            # Some are not drawn by themselves, but laid out.
            laid_out = dict(factors)
            self.layout(np.random.default_rng(0), laid_out)
            check_names(given, laid_out)
        factors.update(given)
        self.layout(rng, factors)
        factors.update(given)
        return factors

    def advance(self) -> None:
        """Physics for one control step under the controls set."""
        mujoco.mj_step(self.model, self.data, nstep=self.substeps)

    @property
    def substeps(self) -> int:
        """Physics steps per control step."""
        return round(1.0 / (CONTROL_HZ * self.timestep))

    def _modality(self, name: str) -> Modality:
        kind = modality(name)
        pictures = {"rgb": (self.size, self.size, 3), "depth": (self.size, self.size)}
        pictures["motion"] = pictures["rgb"]
        shapes = {**pictures, "proprio": (self.proprio_size,), "touch": self.touch_shape}
        return kind(shape=shapes[name])

    def _load(self, factors: Mapping[str, float]) -> None:
        if self._built != factors:
            self.model = mujoco.MjModel.from_xml_string(self.scene(factors))
            self.data = mujoco.MjData(self.model)
            self._built = dict(factors)
        else:
            mujoco.mj_resetData(self.model, self.data)
        self.factors = dict(factors)
        self.memory = {}
        self.loaded()

    def loaded(self) -> None:
        """Called after a scene was built: look up ids here."""

    def _settle_derived(self) -> None:
        # mj_forward makes poses, velocities and contact forces fit the state, but also overwrites the
        # solver's warm start, without which the continuation would differ in the last bits.
        self._events, self._contacts = None, {}
        warm_start = self.data.qacc_warmstart.copy()
        mujoco.mj_forward(self.model, self.data)
        self.data.qacc_warmstart[:] = warm_start

    def _note_events(self) -> None:
        times = self.memory["event_times"]
        fresh = self.events_now() & np.isnan(times)
        times[fresh] = self.steps / CONTROL_HZ

    def _info(self) -> dict[str, Any]:
        times = zip(self.events, self.memory["event_times"].tolist(), strict=True)
        return {
            "events": dict(zip(self.events, self.events_now().tolist(), strict=True)),
            # Only of what has happened: a NaN differs from itself, and so would the infos of equal episodes.
            "event_times": {name: time for name, time in times if not np.isnan(time)},
            "factors": dict(self.factors),
        }


def _space(spec: Modality) -> gymnasium.spaces.Box:
    if spec.dtype == "uint8":
        return gymnasium.spaces.Box(0, 255, spec.shape, np.uint8)
    low = 0.0 if spec.name in ("depth", "touch") else -np.inf
    return gymnasium.spaces.Box(low, np.inf, spec.shape, np.float32)


Contacts = tuple[np.ndarray, np.ndarray, np.ndarray]


def contact_forces(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> Contacts:
    """Contacts of one geom now: points ``(N, 3)``, normal forces ``(N,)`` in newtons, other geoms ``(N,)``."""
    pairs = data.contact.geom
    rows = np.nonzero((pairs == geom).any(axis=1))[0]
    if rows.size == 0:
        return np.empty((0, 3)), np.empty(0), np.empty(0, int)
    wrench = np.zeros(6)
    forces = np.empty(rows.size)
    for place, row in enumerate(rows):
        mujoco.mj_contactForce(model, data, row, wrench)
        forces[place] = wrench[0]
    pair = pairs[rows]
    return data.contact.pos[rows], forces, np.where(pair[:, 0] == geom, pair[:, 1], pair[:, 0]).astype(int)
