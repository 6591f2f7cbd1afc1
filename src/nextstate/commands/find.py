"""Finds what a command names: a model (a folder of weights, or the true simulator) and a readout for its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nextstate.errors import CheckpointError, DatasetError

if TYPE_CHECKING:
    from nextstate.evaluation.readout import Readout
    from nextstate.models.protocol import WorldModel
    from nextstate.worlds import World

ORACLE = "oracle"
DEFAULT_SIZE = 64


def find_model(name: str, world: World) -> WorldModel:
    """The model saved in the folder `name`, or the oracle; raises `CheckpointError` when it is of another world."""
    if name == ORACLE:
        from nextstate.evaluation.oracle import Oracle
        from nextstate.worlds import make_world

        return Oracle(make_world(world.name, world.size, world.modalities))
    from nextstate.models.pretrained import from_pretrained

    home = home_of(name)
    if home not in (None, world.name):
        raise CheckpointError(f"{name} was trained in world {home!r}, not in {world.name!r}; give --world {home}.")
    model: WorldModel = from_pretrained(name)
    wrong = differences(model, world)
    if wrong:
        raise CheckpointError(f"{name} does not fit world {world.name!r}: {'; '.join(wrong)}. Give the world it knows.")
    return model


def home_of(name: str) -> str | None:
    """The world that a model folder was trained in, None where that is not known."""
    from nextstate.models.pretrained import read_config
    from nextstate.worlds import WORLDS, YARDSTICKS

    config = read_config(name)
    # By default, models are named after their world and preset.
    guess = str(config["spec"].get("name", "")).partition("-")[0]
    return config.get("world") or (guess if guess in {**WORLDS, **YARDSTICKS} else None)


def model_size(name: str) -> int:
    """Height of the pictures that a model folder was trained on; 64 for the oracle."""
    if name == ORACLE:
        return DEFAULT_SIZE
    from nextstate.models.pretrained import read_config, spec_from_dict

    spec = spec_from_dict(read_config(name)["spec"])
    return next((kind.shape[0] for kind in spec.modalities.values() if kind.kind == "image"), DEFAULT_SIZE)


def differences(model: WorldModel, world: World) -> list[str]:
    """What keeps a model from imagining this world, in words."""
    from nextstate.models.protocol import unfit_commands

    wrong = []
    for name, kind in model.spec.modalities.items():
        ours = world.state_spec.get(name)
        if ours is None:
            wrong.append(f"it needs {name}, which the world does not sense")
        elif ours.shape != kind.shape:
            wrong.append(f"{name} has shape {kind.shape} there, {ours.shape} here")
    return wrong + unfit_commands(model.spec, world.action_size, "the world's")


def find_readout(name: str, world: World, modalities: Sequence[str]) -> Readout | None:
    """The readout that came with the model or the package, else the newest that was kept, which reads these."""
    from nextstate.evaluation.readout import Readout
    from nextstate.evaluation.store import cache_folder
    from nextstate.models.folders import SHIPPED, folder_of

    kept = sorted(
        (cache_folder() / "readouts").glob(f"{world.name}-*.safetensors"), key=lambda path: -path.stat().st_mtime
    )
    came = [folder / "readout.safetensors" for folder in (folder_of(name), SHIPPED / world.name)]
    for path in [*came, *kept]:
        if not path.is_file():
            continue
        try:
            readout = Readout.load(path)
        except DatasetError:
            continue
        shapes = {n: kind.shape for n, kind in readout.spec.items()}
        if readout.world.name == world.name and all(
            n in modalities and world.state_spec[n].shape == shape for n, shape in shapes.items()
        ):
            return readout
    return None
