"""``nextstate record``: episodes of a world into a LeRobot v3 dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nextstate.errors import SettingsError


@dataclass(frozen=True)
class Config:
    """Record episodes of a world.

    Run it again with the same options to go on after an interruption, or with more episodes to append.
    """

    world: str
    """Which world; `nextstate worlds` lists them."""
    out: Path
    """Folder of the dataset, new or recorded with the same options before."""
    episodes: int = 300
    """Episodes that the dataset holds in the end."""
    size: int = 64
    """Height and width of pictures in pixels."""
    modalities: tuple[str, ...] = ()
    """What is sensed and stored; by default all that the world senses."""
    seed: int = 0
    """Seed of episode 0; episode i has seed + i."""
    skill_fraction: float = 0.25
    """Share of episodes that follow a scripted skill with an instruction; the others explore."""
    digressions: float = 0.1
    """Chance, at each step of an exploring episode, that something else is done for a while; 0 for never."""
    exploring: Literal["smooth", "random"] = "smooth"
    """How exploring episodes act: as the world suggests, or by commands drawn anew at every step."""
    practise: str = ""
    """Folder of a model with a guide, or the world of a shipped one: exploring episodes act out its plans, without
    digressions, so that it can learn where these go wrong."""
    practise_by: Literal["planner", "cloned", "coached"] = "planner"
    """How: by plans; by what the guide says without planning, with noise half of the time, some twenty times faster;
    or so for up to 20 steps, and then by the world's own coach (grasp and pusht have one)."""
    layouts: int = 0
    """Different scenes, which episodes take in turn; 0 for another in every episode."""
    steps: int = 0
    """Commands per episode; 0 for as many as the world allows."""
    workers: int = 0
    """Processes; 0 for one per core."""
    cache: bool = True
    """Whether to build the training cache right away."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate record", args=argv)
    if config.workers < 0:
        raise SettingsError(f"--workers {config.workers}: give a whole number above 0, or 0 for all cores.")
    from nextstate.commands.progress import bar
    from nextstate.data import open_cache
    from nextstate.data.recording import Plan, record
    from nextstate.worlds import world_class

    modalities = config.modalities or world_class(config.world).senses
    plan = Plan(config.world, config.size, modalities, config.seed, config.skill_fraction)
    plan = replace(plan, digressions=config.digressions, steps=config.steps, layouts=config.layouts)
    plan = replace(plan, exploring=config.exploring)
    practice = None
    if config.practise:
        from nextstate.acting.practice import Practice
        from nextstate.commands.find import find_model
        from nextstate.models.folders import checksum, folder_of
        from nextstate.models.pretrained import read_config
        from nextstate.planning import Guide
        from nextstate.worlds import make_world

        find_model(config.practise, make_world(config.world, size=config.size, modalities=modalities))
        folder = folder_of(config.practise)
        practice = Practice(folder, config.practise_by)
        how = "" if config.practise_by == "planner" else f" {config.practise_by} {checksum(folder / Guide.file())}"
        plan = replace(plan, practised=read_config(folder)["checksum"] + how)
    with bar(f"recording {config.world}", "episodes") as progress:
        info = record(plan, config.out, config.episodes, config.workers or None, progress, practice)
    if config.cache:
        with bar("building the training cache", "files") as progress:
            open_cache(config.out, workers=config.workers or None, progress=progress)
    print(f"{config.out}: {info.episodes} episodes, {info.frames} frames, {info.tasks} instructions")
    return 0
