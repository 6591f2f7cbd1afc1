"""stable-worldmodel's LeWM on what nextstate recorded: trained for a given time, then let loose on the same tasks.

Runs in an environment that holds both packages. The model (https://arxiv.org/abs/2603.19312), its regulariser and its
planner are the package's own; sizes and settings are those of its training script, but for pictures of 64 pixels with
patches of 8, and for batches of 32 windows at a higher rate, which in a short time take it further.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from safetensors.torch import load_file, save_file

BLOCK, HISTORY = 5, 3
"""Commands of one step of the model, and frames that it predicts from."""

BATCH, RATE, DECAY, WEIGHT = 32, 3e-4, 1e-3, 0.09
"""Windows, peak rate, weight decay, and weight of the regulariser."""

WIDTH = 192
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@contextmanager
def without_missing_operators() -> Iterator[None]:
    """Lets torchvision be imported though its compiled operators, which nothing here uses, do not load."""
    register = torch.library.register_fake

    def lenient(name: Any, *rest: Any, **options: Any) -> Any:
        if str(name).startswith("torchvision::"):
            return lambda function: function
        return register(name, *rest, **options)

    torch.library.register_fake = lenient
    try:
        yield
    finally:
        torch.library.register_fake = register


def fresh(action_size: int, size: int) -> Any:
    """An untrained LeWM."""
    with without_missing_operators():
        from stable_worldmodel.wm.lewm import LeWM, module
        from transformers import ViTConfig, ViTModel
    eye = ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=12,
        num_attention_heads=3,
        intermediate_size=4 * WIDTH,
        image_size=size,
        patch_size=8,
    )

    def head() -> Any:
        return module.MLP(WIDTH, 2048, WIDTH, norm_fn=torch.nn.BatchNorm1d)

    predictor = module.Predictor(
        num_frames=HISTORY,
        depth=6,
        heads=16,
        dim_head=64,
        mlp_dim=2048,
        input_dim=WIDTH,
        hidden_dim=WIDTH,
        dropout=0.1,
    )
    embedder = module.Embedder(BLOCK * action_size, emb_dim=WIDTH)
    return LeWM(ViTModel(eye, add_pooling_layer=False), predictor, embedder, head(), head())


def pictures(rgb: np.ndarray) -> torch.Tensor:
    """``(..., h, w, 3)`` uint8 to what it sees, ``(..., 3, h, w)``."""
    values = torch.from_numpy(np.ascontiguousarray(rgb)).movedim(-1, -3).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def precision() -> contextlib.AbstractContextManager[object]:
    """The fastest that this machine has: where bfloat16 is emulated, it is slower than float32."""
    from nextstate.training.precision import autocast, choose_dtype

    device = torch.device("cpu")
    return autocast(device, choose_dtype("auto", device))


def train(data: Path, out: Path, minutes: float, seed: int = 0, show: Callable[[int, int], None] | None = None) -> dict:
    """Trains for `minutes` by the clock and keeps the weights at `out`.

    Returns:
        steps, frames seen, and the losses at the end.
    """
    with without_missing_operators():
        from stable_worldmodel.wm.loss import SIGReg
    from nextstate.data import Windows, open_cache

    torch.manual_seed(seed)
    cache = open_cache(data)
    windows = Windows(cache, BLOCK * (HISTORY + 1) + 1, "train", seed, ["rgb"])
    commands = np.asarray(cache.arrays["action"])
    mean, std = commands.mean(axis=0), commands.std(axis=0) + 1e-6
    size = cache.state_spec["rgb"].shape[0]
    model, regulariser = fresh(cache.action_size, size), SIGReg()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    began, step, losses = time.monotonic(), 0, (math.nan, math.nan)
    while (done := (time.monotonic() - began) / (60 * minutes)) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(done / 0.01, 1.0) * 0.5 * (1 + math.cos(math.pi * done))
        batch = windows.batch(step, BATCH)
        frames = pictures(batch["rgb"][:, : BLOCK * (HISTORY + 1) : BLOCK])
        actions = (batch["action"] - mean) / std
        blocks = torch.from_numpy(actions.reshape(BATCH, HISTORY + 1, -1).astype(np.float32))
        with precision():
            seen = model.encode({"pixels": frames, "action": blocks})
            foreseen = model.predict(seen["emb"][:, :HISTORY], seen["act_emb"][:, :HISTORY])
            missed = (foreseen - seen["emb"][:, 1:]).pow(2).mean()
            spread = regulariser(seen["emb"].transpose(0, 1).float())
        optimiser.zero_grad(set_to_none=True)
        (missed + WEIGHT * spread).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step, losses = step + 1, (float(missed.detach()), float(spread.detach()))
        if show:
            show(int(time.monotonic() - began), int(60 * minutes))
    scale = {"action_mean": torch.from_numpy(mean.copy()), "action_std": torch.from_numpy(std.copy())}
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file({**weights, **{name: value.float() for name, value in scale.items()}}, out)
    return {"steps": step, "frames": step * BATCH * (HISTORY + 1), "prediction": losses[0], "spread": losses[1]}


@dataclass
class Trained:
    """A model with the scale of its commands."""

    model: Any
    mean: np.ndarray
    std: np.ndarray
    action_size: int

    @staticmethod
    def load(path: Path, action_size: int, size: int) -> Trained:
        weights = load_file(path)
        mean, std = (weights.pop(f"action_{name}").numpy() for name in ("mean", "std"))
        model = fresh(action_size, size)
        model.load_state_dict(weights)
        return Trained(model.eval().requires_grad_(False), mean, std, action_size)


class Planner:
    """An actor that plans with the package's CEM towards a picture, as its evaluation does.

    Args:
        goal: ``(h, w, 3)`` uint8. samples, rounds: of CEM. blocks: planned ahead. keep: blocks done of each plan.
    """

    def __init__(
        self,
        trained: Trained,
        goal: np.ndarray,
        samples: int = 300,
        rounds: int = 30,
        blocks: int = 5,
        keep: int = 5,
        seed: int = 0,
    ) -> None:
        with without_missing_operators():
            from stable_worldmodel import PlanConfig
            from stable_worldmodel.solver import CEMSolver
        self.trained, self.goal, self.keep = trained, goal, keep
        elites = max(samples // 10, 2)
        self.solver = CEMSolver(trained.model, num_samples=samples, n_steps=rounds, topk=elites, seed=seed)
        space = gymnasium.spaces.Box(-1.0, 1.0, (1, trained.action_size), np.float32)
        config = PlanConfig(horizon=blocks, receding_horizon=keep, action_block=BLOCK)
        self.solver.configure(action_space=space, n_envs=1, config=config)
        self.reset()

    def reset(self) -> None:
        self._left: deque[np.ndarray] = deque()
        self._rest: torch.Tensor | None = None

    @property
    def due(self) -> bool:
        """Whether the next command will be planned first."""
        return not self._left

    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: object = None) -> np.ndarray:
        if self.due:
            plan = self.decide(observation["rgb"])
            kept, self._rest = plan[:, : self.keep], plan[:, self.keep :]
            commands = kept.reshape(-1, self.trained.action_size).numpy() * self.trained.std + self.trained.mean
            self._left.extend(np.clip(commands, -1, 1).astype(np.float32))
        return self._left.popleft()

    def decide(self, rgb: np.ndarray) -> torch.Tensor:
        """A plan ``(1, blocks, BLOCK * A)`` in the scale of the model."""
        info = {"pixels": pictures(rgb)[None, None], "goal": pictures(self.goal)[None, None]}
        info["action"] = torch.zeros(1, 1, BLOCK * self.trained.action_size)
        start = self._rest if self._rest is not None and self._rest.shape[1] else None
        with contextlib.redirect_stdout(io.StringIO()), precision():
            return self.solver.solve(info, start)["actions"].float()  # type: ignore[no-any-return]
