"""The training cache: what it holds, when it is rebuilt, and what it does about damage."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextstate.commands.data import main as data_command
from nextstate.data import Windows, open_cache
from nextstate.data.check import check
from nextstate.data.format import FEATURE_OF, RGB
from nextstate.data.pictures import depth_in_metres, resized
from nextstate.data.storage import read_json, write_json
from nextstate.errors import DatasetError, UnknownNameError
from recordings import SIZE, make_dataset, make_foreign

DATA = "data/chunk-000/file-001.parquet"
VIDEO = f"videos/{RGB}/chunk-000/file-001.mp4"


def test_holds_what_was_recorded(tmp_path: Path) -> None:
    made = make_dataset(tmp_path)
    cache = open_cache(tmp_path, workers=1)
    assert (cache.world, cache.hz, cache.action_size, len(cache)) == ("toy", 10.0, 2, 5)
    assert cache.tasks == [episode.task for episode in made]
    types = {name: array.dtype.name for name, array in cache.arrays.items()}
    assert types == {"rgb": "uint8", "depth": "float16", "proprio": "float32", "action": "float32", "events": "bool"}
    for episode, start, length in zip(made, cache.starts, cache.lengths, strict=True):
        for name, array in cache.arrays.items():
            expected = episode.columns[FEATURE_OF.get(name, name)]
            np.testing.assert_array_equal(array[start : start + length], expected.astype(array.dtype))
    depth = np.concatenate([e.columns[FEATURE_OF["depth"]] for e in made])
    assert cache.state_spec["depth"].mean[0] == pytest.approx(depth.mean(), abs=0.02)
    assert cache.state_spec["rgb"].shape == (SIZE, SIZE, 3)
    assert not cache.arrays["rgb"].flags.writeable


def test_a_shared_place_for_arrays_keeps_what_is_not_ours(tmp_path: Path) -> None:
    first, second, place = tmp_path / "a", tmp_path / "b", tmp_path / "arrays"
    (place / "thesis").mkdir(parents=True)
    (place / "thesis" / "chapter.txt").write_text("mine")
    made = [make_dataset(root, 2, first_seed=seed) and open_cache(root, workers=1, cache_root=place).root
            for root, seed in ((first, 0), (second, 10))]  # fmt: skip
    make_dataset(first, 4)
    assert len(open_cache(first, workers=1, cache_root=place)) == 4
    assert (place / "thesis" / "chapter.txt").read_text() == "mine"
    assert made[1].exists() and not made[0].exists(), "only arrays of an earlier content of the same dataset go"


def test_is_built_once_and_again_when_the_content_changes(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    first = open_cache(tmp_path, workers=1)
    built = (first.root / "rgb.npy").stat().st_mtime_ns
    for path in tmp_path.rglob("*.mp4"):
        path.touch()
    again = open_cache(tmp_path, ["proprio"], workers=1)
    assert again.root == first.root and (again.root / "rgb.npy").stat().st_mtime_ns == built
    assert list(again.state_spec) == ["proprio"]
    make_dataset(tmp_path, 6)
    changed = open_cache(tmp_path, workers=1)
    assert len(changed) == 6 and changed.fingerprint != first.fingerprint
    assert not first.root.exists()


def test_the_same_content_has_the_same_fingerprint_anywhere(tmp_path: Path) -> None:
    for name in "ab":
        make_dataset(tmp_path / name)
        time.sleep(0.01)
    caches = [open_cache(tmp_path / name, workers=1) for name in "ab"]
    assert caches[0].fingerprint == caches[1].fingerprint


def test_a_dataset_that_cannot_be_written_to_is_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path / "shared", 3)
    monkeypatch.setenv("NEXTSTATE_CACHE", str(tmp_path / "mine"))
    refused = tmp_path / "shared"
    monkeypatch.setattr(os, "access", lambda path, mode: refused not in (Path(path), *Path(path).parents))
    with pytest.warns(UserWarning, match="cannot be written to"):
        cache = open_cache(refused, workers=1)
    assert (tmp_path / "mine") in cache.root.parents and len(cache) == 3
    assert not list(refused.rglob("*.npy"))
    built = cache.root.stat().st_mtime_ns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_cache(refused, workers=1).root.stat().st_mtime_ns == built, "it is found again, without a word"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path)

    def fail(*_: object) -> None:
        raise RuntimeError("power")

    with monkeypatch.context() as patch:
        patch.setattr("nextstate.data.cache._describe", fail)
        with pytest.raises(RuntimeError):
            open_cache(tmp_path, workers=1)
    assert not [path for path in (tmp_path / ".nextstate/cache").iterdir() if path.is_dir()]
    assert len(open_cache(tmp_path, workers=1)) == 5


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(bytes(content))


def replace_column(path: Path, name: str, change: Callable[[np.ndarray], None]) -> None:
    table = pq.read_table(path)
    values = np.array(table.column(name).to_pylist())
    change(values)
    column = pa.array(values.tolist(), table.schema.field(name).type)
    pq.write_table(table.set_column(table.column_names.index(name), name, column), path)


def spoil(name: str, value: float) -> Callable[[Path], None]:
    def change(values: np.ndarray) -> None:
        values[3, 0] = value

    return lambda root: replace_column(root / DATA, name, change)


def drop_rows(root: Path) -> None:
    table = pq.read_table(root / DATA)
    pq.write_table(table.slice(0, len(table) - 2), root / DATA)


def shorten_video(root: Path) -> None:
    path = root / VIDEO
    with av.open(str(path)) as source:
        frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    from nextstate.data.video import write_video

    write_video(path, [np.stack(frames[:-3])], 10.0)


DAMAGES: dict[str, tuple[Callable[[Path], None], set[int]]] = {
    "parquet missing": (lambda root: (root / DATA).unlink(), {2, 3}),
    "parquet truncated": (lambda root: truncate(root / DATA), {2, 3}),
    "parquet garbled": (lambda root: garble(root / DATA), {2, 3}),
    "rows missing": (drop_rows, {3}),
    "action NaN": (spoil("action", np.nan), {2}),
    "state infinite": (spoil(FEATURE_OF["proprio"], np.inf), {2}),
    "video missing": (lambda root: (root / VIDEO).unlink(), {2, 3}),
    "video truncated": (lambda root: truncate(root / VIDEO), {3}),
    "video garbled": (lambda root: garble(root / VIDEO), {2, 3}),
    "video too short": (shorten_video, {3}),
    "episodes list truncated": (lambda root: truncate(root / "meta/episodes/chunk-000/file-001.parquet"), {2, 3}),
}


@pytest.mark.filterwarnings("ignore:skipping")
@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_stops_or_is_skipped_and_is_listed(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, lost = DAMAGES[kind]
    make_dataset(tmp_path, 6)
    damage(tmp_path)
    problems = check(tmp_path, workers=1)
    listed = {problem.episode for problem in problems if problem.episode is not None}
    assert problems and (listed == lost or "list" in kind)
    with pytest.raises(DatasetError, match=r"file-001|lists 4 of 6"):
        open_cache(tmp_path, workers=1)
    with pytest.warns(UserWarning, match="skipping"):
        cache = open_cache(tmp_path, on_damage="skip", workers=1)
    assert set(cache.episodes.tolist()) == set(range(6)) - lost
    assert np.isfinite(cache.arrays["action"]).all() and cache.lengths.sum() == len(cache.arrays["rgb"])
    assert len(Windows(cache, 4, "all").batch(0, 8)["rgb"]) == 8
    with pytest.raises(DatasetError):
        open_cache(tmp_path, workers=1)
    assert data_command(["check", str(tmp_path), "--workers", "1"]) == 1
    assert "problems" in capsys.readouterr().out
    assert data_command(["convert", str(tmp_path), "--on-damage", "skip"]) == 0
    assert "warning: skipping" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda root: (root / "meta/info.json").unlink(), "info.json is missing"),
        (lambda root: truncate(root / "meta/info.json"), "info.json cannot be read"),
        (lambda root: write_json(root / "meta/info.json", {"codebase_version": "v2.1"}), "v2.1"),
        (lambda root: write_json(root / "meta/info.json", {"codebase_version": "v3.0"}), "fps"),
        (lambda root: write_json(root / "meta/info.json", read_json(root / "meta/info.json") | {"fps": 0}), "fps is 0"),
    ],
)
def test_unusable_meta_is_named(tmp_path: Path, spoiled: Callable[[Path], None], message: str) -> None:
    make_dataset(tmp_path)
    spoiled(tmp_path)
    with pytest.raises(DatasetError, match=message):
        open_cache(tmp_path, on_damage="skip")
    with pytest.raises(DatasetError, match=message):
        check(tmp_path)


def test_a_damaged_dataset_is_not_written_to(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    truncate(tmp_path / "meta/episodes/chunk-000/file-001.parquet")
    with pytest.raises(DatasetError, match="not written to"):
        make_dataset(tmp_path, 7)


def test_a_folder_without_a_dataset_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="missing"):
        open_cache(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_any_robot_dataset_loads_without_code(tmp_path: Path) -> None:
    values = make_foreign(tmp_path)
    cache = open_cache(tmp_path, workers=1)
    shapes = {name: modality.shape for name, modality in cache.state_spec.items()}
    assert shapes == {"rgb": (64, 64, 3), "depth": (64, 64), "proprio": (6,), "touch": (1, 4)}
    assert (cache.world, cache.hz, cache.action_size, cache.lengths.tolist()) == (None, 15.0, 7, [30, 20])
    assert cache.tasks == ["grab it", "grab it"]
    action = cache.arrays["action"]
    assert action.min() == -1 and action.max() == 1 and not action[:, 6].any()
    middle, half = (cache.action_low + cache.action_high) / 2, (cache.action_high - cache.action_low) / 2
    np.testing.assert_allclose(action * half + middle, values["action"], atol=1e-4)
    np.testing.assert_array_equal(cache.arrays["proprio"], values["observation.state"])
    # Every picture of these videos has one brightness, four times its number.
    brightness = cache.arrays["rgb"].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(brightness, 4 * np.arange(50), atol=3)
    assert Windows(cache, 8, "all").batch(0, 4)["touch"].shape == (4, 8, 1, 4)
    assert not [problem for problem in check(tmp_path, workers=1) if problem.episode is not None]


def test_camera_size_and_modalities_can_be_chosen(tmp_path: Path) -> None:
    make_foreign(tmp_path)
    cache = open_cache(tmp_path, ["rgb", "proprio"], size=16, camera="wrist", workers=1)
    assert cache.state_spec["rgb"].shape == (16, 16, 3) and list(cache.state_spec) == ["rgb", "proprio"]
    with pytest.raises(UnknownNameError, match="wrist"):
        open_cache(tmp_path, camera="wirst", workers=1)
    with pytest.raises(UnknownNameError, match="motion"):
        open_cache(tmp_path, ["rgb", "motion"], workers=1)


def test_mixed_rates_and_missing_parts_are_named(tmp_path: Path) -> None:
    make_foreign(tmp_path / "rate", video_fps=30)
    with pytest.raises(DatasetError, match="30 pictures/s"):
        open_cache(tmp_path / "rate", workers=1)
    make_foreign(tmp_path / "shape")
    fields = read_json(tmp_path / "shape/meta/info.json")
    fields["features"]["observation.state"]["shape"] = [5]
    write_json(tmp_path / "shape/meta/info.json", fields)
    with pytest.raises(DatasetError, match=r"observation\.state"):
        open_cache(tmp_path / "shape", workers=1)
    kept = {name: f for name, f in fields["features"].items() if not name.startswith("observation.images")}
    write_json(tmp_path / "shape/meta/info.json", {**fields, "features": kept})
    with pytest.raises(DatasetError, match="no camera"):
        open_cache(tmp_path / "shape", workers=1)


def test_a_dataset_without_commands_is_silent(tmp_path: Path) -> None:
    make_foreign(tmp_path)
    fields = read_json(tmp_path / "meta/info.json")
    kept = {name: f for name, f in fields["features"].items() if name != "action"}
    write_json(tmp_path / "meta/info.json", {**fields, "features": kept})
    assert open_cache(tmp_path, workers=1).action_size == 0


def test_pictures_are_averaged_over_areas() -> None:
    picture = np.arange(8 * 4, dtype=np.float32).reshape(8, 4)
    np.testing.assert_allclose(resized(picture, 2), picture.reshape(2, 4, 2, 2).mean(axis=(1, 3)))
    colour = np.repeat(np.uint8([[0, 100], [100, 200]])[..., None], 3, axis=2)
    assert resized(colour, 1).tolist() == [[[100, 100, 100]]]
    motion = np.stack([picture, -picture, 0 * picture], axis=-1)
    np.testing.assert_allclose(resized(motion, 2)[..., 1], -resized(picture, 2))


def test_depth_comes_in_metres() -> None:
    metres = np.full((2, 2), 1.5, np.float32)
    np.testing.assert_array_equal(depth_in_metres(metres, {}, quantised=False), metres)
    np.testing.assert_allclose(depth_in_metres(np.full((2, 2, 1), 1500, np.uint16), {}, quantised=False), metres)
    info = {"video.depth_min": 0.5, "video.depth_max": 4.0, "video.shift": 1.0, "video.use_log": True}
    level = np.log(2.5 / 1.5) / np.log(5.0 / 1.5) * 4095
    found = depth_in_metres(np.full((2, 2), round(level), np.uint16), info, quantised=True)
    np.testing.assert_allclose(found, metres, rtol=1e-3)
    with pytest.raises(DatasetError, match="one number per pixel"):
        depth_in_metres(np.zeros((2, 2, 3)), {}, quantised=False)
