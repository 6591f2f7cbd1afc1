"""What studies that train a grid of cells have in common: settings that stay, cells side by side, and one by itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nextstate.commands.abreast import Command, Lane, run_abreast

if TYPE_CHECKING:
    from nextstate.studies.grid import Grid

G = TypeVar("G", bound="Grid")

FREE = ("out", "cell", "workers", "data", "known", "said")
"""Options that may change while a study goes on."""

CHOICES = ("arms", "worlds", "seeds", "budget", "shares", "silent", "scenes", "policies")
"""Options that say which cells there are, and not how one is made."""

UNNOTED = {"objective": "pixel", "steps": 50, "validated": 32}
"""Options that results did not note before they could be chosen, and what they were."""


class Config(Protocol):
    """What the options of such a study hold; a dataclass."""

    @property
    def out(self) -> Path: ...
    @property
    def budget(self) -> str: ...
    @property
    def known(self) -> Path | None: ...


class Queue(Sequence[Command]):
    """Commands from which several lanes take: each goes to the lane that is free first."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._commands = list(commands)
        self._left = iter(self._commands)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._commands)

    def __getitem__(self, place: Any) -> Any:
        return self._commands[place]

    def __iter__(self) -> Iterator[Command]:
        while True:
            with self._lock:
                command = next(self._left, None)
            if command is None:
                return
            yield command


def given(texts: Sequence[str]) -> dict[str, Path]:
    """World -> folder, of texts such as ``push=data/push``; raises `SettingsError`."""
    from nextstate.errors import SettingsError

    found = {}
    for text in texts:
        world, equals, path = text.partition("=")
        if not equals or not Path(path).is_dir():
            raise SettingsError(f"--data {text}: give world=folder of a dataset, such as push=data/push.")
        found[world] = Path(path)
    return found


def settled(config: Any, design: G, workers: int) -> G:
    """The design with its minutes, settled when the study began; raises `SettingsError` if it is another."""
    from nextstate.data.storage import write_json
    from nextstate.errors import SettingsError
    from nextstate.studies.grid import parse_time

    asked = _asked(config)
    path = config.out / "settings.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        known = {**{n: value for n, value in UNNOTED.items() if n in asked}, **before["asked"]}
        if known != asked:
            changed = ", ".join(f"--{n.replace('_', '-')}" for n in asked if known.get(n) != asked[n])
            raise SettingsError(f"{config.out} holds a study with other {changed}; give the same, or another --out.")
        return replace(design, minutes=before["minutes"])
    if config.budget:
        design = design.fitted(parse_time(config.budget), config.out, workers)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"asked": asked, "minutes": design.minutes})
    return design


def settings_of(config: Any, design: Grid) -> dict[str, Any]:
    """What results note of how they were made, so that their cells can be told from others."""
    return {**_asked(config), "minutes": design.minutes}


def _asked(config: Any) -> dict[str, Any]:
    return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(config).items() if n not in FREE}


def adopted(config: Config, design: Grid) -> None:
    """Takes over the cells of ``--known``; raises `SettingsError` for results of another kind or of other settings."""
    from nextstate.errors import SettingsError
    from nextstate.studies.grid import adopt

    if config.known is None:
        return
    try:
        results = json.loads(config.known.read_text(encoding="utf-8"))
        before, _ = {**UNNOTED, **results["settings"]}, results["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"--known {config.known}: no results of a study with cells ({error}).") from None
    now = settings_of(config, design)
    other = [n for n in now if n in before and n not in CHOICES and before[n] != now[n]]
    if other:
        told = ", ".join(f"--{n.replace('_', '-')} {before[n]}" for n in other)
        raise SettingsError(f"--known {config.known} was made with {told}; give the same, or leave --known out.")
    taken = adopt(design, config.out, results)
    print(f"{taken} cells taken over from {config.known}")


def one_cell(design: Grid, name: str, measure: Callable[[Any], None]) -> int:
    """Trains and measures one cell in this process; 130 when it was interrupted."""
    from nextstate.errors import UnknownNameError

    cells = {cell.name: cell for cell in design.cells()}
    if name not in cells:
        raise UnknownNameError("cell", name, list(cells))
    try:
        measure(cells[name])
    except KeyboardInterrupt:
        return 130
    return 0


def announce(config: Config, design: Grid, about: str, workers: int) -> list[Any]:
    """Prints what is left to do and what it will cost; gives the cells that are left."""
    from nextstate.studies.grid import found, told

    cells = design.cells()
    left = [cell for cell in cells if found(config.out, cell) is None]
    print(
        f"{len(cells)} cells ({len(left)} to do): {about}, {design.minutes:g} min of training each; about "
        f"{told(design.cost(config.out, workers))} on {workers} cores, besides recording."
    )
    return left


def run_cells(config: Config, cells: Sequence[Any], command: Sequence[str], workers: int) -> int:
    """Cells side by side, each in a process of its own; the exit status.

    Args:
        command: question and options of the study, to which ``--cell`` is added.
    """
    if not cells:
        return 0
    queue = Queue([["study", *command, "--cell", cell.name] for cell in cells])
    lanes = [Lane(f"core {number}", queue) for number in range(min(workers, len(cells)))]
    return run_abreast(lanes, config.out / "logs", len(lanes))


def evaluated(home: Path, world: str, snapshots: int, suite_seed: int) -> dict[str, Any]:
    """Figures of the model that was trained in a cell's folder, as `studies.evaluated.told` gives them."""
    from nextstate.commands import evaluate
    from nextstate.studies.evaluated import told

    out = home / "evaluation.json"
    command = ["--model", str(home / "run" / "model"), "--world", world, "--snapshots", str(snapshots)]
    command += ["--suite-seed", str(suite_seed), "--workers", "1", "--shown", "0"]
    command += ["--by-snapshot", "--out", str(out)]
    evaluate.main(command)
    return told(json.loads(out.read_text(encoding="utf-8")))
