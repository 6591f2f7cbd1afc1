"""``nextstate ledger``: who owns the parameters of a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tyro

if TYPE_CHECKING:
    from nextstate.models import WorldModelSpec


@dataclass(frozen=True)
class Config:
    """Show who owns the parameters of one or more models, what learning costs, and a decision, by owner.

    A world model decides by looking and imagining a step of one future; a policy by looking and drawing commands; a
    model that answers, by looking, reading a question and considering a plan.
    """

    models: tyro.conf.Positional[tuple[str, ...]] = ("small",)
    """Folders of models or runs, or names of presets."""
    world: str = "push"
    """Whose states presets are sized for."""
    context: int = 4
    """States of history presets are sized for."""
    horizon: int = 16
    """Steps of foresight presets are sized for."""
    json: bool = False
    """Print JSON instead of a table."""


COUNTED = 1e8
"""Parameters up to which a model is made, if that is what counting its operations takes."""


@dataclass(frozen=True)
class Ledger:
    """Who owns what.

    Args:
        owners: owner -> number of parameters.
        training_gflops: for one window, forward and backward, None if it takes too large a model to count.
        decision_gflops: owner -> for one decision, empty if it takes too large a model, or parts that are not there.
    """

    name: str
    owners: dict[str, int]
    training_gflops: float | None
    decision_gflops: dict[str, float]

    @property
    def total(self) -> int:
        return sum(self.owners.values())


def main(argv: list[str]) -> int:
    config = tyro.cli(Config, prog="nextstate ledger", args=argv)
    ledgers = [ledger_of(name, config) for name in config.models]
    if config.json:
        print(json.dumps([vars(ledger) | {"total": ledger.total} for ledger in ledgers], indent=2))
    else:
        _print(ledgers)
    return 0


def ledger_of(name: str, config: Config) -> Ledger:
    """Of a folder or a preset; no weights are read or made, so any size is quick."""
    import torch

    from nextstate.commands.pretrain import BEST
    from nextstate.errors import MissingExtraError
    from nextstate.models import build_any
    from nextstate.models.accounts import decision_operations
    from nextstate.models.folders import folder_of
    from nextstate.models.pretrained import CONFIG, read_config, spec_from_dict
    from nextstate.models.world_model import PRESETS

    folder = folder_of(name)
    if folder.is_dir() or len(folder.parts) > 1:
        folder = folder / "model" if (folder / "model" / CONFIG).exists() else folder
        saved = read_config(folder)
        spec, preset, options = spec_from_dict(saved["spec"]), saved["preset"], saved.get("options", {})
        title = spec.name
    else:
        objective = {"objective": BEST} if name in PRESETS else {}
        spec, preset, options, title = spec_of(config), name, objective, name
    with torch.device("meta"):
        model: Any = build_any(spec, preset, **options)
    owners = dict(model.owners())
    # What a decision takes is counted by deciding, which takes weights that are somewhere.
    try:
        real = build_any(spec, preset, **options) if sum(owners.values()) < COUNTED else None
    except MissingExtraError:
        real = None
    training: float | None
    try:
        training = float((real or model).flops(1)) / 1e9
    except (RuntimeError, NotImplementedError):
        training = None
    decided = {} if real is None else decision_operations(real)
    return Ledger(title, owners, training, {owner: made / 1e9 for owner, made in decided.items()})


def spec_of(config: Config) -> WorldModelSpec:
    """What a model of a world would have to foresee."""
    from nextstate.models import WorldModelSpec
    from nextstate.worlds import make_world
    from nextstate.worlds.base import CONTROL_HZ

    world = make_world(config.world)
    return WorldModelSpec(config.world, world.state_spec, world.action_size, CONTROL_HZ, config.context, config.horizon)


def _print(ledgers: list[Ledger]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="who owns the parameters")
    table.add_column("owner")
    for ledger in ledgers:
        table.add_column(ledger.name, justify="right")
        table.add_column("share", justify="right", style="dim")
    owners = list(dict.fromkeys(owner for ledger in ledgers for owner in ledger.owners))
    for owner in owners:
        cells = []
        for ledger in ledgers:
            count = ledger.owners.get(owner, 0)
            cells += [f"{count:,}", f"{count / max(ledger.total, 1):.1%}"]
        table.add_row(owner, *cells)
    table.add_section()
    table.add_row("all", *(cell for ledger in ledgers for cell in (f"{ledger.total:,}", "")))
    learning = ("?" if e.training_gflops is None else f"{e.training_gflops:.3g}" for e in ledgers)
    table.add_row("GFLOP to learn a window", *(cell for text in learning for cell in (text, "")))
    console = Console()
    console.print(table)
    costs = Table(title="what a decision costs, in GFLOP")
    costs.add_column("owner")
    for ledger in ledgers:
        costs.add_column(ledger.name, justify="right")
        costs.add_column("share", justify="right", style="dim")
    for owner in owners:
        cells = []
        for ledger in ledgers:
            cost, whole = ledger.decision_gflops.get(owner, 0.0), sum(ledger.decision_gflops.values())
            cells += [f"{cost:.2g}", f"{cost / whole:.1%}"] if whole else ["?", ""]
        costs.add_row(owner, *cells)
    console.print(costs)
