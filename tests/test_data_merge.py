"""Merging: the same episodes under new numbers, or a named reason why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextstate.commands.data import main as data_command
from nextstate.data import open_cache
from nextstate.data.check import check
from nextstate.data.format import INFO_PATH
from nextstate.data.lerobot import open_dataset
from nextstate.data.merge import merge
from nextstate.data.storage import read_json, write_json
from nextstate.errors import DatasetError
from recordings import make_dataset


def test_merging_keeps_every_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_dataset(tmp_path / "a", 3) + make_dataset(tmp_path / "b", 4, first_seed=10)
    assert data_command(["merge", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "c")]) == 0
    assert not check(tmp_path / "c", workers=1)
    merged = open_dataset(tmp_path / "c")
    assert (merged.info.episodes, merged.info.frames) == (7, 84)
    assert [entry.fields["nextstate/seed"] for entry in merged.episodes] == [0, 1, 2, 10, 11, 12, 13]
    cache = open_cache(tmp_path / "c", workers=1)
    assert cache.tasks == [episode.task for episode in made]
    for name, key in (("rgb", "observation.images.rgb"), ("action", "action")):
        np.testing.assert_array_equal(cache.arrays[name], np.concatenate([e.columns[key] for e in made]))
    stats, parts = merged.stats()["action"], np.concatenate([e.columns["action"] for e in made])
    np.testing.assert_allclose(stats["mean"], parts.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats["std"], parts.std(axis=0), atol=1e-6)
    assert data_command(["info", str(tmp_path / "c")]) == 0
    assert "84 at 10/s" in capsys.readouterr().out


def change(root: Path, **fields: object) -> None:
    write_json(root / INFO_PATH, read_json(root / INFO_PATH) | fields)


@pytest.mark.parametrize("named", ["rate", "feature action", "world_version", "seed 0", "exists already", "damaged"])
def test_what_does_not_fit_is_named(tmp_path: Path, named: str) -> None:
    a, b, out = (tmp_path / name for name in "abc")
    make_dataset(a, 2)
    own = {"world_version": 2} if named == "world_version" else {}
    make_dataset(b, 2, first_seed=0 if named == "seed 0" else 10, **own)
    if named == "rate":
        change(b, fps=20)
    elif named == "feature action":
        features = read_json(b / INFO_PATH)["features"]
        change(b, features=features | {"action": {**features["action"], "shape": [3]}})
    elif named == "exists already":
        make_dataset(out, 1)
    elif named == "damaged":
        (b / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=named):
        merge([a, b], out)
    assert out.exists() == (named == "exists already")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["rows missing", "rows cut off", "video missing", "video cut off"])
def test_damaged_files_are_not_merged(tmp_path: Path, damage: str) -> None:
    a, b, out = (tmp_path / name for name in "abc")
    make_dataset(a, 2)
    make_dataset(b, 2, first_seed=10)
    path = next((b / ("data" if damage.startswith("rows") else "videos")).rglob("file-*.*"))
    if damage.endswith("missing"):
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DatasetError, match=path.name):
        merge([a, b], out)
    assert not out.exists() and not list(tmp_path.glob(".*"))


def test_what_sources_do_not_share_is_not_told_of_all(tmp_path: Path) -> None:
    make_dataset(tmp_path / "a", 2, practised="")
    make_dataset(tmp_path / "b", 2, first_seed=10, practised="some model")
    own = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c").own
    assert "practised" not in own and own["world"] == open_dataset(tmp_path / "a").info.own["world"]
