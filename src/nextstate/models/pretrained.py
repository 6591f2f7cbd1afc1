"""Weights as people share them: a folder with `model.safetensors`, `config.json` and a model card."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nextstate.errors import CheckpointError
from nextstate.modalities import modality_from_dict
from nextstate.models.folders import checksum, folder_of, whole_folder
from nextstate.models.protocol import WorldModelSpec

FORMAT = "nextstate-model"
VERSION = 2
"""Of the folder's layout. Raise it when older code could no longer read what is written."""

WORLD_MODEL = "A world model: it predicts the next physical state (every modality below) under an action."
"""What a model card says of a model that has no `about` of its own."""

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


class Network(Protocol):
    """What a model needs so that it can be saved and rebuilt; it is a `torch.nn.Module` besides."""

    @property
    def spec(self) -> WorldModelSpec: ...

    def config(self) -> dict[str, Any]:
        """``{"preset": name, "options": {...}}``: with the spec, all that `nextstate.models.build` needs."""
        ...

    def owners(self) -> dict[str, int]:
        """Number of parameters by owner: vision, dynamics, touch, proprioception, action, language."""
        ...


Build = Callable[..., Any]
"""``build(spec, preset, **options)`` to a fresh model."""


def save_pretrained(model: Network, folder: Path, card: Mapping[str, Any]) -> Path:
    """Writes weights, configuration and model card to `folder`, all or nothing.

    Args:
        card: what the card tells besides the architecture: ``data``, ``command``, ``figures`` (a nested
            mapping of numbers), ``licence`` and any other line. A full disk raises `StorageError`.
    """
    with whole_folder(Path(folder)) as target:
        save_file(weights_of(_module(model)), target / WEIGHTS, metadata={"format": "pt"})
        config = {
            "format": FORMAT,
            "version": VERSION,
            "spec": spec_to_dict(model.spec),
            **model.config(),
            "checksum": checksum(target / WEIGHTS),
        }
        (target / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (target / CARD).write_text(_card(model, card), encoding="utf-8")
    return Path(folder)


def from_pretrained(folder: Path | str, build: Build | None = None) -> Any:
    """The model saved in `folder`, in evaluation mode.

    Args:
        folder: of weights, or the name of a model that comes with the package (push, grasp, spill).
        build: what makes the network from spec and preset; `nextstate.models.build_any` by default.

    Raises `CheckpointError` when the folder is missing, damaged, or of another version.
    """
    config = read_config(folder)
    if build is None:
        build = cast(Build, importlib.import_module("nextstate.models").build_any)
    spec = spec_from_dict(config["spec"])
    try:
        model = build(spec, config["preset"], **{**_untold(config), **config.get("options", {})})
    except TypeError as error:
        raise CheckpointError(
            f"{folder}: this version of nextstate cannot rebuild preset {config['preset']!r} with options "
            f"{config.get('options', {})} ({error}); use the version it was trained with, or train again."
        ) from error
    load_weights(_module(model), read_weights(folder, config), str(folder))
    _module(model).eval()
    return model


def load_into(model: Network, folder: Path | str, partial: bool = False) -> list[str]:
    """Loads pretrained weights into a model that was built for other data (fine-tuning).

    Args:
        partial: also accept other modalities or sizes: what fits by name and shape is loaded.

    Returns:
        names of parameters that kept their fresh values (empty unless `partial`).

    Raises `CheckpointError` when modalities differ and `partial` is false.
    """
    config = read_config(folder)
    theirs = spec_from_dict(config["spec"])
    differences = spec_differences(model.spec, theirs)
    if differences and not partial:
        raise CheckpointError(
            f"{folder} was trained for other states: {'; '.join(differences)}. Choose data (or modalities) that "
            "match, or load only what fits, with partial=True (--init-partial)."
        )
    module, weights = _module(model), read_weights(folder, config)
    if not partial:
        load_weights(module, weights, str(folder))
        return []
    own = weights_of(module)
    fitting = {n: w for n, w in weights.items() if n in own and own[n].shape == w.shape}
    if not fitting:
        raise CheckpointError(f"{folder}: not one parameter fits this model; choose the preset {config['preset']!r}.")
    _copy(module, fitting)
    return sorted(set(own) - set(fitting))


def spec_differences(ours: WorldModelSpec, theirs: WorldModelSpec) -> list[str]:
    """What keeps weights made for one spec from fitting another, in words."""
    found = []
    for name in sorted({*ours.modalities, *theirs.modalities}):
        here, there = ours.modalities.get(name), theirs.modalities.get(name)
        if here is None or there is None:
            found.append(f"{name} only {'here' if there is None else 'there'}")
        elif here.shape != there.shape:
            found.append(f"{name} has shape {here.shape} here, {there.shape} there")
    if ours.action_size != theirs.action_size:
        found.append(f"actions of {ours.action_size} numbers here, {theirs.action_size} there")
    if ours.hz != theirs.hz:
        found.append(f"{ours.hz:g} states a second here, {theirs.hz:g} there")
    return found


def read_config(folder: Path | str) -> dict[str, Any]:
    """The checked `config.json` of a model folder; raises `CheckpointError`."""
    path = folder_of(folder) / CONFIG
    if (path.parent / "checkpoints").is_dir():
        raise CheckpointError(f"{folder} is a run; its model is in {path.parent / 'model'} once the run has ended.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} holds no model: {CONFIG} is missing. Give the folder that was written by "
            "`nextstate pretrain` or `save_pretrained`."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); copy or download the folder again.") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of a nextstate model; give a folder written by `save_pretrained`.")
    if config.get("version") not in (1, VERSION):
        raise CheckpointError(
            f"{folder} has format version {config.get('version')}, this nextstate reads versions 1 and {VERSION}; "
            "install the nextstate it was made with, or train the model again."
        )
    missing = {"spec", "preset", "checksum"} - set(config)
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}; copy or download the folder again.")
    return config


def _untold(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a model of the first format did not know of, with what it does without them."""
    presets = importlib.import_module("nextstate.models").PRESETS
    return {"angles": 0} if config["version"] == 1 and config["preset"] in presets else {}


def read_weights(folder: Path | str, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a model folder, checked against its configuration; raises `CheckpointError`."""
    path = folder_of(folder) / WEIGHTS
    try:
        found = checksum(path)
        weights = load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; copy or download the folder again.") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); copy or download the folder again.") from error
    if found != config["checksum"]:
        raise CheckpointError(
            f"{path} is not the file that {CONFIG} was written for (checksum {found[:12]}, expected "
            f"{str(config['checksum'])[:12]}); copy or download the folder again."
        )
    return weights


def spec_to_dict(spec: WorldModelSpec) -> dict[str, Any]:
    """JSON form of a spec."""
    return {
        "name": spec.name,
        "modalities": [modality.to_dict() for modality in spec.modalities.values()],
        "action_size": spec.action_size,
        "hz": spec.hz,
        "context": spec.context,
        "horizon": spec.horizon,
        "stochastic": spec.stochastic,
    }


def spec_from_dict(fields: Mapping[str, Any]) -> WorldModelSpec:
    """Inverse of `spec_to_dict`; raises `CheckpointError` when fields are missing or of the wrong kind."""
    try:
        modalities = [modality_from_dict(m) for m in fields["modalities"]]
        rest = {k: v for k, v in fields.items() if k != "modalities"}
        return WorldModelSpec(modalities={m.name: m for m in modalities}, **rest)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"the model's spec cannot be read ({error}); use the nextstate it was made with, or train it again."
        ) from error


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers on the CPU, contiguous; tied ones under their first name only."""
    found: dict[str, Tensor] = {}
    seen: set[tuple[int, torch.Size, tuple[int, ...]]] = set()
    for name, tensor in module.state_dict().items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        found[name] = tensor.detach().cpu().contiguous()
    return found


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Copies `weights` into a module that has exactly these; raises `CheckpointError` naming what differs."""
    own = weights_of(module)
    wrong = [f"{n} is missing" for n in own if n not in weights]
    wrong += [f"{n} is not part of this model" for n in weights if n not in own]
    wrong += [
        f"{n} has shape {tuple(w.shape)} there, {tuple(own[n].shape)} here"
        for n, w in weights.items()
        if n in own and own[n].shape != w.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(
            f"{where}: weights do not fit this model: {'; '.join(wrong[:3])}{more}. They were made by another "
            "version or preset; use that one, or train again."
        )
    _copy(module, weights)


def _copy(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    # In place, so that tied parameters stay tied and the memory layout stays what it was.
    state = module.state_dict()
    with torch.no_grad():
        for name, weight in weights.items():
            state[name].copy_(weight)


def _module(model: Network) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise TypeError(f"{type(model).__name__} has no weights of its own: only torch modules are saved and loaded")
    return cast(nn.Module, model)


def _card(model: Network, card: Mapping[str, Any]) -> str:
    spec, owners = model.spec, model.owners()
    about = str(getattr(model, "about", WORLD_MODEL))
    total = sum(owners.values())
    config = model.config()
    facts = {
        "Predicts" if about == WORLD_MODEL else "Senses": ", ".join(
            f"{n} {m.shape}" for n, m in spec.modalities.items()
        ),
        "Actions": f"{spec.action_size} numbers in [-1, 1] at {spec.hz:g} Hz",
        "Context, horizon": f"{spec.context} states, {spec.horizon} steps",
        "Preset": f"`{config['preset']}`" + (f" with {config['options']}" if config.get("options") else ""),
        "Parameters": f"{total:,} (" + ", ".join(f"{k} {v / max(total, 1):.0%}" for k, v in owners.items() if v) + ")",
    }
    lines = [
        "---",
        "library_name: nextstate",
        f"license: {card.get('licence', 'apache-2.0')}",
        "tags: [world-model]",
        "---",
        "",
        f"# {spec.name}",
        "",
        about,
        "",
        *(f"- **{key}**: {value}" for key, value in facts.items()),
        *(f"- **{k.capitalize()}**: {v}" for k, v in card.items() if k not in ("command", "figures", "licence")),
    ]
    if "command" in card:
        lines += ["", "## How it was made", "", "```", str(card["command"]), "```"]
    if card.get("figures"):
        lines += ["", "## Figures", "", "```json", json.dumps(card["figures"], indent=2), "```"]
    lines += [
        "",
        "## Use",
        "",
        "```python",
        "from nextstate.models.pretrained import from_pretrained",
        "",
        'model = from_pretrained("path/to/this/folder")',
        "```",
        "",
    ]
    return "\n".join(lines)
