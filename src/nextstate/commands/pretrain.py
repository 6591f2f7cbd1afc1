"""``nextstate pretrain``: a world model learns to foresee the states of a dataset."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from nextstate.commands.quiet import check_options, mixed, noted, open_silent, silent_options, way_of
from nextstate.errors import DatasetError, SettingsError
from nextstate.training.settings import TrainingSettings

if TYPE_CHECKING:
    from nextstate.data import Cache, Windows
    from nextstate.data.asked import AskedFrames
    from nextstate.data.instructed import InstructedFrames
    from nextstate.data.mixed import Mixed
    from nextstate.models import WorldModelSpec
    from nextstate.training.team import Team
    from nextstate.training.trainable import Learner, Trainable
    from nextstate.training.validate import Held, ValidationSet

LONGEST_FORESIGHT = 2.0
"""Seconds ahead up to which validation looks."""

SPARE = 3
"""Times as many held-out windows decide, in the end, how far sampled futures lie apart, as validation has."""

CLIMATE = 512
"""States that tell how much states differ at all."""


BEST = "flow"
"""The objective that foresees best on the whole, see docs/decisions/0030-flow-is-the-default.md."""

UNTOLD = "pixel"
"""The objective of models whose options name none, as those saved before `BEST` was another."""

USUAL = {"": "small", "vla": "vla-smollm2", "vlm": "vlm-smollm2", "bc": "bc-small"}
"""Policy -> preset by default."""


@dataclass(frozen=True)
class Config:
    """Pretrain a world model on a dataset.

    Run it again with the same options to go on after an interruption, however it came about. By steps (--steps),
    the weights are then the same bits as without the interruption, on the same machine with the same threads.
    By the clock (--minutes), steps that are made again are made as they were the first time, and --pace-of
    repeats a whole run bit for bit.
    """

    data: Path
    """LeRobot v3 dataset, for example from `nextstate record`."""
    out: Path
    """Folder of the run: configuration, metrics, checkpoints, and in the end model/."""
    policy: Literal["", "vla", "vlm", "bc"] = ""
    """Train the language-first rival instead: vla follows the instructions of the dataset, vlm answers questions. Or
    bc: plain behaviour cloning from pictures and words."""
    withheld: str = ""
    """Policies learn nothing from episodes whose instructions hold these words: as if only their video were known."""
    guessed: Path | None = None
    """Commands (T, A) of every frame, as a .npy file, for policies to learn instead of those of the dataset: `nextstate
    follow` leaves one beside its heads, in which those of silent episodes are guessed from their pictures."""
    preset: str = ""
    """Size of the model: small by default; of the rival vla-smollm2 by default, or vla-equal; likewise vlm."""
    objective: str = ""
    """What is minimised: pixel, latent, flow, frozen, or a mixture by weight, such as pixel=1,flow=.5. By default that
    of the model to start from, else flow."""
    options: tuple[str, ...] = ()
    """Options of the preset and of the objective, each as name=value."""
    name: str = ""
    """Of the model, for tables and plots; by default world and preset."""
    modalities: tuple[str, ...] = ()
    """What is sensed and foreseen; by default everything the dataset holds."""
    episodes: str = ""
    """Which episodes of the dataset, for example 0:200; all by default."""
    silent: Path | None = None
    """Silent episodes to learn from as well: a LeRobot v3 dataset (its commands are not looked at), or a folder of
    videos."""
    silent_episodes: str = ""
    """Which episodes of these; all by default."""
    silent_modalities: tuple[str, ...] = ()
    """What is looked at in these; all they hold by default. Pictures must be those of the dataset."""
    silent_by: Literal["", "labels", "latent"] = ""
    """How: an inverse model writes the missing commands (labels, the default), or says what was done in latent actions.
    latent alone makes a model of a silent --data."""
    labelled_share: float = 0.3
    """Of each batch, beside silent windows; 0, without --silent, not to look at the commands of --data at all."""
    stages: tuple[str, ...] = ()
    """Which stages to go through, for a model that learned the others before (--init-from); all by default. A stage may
    have another share of the run, as in look=0.1 react foresee redraw: shares are relative to each other."""
    context: int = 4
    """States of history in a window."""
    horizon: int = 16
    """Steps foreseen in a window."""
    init_from: Path | None = None
    """Folder of a pretrained model to start from (fine-tuning)."""
    init_partial: bool = False
    """Start from what fits, although modalities or sizes differ."""
    resume: Literal["auto", "must", "never"] = "auto"
    """What to do if the folder already holds a run: go on with it, insist on one, or refuse."""
    on_damage: Literal["skip", "stop"] = "stop"
    """What to do about episodes that cannot be used."""
    training: TrainingSettings = field(default_factory=TrainingSettings)


def main(argv: list[str]) -> int:
    import tyro

    flat = Annotated[Config, tyro.conf.OmitArgPrefixes]
    config: Config = tyro.cli(flat, prog="nextstate pretrain", args=argv)
    if config.context < 1 or config.horizon < 1:
        raise SettingsError("--context and --horizon must be at least 1.")
    if config.context + config.horizon < 3:
        raise SettingsError("--context and --horizon together must be at least 3 states: what moves shows in three.")
    from nextstate.training.launch import in_team, launch

    if config.training.processes > 1 and not in_team():
        return launch(config.training.processes, ["pretrain", *argv])
    from nextstate.training.team import Team

    with Team.joined() as team:
        return learn(config, argv, team)


def learn(config: Config, argv: list[str], team: Team) -> int:
    """Trains as `config` says, as one of a team; returns the exit status."""
    from nextstate.commands.progress import bar
    from nextstate.commands.rival import rival
    from nextstate.data import Windows, open_cache
    from nextstate.data.parts import parse_episodes, part_of, silenced
    from nextstate.training.display import choose_display
    from nextstate.training.loop import Trainer
    from nextstate.training.run import Run

    with team.leader_first(), bar("reading the dataset", "files") as progress:
        cache = open_cache(config.data, config.modalities or None, config.on_damage, progress=progress)
    if config.episodes:
        cache = part_of(cache, *parse_episodes(config.episodes))
    if config.labelled_share == 0 and not config.silent:
        cache = silenced(cache)
    check_options(config, cache)
    with team.leader_first():
        silent = open_silent(config, cache)
        run = Run(config.out, resolved(config, cache, silent), config.resume, follows=not team.leads)
    if run.finished:
        print(f"{run.root} is finished: the model is in {run.model}")
        return 0
    settings = config.training
    model: Learner
    windows: Windows | Mixed | InstructedFrames | AskedFrames
    held: Held | None
    if config.policy:
        model, windows, held = rival(config, cache)
    else:
        model = make_model(config, cache, silent)
        windows = Windows(cache, config.context + config.horizon, "train", settings.seed, list(model.spec.modalities))
        if silent is not None:
            windows = mixed(config, windows, silent, model.spec)
        held = validation_set(config, cache, model.spec)
    card = {
        "data": f"{config.data.name}: {len(cache)} episodes, {int(cache.lengths.sum())} states at {cache.hz:g} Hz"
        + (f" of world `{cache.world}`" if cache.world else "")
        + f", fingerprint `{cache.fingerprint[:12]}`"
        + (f", and {len(silent)} silent episodes of {config.silent.name}" if silent and config.silent else ""),
        "command": f"nextstate pretrain {shlex.join(argv)}",
    }
    trainer = Trainer(model, windows, settings, run, held, card, choose_display(), team)
    told = print if team.leads else _hush
    told(
        f"{model.spec.name}: {sum(model.owners().values()) / 1e6:.2f}M parameters, {len(windows):,} windows of "
        f"{windows.length} states, {trainer.precision} with {trainer.threads} threads"
        + (f" in each of {team.size} processes" if team.size > 1 else "")
        + f" on {trainer.device}"
    )
    with closing(run):
        outcome = trainer.fit()
    if outcome.interrupted:
        told(f"interrupted after step {outcome.step}; the same command goes on from there.")
        return 130
    figures = outcome.throughput
    told(
        f"{outcome.step} steps in {outcome.seconds:.0f} s, {figures.get('frames_per_second', 0):,.0f} frames/s, "
        f"{figures.get('share_of_peak', 0):.0%} of the matrix peak; the model is in {run.model}"
    )
    return 0


def _hush(text: str) -> None:
    """What those say who do not lead."""


def resolved(config: Config, cache: Cache, silent: Cache | None = None) -> dict[str, Any]:
    """Everything that decides what is learned, as JSON; under ``notes`` what does not."""
    from nextstate.models.folders import checksum
    from nextstate.models.pretrained import read_config

    return {
        "format": 1,
        "training": config.training.to_dict(),
        "preset": preset_of(config),
        "options": options_of(config, cache, silent),
        "name": config.name,
        "modalities": list(config.modalities) or list(cache.state_spec),
        "context": config.context,
        "horizon": config.horizon,
        "init_from": read_config(config.init_from)["checksum"] if config.init_from else None,
        "init_partial": config.init_partial,
        **({"policy": config.policy} if config.policy else {}),
        **noted(config, silent),
        **({"withheld": config.withheld} if config.withheld else {}),
        **({"guessed": checksum(config.guessed)} if config.guessed else {}),
        "fingerprint": cache.fingerprint,
        "notes": {"data": str(config.data), "world": cache.world, "init_from": str(config.init_from or "")},
    }


def preset_of(config: Config) -> str:
    """The preset asked for, or the default of its kind."""
    return config.preset or USUAL[config.policy]


def name_of(config: Config, cache: Cache) -> str:
    """The name asked for, or one of world and preset."""
    return config.name or f"{cache.world or config.data.name}-{preset_of(config)}"


def make_model(config: Config, cache: Cache, silent: Cache | None = None) -> Trainable:
    """A fresh model for the data, from the seed, or a pretrained one to go on with."""
    import torch

    from nextstate.models import WorldModelSpec, build
    from nextstate.models.pretrained import load_into, read_config, spec_from_dict
    from nextstate.models.stages import chosen_stages

    name = name_of(config, cache)
    modalities = dict(cache.state_spec)
    if config.init_from is not None:
        # What a pretrained network sees must be scaled as it was when it learned to see.
        theirs = spec_from_dict(read_config(config.init_from)["spec"]).modalities
        modalities |= {n: theirs[n] for n, m in modalities.items() if n in theirs and theirs[n].shape == m.shape}
    spec = WorldModelSpec(name, modalities, cache.action_size, cache.hz, config.context, config.horizon)
    torch.manual_seed(config.training.seed)
    try:
        model: Trainable = build(spec, preset_of(config), **options_of(config, cache, silent))
    except TypeError as error:
        raise SettingsError(f"--options {' '.join(config.options)}: {error}.") from error
    if config.init_from is not None:
        fresh = load_into(model, config.init_from, config.init_partial)
        if fresh:
            print(f"{len(fresh)} parameters start fresh, among them {', '.join(fresh[:3])}")
    if config.stages:
        model.stages = chosen_stages(model.stages, config.stages)  # type: ignore[misc]
    return model


def validation_set(config: Config, cache: Cache, spec: WorldModelSpec) -> ValidationSet | None:
    """Fixed windows of held-out episodes, as far ahead as these allow; None if there are none."""
    from nextstate.data import Windows
    from nextstate.data.windows import is_validation
    from nextstate.training.quiet import SilentSet
    from nextstate.training.validate import ValidationSet

    size = config.training.validation_windows
    lengths = cache.lengths[is_validation(cache.episodes)]
    if not size:
        return None
    shortest = int(lengths.max() if config.on_damage == "skip" else lengths.min())
    length = min(config.context + max(round(LONGEST_FORESIGHT * cache.hz), 1), shortest)
    try:
        windows = Windows(cache, max(length, config.context + 1), "validation", 0, list(spec.modalities))
    except DatasetError as error:
        print(f"no validation, so nobody watches for collapse or deafness to actions: {error}")
        return None
    climate = Windows(cache, 1, "train", 0, list(spec.modalities)).batch(0, CLIMATE)
    kind = ValidationSet if cache.action_size else SilentSet
    return kind(windows.batch(0, size), config.context, climate, windows.batch(1, SPARE * size))


def options_of(config: Config, cache: Cache, silent: Cache | None = None) -> dict[str, Any]:
    """Options of the model, the objective among them unless it is `UNTOLD`."""
    options = parse_options(config.options)
    if way_of(config):
        options = {**silent_options(config, cache, silent), **options}
    objective = objective_of(config)
    return options if config.policy or objective == UNTOLD else {"objective": objective, **options}


def objective_of(config: Config) -> str:
    """The objective asked for, else that of the model to start from or of the run to go on with, else `BEST`."""
    from nextstate.models.pretrained import read_config
    from nextstate.training.run import options_of_run

    if config.objective:
        return config.objective
    begun = read_config(config.init_from)["options"] if config.init_from else options_of_run(config.out)
    return BEST if begun is None else str(begun.get("objective", UNTOLD))


def parse_options(options: tuple[str, ...]) -> dict[str, Any]:
    """``("layers=3", "wide=true")`` to ``{"layers": 3, "wide": True}``; raises `SettingsError`."""
    found: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"--options {option!r}: write name=value, for example layers=3.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
