"""Recording a world: many episodes on all cores, the same bytes however many workers there are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nextstate.data.digressions import digressing
from nextstate.data.episode import Episode, check_finite
from nextstate.data.format import FEATURE_OF, INFO_PATH, PRIVATE, ROW_FEATURES, Info, feature, read_info, video_feature
from nextstate.data.shards import Row, episodes_per_file, write_shard
from nextstate.data.workers import cores, pool_of
from nextstate.data.writer import Finished, Writer, consecutive, staged_path, steps_of, writing
from nextstate.errors import DatasetError, HeldOutSeedError, SettingsError
from nextstate.worlds import HELD_OUT_SEED, Policy, World, make_world

EXPLORE = "explore"
"""Instruction of episodes in which nothing in particular is wanted."""

PRACTISE = "practise"
"""Name of the policy of episodes in which a model's plans are acted out."""

Progress = Callable[[int, int], None]
"""Called with the episodes finished and wanted."""


Exploring = Literal["smooth", "random"]

Maker = Callable[[World, np.random.Generator], Policy]
"""Makes a policy for a world just reset; it is sent to other processes."""

LATER = {"layouts": 0, "exploring": "smooth", "practised": ""}
"""Options that older recordings do not tell of, with what they did."""


@dataclass(frozen=True)
class Plan:
    """What is recorded. Episode i has the seed ``base_seed + i``, which fixes everything in it.

    Args:
        world: name in the registry.
        size: height and width of pictures in pixels.
        modalities: which are stored.
        base_seed: seed of episode 0.
        skill_fraction: share of episodes that follow a scripted skill; the others explore.
        digressions: chance, at each step of an exploring episode, that something else is done for a while.
        steps: commands per episode; 0 for as many as the world allows.
        layouts: different scenes, which episodes take in turn; 0 for another in every episode.
        exploring: how: as the world suggests, or by commands that are drawn anew at every step.
        practised: the model whose plans are acted out instead, by its checksum.
    """

    world: str
    size: int = 64
    modalities: tuple[str, ...] = ("rgb", "depth", "motion", "proprio", "touch")
    base_seed: int = 0
    skill_fraction: float = 0.25
    digressions: float = 0.1
    steps: int = 0
    layouts: int = 0
    exploring: Exploring = "smooth"
    practised: str = ""

    def info(self) -> Info:
        """``meta/info.json`` of an empty dataset of this plan."""
        world = _world(self)
        hz = float(world.metadata["render_fps"])
        features = {FEATURE_OF[name]: feature("float32", m.shape) for name, m in world.state_spec.items()}
        if "rgb" in world.state_spec:
            features[FEATURE_OF["rgb"]] = video_feature(self.size, self.size, hz)
        outcome = [name for group in world.outcome_groups.values() for name in group]
        features |= {
            "action": feature("float32", (world.action_size,), [f"motor_{i}" for i in range(world.action_size)]),
            "events": feature("bool", (len(world.events),), world.events),
            "outcome": feature("float32", (len(outcome),), outcome),
            **ROW_FEATURES,
        }
        own = {**asdict(self), "world_version": world.version, "steps": self.steps or world.max_steps}
        own["modalities"] = list(self.modalities)
        return Info(hz, features, robot=f"nextstate/{self.world}", own=own)


def record(
    plan: Plan,
    root: Path,
    episodes: int,
    workers: int | None = None,
    progress: Progress | None = None,
    practice: Maker | None = None,
) -> Info:
    """Records until the dataset at `root` holds `episodes`; goes on where an earlier call stopped.

    Args:
        workers: processes; all cores by default. With 1, everything happens in this process.
        practice: who acts in exploring episodes, in place of the world's own policy; named in the plan.

    Raises:
        HeldOutSeedError: for seeds that are kept for evaluation.
        DatasetError: when the dataset was recorded otherwise, is damaged, or is being written by another process.
        StorageError: when the disk is full; finished episodes are intact.
    """
    root = Path(root)
    _check_plan(plan, episodes)
    fresh = plan.info()
    if (root / INFO_PATH).exists():
        check_same(read_info(root), fresh, root)
    elif root.is_dir() and any(path.name not in (PRIVATE, "meta") for path in root.iterdir()):
        raise DatasetError(f"{root} is not empty and holds no dataset; give another folder.")
    workers = workers or cores()
    with writing(root, create=fresh) as writer:
        finished = writer.finished()
        todo = [i for i in range(writer.info.episodes, episodes) if i not in finished]
        recorder = _Recorder(plan, writer, episodes, finished, progress, practice)
        try:
            with pool_of(min(workers, max(len(todo), 1))) as pool:
                recorder.run(pool, todo, ahead=2 * workers)
        except KeyboardInterrupt:
            writer = Writer(root)
            writer.publish(steps_of(writer.info))
            raise
        return writer.info


class _Recorder:
    """Keeps workers busy with episodes, and publishes runs of finished ones in order."""

    def __init__(
        self,
        plan: Plan,
        writer: Writer,
        episodes: int,
        finished: dict[int, Finished],
        progress: Progress | None,
        practice: Maker | None,
    ) -> None:
        self.plan, self.writer, self.episodes, self.finished = plan, writer, episodes, finished
        self.practice = practice
        self.progress = progress or (lambda done, total: None)
        self.planned = writer.info.episodes
        self.size = episodes_per_file(writer.info, steps_of(writer.info))
        self.shards: list[tuple[Any, Future[list[Row]]]] = []

    def run(self, pool: Executor, todo: list[int], ahead: int) -> None:
        waiting: set[Future[Finished]] = set()
        queue = iter(todo)
        self._publish_ready(pool)
        self._report()
        while True:
            while len(waiting) < ahead and (index := next(queue, None)) is not None:
                waiting.add(pool.submit(record_episode, self.plan, str(self.writer.root), index, self.practice))
            if not waiting:
                break
            # Shards are committed in order, so only the first of them can be of use now.
            awaited: list[Future[Any]] = [*waiting, *(future for _, future in self.shards[:1])]
            done = wait(awaited, return_when=FIRST_COMPLETED).done
            for future in [future for future in waiting if future in done]:
                waiting.discard(future)
                episode = future.result()
                self.finished[episode.index] = episode
            self._publish_ready(pool)
            self._commit_ready(block=False)
            self._report()
        self._commit_ready(block=True)
        self._report()

    def _publish_ready(self, pool: Executor) -> None:
        while self.planned < self.episodes:
            run = consecutive(self.finished, self.planned, self.size)
            end = min((self.planned // self.size + 1) * self.size, self.episodes)
            if self.planned + len(run) < end:
                return
            run = run[: end - self.planned]
            shard = self.writer.plan(run)
            self.shards.append((shard, pool.submit(write_shard, self.writer.root, self.writer.info, shard)))
            self.planned = end

    def _commit_ready(self, block: bool) -> None:
        while self.shards and (block or self.shards[0][1].done()):
            shard, future = self.shards.pop(0)
            self.writer.commit(shard, future.result())

    def _report(self) -> None:
        beyond = sum(1 for index in self.finished if index >= self.writer.info.episodes)
        self.progress(min(self.writer.info.episodes + beyond, self.episodes), self.episodes)


def record_episode(plan: Plan, root: str, index: int, practice: Maker | None = None) -> Finished:
    """Plays one episode and saves it in the staging folder."""
    episode = play(plan, index, practice)
    path = staged_path(Path(root), index)
    episode.save(path)
    return Finished(index, len(episode), episode.task, path)


def play(plan: Plan, index: int, practice: Maker | None = None) -> Episode:
    """One episode of the plan; a function of ``base_seed + index`` alone."""
    world = _world(plan)
    seed = plan.base_seed + index
    scene = plan.base_seed + index % plan.layouts if plan.layouts else seed
    world.reset(seed=scene)
    rng = np.random.default_rng([seed, world.version, 1])
    policy, name, task = choose_policy(world, rng, plan.skill_fraction)
    if name == EXPLORE and plan.exploring == "random":
        policy = _at_random(world.action_size, rng)
    if name == EXPLORE and practice is not None:
        policy, name = practice(world, rng), PRACTISE
    if name == EXPLORE and plan.digressions:
        policy = digressing(policy, _others(world, rng), plan.digressions, rng)
    steps = plan.steps or world.max_steps
    columns: dict[str, np.ndarray] = {}
    for row in range(steps + 1):
        if row:
            world.advance_action(columns["action"][row - 1])
        reading = {FEATURE_OF[name]: value for name, value in world.observe().items()}
        reading |= {"events": world.events_now(), "outcome": np.asarray(world.outcome(), np.float32)}
        # No command follows the last state; its row holds zeros.
        reading["action"] = np.asarray(policy(world) if row < steps else np.zeros(world.action_size), np.float32)
        for key, value in reading.items():
            if row == 0:
                columns[key] = np.empty((steps + 1, *value.shape), value.dtype)
            columns[key][row] = value
    check_finite(columns, f"{plan.world}, seed {seed}")
    return Episode(index, columns, task, {"seed": scene, "policy": name, "factors": dict(world.factors)})


def choose_policy(world: World, rng: np.random.Generator, skill_fraction: float) -> tuple[Policy, str, str]:
    """A policy for a world just reset, its name, and the instruction that asks for it."""
    skilled = rng.random() < skill_fraction
    possible = [name for name, skill in world.skills.items() if skill.possible(world)]
    if not skilled or not possible:
        return world.explore(rng), EXPLORE, EXPLORE
    name = possible[int(rng.integers(len(possible)))]
    skill = world.skills[name]
    task = skill.instructions[int(rng.integers(len(skill.instructions)))]
    return skill.make(world, rng), name, task


def _at_random(size: int, rng: np.random.Generator) -> Policy:
    return lambda world: rng.uniform(-1.0, 1.0, size)


def _others(world: World, rng: np.random.Generator) -> list[Callable[[], Policy]]:
    """What may take over from exploring: a fresh exploration as often as all skills together."""
    possible = [skill for skill in world.skills.values() if skill.possible(world)]

    def some_skill() -> Policy:
        return possible[int(rng.integers(len(possible)))].make(world, rng)

    return [lambda: world.explore(rng), *([some_skill] if possible else [])]


def check_same(have: Info, want: Info, root: Path) -> None:
    """Raises `DatasetError` naming the first difference between a dataset and what would be added to it."""
    if not have.own:
        raise DatasetError(f"{root} was not recorded by nextstate; record into another folder.")
    for key, value in want.own.items():
        had = have.own.get(key, LATER.get(key))
        if key not in ("skill_fraction", "digressions") and had != value:
            raise DatasetError(
                f"{root} was recorded with {key} = {had!r}, but {value!r} is asked for now; "
                "use the same options, or record into another folder."
            )
    if have.fps != want.fps or have.features != want.features:
        differing = [n for n in {**have.features, **want.features} if have.features.get(n) != want.features.get(n)]
        raise DatasetError(f"{root}: fps or the features {differing} differ from what this world gives now.")


def _check_plan(plan: Plan, episodes: int) -> None:
    if episodes < 1 or plan.size < 2 or plan.steps < 0 or plan.layouts < 0 or not plan.modalities or not _shares(plan):
        raise SettingsError(
            f"cannot record {episodes} episodes of {plan}: episodes must be at least 1, size at least 2, steps and "
            "layouts at least 0, skill fraction and digressions in [0, 1], and one modality named."
        )
    if plan.base_seed < 0 or plan.base_seed + episodes > HELD_OUT_SEED:
        raise HeldOutSeedError(
            f"seeds {plan.base_seed} to {plan.base_seed + episodes - 1} are not all in [0, {HELD_OUT_SEED}); those "
            "from there on are kept for evaluation and never recorded. Choose a smaller base seed."
        )


def _shares(plan: Plan) -> bool:
    return 0 <= plan.skill_fraction <= 1 and 0 <= plan.digressions <= 1


@lru_cache(maxsize=1)
def _world(plan: Plan) -> World:
    return make_world(plan.world, size=plan.size, modalities=plan.modalities)
