"""Which feature of a dataset is which modality, found from names, types and shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextstate.data.format import FEATURE_OF, RGB, Info
from nextstate.data.pictures import is_depth_map
from nextstate.data.stats import Stats
from nextstate.errors import DatasetError, UnknownNameError

STORED_TYPE = {"rgb": "uint8", "depth": "float16", "motion": "float16", "proprio": "float32", "touch": "float32"}
"""Modality -> type in the training cache."""
DEFAULT_SIZE = 64


@dataclass(frozen=True)
class Source:
    """Where one array of the training cache comes from.

    Args:
        name: of the array: a modality, ``action``, ``events`` or ``outcome``.
        feature: of the dataset.
        kind: how it is stored there: ``video``, ``image`` (encoded pictures in parquet) or ``array``.
        stored: shape of one row in the dataset; shape: of one row in the cache.
        dtype: in the cache.
        info: what ``meta/info.json`` says besides.
    """

    name: str
    feature: str
    kind: str
    stored: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    info: Mapping[str, Any]


def find_sources(
    info: Info, where: str, modalities: Sequence[str] | None, size: int | None, camera: str | None
) -> list[Source]:
    """The arrays that can be made from a dataset's features.

    Args:
        modalities: which to take; all that are found by default.
        size: height and width of pictures; by default 64, or as recorded by nextstate.
        camera: feature or ending of one; the first camera by default.

    Raises:
        DatasetError: without a camera. UnknownNameError: for what the dataset does not hold.
    """
    features = info.features
    found: dict[str, str] = {}
    if info.own:
        found = {name: key for name, key in FEATURE_OF.items() if key in features}
    else:
        found = _guess(info, where, camera)
    wanted = list(found) if modalities is None else list(modalities)
    for name in wanted:
        if name not in found:
            raise UnknownNameError(f"modality of {where}", name, found)
    size = size or int(info.own.get("size", DEFAULT_SIZE))
    sources = [_source(name, found[name], features[found[name]], size) for name in found if name in wanted]
    if "action" in features:
        shape = _shape(features["action"])
        sources.append(Source("action", "action", "array", shape, (int(np.prod(shape)),), "float32", {}))
    if info.own:
        for name, dtype in (("events", "bool"), ("outcome", "float32")):
            if name in features:
                sources.append(Source(name, name, "array", _shape(features[name]), _shape(features[name]), dtype, {}))
    return sources


def action_scale(info: Info, stats: Callable[[], Mapping[str, Stats]], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Commands that become -1 and 1, each ``(A,)``: the dataset's smallest and largest, or as recorded here.

    A is 0 for a silent dataset, which has no feature named action.
    """
    if "action" not in info.features:
        return np.zeros(0), np.zeros(0)
    size = int(np.prod(info.features["action"]["shape"]))
    if info.own:
        return np.full(size, -1.0), np.full(size, 1.0)
    try:
        found = stats()["action"]
        low, high = (np.asarray(found[key], np.float64).reshape(size) for key in ("min", "max"))
    except (KeyError, ValueError) as error:
        raise DatasetError(
            f"{where}: meta/stats.json holds no smallest and largest action of {size} numbers ({error!r}); "
            "compute the statistics with LeRobot and try again."
        ) from error
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise DatasetError(f"{where}: meta/stats.json holds action limits that are not finite; recompute them.")
    return low, high


def scaled(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Commands ``(..., A)`` to [-1, 1]; what never changes becomes 0."""
    middle, half = (low + high) / 2, (high - low) / 2
    still = half <= 1e-9 * np.maximum(np.abs(middle), 1.0)
    result = np.where(still, 0.0, (actions - middle) / np.where(still, 1.0, half))
    return np.clip(result, -1.0, 1.0).astype(np.float32)


def _guess(info: Info, where: str, camera: str | None) -> dict[str, str]:
    features = info.features
    cameras = [name for name, f in features.items() if f["dtype"] in ("video", "image") and not _is_depth(name, f)]
    if not cameras:
        raise DatasetError(f"{where} has no camera (a feature of type video or image); nothing to foresee.")
    cameras.sort(key=lambda name: name != RGB)
    if camera is not None:
        chosen = [name for name in cameras if name == camera or name.rsplit(".", 1)[-1] == camera]
        if not chosen:
            raise UnknownNameError(f"camera of {where}", camera, cameras)
        cameras = chosen
    found = {"rgb": cameras[0]}
    numbers = [name for name, f in features.items() if f["dtype"].startswith(("float", "int", "uint", "bool"))]
    depth = [n for n, f in features.items() if _is_depth(n, f) and (f["dtype"] in ("video", "image") or n in numbers)]
    depth = [n for n in depth if features[n]["dtype"] != "video" or is_depth_map(features[n])]
    touch = [n for n in numbers if any(word in n.lower() for word in ("touch", "tactile"))]
    if depth:
        found["depth"] = depth[0]
    if FEATURE_OF["motion"] in numbers and len(features[FEATURE_OF["motion"]]["shape"]) == 3:
        found["motion"] = FEATURE_OF["motion"]
    if FEATURE_OF["proprio"] in numbers:
        found["proprio"] = FEATURE_OF["proprio"]
    if touch:
        found["touch"] = touch[0]
    return found


def _is_depth(name: str, feature: Mapping[str, Any]) -> bool:
    looks = len(feature["shape"]) >= 2 or feature["dtype"] in ("video", "image")
    return looks and ("depth" in name.lower() or is_depth_map(feature))


def _source(name: str, key: str, feature: Mapping[str, Any], size: int) -> Source:
    stored = _shape(feature)
    kind = feature["dtype"] if feature["dtype"] in ("video", "image") else "array"
    shapes: dict[str, tuple[int, ...]] = {"rgb": (size, size, 3), "depth": (size, size), "motion": (size, size, 3)}
    if name == "proprio":
        shapes[name] = (int(np.prod(stored)),)
    elif name == "touch":
        shapes[name] = stored if len(stored) == 2 else (1, int(np.prod(stored)))
    return Source(name, key, kind, stored, shapes[name], STORED_TYPE[name], dict(feature.get("info") or {}))


def _shape(feature: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in feature["shape"])
