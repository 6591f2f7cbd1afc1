"""Balanced questions about cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nextstate.errors import UnknownNameError
from nextstate.evaluation.questions.cases import Asker, Cases, Questions
from nextstate.evaluation.questions.occlude import about_occlude
from nextstate.evaluation.questions.push import about_push
from nextstate.evaluation.questions.spill import about_spill

ASKERS: Mapping[str, Callable[[], list[Asker]]] = {
    "push": about_push,
    "spill": about_spill,
    "occlude": about_occlude,
}
"""World -> what can be asked about it. Another world is a file like theirs, and a line here."""


def askers_of(world: str) -> Sequence[Asker]:
    """All exact questions of a world; raises `UnknownNameError` for one of which nothing can be asked."""
    if world not in ASKERS:
        raise UnknownNameError("world that can be asked about", world, ASKERS)
    return ASKERS[world]()


def make_questions(cases: Cases, rng: np.random.Generator, most: int = 200) -> Questions:
    """Balanced questions about cases.

    Args:
        most: of each exact question, yeses and noes together.

    Raises:
        UnknownNameError: for a world of which nothing can be asked.
    """
    askers = askers_of(cases.world.name)
    which, case, answer = [], [], []
    for number, asker in enumerate(askers):
        can, yes = asker.ask(cases)
        planned = asker.kind == "physics" and asker.planned
        chosen = _balanced(np.flatnonzero(can & yes), np.flatnonzero(can & ~yes), cases.group, planned, rng, most)
        which += [number] * len(chosen)
        case += chosen.tolist()
        answer += yes[chosen].tolist()
    return Questions(askers, np.array(which, int), np.array(case, int), np.array(answer, bool))


def _balanced(
    yes: np.ndarray, no: np.ndarray, group: np.ndarray, planned: bool, rng: np.random.Generator, most: int
) -> np.ndarray:
    yes, no = rng.permutation(yes), rng.permutation(no)
    # About an instant one question is enough, however many plans there are.
    yes, no = yes[np.unique(group[yes], return_index=True)[1]], no[np.unique(group[no], return_index=True)[1]]
    shared = np.intersect1d(group[yes], group[no])
    if planned and len(np.unique(group)) < len(group):
        yes, no = (side[np.searchsorted(group[side], shared)] for side in (yes, no))
        kept = rng.permutation(len(shared))[: most // 2]
        return np.concatenate([yes[kept], no[kept]])
    count = min(len(yes), len(no), most // 2)
    return np.concatenate([rng.permutation(yes)[:count], rng.permutation(no)[:count]])
