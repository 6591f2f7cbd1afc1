"""Clips as sheets of small pictures: a row for each branch, a column for each instant, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

LOSSY_QUALITY = 84


def sheet(pictures: np.ndarray) -> str:
    """Pictures ``(K, T, h, w, 3 or 4)`` uint8 as one WebP sheet of ``K * h`` by ``T * w`` pixels, as a data URI."""
    branches, length, height, width, channels = pictures.shape
    whole = pictures.transpose(0, 2, 1, 3, 4).reshape(branches * height, length * width, channels)
    return "data:image/webp;base64," + base64.b64encode(webp(whole)).decode()


def webp(picture: np.ndarray) -> bytes:
    """A picture ``(h, w, 3 or 4)`` uint8 as WebP: exact where that is not larger (flat colours), else lossy."""
    return min(_encode(picture, lossless=True, quality=60), _encode(picture, quality=LOSSY_QUALITY), key=len)


def _encode(picture: np.ndarray, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", method=4, **options)
    return buffer.getvalue()
