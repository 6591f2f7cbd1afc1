"""What `nextstate pretrain --policy` trains: the language-first rival, on the instructed episodes of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextstate.errors import DatasetError, SettingsError

if TYPE_CHECKING:
    from nextstate.commands.pretrain import Config
    from nextstate.data import Cache
    from nextstate.data.instructed import InstructedFrames
    from nextstate.models.language import Vla
    from nextstate.training.following import Followed


def rival(config: Config, cache: Cache) -> tuple[Vla, InstructedFrames, Followed | None]:
    """A fresh rival, the frames that it learns from, and held-out ones to judge it by.

    Raises:
        SettingsError: for options that a policy cannot use. DatasetError: for a dataset without instructions.
        MissingExtraError, CheckpointError: when its pretrained parts cannot be had.
    """
    import torch

    from nextstate.commands.pretrain import name_of, parse_options, preset_of
    from nextstate.data.instructed import InstructedFrames, instructions
    from nextstate.models import WorldModelSpec
    from nextstate.models.language import PRESETS, build_vla
    from nextstate.models.language.words import listed, scripts
    from nextstate.training.following import Followed

    if config.init_from is not None:
        raise SettingsError("--init-from is for world models; the rival begins from its pretrained parts.")
    asked = [cache.tasks[episode] for episode in instructions(cache).nonzero()[0]]
    wanted = [name for name in cache.state_spec if name in ("rgb", "proprio", "touch")]
    options: dict[str, Any] = {"scripts": scripts(asked), **parse_options(config.options)}
    preset = preset_of(config)
    default = PRESETS.get(preset)
    if default is not None and not default.pretrained:
        options = {"vocabulary": listed(asked), **options}
    chunk = int(options.get("chunk", default.chunk if default else 8))
    spec = WorldModelSpec(
        name_of(config, cache), {n: cache.state_spec[n] for n in wanted}, cache.action_size, cache.hz, 1, chunk
    )
    torch.manual_seed(config.training.seed)
    try:
        model = build_vla(spec, preset, **options)
    except TypeError as error:
        raise SettingsError(f"--options {' '.join(config.options)}: {error}.") from error
    parts = (cache, chunk, model.instruction, wanted)
    frames = InstructedFrames(*parts, "train", config.training.seed)
    size = config.training.validation_windows
    if not size:
        return model, frames, None
    try:
        held = Followed(InstructedFrames(*parts, "validation").batch(0, 4 * size))
    except DatasetError as error:
        print(f"no validation: {error}")
        return model, frames, None
    return model, frames, held
