"""``nextstate direct``: learn to act out instructions in imagination, so that words are actions of a model too."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextstate.data import Cache
    from nextstate.policies.directing import Instructed


@dataclass(frozen=True)
class Config:
    """Learn a director from the instructed episodes of a dataset: a small network, kept beside the model, that says in
    each imagined step what the body does about an instruction. For `nextstate imagine --say` and `nextstate say`.

    Learned with the same settings before, it is not learned again.
    """

    model: Path
    """Folder of a model, or the world of a shipped one; its own weights stay as they are."""
    data: tuple[Path, ...]
    """LeRobot v3 datasets of one world in which some episodes are asked for in words (`nextstate record
    --skill-fraction`)."""
    steps: int = 3000
    """Steps of learning."""
    seed: int = 0
    """Of weights and batches."""
    fulfilled: bool = False
    """Learn only from episodes in which what was asked for happened."""
    out: Path | None = None
    """Folder for the director, if not the model's."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate direct", args=argv)
    from nextstate.acting.heads import one_after_another
    from nextstate.commands.guide import learned_before
    from nextstate.commands.progress import bar
    from nextstate.data import open_cache
    from nextstate.data.storage import write_json
    from nextstate.errors import SettingsError
    from nextstate.imagination.saying import outlined
    from nextstate.models.director import Director
    from nextstate.models.folders import checksum, folder_of
    from nextstate.models.pretrained import WEIGHTS, from_pretrained
    from nextstate.policies.directing import Heard, Instructed, Seen, Shown, learn_director
    from nextstate.provenance import provenance
    from nextstate.training.precision import settle_threads

    if config.steps < 1:
        raise SettingsError(f"--steps {config.steps}: it must be at least 1.")
    settle_threads()
    model, folder = outlined(from_pretrained(config.model)), config.out or folder_of(config.model)
    folder.mkdir(parents=True, exist_ok=True)
    caches = [open_cache(data) for data in config.data]
    settings = {
        "data": [cache.fingerprint for cache in caches],
        "steps": config.steps,
        "seed": config.seed,
        **({"fulfilled": True} if config.fulfilled else {}),
        "weights": checksum(folder_of(config.model) / WEIGHTS),
    }
    if learned_before(Director, folder, settings):
        print(f"a director was learned with these settings; it lies in {folder}")
        return 0
    found = [
        only_fulfilled(data, cache) if config.fulfilled else Instructed.of(cache)
        for data, cache in zip(config.data, caches, strict=True)
    ]
    if any(part.asked.keys() != found[0].asked.keys() for part in found):
        raise SettingsError("--data names datasets with other skills than the first one has; give those of one world.")
    with one_after_another(bar) as show:
        heard = Heard.of(found[0].asked, show)
        sides: list[list[Shown]] = [[], []]
        for cache, part in zip(caches, found, strict=True):
            for side, rows in zip(sides, (~part.held_out, part.held_out), strict=True):
                seen = Seen.of(model, cache, part.episodes[rows], show)
                side.append(seen.shown(model, part.skills[rows], config.seed, show))
        learned, held = (Shown.joined(side) for side in sides)
        director, errors = learn_director(model, learned, held, heard, config.steps, config.seed, show)
    path = director.save(folder)
    told = {key: round(value, 4) for key, value in errors.items()}
    counts = {
        "episodes": sum(int((~part.held_out).sum()) for part in found),
        "skills": len(heard.skills),
        "sentences": len(heard.texts),
    }
    record = {**provenance(f"nextstate direct {shlex.join(argv)}"), "settings": settings, **counts, "errors": told}
    write_json(path.with_suffix(".json"), record)
    shown = ", ".join(f"{key} {value:g}" for key, value in told.items())
    print(f"director: on episodes held out {shown}; {path}")
    return 0


def only_fulfilled(data: Path, cache: Cache) -> Instructed:
    """The instructed episodes, without those to learn from in which what was asked for did not happen.

    All of them where it happened in none that is learned from.
    """
    from nextstate.evaluation.named import fulfilled
    from nextstate.policies.directing import BEGINNING, Instructed

    found = Instructed.of(cache)
    names = list(found.asked)
    did = fulfilled(cache, data, found.episodes, [names[number] for number in found.skills], BEGINNING)
    learned = ~found.held_out
    if not did[learned].any():
        return found
    failed = int((~did[learned]).sum())
    if failed:
        print(f"{data}: in {failed:,} of {learned.sum():,} episodes what was asked for did not happen; left out.")
    return found.only(did | found.held_out)
