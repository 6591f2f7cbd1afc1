"""Folders of videos, and datasets without commands: what becomes of them, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import av
import numpy as np
import pytest

from nextstate.commands.data import main as data_command
from nextstate.commands.pretrain import main as pretrain
from nextstate.data import Windows, open_cache
from nextstate.data.footage import is_footage, open_footage
from nextstate.data.format import INFO_PATH
from nextstate.data.parts import parse_episodes, part_of, require_commands, silenced
from nextstate.data.storage import read_json, write_json
from nextstate.errors import DatasetError, SettingsError, UnknownNameError
from recordings import make_dataset

BRIGHTER = 4
"""Levels by which a film's left side brightens per tenth of a second."""


def film(path: Path, fps: int, seconds: float = 2.0, size: tuple[int, int] = (40, 24), codec: str = "libx264") -> None:
    """Brightens steadily; a white square marks the middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(round(seconds * fps)):
            level = 20 + round(BRIGHTER * 10 * number / fps)
            picture = np.full((size[1], size[0], 3), level, np.uint8)
            row, column = size[1] // 2, size[0] // 2
            picture[row - 3 : row + 3, column - 3 : column + 3] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_videos_of_any_rate_size_and_codec_become_episodes_alike(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 30)
    film(tmp_path / "deep/b.mkv", 24, size=(24, 56), codec="mpeg4")
    film(tmp_path / "c.webm", 10, size=(64, 48), codec="libvpx-vp9")
    cache = open_cache(tmp_path, size=16, workers=1)
    assert is_footage(tmp_path) and cache.hz == 10 and cache.action_size == 0 and list(cache.state_spec) == ["rgb"]
    assert cache.lengths.tolist() == [20, 20, 20]
    for start in cache.starts:
        pictures = cache.arrays["rgb"][start : start + 20].astype(int)
        assert np.abs(pictures[:, 2, 2].mean(axis=1) - (20 + BRIGHTER * np.arange(20))).max() <= 8, "nearest in time"
        assert pictures[:, 7:9, 7:9].min() > 180, "the middle is kept"
    slower = open_cache(tmp_path, size=16, hz=5, workers=1)
    assert slower.lengths.tolist() == [10, 10, 10] and slower.fingerprint == cache.fingerprint
    assert open_cache(tmp_path, size=16, workers=1).root == cache.root, "not built again"
    batch = Windows(cache, 5, "all").batch(0, 3)
    assert batch["rgb"].shape == (3, 5, 16, 16, 3) and batch["action"].shape == (3, 4, 0)


def test_videos_that_are_none_stop_or_are_left_out_by_name(tmp_path: Path) -> None:
    film(tmp_path / "good.mp4", 10)
    film(tmp_path / "slow.mp4", 4)
    film(tmp_path / "still.mp4", 10, seconds=0.1)
    (tmp_path / "junk.mp4").write_bytes(b"no video" * 100)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with av.open(str(tmp_path / "sound.mov"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    told = " ".join(open_footage(tmp_path).damage)
    for name in ("slow.mp4", "still.mp4", "junk.mp4", "cut.mkv", "sound.mov"):
        assert name in told
    assert "4 pictures a second and 10 are wanted" in told and "holds 1 pictures" in told and "only sound" in told
    assert data_command(["check", str(tmp_path)]) == 1 and data_command(["info", str(tmp_path)]) == 1
    with pytest.raises(DatasetError, match="on-damage skip goes without it"):
        open_cache(tmp_path, workers=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache = open_cache(tmp_path, on_damage="skip", workers=1)
    assert len(cache) == 1 and any("and 4 more" in str(warning.message) for warning in caught)
    with pytest.raises(SettingsError, match="--hz"):
        open_footage(tmp_path, -1)


def test_a_dataset_without_commands_is_silent_and_refused_where_they_are_needed(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data")
    fields = read_json(tmp_path / "data" / INFO_PATH)
    del fields["features"]["action"]
    write_json(tmp_path / "data" / INFO_PATH, fields)
    cache = open_cache(tmp_path / "data", workers=1)
    assert cache.action_size == 0 and "action" not in cache.arrays and "rgb" in cache.arrays
    with pytest.raises(DatasetError, match="is silent"):
        require_commands(cache, tmp_path, "guiding")
    with pytest.raises(DatasetError, match=r"is silent.*pretraining takes"):
        pretrain(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")])


def test_parts_of_a_cache_are_what_the_whole_holds_there(tmp_path: Path) -> None:
    make_dataset(tmp_path, episodes=5)
    whole = open_cache(tmp_path, workers=1)
    part = part_of(whole, *parse_episodes("1:4"))
    assert part.episodes.tolist() == [1, 2, 3] and part.tasks == whole.tasks[1:4]
    for at in range(3):
        ours, theirs = (slice(c.starts[i], c.starts[i] + c.lengths[i]) for c, i in ((part, at), (whole, at + 1)))
        np.testing.assert_array_equal(part.arrays["action"][ours], whole.arrays["action"][theirs])
    quiet = silenced(part, ["rgb"])
    assert list(quiet.state_spec) == ["rgb"] and list(quiet.arrays) == ["rgb"] and quiet.action_size == 0
    with pytest.raises(UnknownNameError):
        silenced(part, ["sound"])
    for wrong in ("5", "a:b"):
        with pytest.raises(SettingsError, match="no episodes"):
            parse_episodes(wrong)
    with pytest.raises(SettingsError, match="are none of the 5"):
        part_of(whole, 7, 9)
