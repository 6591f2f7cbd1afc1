"""The memory-mapped arrays that training and evaluation read, made once from a dataset."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from nextstate.cache_home import cache_home
from nextstate.data.build import fill
from nextstate.data.footage import DEFAULT_HZ, is_footage, open_footage
from nextstate.data.format import PRIVATE, read_info
from nextstate.data.lerobot import Dataset, content_files, content_fingerprint, open_dataset
from nextstate.data.sources import Source, action_scale, find_sources
from nextstate.data.storage import PARTIAL, exclusive, naming_full_disk, sync, write_json
from nextstate.data.windows import is_validation
from nextstate.data.workers import cores
from nextstate.data.writer import recover
from nextstate.errors import DatasetError, UnknownNameError
from nextstate.modalities import StateSpec, modality, modality_from_dict

FORMAT = 1
META = "cache.json"
SAMPLED_PICTURES = 2048
SAMPLED_VECTORS = 65536

OnDamage = Literal["skip", "stop"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cache:
    """All rows of a dataset's readable episodes as memory-mapped arrays.

    Args:
        root: the folder of the arrays.
        state_spec: modalities, with statistics fitted on training episodes.
        action_size: A, 0 for silent episodes, whose commands are not known; hz: rows per second; world: its name, or
            None for foreign datasets.
        starts, lengths: ``(episodes,)`` row ranges; episodes: ``(episodes,)`` their numbers in the dataset.
        tasks: instruction of each episode.
        fingerprint: of the dataset's content.
        arrays: modality -> ``(rows, *shape)`` (rgb uint8; depth and motion float16; proprio and touch float32),
            ``action`` -> ``(rows, A)`` float32 in [-1, 1], and if recorded ``events`` and ``outcome``. Row t is
            the state at t and the command from t to t+1; the last command of an episode means nothing.
        action_low, action_high: ``(A,)`` commands of the dataset that are -1 and 1 here.
        on_damage: what readers do about episodes they cannot use.
    """

    root: Path
    state_spec: StateSpec
    action_size: int
    hz: float
    world: str | None
    starts: np.ndarray
    lengths: np.ndarray
    tasks: list[str]
    fingerprint: str
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    episodes: np.ndarray
    action_low: np.ndarray
    action_high: np.ndarray
    on_damage: OnDamage = "stop"

    def __len__(self) -> int:
        return len(self.starts)


def open_cache(
    dataset_root: Path | str,
    modalities: Sequence[str] | None = None,
    on_damage: OnDamage = "stop",
    *,
    size: int | None = None,
    camera: str | None = None,
    hz: float | None = None,
    cache_root: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Cache:
    """Maps the arrays of a dataset, building them first when they are missing or older than its content.

    A folder of videos is a dataset too, a silent one (see `footage`).

    Args:
        modalities: which to hold; by default all that the dataset's features give.
        on_damage: "stop" raises at the first unreadable episode, "skip" warns and goes without it.
        size: height and width of pictures; by default as recorded by nextstate, else 64.
        camera: which becomes rgb; by default the first. hz: pictures a second taken from a folder of videos, by
            default 10; datasets keep their own.
        cache_root: where arrays are kept, in a folder of the dataset's own; by default inside the dataset, or in the
            user's cache where that cannot be written to.
        workers: processes that build; all cores by default.
        progress: called with the files read and to read.

    Raises:
        DatasetError: when nothing can be read, or something cannot and `on_damage` is "stop".
        UnknownNameError: for a modality or camera that the dataset does not hold.
        StorageError: when the disk is full.
    """
    root = Path(dataset_root)
    options: dict[str, Any] = {
        "modalities": None if modalities is None else sorted(modalities),
        "size": size,
        "camera": camera,
    }
    videos = is_footage(root)
    if videos:
        options["hz"] = hz or DEFAULT_HZ
    else:
        read_info(root)
        recover(root)
    files = _listing(root)
    mine = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    home = cache_root / mine if cache_root else root / PRIVATE / "cache"
    found = _find(home, options, lambda meta: meta["files"] == files)
    if found is None and cache_root is None and not _writable(home):
        home = cache_home() / "datasets" / mine
        found = _find(home, options, lambda meta: meta["files"] == files)
        if found is None:
            warnings.warn(f"{root} cannot be written to; its arrays are kept in {home} instead.", stacklevel=2)
    if found is None:
        with exclusive(home / "lock", wait=True):
            # Before it is opened: what a recorder adds meanwhile makes the arrays stale, and never goes unnoticed.
            files, fingerprint = _listing(root), content_fingerprint(root)
            dataset = open_footage(root, hz) if videos else open_dataset(root)
            found = _find(home, options, lambda meta: meta["fingerprint"] == fingerprint)
            if found is None:
                found = _build(home, dataset, options, fingerprint, on_damage, workers or cores(), progress)
            write_json(found / META, {**_meta(found), "files": files})
    return _map(found, modalities, on_damage, root)


def _writable(folder: Path) -> bool:
    """Whether a folder, or the first above it that is there, takes files."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return os.access(there, os.W_OK)


def _listing(root: Path) -> list[list[Any]]:
    listing = []
    for path in content_files(root):
        status = (root / path).stat()
        listing.append([path.as_posix(), status.st_size, status.st_mtime_ns])
    return listing


def _find(home: Path, options: Mapping[str, Any], fits: Callable[[dict[str, Any]], bool]) -> Path | None:
    for folder in sorted(home.glob("*/")):
        if folder.name.endswith(PARTIAL):
            continue
        try:
            meta = _meta(folder)
            if meta["format"] == FORMAT and _covers(meta, options) and fits(meta):
                return folder
        except (DatasetError, KeyError):
            continue
    return None


def _covers(meta: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Whether arrays made with some options hold what others ask for."""
    made = meta["options"]
    if any(made.get(key) != options.get(key) for key in ("size", "camera", "hz")):
        return False
    wanted = options["modalities"]
    return made["modalities"] is None or (wanted is not None and set(wanted) <= set(made["modalities"]))


def _meta(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / META).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{folder / META} cannot be read ({error}); delete the folder, it will be rebuilt."
        ) from error


def _build(
    home: Path,
    dataset: Dataset,
    options: Mapping[str, Any],
    fingerprint: str,
    on_damage: OnDamage,
    workers: int,
    progress: Progress | None,
) -> Path:
    for leftover in home.glob(f"*{PARTIAL}"):
        shutil.rmtree(leftover, ignore_errors=True)
    where = str(dataset.root)
    sources = find_sources(dataset.info, where, options["modalities"], options["size"], options["camera"])
    low, high = action_scale(dataset.info, dataset.stats, where)
    damage = {-1 - number: text for number, text in enumerate(dataset.damage)}
    _judge(damage, on_damage, where)
    partial = home / f"{uuid4().hex[:8]}{PARTIAL}"
    try:
        while True:
            if not dataset.episodes:
                raise DatasetError(
                    f"{where} holds no episode that can be read; record some, or restore it from a copy."
                )
            with naming_full_disk(partial):
                partial.mkdir(parents=True)
            found = fill(partial, dataset, sources, (low, high), workers, progress)
            if not found:
                break
            # Read again without what is damaged, so that the arrays have no holes.
            _judge(found, on_damage, where)
            damage |= found
            shutil.rmtree(partial)
            dataset = replace(dataset, episodes=tuple(e for e in dataset.episodes if e.index not in found))
        meta = _describe(dataset, partial, sources, low, high)
        meta |= {"options": dict(options), "fingerprint": fingerprint, "files": [], "damage": list(damage.values())}
        with naming_full_disk(partial):
            write_json(partial / META, meta)
            for path in partial.iterdir():
                sync(path)
            name = hashlib.sha256(json.dumps([options, fingerprint]).encode()).hexdigest()[:16]
            final = home / name
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            sync(home)
        _drop_stale(home, fingerprint)
        return final
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _drop_stale(home: Path, fingerprint: str) -> None:
    """Deletes the arrays of earlier contents; processes that still map them keep what they see.

    Folders that hold no description of arrays are not ours, and stay.
    """
    for folder in home.glob("*/"):
        if not (folder / META).is_file():
            continue
        try:
            stale = _meta(folder)["fingerprint"] != fingerprint
        except (DatasetError, KeyError):
            stale = True
        if stale:
            shutil.rmtree(folder, ignore_errors=True)


def _judge(damage: Mapping[int, str], on_damage: OnDamage, where: str) -> None:
    if not damage:
        return
    first = next(iter(damage.values()))
    rest = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
    if on_damage == "stop":
        raise DatasetError(
            f"{first}{rest} 'nextstate data check {where}' lists all damage; on-damage skip goes without it."
        )
    warnings.warn(f"skipping what cannot be read in {where}: {first}{rest}", stacklevel=4)


def _describe(
    dataset: Dataset, folder: Path, sources: Sequence[Source], low: np.ndarray, high: np.ndarray
) -> dict[str, Any]:
    lengths = np.array([entry.length for entry in dataset.episodes])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    episodes = np.array([entry.index for entry in dataset.episodes])
    training = ~is_validation(episodes) if len(episodes) > 1 else np.ones(1, bool)
    rows = np.concatenate([np.arange(s, s + n) for s, n in zip(starts[training], lengths[training], strict=True)])
    rng = np.random.default_rng(0)
    spec = {}
    for source in sources:
        if source.name in ("action", "events", "outcome"):
            continue
        kind = modality(source.name)
        array = np.load(folder / f"{source.name}.npy", mmap_mode="r")
        count = min(len(rows), SAMPLED_PICTURES if kind.kind == "image" else SAMPLED_VECTORS)
        sample = array[np.sort(rng.choice(rows, count, replace=False))]
        spec[source.name] = kind(shape=source.shape).fitted(np.asarray(sample, np.float32)).to_dict()
    return {
        "format": FORMAT,
        "hz": dataset.info.fps,
        "world": dataset.info.own.get("world"),
        "modalities": spec,
        "arrays": [source.name for source in sources],
        "episodes": episodes.tolist(),
        "starts": starts.tolist(),
        "lengths": lengths.tolist(),
        "tasks": [entry.task for entry in dataset.episodes],
        "action_low": low.tolist(),
        "action_high": high.tolist(),
    }


def _map(folder: Path, modalities: Sequence[str] | None, on_damage: OnDamage, root: Path) -> Cache:
    meta = _meta(folder)
    if meta["damage"]:
        _judge(dict(enumerate(meta["damage"])), on_damage, str(root))
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in meta["arrays"]}
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder} is damaged ({error}); delete it, it will be rebuilt.") from error
    order = list(meta["modalities"]) if modalities is None else list(modalities)
    for name in order:
        if name not in meta["modalities"]:
            raise UnknownNameError(f"modality of {root}", name, meta["modalities"])
    return Cache(
        root=folder,
        state_spec={name: modality_from_dict(meta["modalities"][name]) for name in order},
        action_size=len(meta["action_low"]),
        hz=float(meta["hz"]),
        world=meta["world"],
        starts=np.array(meta["starts"]),
        lengths=np.array(meta["lengths"]),
        tasks=list(meta["tasks"]),
        fingerprint=str(meta["fingerprint"]),
        arrays=arrays,
        episodes=np.array(meta["episodes"]),
        action_low=np.array(meta["action_low"]),
        action_high=np.array(meta["action_high"]),
        on_damage=on_damage,
    )
