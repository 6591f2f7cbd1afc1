"""Acting on an instruction: the language-first rival, and plain behaviour cloning."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from nextstate.errors import StateError
from nextstate.models.language import Cloner, Vla
from nextstate.worlds import Snapshot

SPREAD = 0.0
"""Of the noise that commands come from: what is drawn at random misses more often."""


class Following:
    """Looks, draws a chunk of commands, and does the beginning of it.

    Args:
        every: commands done of each chunk. seed: of what is drawn.

    Raises:
        InstructionError: for an instruction that is empty, too long, or in another script.
    """

    def __init__(self, model: Vla | Cloner, instruction: str, every: int = 2, seed: int = 0) -> None:
        self.model, self.every, self.seed = model, min(every, model.options.chunk), seed
        self.words = torch.from_numpy(model.instruction(instruction))[None]
        self.reset()

    def reset(self) -> None:
        self._left: list[np.ndarray] = []
        self._generator = torch.Generator().manual_seed(self.seed)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(self.model.spec.modalities)

    @property
    def due(self) -> bool:
        """Whether the next command takes a look."""
        return not self._left

    @torch.no_grad()
    def select_action(self, observation: Mapping[str, np.ndarray], snapshot: Snapshot | None = None) -> np.ndarray:
        if self.due:
            lacking = [name for name in self.model.spec.modalities if name not in observation]
            if lacking:
                raise StateError(f"the observation lacks {', '.join(lacking)}; it holds {', '.join(observation)}.")
            device = next(self.model.parameters()).device
            states = {
                n: torch.from_numpy(np.array(observation[n]))[None].to(device) for n in self.model.spec.modalities
            }
            with self.model.precision():
                commands = self.model.draw({**states, "words": self.words.to(device)}, self._generator, SPREAD)
            self._left = list(commands[0, : self.every].float().cpu().numpy())
        return self._left.pop(0)
