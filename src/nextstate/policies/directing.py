"""Learning a director from instructed episodes, on what a frozen model sees of them and imagines of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nextstate.actions.text import gist, occurring, vocabulary
from nextstate.data import Cache
from nextstate.data.instructed import instructions
from nextstate.data.windows import is_validation
from nextstate.errors import DatasetError
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

SENTENCES, EACH = 32, 8
"""Instructions of a step, and states in which each is followed."""

RATE, AVERAGED = 1e-3, 0.1

BEGINNING = 40
"""Steps of an episode that are learned from: later what was asked for is done, and there is nothing more to decide."""

AHEAD, APART, STRAY, CHUNK = 24, 4, 0.8, 256
"""Steps that are imagined, steps between the frames that they begin at, the largest standard deviation of what disturbs
commands meanwhile, and futures imagined together."""

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

    @staticmethod
    def joined(parts: Sequence[Shown]) -> Shown:
        """All of several."""
        state = {n: torch.cat([part.state[n] for part in parts]) for n in parts[0].state}
        return Shown.of(state, torch.cat([p.action for p in parts]), torch.cat([p.skill for p in parts]))

    def some(self, sentences: int, each: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """States ``(sentences * each, ...)`` with their commands, `each` in a row of the same skill, and the skills
        ``(sentences,)``; a skill comes as often as it was shown."""
        skill = self.skill[torch.randint(len(self), (sentences,), generator=generator)]
        first, end = (torch.searchsorted(self.skill, skill, right=right) for right in (False, True))
        rows = _drawn(first.repeat_interleave(each), (end - first).repeat_interleave(each), generator)
        return {n: v[rows].float() for n, v in self.state.items()}, self.action[rows], skill


@dataclass(frozen=True)
class Seen:
    """E episodes as a model sees them: the state ``(E, T, ...)`` of each frame, and the command that followed."""

    state: Mapping[str, Tensor]
    action: Tensor

    @staticmethod
    def of(
        model: StateModel,
        cache: Cache,
        episodes: np.ndarray,
        show: Show | None = None,
        commands: np.ndarray | None = None,
    ) -> Seen:
        """Looks at the beginnings of some episodes.

        Args:
            commands: ``(T, A)`` of all frames, instead of those recorded.
        """
        recorded = cache.arrays["action"] if commands is None else commands
        device, dtype = model.device, choose_dtype("auto", model.device)
        length = min(BEGINNING, int(cache.lengths[episodes].min()) - 1)
        kept: dict[str, list[Tensor]] = {}
        for done, first in enumerate(cache.starts[episodes].tolist()):
            rows = slice(first, first + length)
            frames = to_tensors({n: np.array(cache.arrays[n][rows]) for n in model.spec.modalities}, device)
            with torch.no_grad(), autocast(device, dtype):
                seen = model.recall(frames)
            for name in model.state:
                kept.setdefault(name, []).append(seen[name].float())
            if show:
                show("looking", done + 1, len(episodes))
        actions = [np.array(recorded[first : first + length]) for first in cache.starts[episodes].tolist()]
        return Seen(
            {n: torch.stack(v) for n, v in kept.items()}, torch.from_numpy(np.stack(actions)).float().to(device)
        )

    def shown(self, model: StateModel, skills: np.ndarray, seed: int = 0, show: Show | None = None) -> Shown:
        """All these states, and those that the model imagines from some of them under commands that go astray and back.

        Who only ever sees what a good command led to learns to do again what it just did, and is lost where it errs. So
        commands are disturbed in imagination, and what is learned there is the recorded command and half of what was
        missed so far: a body is where the sum of its commands took it (noise injection as in Laskey et al. 2017,
        https://arxiv.org/abs/1703.09327).

        Args:
            skills: ``(E,)``.
        """
        count, length = self.action.shape[:2]
        skill = torch.from_numpy(skills).to(self.action.device)
        flat = {n: v.flatten(0, 1) for n, v in self.state.items()}
        parts = [(looked_at(model, flat), self.action.flatten(0, 1), skill.repeat_interleave(length))]
        generator = torch.Generator().manual_seed(seed)
        starts = range(0, length - APART, APART)
        for done, first in enumerate(starts):
            for begin in range(0, count, CHUNK):
                rows = torch.arange(begin, min(begin + CHUNK, count))
                state = {n: v[rows, first] for n, v in self.state.items()}
                parts += self._strayed(model, state, rows, first, skill[rows], generator)
            if show:
                show("imagining", done + 1, len(starts))
        states, commands, asked = zip(*parts, strict=True)
        joined = {n: torch.cat([state[n].half() for state in states]) for n in states[0]}
        return Shown.of(joined, torch.cat(commands), torch.cat(asked))

    def _strayed(
        self,
        model: StateModel,
        state: dict[str, Tensor],
        rows: Tensor,
        first: int,
        skill: Tensor,
        generator: torch.Generator,
    ) -> list[tuple[dict[str, Tensor], Tensor, Tensor]]:
        memory, found = model.blank(len(rows)), []
        behind = torch.zeros_like(self.action[rows, 0])
        # Some are hardly disturbed, some much; a disturbance lasts for a few steps.
        size = STRAY * torch.rand(len(rows), 1, generator=generator)
        push = torch.zeros_like(behind)
        for step in range(first, min(first + AHEAD, self.action.shape[1])):
            right = (self.action[rows, step] + behind / 2).clamp(-1, 1)
            if step > first:
                found.append((looked_at(model, state), right, skill))
            anew = torch.rand(len(rows), 1, generator=generator) < 0.4
            push = torch.where(anew, size * torch.randn(push.shape, generator=generator), push)
            done = (right + push.to(right.device)).clamp(-1, 1)
            behind = behind + self.action[rows, step] - done
            with torch.no_grad(), model.precision(len(rows)):
                state, memory = model.dynamics(state, memory, done)
        return found


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
    def of(cache: Cache, silent: str = "", recorded: bool = False) -> Instructed:
        """
        Args:
            silent: episodes whose instructions hold these words are left out.
            recorded: whether the sentences that were recorded are all that is learned from, or others of the same
                meaning too.

        Raises:
            DatasetError: when hardly any episode has an instruction.
        """
        episodes = np.flatnonzero(instructions(cache, silent))
        tasks = [cache.tasks[episode] for episode in episodes]
        world = WORLDS.get(str(cache.world))
        skill_of = {
            text: name for name, skill in (world.skills if world else {}).items() for text in skill.instructions
        }
        if world is None or world.name not in WRITTEN or not set(tasks) <= skill_of.keys():
            skill_of = {task: task for task in tasks}
            asked: dict[str, Sequence[str]] = {task: (task,) for task in sorted(set(tasks))}
        else:
            wordings = paraphrases(world.name).items()
            asked = {n: world.skills[n].instructions if recorded else phrases.trained for n, phrases in wordings}
        names = list(asked)
        skills = np.array([names.index(skill_of[task]) for task in tasks])
        held_out = is_validation(cache.episodes)[episodes]
        if held_out.all() or not held_out.any():
            held_out = np.arange(len(episodes)) == len(episodes) - 1
        if held_out.all():
            raise DatasetError("only one episode has an instruction, and none is left to learn from; record more.")
        return Instructed(asked, episodes, skills, held_out)

    def only(self, kept: np.ndarray) -> Instructed:
        """The episodes for which `kept` ``(E,)`` holds."""
        return replace(self, episodes=self.episodes[kept], skills=self.skills[kept], held_out=self.held_out[kept])


def learn_director(
    model: StateModel,
    shown: Shown,
    held: Shown,
    heard: Heard,
    steps: int,
    seed: int = 0,
    show: Show | None = None,
    kind: type[Director] = Director,
    seconds: float = 0.0,
) -> tuple[Director, dict[str, float]]:
    """A director, and its error on episodes held out.

    Args:
        shown, held: to learn from, and to be judged by. kind: which of them it is.
        seconds: how long it learns instead of so many steps, if not 0.
    """
    device, dtype = model.device, choose_dtype("auto", model.device)
    torch.manual_seed(seed)
    state = shown.state
    shape = HeadShape(state["places"].shape[1], state["codes"].shape[2], state["felt"].shape[1], model.spec.action_size)
    near = [int(f) + i for f, n in zip(heard.first, heard.count, strict=True) for i in range(min(NEARBY, int(n)))]
    director = kind(shape, heard.words, [heard.texts[i] for i in near], heard.skills).to(device)
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
        return {
            "commands": director_loss(director, states, said.repeat_interleave(EACH, dim=0), action),
            "naming": wrong,
        }

    began = time.monotonic()
    for step in count():
        passed = (time.monotonic() - began) / seconds if seconds else step / steps
        if passed >= 1:
            break
        with autocast(device, dtype):
            found = losses(shown, seed_step(seed, step, device), SENTENCES, True)
            loss = found["commands"] + NAMING * found["naming"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(schedule(passed))
        average.update(step + 1)
        if show:
            show("learning", round(passed * (seconds or steps)), round(seconds or steps))
    director.load_state_dict(director.state_dict() | average.state())
    director.eval()
    with torch.no_grad():
        errors = {n: float(v) for n, v in losses(held, seed_step(seed, 0, device), 512, False).items()}
    return director, errors
