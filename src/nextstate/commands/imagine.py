"""``nextstate imagine``: a what-if from the shell, truth beside imagination."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    import numpy as np

    from nextstate.imagination import Futures, Instant
    from nextstate.imagination.saying import Told
    from nextstate.models.director import Director
    from nextstate.worlds import Snapshot, World


@dataclass(frozen=True)
class Config:
    """Grow alternative futures from one instant of a world: what is true, and what a model imagines.

    Actions are named in words: skill:NAME, explore:SEED, zero, or the path of a .npy file of shape (steps, A).
    A column of the clip belongs to each. Skills are acted out once in the true world; truth and imagination then
    follow the very same commands. What is said comes first: the model imagines what the body does about it, and truth
    is the world's own skill of that meaning, by its own commands.
    """

    say: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TEXT")] = ()
    """Instructions in words, such as "push the red object to the left"; takes a model with a director."""
    actions: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ACTIONS")] = ()
    """What is done; explore:1 if nothing is said."""
    against: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ACTIONS")] = ("zero",)
    """What might have been done instead."""
    model: str = "oracle"
    """Folder of a model, the world of a shipped one (push, grasp, spill), or oracle (the true simulator)."""
    world: str = "spill"
    """Which world; `nextstate worlds` lists them, and their skills."""
    seed: int = 2**31 + 2
    """Scene of the episode; from 2147483648 on, no model was trained on it."""
    step: int = 0
    """Control steps (0.1 s each) from the start of the episode to the instant of the what-if."""
    before: str = "zero"
    """What is done until then: zero, explore:SEED or skill:NAME."""
    snapshot: Path | None = None
    """An instant that was kept with --keep, instead of --seed, --step and --before; a model then has no history."""
    keep: Path | None = None
    """Where to keep the instant of the what-if, to come back to it."""
    horizon: int = 20
    """Steps to foresee."""
    modalities: tuple[str, ...] = ("rgb",)
    """Pictures in the clip: rgb, depth, motion."""
    scale: int = 4
    """How many times pixels are enlarged."""
    size: int = 0
    """Height and width of pictures in pixels; 0 for what the model sees (64 for the oracle)."""
    sample: int = -1
    """Number of a sampled future, of models that know several; -1 for the central one."""
    out: Path = Path("imagined.webp")
    """The clip: .webp, .gif, .png (animated) or .mp4."""


def main(argv: list[str]) -> int:
    config = tyro.cli(Config, prog="nextstate imagine", args=argv)
    import numpy as np

    from nextstate.commands.find import find_model, model_size
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.imagination import compare, plan, policy_named, reach, resume
    from nextstate.imagination.clip import check_format, draw_clip, encode_clip
    from nextstate.imagination.saying import compare_said
    from nextstate.worlds import make_world

    _check(config)
    kind = check_format(config.out)
    world = make_world(config.world, size=config.size or model_size(config.model))
    model = find_model(config.model, world)
    if config.snapshot is not None:
        instant = resume(world, _read(config.snapshot))
    else:
        world.reset(seed=config.seed)
        before = policy_named(world, config.before, config.seed)
        instant = reach(world, config.seed, config.step, before, model.spec.context)
    assert instant.snapshot is not None
    if config.keep is not None:
        write_bytes(config.keep, instant.snapshot.to_bytes())
    wanted = [name for name in model.spec.modalities if name in world.modalities]
    futures: Futures | None = None
    names: list[str] = []
    said: list[Told] = []
    if config.say:
        director = _director(config.model)
        futures, said = compare_said(model, director, world, instant, config.say, config.horizon, wanted, config.seed)
        names = [f'"{told.text}"' for told in said]
    done = [*(config.actions or (() if config.say else ("explore:1",))), *config.against]
    if done:
        actions = np.stack([plan(world, instant.snapshot, text, config.horizon, config.seed) for text in done])
        other = compare(model, world, instant, actions, wanted, None if config.sample < 0 else config.sample)
        futures, names = (futures.beside(other) if futures else other), [*names, *done]
    assert futures is not None
    imagined = _imagined_events(config.model, world, futures)
    notes = _notes(world, instant, futures)
    hz = model.spec.hz
    clip = draw_clip(world.state_spec, instant, futures, names, config.modalities, hz, config.scale, notes)
    write_bytes(config.out, encode_clip(clip, kind, hz))
    found = {
        "truth": onsets(None if futures.truth is None else futures.truth.events, hz),
        "imagined": onsets(imagined, hz),
    }
    _tell(world, names, found, model.spec.name)
    for told in said:
        skill, chance = told.heard_as
        print(
            f'"{told.text}": heard as {skill} ({chance:.0%}); nearest of what was learned from: "{told.nearest}" '
            f"(similarity {told.likeness:.2f}); truth: {told.truth}"
        )
    seconds = {who: None if times is None else _by_name(times, names, world.events) for who, times in found.items()}
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(config).items()}
    record = {"config": settings, "event_seconds": seconds, "said": [asdict(told) for told in said]}
    write_json(config.out.with_name(config.out.name + ".json"), record)
    print(f"{config.out}: {clip.shape[2]}x{clip.shape[1]} pixels, {config.out.stat().st_size / 1e6:.2f} MB")
    return 0


def _read(path: Path) -> Snapshot:
    """A snapshot that was kept; raises `SnapshotError` for a file that is missing or damaged."""
    from nextstate.errors import SnapshotError
    from nextstate.worlds import Snapshot

    try:
        return Snapshot.from_bytes(path.read_bytes())
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read ({error.strerror}); keep one with --keep.") from error


def _check(config: Config) -> None:
    from nextstate.errors import SettingsError

    limits = {"horizon": (1, 200), "scale": (1, 16), "step": (0, 10_000), "seed": (0, 2**63)}
    for name, (low, high) in limits.items():
        if not low <= getattr(config, name) <= high:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number from {low} to {high}.")


def _director(name: str) -> Director:
    """The director beside a model; raises `SettingsError` for the oracle, which has none."""
    from nextstate.commands.find import ORACLE
    from nextstate.errors import SettingsError
    from nextstate.models.director import Director
    from nextstate.models.folders import folder_of

    if name == ORACLE:
        raise SettingsError(
            "--say takes a model with a director, such as --model push; the oracle imagines motor commands alone. "
            "What a skill truly comes to is --actions skill:NAME."
        )
    return Director.load(folder_of(name))


def _imagined_events(name: str, world: World, futures: Futures) -> np.ndarray | None:
    """Event probabilities ``(K, H, E)`` in the imagined states; None while nothing can read them."""
    from nextstate.commands.find import find_readout

    if name == "oracle" and futures.truth is not None:
        return futures.truth.events.astype(float)
    readout = find_readout(name, world, list(futures.imagined))
    if readout is None:
        return None
    import torch

    events: np.ndarray = readout({n: torch.from_numpy(v) for n, v in futures.imagined.items()}).events
    return events


def _notes(world: World, instant: Instant, futures: Futures) -> list[list[str]] | None:
    """What is truly the case at each instant of each branch, for the clip."""
    import numpy as np

    if futures.truth is None or instant.snapshot is None:
        return None
    world.restore(instant.snapshot)
    now = np.broadcast_to(world.events_now(), (len(futures.actions), 1, len(world.events)))
    names = [name.replace("_", " ") for name in world.events]
    held = np.concatenate([now, futures.truth.events], axis=1)
    return [[", ".join(n for n, on in zip(names, row, strict=True) if on) for row in branch] for branch in held]


def onsets(events: np.ndarray | None, hz: float) -> list[list[float | None]] | None:
    """Seconds at which each event ``(K, H, E)`` first comes about (or is likelier than not): a list for each branch."""
    if events is None:
        return None
    held = events > 0.5
    return [[(int(column.argmax()) + 1) / hz if column.any() else None for column in branch.T] for branch in held]


def _by_name(times: list[list[float | None]], names: list[str], events: tuple[str, ...]) -> list[dict[str, object]]:
    return [{"actions": name, **dict(zip(events, row, strict=True))} for name, row in zip(names, times, strict=True)]


def _tell(world: World, names: list[str], found: dict[str, list[list[float | None]] | None], model: str) -> None:
    """A table of events: when each first comes about, in truth and in imagination."""
    from rich.console import Console
    from rich.table import Table

    def word(source: str, branch: int, event: int) -> str:
        times = found[source]
        second = None if times is None else times[branch][event]
        return "?" if times is None else "-" if second is None else f"{second:.1f} s"

    table = Table("event", box=None, pad_edge=False, title=f"{world.name}: truth | {model}", title_justify="left")
    for name in names:
        table.add_column(name, justify="right")
    for event, title in enumerate(world.events):
        pairs = (f"{word('truth', k, event):>5} | {word('imagined', k, event):>5}" for k in range(len(names)))
        table.add_row(title.replace("_", " "), *pairs)
    console = Console()
    console.print(table)
    if found["imagined"] is None:
        console.print("Imagined events need a readout: run `nextstate evaluate` once for this world.")
