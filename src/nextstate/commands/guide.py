"""``nextstate guide``: learn, on what a model sees, how far it is to a goal and how to get there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextstate.models.heads import Head

LOOKING = 5
"""How guides that look at goals learn, counted up whenever that changes: one that learned otherwise learns anew."""


@dataclass(frozen=True)
class Config:
    """Learn heads from a dataset: small networks on what a model sees, kept beside it for `nextstate act`.

    guide: how many steps it takes from one state to another, and which commands come first. inverse: which commands
    lie between two states. joint: futures and commands drawn together. leap: where five commands in a row lead, for the
    way leaps of `nextstate act`. posture: what the body feels, read off pictures, for goals of the body. precedents:
    all that was recorded, as the model sees it, for the planner reminded; nothing is learned. Heads that were learned
    with the same settings are not learned again, so an interrupted command goes on with the next one.
    """

    model: Path
    """Folder of a model; its own weights stay as they are."""
    data: tuple[Path, ...]
    """LeRobot v3 datasets of one body, such as the one that the model was trained on."""
    heads: tuple[str, ...] = ("guide", "inverse", "joint")
    """Which heads to learn."""
    looks: bool = False
    """Whether a guide sees more of goals than where things are: where the body would hold each, if it has a skin and
    holds things, else what they look like, and the body's posture there. For arms that lift and carry."""
    members: int = 1
    """How many guides learn, in the same time, whose opinions are averaged."""
    init_from: str = ""
    """Folder of the same model, or the world of a shipped one, whose guide goes on learning; what matters to it stays,
    which a dataset of practice would not tell: whoever carries things about lets them rest seldom."""
    episodes: int = 0
    """Learn from the first so many training episodes; 0 for all."""
    minutes: float = 4.0
    """How long to learn each."""
    seed: int = 0
    """Of weights and batches."""
    out: Path | None = None
    """Folder for the heads, if not the model's."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate guide", args=argv)
    from nextstate.commands.progress import bar
    from nextstate.data.storage import write_json
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.models.folders import checksum, folder_of
    from nextstate.models.pretrained import WEIGHTS, from_pretrained
    from nextstate.planning import Guide
    from nextstate.policies.learning import HEADS, Recollection, learn
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads

    for name in config.heads:
        if name not in HEADS:
            raise UnknownNameError("head", name, HEADS)
    if not config.minutes > 0:
        raise SettingsError(f"--minutes {config.minutes}: it must be above 0.")
    if config.members < 1:
        raise SettingsError(f"--members {config.members}: at least one guide has to learn.")
    if config.members > 1 and Guide.name not in config.heads:
        raise SettingsError(f"--members {config.members} are guides; add guide to --heads, or leave --members out.")
    start = None
    if config.init_from:
        if Guide.name not in config.heads:
            raise SettingsError(f"--init-from {config.init_from} is a guide; add guide to --heads, or leave it out.")
        one, other = folder_of(config.init_from), folder_of(config.model)
        if checksum(one / WEIGHTS) != checksum(other / WEIGHTS):
            raise SettingsError(f"the guide of {one} looks with another model than {other}; learn one anew.")
        start = Guide.load(one)
    settle_threads()
    model, folder = from_pretrained(config.model), config.out or folder_of(config.model)
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {
        "data": str(config.data[0]) if len(config.data) == 1 else [str(path) for path in config.data],
        **({"looks": True, "learning": LOOKING} if config.looks else {}),
        "episodes": config.episodes,
        "minutes": config.minutes,
        "seed": config.seed,
        "weights": checksum(folder_of(config.model) / WEIGHTS),
    }

    def settings_of(name: str) -> dict[str, object]:
        if name != Guide.name:
            return settings
        several = {"members": config.members} if config.members > 1 else {}
        begun = {"begun": checksum(folder_of(config.init_from) / Guide.file())} if config.init_from else {}
        return {**settings, **several, **begun}

    missing = [name for name in config.heads if not learned_before(HEADS[name][0], folder, settings_of(name))]
    if not missing:
        print(f"all of {', '.join(config.heads)} were learned with these settings; they lie in {folder}")
        return 0
    with bar("looking", "frames") as progress:
        seen = Recollection.of(model, config.data, config.seed, progress, config.episodes, config.looks)
    for name in missing:
        with bar(f"learning {name}", "seconds") as progress:
            head, errors = learn(
                name, seen, 60 * config.minutes, config.seed, progress, config.looks, config.members, start
            )
        path = head.save(folder)
        told = {key: round(value, 5) for key, value in errors.items()}
        record = {**provenance(f"nextstate guide {shlex.join(argv)}"), "settings": settings_of(name), "errors": told}
        write_json(path.with_suffix(".json"), record)
        shown = ", ".join(f"{key} {value:g}" for key, value in told.items())
        print(f"{name}: on episodes held out {shown}; {path}")
    return 0


def learned_before(kind: type[Head], folder: Path, settings: Mapping[str, object]) -> bool:
    """Whether a head of this version is there that was learned with the same settings, however the dataset is named."""
    import json

    from nextstate.errors import CheckpointError

    try:
        kind.load(folder)
        record = json.loads((folder / kind.file()).with_suffix(".json").read_text(encoding="utf-8"))
        mine, before = (
            {name: _resolved(value) if name == "data" else value for name, value in told.items()}
            for told in (settings, record["settings"])
        )
        return mine == before
    except (CheckpointError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _resolved(data: object) -> list[Path]:
    return [Path(str(path)).resolve() for path in (data if isinstance(data, list) else [data])]
