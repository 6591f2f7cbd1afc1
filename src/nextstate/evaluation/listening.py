"""Does the model listen to actions?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nextstate.evaluation.bootstrap import Ratio
from nextstate.evaluation.suite import Suite
from nextstate.models.protocol import WorldModel

NUDGE = 0.5
"""By how much one command is changed, out of a range of 2."""
HEARD = 1e-4
"""Change of the next state, in standard deviations, from which on a command counts as heard."""
PSNR_STEP = 4


def shuffle_gap(imagined: np.ndarray, true: np.ndarray) -> Ratio:
    """``1 - E(a) / E(shuffled a)`` of scaled outcomes ``(N, K, D)``.

    E is the squared error under the actions of the branch, and under those of the other branches of its snapshot.
    1 listens perfectly, 0 is deaf, below 0 does the opposite.
    """
    error = ((imagined[:, :, None] - true[:, None]) ** 2).sum(axis=-1)
    own = np.trace(error, axis1=1, axis2=2)
    others = (error.sum(axis=(1, 2)) - own) / (true.shape[1] - 1)
    return Ratio(others - own, others)


def last_action_gradient(model: WorldModel, suite: Suite, snapshots: int = 4) -> tuple[float, float]:
    """How much each command of a sequence changes the very next imagined state.

    Returns:
        root mean square change of the last state, in standard deviations, per unit of the last command; and the share
        of all commands in the sequence, the last included, that change the state after them.
    """
    rows = range(min(snapshots, len(suite)))
    actions = torch.from_numpy(suite.actions[rows, 0].copy())
    horizon = actions.shape[1]
    names = list(model.spec.modalities)
    spread = {n: max(float(suite.arrays[f"history.{n}"].astype(np.float32).std()), 1e-6) for n in names}

    def foresee(commands: Tensor) -> dict[str, Tensor]:
        return dict(model.decode(model.imagine(belief, commands), names))

    with torch.inference_mode():
        belief = model.observe(suite.history(rows, names, model.spec.context))
        reference = foresee(actions)
        changes = []
        for step in range(horizon):
            nudged = actions.clone()
            # Towards the middle of the range, so that the change is never clipped away.
            nudged[:, step] -= NUDGE * torch.where(actions[:, step] >= 0, 1.0, -1.0)
            after = model.imagine(belief, nudged[:, : step + 1]).steps([step])
            found = model.decode(after, names)
            squares = [
                ((found[n][:, 0].float() - reference[n][:, step].float()) / spread[n]).flatten(1).square().mean(dim=1)
                for n in names
            ]
            changes.append(torch.stack(squares).mean(dim=0).sqrt() / NUDGE)
    change = torch.stack(changes)
    return float(change[-1].mean()), float((change > HEARD).float().mean())


def delta_psnr(model: WorldModel, suite: Suite, seed: int = 0) -> float:
    """Decibels by which pictures four steps ahead are better under the true actions than under random ones.

    NaN when the model does not foresee rgb, or the suite keeps no pictures so far ahead.
    """
    if "rgb" not in model.spec.modalities or not suite.pictured or suite.recipe.horizon < PSNR_STEP:
        return float("nan")
    rows, alternatives = range(suite.pictured), suite.recipe.alternatives
    true = torch.from_numpy(suite.truth("rgb")[:, :, PSNR_STEP - 1].copy()).flatten(0, 1)
    right = torch.from_numpy(suite.actions[: suite.pictured, :, :PSNR_STEP].copy()).flatten(0, 1)
    random = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, right.shape).astype(np.float32))
    with torch.inference_mode():
        history = suite.history(rows, model.spec.modalities, model.spec.context)
        belief = model.observe(history).repeat(alternatives)
        quality = []
        for actions in (right, random):
            imagined = model.decode(model.imagine(belief, actions).steps([PSNR_STEP - 1]), ["rgb"])["rgb"][:, 0]
            error = ((imagined.float().cpu() - true.float()) / 255).square().flatten(1).mean(dim=1)
            quality.append(-10 * error.clamp_min(1e-6).log10())
    return float((quality[0] - quality[1]).mean())
