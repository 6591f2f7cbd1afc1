"""Statistics of features, over one episode and over the union of several."""

from __future__ import annotations

import numpy as np
import pytest

from nextstate.data.stats import column_stats, combined

RNG = np.random.default_rng(0)
COLUMNS = {
    "camera": (RNG.integers(0, 200, (9, 16, 16, 3), np.uint8), True),
    "depth": (RNG.uniform(0.5, 2, (9, 16, 16)).astype(np.float32), False),
    "motion": (RNG.normal(size=(9, 16, 16, 3)).astype(np.float32), False),
    "vector": (RNG.normal(size=(9, 4)).astype(np.float32), False),
    "grid": (RNG.normal(size=(9, 1, 8)).astype(np.float32), False),
    "events": (RNG.random((9, 2)) < 0.5, False),
    "number": (np.arange(9), False),
}
SHAPES = {"camera": (3, 1, 1), "depth": (1, 1), "motion": (1, 1, 3), "vector": (4,), "events": (2,), "number": (1,)}


@pytest.mark.parametrize("name", COLUMNS)
def test_statistics_are_those_of_numpy(name: str) -> None:
    values, is_camera = COLUMNS[name]
    found = column_stats(values, is_camera)
    assert found["mean"].shape == SHAPES.get(name, found["mean"].shape) and found["count"].tolist() == [9]
    numbers = values / 255.0 if is_camera else values.astype(np.float64)
    axes = (0,) if name in ("vector", "events", "number") else (0, 1, 2)
    for key, function in {"min": np.min, "max": np.max, "mean": np.mean, "std": np.std}.items():
        np.testing.assert_allclose(found[key].ravel(), np.ravel(function(numbers, axis=axes)), atol=1e-6)
    assert (found["min"] <= found["q01"]).all() and (found["q01"] <= found["q99"]).all()
    assert (found["q99"] <= found["max"]).all()


def test_the_union_is_exact_up_to_quantiles() -> None:
    values = RNG.normal(size=(40, 3))
    parts = [column_stats(part, False) for part in np.split(values, [5, 18])]
    whole, found = column_stats(values, False), combined(parts)
    for key in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(found[key], whole[key])
    np.testing.assert_allclose(found["q50"], whole["q50"], atol=0.3)
