"""Saved models come back as they were, and whatever is wrong with a folder is said in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nextstate.errors import CheckpointError
from nextstate.modalities import Proprio
from nextstate.models import History, folders
from nextstate.models.pretrained import from_pretrained, load_into, save_pretrained
from standin import PointModel, Points, build, spec

CARD = {"data": "points", "command": "nextstate pretrain --data points", "figures": {"nce": {"1.0": 0.25}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    return save_pretrained(PointModel(spec(), "tiny", width=12), tmp_path / "model", CARD)


def imagined(model: PointModel) -> torch.Tensor:
    batch = {name: torch.from_numpy(array) for name, array in Points().batch(0, 3).items()}
    history = History({n: batch[n][:, :2] for n in ("rgb", "proprio")}, batch["action"][:, :1])
    with torch.no_grad():
        return model.decode(model.imagine(model.observe(history), batch["action"][:, 1:]), ["proprio"])["proprio"]


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = PointModel(spec(), "tiny", width=12).to(memory_format=torch.channels_last)
    back = from_pretrained(save_pretrained(model, tmp_path / "model", CARD), build)
    assert back.spec == model.spec and not back.training
    assert torch.equal(imagined(back), imagined(model.eval()))


def test_shipped_models_are_found_by_name_unless_a_folder_has_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SHIPPED", tmp_path)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "model").mkdir()
    assert from_pretrained("model", build).spec == from_pretrained(folder, build).spec
    with pytest.raises(CheckpointError, match="holds no model"):
        from_pretrained("other", build)
    (elsewhere / "model" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        from_pretrained("model", build)


def test_the_card_tells_data_command_and_figures(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert all(text in card for text in ("points", CARD["command"], '"1.0": 0.25', "license: apache-2.0", "vision"))


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path: Path) -> None:
    def tied(*_: object, **__: object) -> PointModel:
        model = PointModel(spec())
        model.add_module("again", model.draw)
        return model

    first = tied()
    back = from_pretrained(save_pretrained(first, tmp_path / "model", {}), tied)
    assert back.again.weight is back.draw.weight
    assert torch.equal(back.draw.weight, first.draw.weight)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "holds no model"),
        (lambda f: (f / "checkpoints").mkdir(), "is a run"),
        (lambda f: (f / "config.json").write_text("{"), "damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b"short"), "damaged"),
        (flip, "checksum"),
        (lambda f: edit(f, version=3), "format version 3"),
        (lambda f: edit(f, format="other"), "not of a nextstate model"),
        (lambda f: edit(f, options={"depth": 3}), "cannot rebuild preset 'tiny'"),
        (lambda f: edit(f, options={"width": 13}), "do not fit"),
        (lambda f: edit(f, spec={"name": "x"}), "spec cannot be read"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(folder: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=said):
        from_pretrained(folder, build)


def test_fine_tuning_refuses_other_modalities_unless_only_parts_are_wanted(folder: Path) -> None:
    same = PointModel(spec(name="other"), width=12)
    assert load_into(same, folder) == []
    assert torch.equal(same.see.weight, from_pretrained(folder, build).see.weight)
    only_rgb = {"rgb": spec().modalities["rgb"]}
    longer = {**only_rgb, "proprio": Proprio(shape=(5,))}
    for changed, said in (
        (spec(modalities=only_rgb), "proprio only there"),
        (spec(modalities=longer), r"proprio has shape \(5,\) here, \(2,\) there"),
        (spec(action_size=3), "actions of 3 numbers here, 2 there"),
        (spec(hz=30.0), "30 states a second here, 10 there"),
    ):
        with pytest.raises(CheckpointError, match=said):
            load_into(PointModel(changed, width=12), folder)
    assert load_into(PointModel(spec(action_size=3), width=12), folder, partial=True) == ["next.weight"]
