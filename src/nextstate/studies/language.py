"""Knowledge against physics: the same questions, answered by words, by linear probes, and by imagining."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from nextstate.data import Cache
from nextstate.evaluation.prediction import predict
from nextstate.evaluation.questions import Cases, Questions
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.suite import Suite
from nextstate.models.language import Vla, Vlm
from nextstate.models.protocol import Beliefs, History
from nextstate.models.world_model import StateModel

CHUNK = 64

HistoryOf = Callable[[np.ndarray, list[str], int], History]
"""What was sensed and done before cases ``(n,)``, of these modalities, over at most so many states."""


@dataclass(frozen=True)
class Asked:
    """Questions, the cases that they are about, and what was sensed at these."""

    cases: Cases
    questions: Questions
    history: HistoryOf


def of_suite(suite: Suite) -> HistoryOf:
    """Histories of the cases of a suite, branch by branch."""
    branches = suite.actions.shape[1]
    return lambda cases, names, context: suite.history((cases // branches).tolist(), names, context)


def of_recording(cache: Cache, rows: np.ndarray) -> HistoryOf:
    """Histories of frames of a dataset, each at least as late in its episode as histories are long."""

    def history(cases: np.ndarray, names: list[str], context: int) -> History:
        before = rows[cases, None] + np.arange(-context + 1, 1)
        states = {n: torch.from_numpy(np.asarray(cache.arrays[n][before])) for n in names}
        states = {n: v.float() if v.dtype == torch.float16 else v for n, v in states.items()}
        return History(states, torch.from_numpy(np.asarray(cache.arrays["action"][before[:, :-1]])))

    return history


@torch.no_grad()
def believed(model: StateModel, asked: Asked, foresees: bool = True) -> np.ndarray:
    """What a world model believes now, and at the end of the plan as it imagines it: ``(M, F)``, one row a question.

    Args:
        foresees: whether its dynamics are used; else the plan itself stands where the end would.
    """
    cases, places = np.unique(asked.questions.case, return_inverse=True)
    found = []
    for chunk in _chunks(cases):
        belief = model.observe(asked.history(chunk, list(model.spec.modalities), model.spec.context))
        now = model.embed(belief.map(lambda tensor: tensor[:, None]))[:, 0]
        if not foresees:
            plan = torch.from_numpy(asked.cases.plan[chunk]).float().flatten(1).to(now.device)
            found.append(torch.cat([now, plan], dim=1).float().cpu().numpy())
            continue
        ahead = model.imagine(belief, torch.from_numpy(asked.cases.plan[chunk]))
        last: Beliefs = ahead.map(lambda tensor: tensor[:, -1:])
        found.append(torch.cat([now, model.embed(last)[:, 0]], dim=1).float().cpu().numpy())
    return np.asarray(np.concatenate(found)[places])


@torch.no_grad()
def said(model: Vlm, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """What the rival makes of each question ``(M, W)``, and its probability of yes ``(M,)``."""
    words = {text: model.instruction(text) for text in set(asked.questions.texts)}
    told = torch.from_numpy(np.stack([words[text] for text in asked.questions.texts]))
    states, answers = [], []
    for chunk in _chunks(np.arange(len(asked.questions))):
        cases = asked.questions.case[chunk]
        seen = asked.history(cases, list(model.spec.modalities), 1).states
        plan = torch.from_numpy(asked.cases.plan[cases]).float()
        batch = {**{n: v[:, -1] for n, v in seen.items()}, "plan": plan, "words": told[chunk]}
        with model.precision():
            states.append(model.states(batch).float().cpu().numpy())
            answers.append(model.yes(batch).float().cpu().numpy())
    return np.concatenate(states), np.concatenate(answers)


def imagined(model: StateModel, suite: Suite, readout: Readout, asked: Asked) -> np.ndarray:
    """Answers ``(M,)`` of whoever rolls a model out and reads off what comes of it; how it is now is read off too."""
    found = predict(model, suite, readout, samples=0)
    now = {n: torch.from_numpy(np.asarray(suite.arrays[f"history.{n}"][:, -1], np.float32)) for n in readout.spec}
    branches = suite.actions.shape[1]
    before = np.repeat(readout(now).outcomes, branches, axis=0)
    outcomes = found.outcomes.reshape(-1, *found.outcomes.shape[2:])
    events = found.events.reshape(-1, *found.events.shape[2:]) > 0.5
    return asked.questions.answered_in(asked.cases.imagined(outcomes, events, before)).astype(float)


def acted(model: Vla, asked: Asked, instruction: str) -> np.ndarray:
    """What the rival's policy makes of each question's picture and body, beside the plan as it is: ``(M, F)``.

    It reads some instruction, the same throughout.
    """
    cases, places = np.unique(asked.questions.case, return_inverse=True)
    words = torch.from_numpy(model.instruction(instruction))
    found = []
    with torch.no_grad():
        for chunk in _chunks(cases):
            seen = asked.history(chunk, list(model.spec.modalities), 1).states
            batch = {**{n: v[:, -1] for n, v in seen.items()}, "words": words.expand(len(chunk), -1)}
            with model.precision():
                memory, _ = model.memory(batch)
            plan = torch.from_numpy(asked.cases.plan[chunk]).float().flatten(1)
            seen_tokens = memory[:, -model.shown :].float()
            found.append(torch.cat([seen_tokens.flatten(1), plan], dim=1).cpu().numpy())
    return np.asarray(np.concatenate(found)[places])


def majority(learned: Questions, held: Questions) -> np.ndarray:
    """Whoever neither looks nor considers the plan: the more frequent answer to each exact question."""
    rates = {text: [] for text in held.texts}  # type: dict[str, list[bool]]
    for text, answer in zip(learned.texts, learned.answer, strict=True):
        rates.setdefault(text, []).append(bool(answer))
    return np.array([np.mean(rates[text]) if rates[text] else 0.5 for text in held.texts])


def _chunks(numbers: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(numbers), CHUNK):
        yield numbers[start : start + CHUNK]
