"""Grows the snapshots and branches of a suite in worker processes. Needs no torch, so workers start quickly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from nextstate.errors import ActionError
from nextstate.evaluation.physics import WrongPhysics, perturbed
from nextstate.modalities import MODALITIES
from nextstate.worlds import make_world
from nextstate.worlds.base import HELD_OUT_SEED, Policy, World
from nextstate.worlds.snapshot import Snapshot

Arrays = dict[str, np.ndarray]
SENSES = tuple(name for name, kind in MODALITIES.items() if kind.kind == "vector")
FRAME_STRIDE = 4
PICTURES = tuple(name for name, kind in MODALITIES.items() if kind.kind == "image")


@dataclass(frozen=True)
class Recipe:
    """How to grow one suite.

    Args:
        world, size: the simulator and the height and width of its pictures.
        alternatives, horizon, context: K branches of H steps after C states of history.
        seed: of the suite; every candidate derives its own scene and choices from it.
        probes: rows of the suite below this number also get branches of the perturbed and of the wrong simulator.
        pictures: rows below this number also keep the true pictures of their branches.
    """

    world: str
    size: int = 64
    alternatives: int = 8
    horizon: int = 20
    context: int = 8
    seed: int = 0
    probes: int = 24
    pictures: int = 12

    def scene_seed(self, candidate: int) -> int:
        """A held-out seed, of which recording never draws a scene."""
        return HELD_OUT_SEED + 1_000_000 * (1 + self.seed) + candidate


def grow(recipe: Recipe, candidate: int) -> Arrays:
    """One snapshot from the middle of a held-out episode, its history, and K true futures without pictures.

    Half of the episodes follow the world's exploratory policy, half one of its scripted skills; half of them begin
    with a wait. In three of four the instant lies shortly before an event begins, so that what is done next decides.
    """
    world = _world(recipe.world, recipe.size)
    rng = np.random.default_rng([recipe.seed, candidate, 1])
    world.reset(seed=recipe.scene_seed(candidate))
    policy = _some_policy(world, rng, skill_share=0.5)
    wait = int(rng.integers(recipe.context, 2 * recipe.context)) if rng.random() < 0.5 else 0
    snapshots, commands, events = [world.snapshot()], [], [world.events_now()]
    for step in range(max(world.max_steps, recipe.context + recipe.horizon)):
        commands.append(_bounded(policy(world)) if step >= wait else np.zeros(world.action_size, np.float32))
        world.advance_action(commands[-1])
        snapshots.append(world.snapshot())
        events.append(world.events_now())
    instant = _instant(np.stack(events), recipe, rng)
    start = instant - recipe.context + 1
    history: dict[str, list[np.ndarray]] = {}
    for earlier in snapshots[start : instant + 1]:
        world.restore(earlier)
        for name, reading in world.observe().items():
            history.setdefault(name, []).append(reading)
    grown: Arrays = {
        "snapshot": np.frombuffer(snapshots[instant].to_bytes(), np.uint8),
        "instant": np.array(instant),
        "outcome_before": world.outcome().astype(np.float32),
        "events_before": world.events_now(),
        "history_actions": np.stack(commands[start:instant]),
    }
    grown |= {f"history.{name}": np.stack(readings) for name, readings in history.items()}
    branches = _branches(world, snapshots[instant], np.stack(commands[instant:]), recipe, rng)
    return grown | {name: np.stack([branch[name] for branch in branches]) for name in branches[0]}


@dataclass(frozen=True)
class Grown:
    """A row of the suite that is to be looked at more closely: its number, its snapshot and actions ``(K, H, A)``."""

    row: int
    snapshot: bytes
    actions: np.ndarray


def look_closer(recipe: Recipe, grown: Grown) -> Arrays:
    """Pictures of the true branches, and the branches of two simulators that are almost right."""
    world, snapshot = _world(recipe.world, recipe.size), Snapshot.from_bytes(grown.snapshot)
    found: Arrays = {}
    if grown.row < recipe.pictures:
        branches = _replay(world, snapshot, grown.actions, PICTURES)
        found |= {name: branches[name] for name in PICTURES}
    if grown.row < recipe.probes:
        off = perturbed(world, snapshot, np.random.default_rng([recipe.seed, grown.row, 2]))
        found |= _named("chaos", _replay(world, off, grown.actions, ("touch",)))
        wrong = make_world(recipe.world, recipe.size)  # Its own, since it will be altered.
        found |= _named("wrong", _replay(wrong, snapshot, grown.actions, ("touch",), WrongPhysics()))
    return found


def ordinary_outcomes(recipe: Recipe, episode: int) -> Arrays:
    """Outcomes ``(T, D)``, events ``(T, E)`` of an episode that is not held out: the climate."""
    return _ordinary(recipe, episode, 1_000_000_007, draw=False)


def ordinary_frames(recipe: Recipe, episode: int) -> Arrays:
    """Every fourth state of an episode that is not held out, modality -> ``(T, *shape)``, outcomes and events."""
    return _ordinary(recipe, episode, 1_100_000_007, draw=True)


def _ordinary(recipe: Recipe, episode: int, first_seed: int, draw: bool) -> Arrays:
    world = _world(recipe.world, recipe.size)
    rng = np.random.default_rng([recipe.seed, episode, 3])
    world.reset(seed=first_seed + episode)
    policy = _some_policy(world, rng, skill_share=0.5)
    rows: dict[str, list[np.ndarray]] = {}
    for step in range(world.max_steps):
        world.advance_action(_bounded(policy(world)))
        if draw and step % FRAME_STRIDE:
            continue
        row = {"outcomes": world.outcome().astype(np.float32), "events": world.events_now()}
        for name, value in (row | (world.observe() if draw else {})).items():
            rows.setdefault(name, []).append(value.astype(np.float16) if name in ("depth", "motion") else value)
    return {name: np.stack(values) for name, values in rows.items()}


Map = Callable[[Callable[[Recipe, Any], Arrays], Recipe, Sequence[Any]], Iterator[Arrays]]
"""Applies a function of a recipe and an item to many items, and yields the results in order."""


@contextmanager
def crew(workers: int) -> Iterator[Map]:
    """`workers` processes that grow things; this process alone does so for one worker or fewer."""
    if workers <= 1:
        yield lambda function, recipe, items: (function(recipe, item) for item in items)
        return
    from nextstate.data.workers import pool_of

    with pool_of(workers) as pool:
        yield lambda function, recipe, items: pool.map(function, [recipe] * len(items), items)


def _branches(
    world: World,
    snapshot: Snapshot,
    factual: np.ndarray,
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[Arrays]:
    horizon = recipe.horizon
    factual = np.concatenate([factual, np.zeros((horizon, world.action_size), np.float32)])[:horizon]
    branches = []
    for number in range(recipe.alternatives):
        kind = ("factual", "explore", "reversed", "explore", "slowed", "skill", "paused", "explore")[number % 8]
        world.restore(snapshot)
        if kind == "explore" or number >= 8:
            chooser: Policy = world.explore(rng)
        elif kind == "skill":
            chooser = _some_policy(world, rng, skill_share=1.0)
        else:
            chooser = _follow(_variant(kind, factual, rng))
        branches.append(_roll(world, chooser, horizon, SENSES))
    return branches


def _variant(kind: str, factual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if kind == "reversed":
        return -factual
    if kind == "slowed":
        # Recording hardly ever commands so little: magnitudes are held out too.
        return factual * np.float32(rng.uniform(0.2, 0.6))
    if kind == "paused":
        return np.zeros_like(factual)
    return factual


def _roll(world: World, policy: Policy, horizon: int, wanted: Sequence[str]) -> Arrays:
    rows: dict[str, list[np.ndarray]] = {}
    for _ in range(horizon):
        command = _bounded(policy(world))
        world.advance_action(command)
        row = {"actions": command, "outcomes": world.outcome().astype(np.float32), "events": world.events_now()}
        for name, value in (row | world.observe(wanted)).items():
            rows.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in rows.items()}


def _replay(
    world: World,
    snapshot: Snapshot,
    actions: np.ndarray,
    wanted: Sequence[str],
    wrong: WrongPhysics | None = None,
) -> Arrays:
    branches = []
    for sequence in actions:
        world.restore(snapshot)
        if wrong is not None:
            wrong.apply(world.model)
        branches.append(_roll(world, _follow(sequence), len(sequence), wanted))
    return {name: np.stack([b[name] for b in branches]) for name in ("outcomes", "events", *wanted)}


def _named(owner: str, arrays: Arrays) -> Arrays:
    return {f"{owner}.{name}": value for name, value in arrays.items()}


def _follow(commands: np.ndarray) -> Policy:
    remaining = iter(commands)
    return lambda world: next(remaining)


def _some_policy(world: World, rng: np.random.Generator, skill_share: float) -> Policy:
    possible = [world.skills[name] for name in sorted(world.skills) if world.skills[name].possible(world)]
    if possible and rng.random() < skill_share:
        return possible[int(rng.integers(len(possible)))].make(world, rng)
    return world.explore(rng)


def _instant(events: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> int:
    """A step with enough history, and where possible enough episode left."""
    earliest = recipe.context - 1
    latest = max(earliest, len(events) - 1 - recipe.horizon)
    onsets = np.flatnonzero((events[1:] & ~events[:-1]).any(axis=1)) + 1
    before = onsets - rng.integers(1, max(recipe.horizon // 2, 2), len(onsets))
    before = before[(before >= earliest) & (before <= latest)]
    if len(before) and rng.random() < 0.75:
        # The first event is the one that most depends on what is done; later ones may follow by themselves.
        return int(before[0]) if rng.random() < 0.5 else int(rng.choice(before))
    return int(rng.integers(earliest, latest + 1))


def _bounded(command: Any) -> np.ndarray:
    array = np.asarray(command, np.float32)
    if not np.isfinite(array).all():
        raise ActionError(f"a policy returned {array}; every command must be finite.")
    return np.clip(array, -1.0, 1.0)


@lru_cache(maxsize=4)
def _world(name: str, size: int) -> World:
    return make_world(name, size)
