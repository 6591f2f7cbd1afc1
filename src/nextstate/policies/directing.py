"""Learning a director from instructed episodes, on what a frozen model sees of them and imagines of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.actions.text import gist, occurring, vocabulary
from nextstate.data import Cache
from nextstate.data.instructed import instructions
from nextstate.data.windows import is_validation
from nextstate.imagination.saying import looked_at
from nextstate.models.director import Director, director_loss, padded
from nextstate.models.heads import HeadShape
from nextstate.models.language.minilm import minilm
from nextstate.models.world_model import StateModel
from nextstate.training.ema import PowerEma
from nextstate.training.optimiser import Optimiser
from nextstate.training.precision import autocast, choose_dtype, seed_step
from nextstate.training.schedule import Schedule
from nextstate.training.trainable import to_tensors
from nextstate.worlds import WORLDS
from nextstate.worlds.paraphrases import WRITTEN, paraphrases

SENTENCES, EACH = 64, 4
"""Instructions of a step, and states in which each is followed."""

RATE, AVERAGED = 1e-3, 0.1

AHEAD, APART = 32, 8
"""Steps that are imagined under recorded commands, and steps between the frames that they begin at."""

NEARBY = 4
"""Sentences of each skill that go with the director, to tell how far another is off."""

NAMING = 0.3
"""Weight of telling skills apart by what was said alone."""

Show = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much of it."""


@dataclass(frozen=True)
class Heard:
    """M sentences, and S skills that they ask for.

    Args:
        skills: their names. texts: the sentences. words: known words and pairs of words.
        meaning: ``(M, L, 384)``, length: ``(M,)``, known: ``(M, V)``: of each sentence.
        first, count: ``(S,)``, where the sentences of a skill begin and how many they are.
    """

    skills: tuple[str, ...]
    texts: tuple[str, ...]
    words: tuple[str, ...]
    meaning: Tensor
    length: Tensor
    known: Tensor
    first: Tensor
    count: Tensor

    @staticmethod
    def of(asked: Mapping[str, Sequence[str]], show: Show) -> Heard:
        """Reads the sentences of each skill."""
        texts = [text for sentences in asked.values() for text in sentences]
        reader, meanings = minilm(), []
        for number, text in enumerate(texts):
            meanings += reader([text])
            show("reading", number + 1, len(texts))
        words = vocabulary(texts)
        numbers = {word: number for number, word in enumerate(words)}
        known = torch.from_numpy(np.stack([occurring(text, numbers) for text in texts]))
        counts = torch.tensor([len(sentences) for sentences in asked.values()])
        meaning, length = padded(meanings)
        return Heard(tuple(asked), tuple(texts), words, meaning, length, known, counts.cumsum(0) - counts, counts)

    def some(self, skills: Tensor, generator: torch.Generator) -> Tensor:
        """A sentence for each of the skills ``(N,)``, drawn evenly from its own: numbers ``(N,)``."""
        return _drawn(self.first[skills], self.count[skills], generator)


def _drawn(first: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    return first + (torch.rand(first.shape, generator=generator) * count).long()


@dataclass(frozen=True)
class Shown:
    """N states as a model sees or imagines them, the command that followed, and the skill that was asked for.

    Args:
        state: ``places``, ``codes``, ``felt``, in half precision. action: ``(N, A)``. skill: ``(N,)``, in order.
    """

    state: Mapping[str, Tensor]
    action: Tensor
    skill: Tensor

    def __len__(self) -> int:
        return len(self.skill)

    @staticmethod
    def of(state: Mapping[str, Tensor], action: Tensor, skill: Tensor) -> Shown:
        order = torch.argsort(skill, stable=True)
        return Shown({n: v[order] for n, v in state.items()}, action[order], skill[order])

    def some(self, sentences: int, each: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """States ``(sentences * each, ...)`` with their commands, `each` in a row of the same skill, and the skills
        ``(sentences,)``; a skill comes as often as it was shown."""
        skill = self.skill[torch.randint(len(self), (sentences,), generator=generator)]
        first, end = (torch.searchsorted(self.skill, skill, right=right) for right in (False, True))
        rows = _drawn(first.repeat_interleave(each), (end - first).repeat_interleave(each), generator)
        return {n: v[rows].float() for n, v in self.state.items()}, self.action[rows], skill


def show_episodes(
    model: StateModel, cache: Cache, episodes: np.ndarray, skills: Sequence[int], show: Show | None = None
) -> Shown:
    """Frames of some episodes, seen; and what the model imagines from every eighth of them under the same commands.

    The latter are where the director will have to find its way: among states that are not quite what is ever seen.

    Args:
        skills: number of the skill of each episode.
    """
    device, dtype = model.device, choose_dtype("auto", model.device)
    names = list(model.spec.modalities)
    kept: dict[str, list[Tensor]] = {}
    for done, (episode, skill) in enumerate(zip(episodes, skills, strict=True)):
        rows = slice(int(cache.starts[episode]), int(cache.starts[episode] + cache.lengths[episode]))
        # The last state of an episode is followed by no command.
        action = torch.from_numpy(np.asarray(cache.arrays["action"][rows])[:-1]).to(device).float()
        with torch.no_grad(), autocast(device, dtype):
            frames = to_tensors({n: np.asarray(cache.arrays[n][rows][:-1]) for n in names}, device)
            seen = {n: v.float() for n, v in model.recall(frames).items()}
            first = torch.arange(0, len(action) - APART, APART, device=device)
            ahead = min(AHEAD, len(action))
            steps = (first[:, None] + torch.arange(ahead, device=device)).clamp_max(len(action) - 1)
            span = model.foresee(
                {**{n: seen[n][first] for n in model.state}, "memory": model.blank(len(first))}, action[steps]
            )
        # After the last command there is no more to learn; the state before each is what it was said in.
        real = first[:, None] + torch.arange(1, ahead + 1, device=device) < len(action)
        parts = [(looked_at(model, seen), action)]
        later = (first[:, None] + torch.arange(1, ahead + 1, device=device))[real]
        parts.append((looked_at(model, {n: span[n][real] for n in model.state}), action[later]))
        for state, told in parts:
            for name, value in state.items():
                kept.setdefault(name, []).append(value.half())
            kept.setdefault("action", []).append(told)
            kept.setdefault("skill", []).append(torch.full((len(told),), skill, device=device))
        if show:
            show("looking", done + 1, len(episodes))
    joined = {n: torch.cat(v) for n, v in kept.items()}
    return Shown.of({n: joined[n] for n in ("places", "codes", "felt")}, joined["action"], joined["skill"])


@dataclass(frozen=True)
class Instructed:
    """Episodes of a dataset that were asked for in words.

    Args:
        asked: skill -> sentences that ask for it, to learn from; where nobody wrote more of them, those recorded alone.
        episodes: ``(E,)``, their places in the cache. skills: ``(E,)``, number of each one's skill among `asked`.
        held_out: ``(E,)``, which are not learned from.
    """

    asked: Mapping[str, Sequence[str]]
    episodes: np.ndarray
    skills: np.ndarray
    held_out: np.ndarray

    @staticmethod
    def of(cache: Cache) -> Instructed:
        """Raises `DatasetError` when no episode has an instruction."""
        episodes = np.flatnonzero(instructions(cache))
        tasks = [cache.tasks[episode] for episode in episodes]
        world = WORLDS.get(str(cache.world))
        skill_of = {text: name for name, skill in (world.skills if world else {}).items() for text in skill.instructions}
        if world is None or world.name not in WRITTEN or not set(tasks) <= skill_of.keys():
            skill_of = {task: task for task in tasks}
            asked: dict[str, Sequence[str]] = {task: (task,) for task in sorted(set(tasks))}
        else:
            asked = {name: phrases.trained for name, phrases in paraphrases(world.name).items()}
        names = list(asked)
        skills = np.array([names.index(skill_of[task]) for task in tasks])
        return Instructed(asked, episodes, skills, is_validation(cache.episodes)[episodes])


def learn_director(
    model: StateModel, shown: Shown, held: Shown, heard: Heard, steps: int, seed: int = 0, show: Show | None = None
) -> tuple[Director, dict[str, float]]:
    """A director, and its error on episodes held out.

    Args:
        shown, held: to learn from, and to be judged by.
    """
    device, dtype = model.device, choose_dtype("auto", model.device)
    torch.manual_seed(seed)
    state = shown.state
    shape = HeadShape(
        state["places"].shape[1], state["codes"].shape[2], state["felt"].shape[1], model.spec.action_size
    )
    near = [int(f) + i for f, n in zip(heard.first, heard.count, strict=True) for i in range(min(NEARBY, int(n)))]
    director = Director(shape, heard.words, [heard.texts[i] for i in near], heard.skills).to(device)
    gists = np.stack([gist(heard.meaning[i, : heard.length[i]].numpy()) for i in near])
    director.gists.copy_(torch.from_numpy(gists))
    # Muon's products would take longer than these small matrices take to learn with Adam.
    optimiser, schedule, average = Optimiser(director, RATE, muon=False), Schedule(), PowerEma(director, AVERAGED)

    def losses(data: Shown, generator: torch.Generator, sentences: int, learning: bool) -> dict[str, Tensor]:
        # Fewer sentences than states: reading one takes as long as deciding.
        states, action, skill = data.some(sentences, EACH, generator)
        numbers = heard.some(skill, generator)
        said = director.hearing(
            heard.meaning[numbers], heard.length[numbers], heard.known[numbers], generator if learning else None
        )
        wrong = F.cross_entropy(director.naming(said), skill, label_smoothing=0.1)
        return {"commands": director_loss(director, states, said.repeat_interleave(EACH, dim=0), action), "naming": wrong}

    for step in range(steps):
        with autocast(device, dtype):
            found = losses(shown, seed_step(seed, step, device), SENTENCES, True)
            loss = found["commands"] + NAMING * found["naming"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(schedule(step / steps))
        average.update(step + 1)
        if show:
            show("learning", step + 1, steps)
    director.load_state_dict(director.state_dict() | average.state())
    director.eval()
    with torch.no_grad():
        errors = {n: float(v) for n, v in losses(held, seed_step(seed, 0, device), 512, False).items()}
    return director, errors
