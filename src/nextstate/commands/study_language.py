"""``nextstate study language``: who knows what a scene is, and who foresees what happens in it?"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUESTION = "Do language-first models know what things are, and not what happens to them?"


@dataclass(frozen=True)
class Config:
    """Ask a language-first rival and a world model the same questions, of knowledge and of physics.

    Questions are made from true states, about held-out layouts. Every exact question has as many yeses as noes, and
    those about plans come in pairs from one snapshot.
    """

    rival: str
    """Folder that `nextstate pretrain --policy vlm` wrote."""
    data: Path
    """Dataset that linear probes learn from: the one that both models learned from."""
    world: str = "push"
    """Which world."""
    model: str = ""
    """World model; by default the shipped one of the world."""
    snapshots: int = 100
    """Held-out snapshots, each with eight plans."""
    questions: int = 100
    """Of each exact question, at most."""
    learned: int = 400
    """Of each exact question that probes learn from, at most."""
    seed: int = 0
    """Of the suite and the questions."""
    out: Path = Path("language.json")
    """Where results go."""


def run(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate study language", args=argv)
    import numpy as np
    from rich.console import Console

    from nextstate.commands.find import find_model, find_readout
    from nextstate.data import open_cache
    from nextstate.data.parts import require_commands
    from nextstate.data.storage import write_json
    from nextstate.errors import CheckpointError
    from nextstate.evaluation.building import build_suite
    from nextstate.evaluation.questions import Cases, make_questions
    from nextstate.models.language import Vlm
    from nextstate.models.pretrained import from_pretrained
    from nextstate.models.world_model import StateModel
    from nextstate.provenance import provenance
    from nextstate.studies import language
    from nextstate.training.precision import settle_threads
    from nextstate.worlds import make_world

    settle_threads()
    world = make_world(config.world)
    name = config.model or config.world
    model, rival = find_model(name, world), from_pretrained(config.rival)
    if not isinstance(rival, Vlm):
        raise CheckpointError(f"{config.rival} does not answer questions; train it with --policy vlm.")
    readout = find_readout(name, world, list(model.spec.modalities))
    if not isinstance(model, StateModel) or readout is None:
        raise CheckpointError(f"{name}: a world model that outlines things, and a readout for it, are needed.")
    suite = build_suite(config.world, config.snapshots, horizon=rival.spec.horizon, seed=config.seed)
    rng = np.random.default_rng(config.seed)
    cases = Cases.of_suite(suite)
    held = language.Asked(cases, make_questions(cases, rng, config.questions), language.of_suite(suite))
    cache = open_cache(config.data)
    require_commands(cache, config.data, "this study")
    rows = _frames(cache, rng, model.spec.context, rival.spec.horizon)
    known = Cases.of_recording(cache, rows, rival.spec.horizon)
    learned = language.Asked(known, make_questions(known, rng, config.learned), language.of_recording(cache, rows))
    found = language.compare(model, rival, learned, held, suite, readout)
    counts = {kind: int(held.questions.of(kind).sum()) for kind in ("knowledge", "physics")}
    write_json(
        config.out,
        {**provenance(f"nextstate study language {shlex.join(argv)}"), "questions": counts, "accuracy": found},
    )
    Console(highlight=False).print(_table(found, counts))
    print(config.out)
    return 0


def _frames(cache: Any, rng: Any, context: int, horizon: int) -> Any:
    """Rows of training episodes with a history before and a plan after them, at most 20,000."""
    import numpy as np

    from nextstate.data import Windows

    windows = Windows(cache, context + horizon, "train", 0, [])
    counts = cache.lengths[windows.episodes] - horizon - context + 1
    starts = cache.starts[windows.episodes] + context - 1
    rows = np.concatenate([s + np.arange(n) for s, n in zip(starts, counts, strict=True)])
    return np.sort(rng.permutation(rows)[:20_000])


def _table(found: dict[str, Any], counts: dict[str, int]) -> Any:
    from rich.table import Table

    kinds = list(counts)
    shown = Table("way", *(f"{kind} ({counts[kind]})" for kind in kinds), title="share of right answers")
    for way, by in found.items():
        shown.add_row(way, *(f"{by[kind]['all']:.2f}" if kind in by else "" for kind in kinds))
    return shown
