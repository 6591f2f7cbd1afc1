"""Arrays as parquet columns that the readers of LeRobot and `datasets` expect, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nextstate.errors import DatasetError

COMPRESSION = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": False,
    "write_statistics": False,
    "write_page_checksum": True,
}
"""Measured best for float32 pictures in parquet (docs/decisions/0006-recordings-lose-nothing.md)."""


def to_column(values: np.ndarray) -> pa.Array:
    """``(T, *shape)`` as nested lists; ``(T,)`` and ``(T, 1)`` as plain values, as LeRobot has it."""
    return _nested(values[:, 0] if values.shape[1:] == (1,) else values)


def _nested(values: np.ndarray) -> pa.Array:
    column = pa.array(np.ascontiguousarray(values).reshape(-1))
    for size in reversed(values.shape[1:]):
        column = pa.ListArray.from_arrays(np.arange(0, len(column) + 1, size, dtype=np.int32), column)
    return column


def from_column(column: pa.ChunkedArray, shape: Sequence[int], where: str) -> np.ndarray:
    """``(T, *shape)`` from nested lists; raises `DatasetError` where rows are missing or of another shape."""
    flat = column.combine_chunks()
    if isinstance(flat, pa.ChunkedArray):
        flat = pa.concat_arrays(flat.chunks) if flat.num_chunks else pa.array([], flat.type.value_type)
    rows = len(flat)
    while not pa.types.is_primitive(flat.type):
        if isinstance(flat, pa.ExtensionArray):
            flat = flat.storage
        elif hasattr(flat, "flatten") and flat.null_count == 0:
            flat = flat.flatten()
        else:
            raise DatasetError(f"{where}: missing or unreadable values of type {flat.type}.")
    if flat.null_count or len(flat) != rows * int(np.prod(shape)):
        raise DatasetError(
            f"{where}: {len(flat) - flat.null_count} values in {rows} rows do not make the shape {tuple(shape)} that "
            "meta/info.json states."
        )
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(rows, *shape)


def write_rows(path: Path, episodes: Sequence[pa.Table]) -> None:
    """One row group per episode, so that one can be read without its neighbours."""
    with pq.ParquetWriter(str(path), episodes[0].schema, **COMPRESSION) as writer:
        for table in episodes:
            writer.write_table(table)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file; raises `DatasetError` when it is missing or damaged."""
    try:
        with pq.ParquetFile(str(path), page_checksum_verification=True) as file:
            table = file.read(columns=None if columns is None else list(columns), use_threads=False)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing; restore it from a copy.") from error
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DatasetError(f"{path} is truncated or damaged ({error}); restore it from a copy.") from error
    if lacking := set(columns or ()) - set(table.column_names):
        raise DatasetError(f"{path} lacks the columns {', '.join(sorted(lacking))}; restore it from a copy.")
    return table


def tasks_table(tasks: Sequence[str]) -> pa.Table:
    """``meta/tasks.parquet``: the text is the index of the frame that pandas reads from it."""
    index = {"field_name": "task", "name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    number = {**index, "field_name": "task_index", "name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [number, index],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": np.arange(len(tasks)), "task": pa.array(list(tasks), pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def read_tasks(path: Path) -> list[str]:
    """Instructions in the order of their numbers."""
    rows = read_table(path).to_pylist()
    texts = {}
    for row in rows:
        number = row.pop("task_index", None)
        text = row.get("task", next(iter(row.values()), None))
        if number is None or text is None:
            raise DatasetError(f"{path}: a row without task or task_index; restore it from a copy.")
        texts[int(number)] = str(text)
    return [texts.get(number, "") for number in range(max(texts, default=-1) + 1)]


def episodes_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """``meta/episodes``: one row per episode, with the same columns in every file."""
    return pa.table({name: _column([row[name] for row in rows], _type_of(name)) for name in rows[0]})


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        regular = np.asarray(values)
    except ValueError:  # Lists of several lengths.
        return pa.array(values, kind)
    if not regular.size or regular.dtype.kind not in "if":
        return pa.array(values, kind)
    # Of anything but arrays pyarrow looks for pandas, at every call, for half a millisecond where there is none.
    column = _nested(regular)
    return column if kind is None else column.cast(kind)


def _type_of(name: str) -> pa.DataType | None:
    if name == "tasks":
        return pa.list_(pa.string())
    if name.endswith(("_index", "/length", "/seed")) or name in ("length", "episode_index"):
        return pa.int64()
    return None
