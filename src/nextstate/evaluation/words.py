"""Words as actions, judged: does what is said happen in the imagined future, and is that future the right one?

In held-out scenes the world's scripted skills are played out from one instant, and those that do what they are named
after are asked for in words that were never learned from. The same model also imagines the true commands of each skill
(*motor*): what it misses then is its own error, and what is missed beyond that is the words'. And the script plays
once more with other dice (*again*): what a sentence leaves open, such as from which side to push, nobody can know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nextstate.errors import PlanningError, UnknownNameError
from nextstate.evaluation.bootstrap import Ratio
from nextstate.evaluation.named import NAMED, SAYING, WATCHED, Course
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.suite import group_indices
from nextstate.imagination import Instant, reach
from nextstate.imagination.futures import foresee
from nextstate.imagination.saying import outlined, say
from nextstate.models.director import Director
from nextstate.models.protocol import Beliefs, WorldModel
from nextstate.worlds import HELD_OUT_SEED, World
from nextstate.worlds.paraphrases import paraphrases

SCENES = 800_000_000
"""Scenes of this evaluation begin here, counted from the held-out seeds."""

PATIENCE = 30
"""Scenes that are looked at for each that is used, at most."""

LATEST = 10
"""Steps of exploration before the instant at which something is said, at most."""

AT = 4
"""Instants of a future, evenly spread up to its end, at which futures are compared."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Future:
    """One future as it is compared and judged: `seen` ``(AT, D)`` are outcomes, `course` what happened."""

    seen: np.ndarray
    course: Course


@dataclass(frozen=True)
class Scene:
    """An instant at which K things may be said, and what truly comes of each.

    Args:
        skills: their names. texts: what is said. kinds: held_out or unheard, for each.
        commands: ``(K, H, A)`` of the scripted skills. truth: K futures. again: the same scripts with other dice.
        tried: skills that the scene allows, and done:
            those of them that do what they are named after.
    """

    instant: Instant
    skills: Sequence[str]
    texts: Sequence[str]
    kinds: Sequence[str]
    commands: np.ndarray
    truth: Sequence[Future]
    again: Sequence[Future]
    tried: int
    done: int


def make_scenes(
    world: World, count: int, choices: int, horizon: int, seed: int, progress: Progress | None = None
) -> list[Scene]:
    """Held-out scenes in which `choices` scripted skills do what they are named after within `horizon` steps.

    Raises:
        UnknownNameError: for a world of which nobody said what its skills are named after.
        PlanningError: when hardly any scene has so many.
    """
    if world.name not in NAMED:
        raise UnknownNameError("world with words", world.name, NAMED)
    asked = paraphrases(world.name)
    scenes: list[Scene] = []
    for candidate in range(count * PATIENCE):
        if len(scenes) == count:
            break
        number = HELD_OUT_SEED + SCENES + 1_000_000 * seed + candidate
        rng = np.random.default_rng([seed, candidate, 5])
        # What waits until then is as unlike what was learned from as what explores.
        instant = reach(world, number, int(rng.integers(LATEST + 1)), world.explore(rng))
        able = {n: skill for n, skill in world.skills.items() if skill.possible(world)}
        played = {name: play(world, instant, name, horizon, rng) for name in able}
        done = [n for n, (_, future) in played.items() if NAMED[world.name](type(world), n, future.course)]
        if len(done) < choices:
            continue
        chosen = [done[i] for i in rng.permutation(len(done))[:choices]]
        kinds = [("held_out", "unheard")[int(rng.integers(2))] for _ in chosen]
        texts = []
        for name, kind in zip(chosen, kinds, strict=True):
            sentences = getattr(asked[name], kind)
            texts.append(sentences[int(rng.integers(len(sentences)))])
        commands = np.stack([played[name][0] for name in chosen])
        truth = [played[name][1] for name in chosen]
        again = [play(world, instant, name, horizon, rng)[1] for name in chosen]
        scenes.append(Scene(instant, chosen, texts, kinds, commands, truth, again, len(able), len(done)))
        if progress:
            progress("scenes", len(scenes), count)
    if len(scenes) < count:
        raise PlanningError(
            f"only {len(scenes)} of {count} scenes of {world.name} have {choices} skills that can be done."
        )
    return scenes


def play(
    world: World, instant: Instant, name: str, horizon: int, rng: np.random.Generator
) -> tuple[np.ndarray, Future]:
    """Commands ``(H, A)`` of a scripted skill from an instant, and what truly comes of them."""
    assert instant.snapshot is not None
    world.restore(instant.snapshot)
    before = np.asarray(world.outcome())
    policy, commands, outcomes, events = world.skills[name].make(world, rng), [], [], []
    for _ in range(horizon):
        commands.append(policy(world))
        world.advance_action(commands[-1])
        outcomes.append(np.asarray(world.outcome()))
        events.append(world.events_now())
    seen = np.stack(outcomes)
    course = Course.of(type(world), before, seen, np.stack(events), world.factors)
    return np.stack(commands).astype(np.float32), Future(seen[instants(horizon)], course)


def read(world: World, before: np.ndarray, readout: Readout, model: WorldModel, span: Beliefs) -> list[Future]:
    """Futures that a model imagined ``(K, H, ...)``, as the frozen readout reads them."""
    horizon = next(iter(span.tensors.values())).shape[1]
    at = list(range(horizon)) if world.name in WATCHED else instants(horizon)
    felt = {name for name, _ in readout.direct.values()}
    with torch.inference_mode():
        vectors = model.decode(span, sorted(felt))
        reading = readout(model.decode(span.steps(at), list(readout.spec)))
    count, groups = len(reading.outcomes), group_indices(type(world))
    outcomes = np.zeros((count, horizon, reading.outcomes.shape[-1]), np.float32)
    outcomes[:, at] = reading.outcomes
    for group, (source, of) in readout.direct.items():
        outcomes[:, :, groups[group]] = of(vectors[source].cpu().numpy())
    happened, kind = reading.events > 0.5, type(world)
    courses = [Course.of(kind, before, outcomes[k], happened[k], world.factors) for k in range(count)]
    return [Future(outcomes[k][instants(horizon)], courses[k]) for k in range(count)]


def instants(horizon: int) -> list[int]:
    """Steps at which futures are compared; the last is the end."""
    return [round((i + 1) * horizon / AT) - 1 for i in range(AT)]


@dataclass(frozen=True)
class Said:
    """What came of N scenes with K instructions each.

    Args:
        happened: who -> ``(N, K)``, whether what was said happened; who is ``words``, ``motor`` or ``again``.
        near: who -> ``(N, K)``, whether of K true futures that of the same skill is nearest to the imagined one.
        back: who -> ``(N, K)``, whether of K imagined futures that of the same skill is nearest to the true one.
        kinds: ``(N, K)``, held_out or unheard. skills: ``(N, K)``. likeness: ``(N, K)``.
    """

    happened: Mapping[str, np.ndarray]
    near: Mapping[str, np.ndarray]
    back: Mapping[str, np.ndarray]
    kinds: np.ndarray
    skills: np.ndarray
    likeness: np.ndarray
    tried: np.ndarray
    done: np.ndarray


def judge(
    world: World,
    model: WorldModel,
    director: Director,
    readout: Readout,
    scenes: Sequence[Scene],
    progress: Progress | None = None,
) -> Said:
    """Says everything in every scene, and imagines the true commands besides."""
    eye, name = outlined(model), world.name
    imagined: dict[str, list[list[Future]]] = {"words": [], "motor": [], "again": [list(s.again) for s in scenes]}
    likeness = []
    for number, scene in enumerate(scenes):
        assert scene.instant.snapshot is not None
        world.restore(scene.instant.snapshot)
        before = np.asarray(world.outcome())
        horizon = scene.commands.shape[1]
        said, _ = say(eye, director, scene.instant, scene.texts, horizon)
        told = foresee(eye, scene.instant, scene.commands)
        imagined["words"].append(read(world, before, readout, eye, said))
        imagined["motor"].append(read(world, before, readout, eye, told))
        likeness.append([director.listen(text).likeness for text in scene.texts])
        if progress:
            progress("saying", number + 1, len(scenes))
    truth = np.array([[future.seen for future in scene.truth] for scene in scenes])
    headline = np.concatenate([group_indices(type(world))[group] for group in world.headline])
    spread = truth[..., headline].std(axis=(0, 1, 2))
    weight = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    happened, near, back = {}, {}, {}
    for who, futures in imagined.items():
        happened[who] = np.array(
            [
                [NAMED[name](type(world), skill, future.course) for skill, future in zip(s.skills, row, strict=True)]
                for s, row in zip(scenes, futures, strict=True)
            ]
        )
        seen = np.array([[future.seen for future in row] for row in futures])
        gap = ((seen[:, :, None] - truth[:, None])[..., headline] * weight) ** 2
        far = gap.mean(axis=(-1, -2))
        right = np.arange(far.shape[1])
        near[who], back[who] = far.argmin(axis=2) == right, far.argmin(axis=1) == right
    return Said(
        happened,
        near,
        back,
        np.array([s.kinds for s in scenes]),
        np.array([s.skills for s in scenes]),
        np.array(likeness),
        np.array([s.tried for s in scenes]),
        np.array([s.done for s in scenes]),
    )


def figures(said: Said, world: str) -> dict[str, Any]:
    """For the results file: every share with a 95 % bootstrap interval over scenes.

    ``figures`` holds, for *words* (all that was said), its halves *held_out* and *unheard*, *motor* and *again*, the
    ``event``, ``retrieval`` (true futures by imagined ones) and ``retrieved`` (imagined ones by true ones);
    ``skills`` the shares of each skill.
    """
    measures = {"event": said.happened, "retrieval": said.near, "retrieved": said.back}

    def shares(who: str, where: np.ndarray) -> dict[str, dict[str, float]]:
        return {name: _share(values[who], where) for name, values in measures.items()}

    everything = np.ones(said.kinds.shape, bool)
    found = {
        "words": shares("words", everything),
        **{kind: shares("words", said.kinds == kind) for kind in ("held_out", "unheard")},
        "motor": shares("motor", everything),
        "again": shares("again", everything),
    }
    skills = {}
    for name in np.unique(said.skills):
        mine = said.skills == name
        row = {f"{who}_{m}": float(v[who][mine].mean()) for who in said.happened for m, v in measures.items()}
        skills[str(name)] = {"count": int(mine.sum()), **{key: round(value, 4) for key, value in row.items()}}
    choices = said.kinds.shape[1]
    return {
        "world": world,
        "named": SAYING[world],
        "scripted": float(said.done.sum() / said.tried.sum()),
        "chance": 1 / choices,
        "figures": found,
        "skills": skills,
        "likeness": {kind: float(said.likeness[said.kinds == kind].mean()) for kind in np.unique(said.kinds)},
        "summary": {
            "text_event": found["words"]["event"]["value"],
            f"text_retrieval_at_{choices}": found["words"]["retrieval"]["value"],
        },
    }


def _share(values: np.ndarray, where: np.ndarray) -> dict[str, float]:
    ratio = Ratio((values & where).sum(axis=1), where.sum(axis=1))
    low, high = ratio.interval()
    return {"value": round(ratio.value, 4), "low": round(low, 4), "high": round(high, 4)}
