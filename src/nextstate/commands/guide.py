"""``nextstate guide``: learn, on what a model sees, how far it is to a goal and what to do first."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    """Learn from a dataset how many steps it takes from one state to another, and which commands come first.

    The guide is put into the model's folder as guide.safetensors; `nextstate act` plans by it and acts by it.
    """

    model: Path
    """Folder of a model; the guide reads its beliefs, which stay as they are."""
    data: Path
    """LeRobot v3 dataset, such as the one that the model was trained on."""
    minutes: float = 4.0
    """How long to learn."""
    seed: int = 0
    """Of weights and batches."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate guide", args=argv)
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.errors import SettingsError
    from nextstate.models.pretrained import from_pretrained
    from nextstate.policies.guiding import learn_guide
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads

    if not config.minutes > 0:
        raise SettingsError(f"--minutes {config.minutes}: it must be above 0.")
    settle_threads()
    model = from_pretrained(config.model)
    with bar("learning", "seconds") as progress:
        guide, errors = learn_guide(model, config.data, 60 * config.minutes, config.seed, progress)
    path = guide.save(config.model)
    told = {name: round(value, 5) for name, value in errors.items()}
    write_json(path.with_suffix(".json"), {**provenance(f"nextstate guide {shlex.join(argv)}"), "errors": told})
    print(f"held-out error of commands {told['commands']:.3f} (standing still {told['commands_of_none']:.3f}); {path}")
    return 0
