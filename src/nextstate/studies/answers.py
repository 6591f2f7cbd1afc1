"""Who answers how many questions rightly: rivals and a world model, whole and with one owner taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextstate.acting.lesions import blanked, without_language
from nextstate.evaluation.bootstrap import mean
from nextstate.evaluation.questions import Questions, probe
from nextstate.evaluation.readout import Readout
from nextstate.evaluation.suite import Suite
from nextstate.models.language import Vla, Vlm
from nextstate.models.protocol import Beliefs, History
from nextstate.models.world_model import StateModel
from nextstate.studies.language import Asked, acted, believed, imagined, majority, said


class Unmoved:
    """A world model whose dynamics are left out: whatever is done, all stays as it is."""

    def __init__(self, model: StateModel) -> None:
        self.model, self.spec = model, replace(model.spec, stochastic=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        """Beliefs ``(B, H, ...)``, all alike."""
        return belief.map(lambda tensor: tensor[:, None].expand(-1, actions.shape[1], *tensor.shape[1:]))


@dataclass(frozen=True)
class Panel:
    """Who is asked, and what.

    Args:
        model, readout: the world model. vlm, vla: rivals by name. instruction: that policies read meanwhile.
        learned: questions that probes learn from. held: about the suite.
    """

    model: StateModel
    readout: Readout
    vlms: Mapping[str, Vlm]
    vlas: Mapping[str, Vla]
    instruction: str
    suite: Suite
    learned: Asked
    held: Asked

    def ways(self) -> dict[str, Callable[[], Mapping[str, np.ndarray]]]:
        """Group of ways -> what finds their answers ``(M,)``: way -> probability of yes."""
        found: dict[str, Callable[[], Mapping[str, np.ndarray]]] = {
            "words alone": lambda: {"words alone": majority(self.learned.questions, self.held.questions)},
            "imagination": lambda: {"imagination": imagined(self.model, self.suite, self.readout, self.held)},
            "beliefs, probed": lambda: {"beliefs, probed": self._probed(lambda asked: believed(self.model, asked))},
        }
        for name, vlm in self.vlms.items():
            found[name] = lambda name=name, vlm=vlm: self._talker(name, vlm)  # type: ignore[misc]
        for name, vla in self.vlas.items():
            found[name] = lambda name=name, vla=vla: {  # type: ignore[misc]
                f"{name}, probed": self._probed(lambda asked: acted(vla, asked, self.instruction))
            }
        return found | self._lesions()

    def _lesions(self) -> dict[str, Callable[[], Mapping[str, np.ndarray]]]:
        blind = replace(self.held, history=_blank(self.held.history))
        found: dict[str, Callable[[], Mapping[str, np.ndarray]]] = {
            "imagination@dynamics": lambda: {
                "imagination@dynamics": imagined(Unmoved(self.model), self.suite, self.readout, self.held)  # type: ignore[arg-type]
            },
            "imagination@vision": lambda: {
                "imagination@vision": imagined(self.model, _blank_suite(self.suite), self.readout, self.held)
            },
            "beliefs, probed@dynamics": lambda: {
                "beliefs, probed@dynamics": self._probed(lambda asked: believed(self.model, asked, foresees=False))
            },
            "beliefs, probed@vision": lambda: {
                "beliefs, probed@vision": self._probed(lambda asked: believed(self.model, asked), blind)
            },
        }
        for name, vlm in self.vlms.items():
            found[f"{name}@vision"] = lambda name=name, vlm=vlm: {  # type: ignore[misc]
                f"{name}, in words@vision": said(vlm, blind)[1]
            }
            found[f"{name}@language"] = lambda name=name, vlm=vlm: self._speechless(name, vlm)  # type: ignore[misc]
        return found

    def _talker(self, name: str, vlm: Vlm) -> dict[str, np.ndarray]:
        states, words = said(vlm, self.held)
        before, _ = said(vlm, self.learned)
        return {
            f"{name}, in words": words,
            f"{name}, probed": probe(before, self.learned.questions, states, self.held.questions),
        }

    def _speechless(self, name: str, vlm: Vlm) -> dict[str, np.ndarray]:
        with without_language(vlm):
            return {f"{name}, in words@language": said(vlm, self.held)[1]}

    def _probed(self, features: Callable[[Asked], np.ndarray], held: Asked | None = None) -> np.ndarray:
        learned, asked = features(self.learned), features(held or self.held)
        return probe(learned, self.learned.questions, asked, self.held.questions)


def scored(questions: Questions, told: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Kind -> share of right answers by topic, and over ``all`` with a 95 % interval over snapshots.

    Args:
        told: ``(M,)`` probabilities of yes. groups: ``(M,)``, snapshot of each question.
    """
    found: dict[str, Any] = questions.accuracy(told)
    right = np.where(told == 0.5, 0.5, (told > 0.5) == questions.answer)
    for kind in found:
        inside = questions.of(kind)  # type: ignore[arg-type]
        numbers = np.unique(groups[inside])
        rows = [right[inside & (groups == number)] for number in numbers]
        longest = max(len(row) for row in rows)
        table = np.array([np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows])
        low, high = mean(np.nan_to_num(table), ~np.isnan(table)).interval()
        found[kind] = {k: round(v, 4) for k, v in found[kind].items()} | {"interval": [round(low, 4), round(high, 4)]}
    return found


def _blank(history: Callable[[np.ndarray, list[str], int], History]) -> Callable[[np.ndarray, list[str], int], History]:
    def blind(cases: np.ndarray, names: list[str], context: int) -> History:
        found = history(cases, names, context)
        states = blanked({n: v.numpy() for n, v in found.states.items()})
        return replace(found, states={n: torch.from_numpy(v) for n, v in states.items()})

    return blind


def _blank_suite(suite: Suite) -> Suite:
    start = "history."
    pictures = {n.removeprefix(start): a for n, a in suite.arrays.items() if n.startswith(start)}
    return replace(suite, arrays={**suite.arrays, **{f"{start}{n}": a for n, a in blanked(pictures).items()}})
