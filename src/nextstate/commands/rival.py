"""What `nextstate pretrain --policy` trains: the language-first rival that acts, or the one that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextstate.errors import DatasetError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from nextstate.commands.pretrain import Config
    from nextstate.data import Cache
    from nextstate.data.asked import AskedFrames
    from nextstate.data.instructed import InstructedFrames
    from nextstate.data.windows import Split
    from nextstate.models.language import Cloner, ClonerSizes, Sizes, Vla, Vlm
    from nextstate.training.answering import Answered
    from nextstate.training.following import Followed

QUESTIONS, FRAMES = 3000, 20_000
"""Of each exact question, at most, in the training set, and frames that they are about, enough that rare answers occur;
of questions a tenth of that in the validation set."""


def rival(
    config: Config, cache: Cache
) -> tuple[Vla | Cloner | Vlm, InstructedFrames | AskedFrames, Followed | Answered | None]:
    """A fresh rival, what it learns from, and held-out frames to judge it by.

    Raises:
        SettingsError: for options that a rival cannot use. DatasetError: for a dataset without instructions.
        MissingExtraError, CheckpointError: when its pretrained parts cannot be had.
    """
    if config.init_from is not None:
        raise SettingsError("--init-from is for world models; the rival begins from its pretrained parts.")
    return answering(config, cache) if config.policy == "vlm" else acting(config, cache)


def acting(config: Config, cache: Cache) -> tuple[Vla | Cloner, InstructedFrames, Followed | None]:
    """The rival that follows instructions."""
    from nextstate.data.instructed import InstructedFrames, instructions
    from nextstate.training.following import Followed

    asked = [cache.tasks[episode] for episode in instructions(cache).nonzero()[0]]
    sizes, options = settle(config, asked)
    chunk = int(options.get("chunk", sizes.chunk))
    model: Vla | Cloner = fresh(config, cache, chunk, options)
    names = list(model.spec.modalities)
    guesses = None if config.guessed is None else _guesses(config.guessed, cache)
    silent = config.withheld if guesses is None else ""

    def of(split: Split, seed: int) -> InstructedFrames:
        frames = InstructedFrames(cache, chunk, model.instruction, names, split, seed, silent)
        return frames if guesses is None else frames.reading({n: cache.arrays[n] for n in names}, guesses)

    frames = of("train", config.training.seed)
    size = config.training.validation_windows
    if not size:
        return model, frames, None
    try:
        return model, frames, Followed(of("validation", 0).batch(0, 4 * size))
    except DatasetError as error:
        print(f"no validation: {error}")
        return model, frames, None


def _guesses(path: Path, cache: Cache) -> Any:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: no array of commands ({error}).") from error
    wanted = cache.arrays["action"].shape
    if found.shape != wanted:
        raise DatasetError(
            f"{path} holds commands {found.shape}; the dataset has {wanted}. Guess them from this dataset."
        )
    return found


def answering(config: Config, cache: Cache) -> tuple[Vlm, AskedFrames, Answered | None]:
    """The rival that answers questions, made from the dataset's true states.

    Raises:
        DatasetError: for a dataset without them. UnknownNameError: for a world of which nothing can be asked.
    """
    import numpy as np

    from nextstate.evaluation.questions import askers_of
    from nextstate.models.language.vlm import ANSWERS
    from nextstate.training.answering import Answered

    if cache.world is None or "outcome" not in cache.arrays:
        raise DatasetError(f"{config.data} holds no true states (outcome) to ask about; record one from a world.")
    texts = [asker.text for asker in askers_of(cache.world)]
    _, options = settle(config, [*texts, *ANSWERS])
    # Questions are longer than instructions.
    options = {"words": 24, **options}
    model: Vlm = fresh(config, cache, config.horizon, options)
    train, _ = _asked(config, cache, model, "train", QUESTIONS)
    size = config.training.validation_windows
    if not size:
        return model, train, None
    held, kinds = _asked(config, cache, model, "validation", QUESTIONS // 10)
    chosen = np.random.default_rng(0).permutation(held.questions)[: 16 * size]
    return model, train, Answered(held.of(chosen), kinds[chosen])


def _asked(config: Config, cache: Cache, model: Vlm, split: Split, most: int) -> tuple[AskedFrames, Any]:
    import numpy as np

    from nextstate.data import Windows
    from nextstate.data.asked import AskedFrames
    from nextstate.evaluation.questions import Cases, make_questions

    windows = Windows(cache, config.horizon + 1, split, 0, [])
    rows = np.concatenate([cache.starts[e] + np.arange(cache.lengths[e] - config.horizon) for e in windows.episodes])
    rng = np.random.default_rng(config.training.seed)
    rows = rng.permutation(rows)[:FRAMES]
    cases = Cases.of_recording(cache, rows, config.horizon)
    questions = make_questions(cases, rng, most)
    words = {text: model.instruction(text) for text in set(questions.texts)}
    told = np.stack([words[text] for text in questions.texts])
    arrays = {name: cache.arrays[name] for name in model.spec.modalities}
    # Frames of which nothing is asked need not be looked at.
    used, frame = np.unique(questions.case, return_inverse=True)
    together = model.options.asked
    frames = AskedFrames(
        arrays, rows[used], cases.plan[used], frame, told, questions.answer, together, config.training.seed
    )
    kinds = np.where(questions.of("knowledge"), "knowledge", "physics")
    return frames, kinds[np.argsort(frame, kind="stable")]


def settle(config: Config, texts: list[str]) -> tuple[Sizes | ClonerSizes, dict[str, Any]]:
    """Sizes of the preset, and its options with what the texts decide; raises `UnknownNameError`."""
    from nextstate.commands.pretrain import parse_options, preset_of
    from nextstate.errors import UnknownNameError
    from nextstate.models.language import PRESETS
    from nextstate.models.language.words import listed, scripts

    mine = {name: sizes for name, (kind, sizes) in PRESETS.items() if kind == config.policy}
    if preset_of(config) not in mine:
        raise UnknownNameError("preset", preset_of(config), mine)
    sizes = mine[preset_of(config)]
    read: dict[str, Any] = {"scripts": scripts(texts)}
    if not sizes.pretrained:
        read["vocabulary"] = listed(texts)
    return sizes, {**read, **parse_options(config.options)}


def fresh(config: Config, cache: Cache, horizon: int, options: dict[str, Any]) -> Any:
    """A model for what the dataset senses, from the seed."""
    import torch

    from nextstate.commands.pretrain import name_of, preset_of
    from nextstate.models import WorldModelSpec, build_any

    wanted = {n: kind for n, kind in cache.state_spec.items() if n in ("rgb", "proprio", "touch")}
    spec = WorldModelSpec(name_of(config, cache), wanted, cache.action_size, cache.hz, 1, horizon)
    torch.manual_seed(config.training.seed)
    try:
        return build_any(spec, preset_of(config), **options)
    except TypeError as error:
        raise SettingsError(f"--options {' '.join(config.options)}: {error}.") from error
