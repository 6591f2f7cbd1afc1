"""Windows: inside one episode, a function of seed and step alone, and training apart from validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextstate.data import Cache, Windows
from nextstate.data.joined import joined
from nextstate.data.windows import is_validation
from nextstate.errors import DatasetError, UnknownNameError
from nextstate.modalities import Proprio


def toy(lengths: list[int], **changes: Any) -> Cache:
    """Every row says which episode and which step of it it is; the command repeats its row's number."""
    steps = np.concatenate([np.arange(n) for n in lengths])
    proprio = np.stack([np.repeat(np.arange(len(lengths)), lengths), steps], axis=1).astype(np.float32)
    fields: dict[str, Any] = {
        "root": Path(),
        "state_spec": {"proprio": Proprio(shape=(2,))},
        "action_size": 1,
        "hz": 10.0,
        "world": None,
        "starts": np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        "lengths": np.array(lengths),
        "tasks": [""] * len(lengths),
        "fingerprint": "",
        "arrays": {"proprio": proprio, "action": np.arange(len(proprio), dtype=np.float32)[:, None]},
        "episodes": np.arange(len(lengths)),
        "action_low": -np.ones(1),
        "action_high": np.ones(1),
    }
    return Cache(**{**fields, **changes})


LENGTHS = st.lists(st.integers(4, 30), min_size=2, max_size=40)


@settings(deadline=None, max_examples=60)
@given(
    LENGTHS,
    st.integers(1, 4),
    st.integers(0, 2**32),
    st.integers(0, 10**9),
    st.sampled_from(["train", "validation", "all"]),
)
def test_windows_stay_inside_one_episode_and_repeat(
    lengths: list[int], length: int, seed: int, step: int, split: Any
) -> None:
    cache = toy(lengths)
    batch = Windows(cache, length, split, seed).batch(step, 16)
    assert batch["proprio"].shape == (16, length, 2) and batch["action"].shape == (16, length - 1, 1)
    episode, number = batch["proprio"][..., 0].astype(int), batch["proprio"][..., 1]
    assert (episode == episode[:, :1]).all()
    np.testing.assert_array_equal(number, number[:, :1] + np.arange(length))
    np.testing.assert_array_equal(batch["action"][..., 0], cache.starts[episode[:, 1:]] + number[:, :-1])
    if split != "all":
        held_out = is_validation(np.arange(len(lengths)))[episode[:, 0]]
        assert (held_out == (split == "validation")).all()
    again = Windows(toy(lengths), length, split, seed)
    again.batch(step + 1, 3)
    np.testing.assert_array_equal(again.batch(step, 16)["proprio"], batch["proprio"])


@settings(deadline=None, max_examples=40)
@given(LENGTHS, LENGTHS, st.integers(0, 10**6), st.sampled_from(["train", "validation", "all"]))
def test_windows_of_several_caches_are_those_of_each(one: list[int], other: list[int], step: int, split: Any) -> None:
    parts = [Windows(toy(lengths), 4, split) for lengths in (one, other)]
    # Arrays may end where the last episode that is asked for does.
    parts[0] = parts[0].over({"proprio": parts[0].arrays["proprio"][: parts[0].rows]})
    (both,) = joined(parts)
    assert len(both) == sum(len(part) for part in parts)
    batch = both.batch(step, 64)
    second = both.first_rows(step, 64) >= parts[0].rows
    for part, mine in zip(parts, (~second, second), strict=True):
        episode, number = batch["proprio"][mine, :, 0].astype(int), batch["proprio"][mine, :, 1]
        np.testing.assert_array_equal(number, number[:, :1] + np.arange(4))
        assert (episode == episode[:, :1]).all() and set(episode[:, 0]) <= set(part.episodes)
        np.testing.assert_array_equal(batch["action"][mine, :, 0], part.cache.starts[episode[:, 1:]] + number[:, :-1])


def test_splits_that_are_joined_share_their_arrays_and_no_episode() -> None:
    caches = [toy([8] * 30), toy([9] * 30)]
    sides = [[Windows(cache, 4, split) for cache in caches] for split in ("train", "validation")]
    train, validation = joined(*sides)
    assert train.arrays["proprio"] is validation.arrays["proprio"]
    assert sorted([*train.episodes, *validation.episodes]) == list(range(60))


def test_datasets_of_other_bodies_are_not_joined() -> None:
    other = toy([5, 5], arrays={"proprio": np.zeros((10, 3), np.float32), "action": np.zeros((10, 1), np.float32)})
    with pytest.raises(DatasetError, match="give datasets of one body"):
        joined([Windows(toy([5, 5]), 4, "all"), Windows(other, 4, "all")])


@given(LENGTHS)
def test_training_and_validation_share_no_episode_and_leave_none_out(lengths: list[int]) -> None:
    cache = toy(lengths)
    train, validation = (set(Windows(cache, 4, split).episodes.tolist()) for split in ("train", "validation"))
    assert train and validation and not train & validation
    assert train | validation == set(range(len(lengths)))


def test_about_one_in_twenty_is_held_out_and_stays_so() -> None:
    held_out = is_validation(np.arange(2000))
    assert 0.04 < held_out.mean() < 0.06
    np.testing.assert_array_equal(is_validation(np.arange(300)), held_out[:300])


def test_every_window_is_as_likely_as_any_other() -> None:
    windows = Windows(toy([4, 14]), 4, "all")
    rows = np.concatenate([windows.first_rows(step, 100) for step in range(100)])
    counts = np.bincount(rows, minlength=18)
    assert len(windows) == 12 and (counts[[1, 2, 3, 15, 16, 17]] == 0).all()
    assert counts[counts > 0].min() > 700


def test_seeds_and_steps_differ() -> None:
    cache = toy([200] * 3)
    first = Windows(cache, 4, seed=0).first_rows(0, 64)
    assert (first != Windows(cache, 4, seed=1).first_rows(0, 64)).any()
    assert (first != Windows(cache, 4, seed=0).first_rows(1, 64)).any()


def test_episodes_shorter_than_the_window() -> None:
    with pytest.raises(DatasetError, match="shorter than the window of 8"):
        Windows(toy([20, 5, 20]), 8, "all")
    with pytest.warns(UserWarning, match="episode 1"):
        windows = Windows(toy([20, 5, 20], on_damage="skip"), 8, "all")
    assert windows.episodes.tolist() == [0, 2]
    with pytest.warns(UserWarning), pytest.raises(DatasetError, match="no all episode"):
        Windows(toy([5, 5], on_damage="skip"), 8, "all")


def test_unknown_arrays_and_too_few_episodes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="proprio"):
        Windows(toy([9, 9]), 4, modalities=["propri"])
    with pytest.raises(DatasetError, match="record more"):
        Windows(toy([9]), 4, "validation")


def test_windows_within_some_frames_come_from_episodes_that_lie_there() -> None:
    cache = toy([9, 7, 8])
    whole = Windows(cache, 4, "all")
    some = whole.within(int(cache.lengths[:2].sum()))
    assert some.episodes.tolist() == [0, 1] and some.rows == int(cache.lengths[:2].sum())
    assert some.first_rows(0, 200).max() + 4 <= some.rows < whole.rows == int(cache.lengths.sum())
    assert whole.within(1).episodes.tolist() == [0]
