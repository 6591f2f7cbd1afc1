"""What a recording notes of an episode beside its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as parquet

FACTORS = "nextstate/factors"


def factors_of(dataset: Path) -> dict[int, dict[str, float]]:
    """Randomised factors of each episode, by its number; none of datasets that note none."""
    found: dict[int, dict[str, float]] = {}
    for path in sorted((dataset / "meta" / "episodes").rglob("*.parquet")):
        if FACTORS in parquet.read_schema(path).names:
            table = parquet.read_table(path, columns=["episode_index", FACTORS]).to_pydict()
            found |= dict(zip(table["episode_index"], map(json.loads, table[FACTORS]), strict=True))
    return found
