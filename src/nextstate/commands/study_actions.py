"""``nextstate study actions``: whether what a model infers from silent episodes are the commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Config:
    """Linear R² of inferred actions to true commands.

    A model that learned from silent episodes infers what was done between two instants. Of a recording whose commands
    are known, a linear map from the one to the other is fitted on training episodes and judged on held-out ones.
    """

    model: str
    """Folder of a model that was pretrained with --silent-by, or with --silent."""
    data: Path
    """LeRobot v3 dataset with commands, of the world of the model."""
    windows: int = 512
    """Windows of 16 states, of training episodes and of held-out ones."""
    seed: int = 0
    """Of the windows."""
    out: Path | None = None
    """JSON file of the results."""


def run(argv: list[str]) -> int:
    config = tyro.cli(Config, prog="nextstate study actions", args=argv)

    from nextstate.commands.progress import bar
    from nextstate.data import open_cache
    from nextstate.data.storage import write_json
    from nextstate.errors import SettingsError
    from nextstate.models.pretrained import from_pretrained
    from nextstate.models.world_model import StateModel
    from nextstate.provenance import provenance
    from nextstate.studies.latent_actions import action_r2
    from nextstate.training.precision import settle_threads

    if config.windows < 2:
        raise SettingsError(f"--windows {config.windows}: at least 2 are needed.")
    settle_threads()
    model = from_pretrained(config.model)
    if not isinstance(model, StateModel):
        raise SettingsError(f"{config.model} is no world model that infers actions.")
    cache = open_cache(config.data)
    with bar("inferring", "windows") as progress:
        found = action_r2(model, cache, config.windows, config.seed, progress)
    each = ", ".join(f"{value:.3f}" for value in found.each)
    print(
        f"R² {found.r2:.3f} (95 %: {found.interval[0]:.3f} to {found.interval[1]:.3f}) of {found.length} inferred "
        f"numbers ({found.way}) to commands on {found.steps} held-out steps; each command: {each}"
    )
    if config.out is not None:
        command = f"nextstate study actions {shlex.join(argv)}"
        write_json(config.out, {"summary": found.to_dict(), "model": config.model, **provenance(command)})
        print(config.out)
    return 0
