"""``nextstate worlds``: which worlds there are, what each is made of, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    import numpy as np

    from nextstate.worlds import World

ROWS = ("rgb", "depth", "motion", "touch")
MARGIN, GAP, HEAD, LINE = 58, 6, 24, 14


@dataclass(frozen=True)
class Config:
    """List the worlds; or tell all about one, and draw an exploratory episode of it as a film strip."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = ""
    """World to tell about; all in brief without."""
    out: Path | None = None
    """Picture to write: a film strip with rows rgb, depth, motion and touch."""
    seed: int = 0
    """Episode of the film strip."""
    skill: str = ""
    """Skill to act out in it, instead of exploring."""
    size: int = 64
    """Height and width of pictures in pixels."""
    columns: int = 8
    """Instants in the film strip, spread over the episode."""


def main(argv: list[str]) -> int:
    config = tyro.cli(Config, prog="nextstate worlds", args=argv)
    from nextstate.worlds import WORLDS, make_world

    if not config.name:
        for name in WORLDS:
            _print_brief(make_world(name, config.size))
        return 0
    world = make_world(config.name, config.size)
    if config.out is None:
        _print_all(world)
        return 0
    import io

    from PIL import Image

    from nextstate.data.storage import write_bytes

    strip = film_strip(world, config.seed, config.skill, config.columns)
    content = io.BytesIO()
    Image.fromarray(strip).save(content, format=_format(config.out))
    write_bytes(config.out, content.getvalue())
    print(f"{config.out}: {config.columns} instants of {config.name}, seed {config.seed}")
    return 0


def film_strip(world: World, seed: int = 0, skill: str = "", columns: int = 8) -> np.ndarray:
    """Instants of one episode as columns, modalities as rows, events below, ``(height, width, 3)`` uint8.

    Raises:
        UnknownNameError: the world has no such skill.
        StateError: the scene of this seed does not hold what the skill needs.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from nextstate.imagination.pictures import drawable

    rows = [name for name in ROWS if name in world.state_spec]
    states, events = _episode(world, seed, skill)
    shown = np.linspace(0, len(states) - 1, columns).round().astype(int)
    side = world.size * max(1, round(128 / world.size))
    height = HEAD + len(rows) * (side + GAP) + LINE * len(world.events) + GAP
    page = Image.new("RGB", (MARGIN + columns * (side + GAP), height), (250, 249, 246))
    pen, face = ImageDraw.Draw(page), ImageFont.load_default(12)
    for row, name in enumerate(rows):
        top = HEAD + row * (side + GAP)
        pen.text((8, top + side // 2 - 7), name, (28, 27, 25), font=face)
        modality = drawable(world.state_spec[name], np.stack([state[name] for state in states]))
        for column, instant in enumerate(shown):
            picture = Image.fromarray(modality.draw(states[instant][name]))
            scale = side / max(picture.size)
            picture = picture.resize(
                (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.NEAREST
            )
            page.paste(picture, (MARGIN + column * (side + GAP), top + (side - picture.height) // 2))
    for column, instant in enumerate(shown):
        left = MARGIN + column * (side + GAP)
        pen.text((left, 6), f"{instant / world.metadata['render_fps']:.1f} s", (150, 146, 138), font=face)
        for line, event in enumerate(name for name, on in zip(world.events, events[instant], strict=True) if on):
            pen.text((left, HEAD + len(rows) * (side + GAP) + line * LINE), event, (190, 60, 20), font=face)
    return np.asarray(page)


def _episode(world: World, seed: int, skill: str) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    import numpy as np

    from nextstate.errors import StateError, UnknownNameError

    state, _ = world.reset(seed=seed)
    rng = np.random.default_rng(seed)
    if skill and skill not in world.skills:
        raise UnknownNameError(f"skill of {world.name}", skill, world.skills)
    if skill and not world.skills[skill].possible(world):
        raise StateError(f"{world.name}: the scene of seed {seed} does not hold what {skill!r} needs; try another.")
    policy = world.skills[skill].make(world, rng) if skill else world.explore(rng)
    states, events = [state], [world.events_now()]
    for _ in range(world.max_steps):
        states.append(world.step(policy(world))[0])
        events.append(world.events_now())
    return states, events


def _format(path: Path) -> str:
    from nextstate.errors import UnknownNameError

    formats = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG"}
    if path.suffix.lower() not in formats:
        raise UnknownNameError("kind of picture", path.suffix or path.name, formats)
    return formats[path.suffix.lower()]


def _summary(world: World) -> str:
    return (type(world).__doc__ or "").strip().splitlines()[0]


def _shapes(world: World) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, spec.shape))}" for name, spec in world.state_spec.items())


def _print_brief(world: World) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", min_width=9)
    grid.add_column()
    grid.add_row("command", f"{world.action_size} numbers in [-1, 1], {world.metadata['render_fps']} a second")
    grid.add_row("senses", _shapes(world))
    grid.add_row("events", ", ".join(world.events))
    grid.add_row("skills", ", ".join(world.skills))
    console = Console()
    console.print(f"[bold]{world.name}[/bold]  {_summary(world)}")
    console.print(grid)
    console.print()


def _print_all(world: World) -> None:
    from inspect import cleandoc

    from rich.console import Console
    from rich.table import Table

    console = Console()
    _print_brief(world)
    for paragraph in cleandoc(type(world).__doc__ or "").split("\n\n")[1:]:
        console.print(paragraph.replace("\n", " ").replace("`", ""), "\n", highlight=False, sep="")
    factors = Table("factor", "range", "held out for evaluation", title="what varies from episode to episode")
    for name, factor in world.factor_ranges.items():
        held_out = "" if factor.held_out is None else "{:g} to {:g}".format(*factor.held_out)
        factors.add_row(name, f"{factor.low:g} to {factor.high:g}{', whole' if factor.integer else ''}", held_out)
    outcome = Table("outcome", "dimensions", "headline", title="what evaluation scores")
    for group, names in world.outcome_groups.items():
        outcome.add_row(group, ", ".join(names), "yes" if group in world.headline else "")
    skills = Table("skill", "in words", title="skills")
    for name, skill in world.skills.items():
        skills.add_row(name, skill.instructions[0])
    for table in (factors, outcome, skills):
        console.print(table)
