"""What representations know: linear probes, one for each exact question."""

from __future__ import annotations

import numpy as np

from nextstate.evaluation.questions.cases import Questions


def probe(
    features: np.ndarray, questions: Questions, asked_of: np.ndarray, asked: Questions, ridge: float = 1.0
) -> np.ndarray:
    """Linear probe, one for each exact question: learned from `questions`, and its answers to `asked`, ``(M,)``.

    Ridge regression on standardised features; its penalty is `ridge` for each question learned from.

    Args:
        features: ``(M', F)`` of each question to learn from. asked_of: ``(M, F)`` of each that is asked.

    Returns:
        scores, above one half for yes; one half where nothing could be learned.
    """
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
    known, new = (features - mean) / std, (asked_of - mean) / std
    told = np.full(len(asked), 0.5)
    numbers = {asker.text: number for number, asker in enumerate(questions.askers)}
    for number in np.unique(asked.which):
        mine = questions.which == numbers.get(asked.askers[number].text, -1)
        if mine.sum() < 4:
            continue
        x, y = known[mine], 2.0 * questions.answer[mine] - 1.0
        # In the dual: there are more features than questions.
        weights = np.linalg.solve(x @ x.T + ridge * len(x) * np.eye(len(x)), y - y.mean())
        rows = asked.which == number
        told[rows] = 0.5 + 0.5 * (new[rows] @ x.T @ weights + y.mean())
    return told
