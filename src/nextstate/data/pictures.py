"""Pictures of any origin brought to one size, and stored depth brought to metres."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nextstate.errors import DatasetError

DEPTH_LEVELS = 4095
"""LeRobot stores depth videos as 12-bit numbers."""


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """``(H, W[, C])`` to ``(size, size[, C])``, each pixel the mean of the area it covers."""
    if picture.shape[:2] == (size, size):
        return picture
    if picture.ndim == 3 and picture.dtype != np.uint8:
        return np.stack([resized(channel, size) for channel in np.moveaxis(picture, -1, 0)], axis=-1)
    image = Image.fromarray(picture if picture.dtype == np.uint8 else picture.astype(np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def decoded(cell: Mapping[str, Any] | None, where: str) -> np.ndarray:
    """An encoded picture from parquet: colour ``(H, W, 3)`` uint8, or depth ``(H, W)``."""
    content = (cell or {}).get("bytes")
    if not content:
        raise DatasetError(f"{where}: no encoded picture here; restore the file from a copy.")
    try:
        image = Image.open(io.BytesIO(content))
        deep = image.mode.startswith(("I", "F"))
        return np.asarray(image if deep else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # SyntaxError: of broken PNG chunks.
        raise DatasetError(f"{where}: a picture cannot be decoded ({error}); restore the file from a copy.") from error


def is_depth_map(feature: Mapping[str, Any]) -> bool:
    """Whether LeRobot marks a camera as depth."""
    info = {**(feature.get("video_info") or {}), **(feature.get("info") or {})}
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map"))


def depth_in_metres(values: np.ndarray, info: Mapping[str, Any], quantised: bool) -> np.ndarray:
    """Depth as LeRobot stores it (metres, millimetres, or 12-bit levels of a video) to float32 metres."""
    values = values.reshape(values.shape[:2]) if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2:
        raise DatasetError(f"depth of shape {values.shape} is not one number per pixel; choose other modalities.")
    if quantised:
        low, high, shift = (float(info.get(f"video.{k}", info.get(k, d))) for k, d in _DEPTH_DEFAULTS)
        level = values.astype(np.float32) / DEPTH_LEVELS
        if info.get("video.use_log", info.get("use_log", True)):
            start, end = math.log(low + shift), math.log(high + shift)
            return np.asarray(np.exp(start + level * (end - start)) - shift, np.float32)
        return low + level * (high - low)
    unit = info.get("depth_unit", "m" if values.dtype.kind == "f" else "mm")
    return values.astype(np.float32) * (1.0 if unit == "m" else 1e-3)


_DEPTH_DEFAULTS = (("depth_min", 0.01), ("depth_max", 10.0), ("shift", 3.5))
