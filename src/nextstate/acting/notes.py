"""Trials as they come, and what they add up to."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nextstate.acting.rates import Rate
from nextstate.data.storage import naming_full_disk, write_bytes
from nextstate.errors import SettingsError
from nextstate.models.folders import checksum


class Notes:
    """Trials as they come, one a line, so that an interrupted study goes on.

    Args:
        settings: under which they were made; raises `SettingsError` when those of the file differ.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.found = path, dict[tuple[str, int, int], dict[str, Any]]()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_bytes(path, (json.dumps({"settings": settings}) + "\n").encode())
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        try:
            same = json.loads(lines[0])["settings"] == json.loads(json.dumps(settings))
        except (IndexError, KeyError, ValueError):
            same = False
        if not same:
            raise SettingsError(f"{path} holds trials with other settings; give the same, or another --out.")
        whole = []
        for line in lines[1:]:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # A line that was being written when the study was killed.
            whole.append(line)
            self.found[row["way"], row["seed"], row["task"]] = row
        if len(whole) < len(lines) - 1:
            write_bytes(path, ("\n".join([lines[0], *whole]) + "\n").encode())

    def add(self, key: tuple[str, int, int], row: Mapping[str, Any]) -> None:
        way, seed, task = key
        self.found[key] = {"way": way, "seed": seed, "task": task, **row}
        with naming_full_disk(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.found[key]) + "\n")


def marks(folder: Path, heads: Iterable[str] = ()) -> dict[str, str]:
    """By which weights of a folder are told from others: the model's, and those of heads beside it that are there."""
    files = {name: folder / f"{name}.safetensors" for name in ("model", *sorted(heads))}
    return {name: checksum(path)[:12] for name, path in files.items() if path.is_file()}


def summary(notes: Notes, way: str, seeds: Collection[int] | None = None) -> dict[str, Any]:
    """Rates of one way over its trials, of some sets of tasks alone or of all."""
    rows = [r for r in notes.found.values() if r["way"] == way and (seeds is None or r["seed"] in seeds)]
    surprises = [row["surprise"] for row in rows if row.get("surprise") is not None]
    return {
        "strict": Rate.of(row["held"] for row in rows).to_dict(),
        "published": Rate.of(row["touched"] for row in rows).to_dict(),
        "milliseconds": round(
            1000 * (median([row["seconds"] for row in rows if row["seconds"] is not None]) or 0.0), 1
        ),
        "surprise": round(statistics.fmean(surprises), 4) if surprises else None,
        "died": sum(bool(row["died"]) for row in rows),
    }


def median(values: Sequence[float]) -> float:
    """0 of none."""
    return round(statistics.median(values), 5) if values else 0.0
