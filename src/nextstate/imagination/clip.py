"""A what-if as a looping clip: a column for each plan, rows truth, imagination and error."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nextstate.errors import StateError, UnknownNameError
from nextstate.imagination.futures import Futures
from nextstate.imagination.instant import Instant
from nextstate.imagination.pictures import draw_errors, draw_states, drawable, over
from nextstate.modalities import MODALITIES, StateSpec

PAPER, INK, FAINT = (250, 249, 246), (28, 27, 25), (150, 146, 138)
TRUTH, IMAGINED = (28, 27, 25), (47, 84, 214)
GAP, GUTTER, HEAD, FOOT = 10, 92, 34, 34
FORMATS = (".webp", ".gif", ".png", ".mp4")
Face = ImageFont.FreeTypeFont | ImageFont.ImageFont
HOLD = 8
"""How many frames the last instant stands still before the clip loops."""


def draw_clip(
    spec: StateSpec,
    instant: Instant,
    futures: Futures,
    names: Sequence[str],
    modalities: Sequence[str] = ("rgb",),
    hz: float = 10.0,
    scale: int = 3,
    notes: Sequence[Sequence[str]] | None = None,
) -> np.ndarray:
    """Frames ``(H+1, height, width, 3)`` uint8, the first being the instant itself.

    Args:
        names: what is done in each column.
        modalities: pictures to show, each as its own rows.
        notes: for each column the H+1 short texts shown under it (events that are the case).
        scale: how many times pixels are enlarged.

    Raises:
        StateError: `modalities` names something that is not a picture, or is not imagined.
    """
    rows = [row for name in modalities for row in _rows(name, spec, instant, futures)]
    branches, length = futures.actions.shape[0], futures.actions.shape[1] + 1
    side = [row.shape[2] * scale for _, _, row in rows]
    width = GUTTER + branches * (side[0] + GAP)
    height = HEAD + sum(side) + GAP * (len(rows) - 1) + (FOOT if notes else GAP) + FOOT
    width, height = width + width % 2, height + height % 2
    font, bold = ImageFont.load_default(12), ImageFont.load_default(14)
    clip = np.empty((length, height, width, 3), np.uint8)
    for step in range(length):
        page = Image.new("RGB", (width, height), PAPER)
        pen = ImageDraw.Draw(page)
        for column, name in enumerate(names):
            left = GUTTER + column * (side[0] + GAP)
            pen.text((left + 1, 10), _shortened(name, side[0], bold), INK, bold)
            top = HEAD
            for (_, _, row), size in zip(rows, side, strict=True):
                tile = Image.fromarray(row[column, step]).resize((size, size), Image.Resampling.NEAREST)
                page.paste(tile, (left, top))
                top += size + GAP
            if notes:
                pen.text((left + 1, top - 4), _shortened(notes[column][step], side[0], font), INK, font)
        top = HEAD
        for (title, subtitle, _), size in zip(rows, side, strict=True):
            pen.text((10, top), title, IMAGINED if title == "imagined" else TRUTH, bold)
            pen.text((10, top + 18), subtitle, FAINT, font)
            top += size + GAP
        _draw_time(pen, step, length, hz, (width, height), font)
        clip[step] = np.asarray(page)
    return clip


def check_format(path: Path) -> str:
    """The clip format that the ending of `path` names; raises `UnknownNameError`."""
    if path.suffix.lower() not in FORMATS:
        raise UnknownNameError("clip format", path.suffix or path.name, FORMATS)
    return path.suffix.lower()


def encode_clip(clip: np.ndarray, kind: str, hz: float) -> bytes:
    """Frames ``(T, height, width, 3)`` as the bytes of a looping clip of one of `FORMATS`."""
    if kind == ".mp4":
        return _encode_mp4(clip, hz)
    pictures = [Image.fromarray(frame) for frame in clip]
    durations = [round(1000 / hz)] * (len(pictures) - 1) + [round(1000 * HOLD / hz)]
    options: dict[str, Any] = {"quality": 88, "method": 3} if kind == ".webp" else {}
    buffer = io.BytesIO()
    pictures[0].save(buffer, kind[1:], save_all=True, append_images=pictures[1:], duration=durations, loop=0, **options)
    return buffer.getvalue()


def _encode_mp4(clip: np.ndarray, hz: float) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(hz).limit_denominator(1000))
        stream.height, stream.width = clip.shape[1:3]
        # Players that loop at home know only 4:2:0; at this scale its halved colour does not show.
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16"}
        for frame in [*clip, *[clip[-1]] * (HOLD - 1)]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _rows(name: str, spec: StateSpec, instant: Instant, futures: Futures) -> list[tuple[str, str, np.ndarray]]:
    if name not in MODALITIES:
        raise UnknownNameError("modality", name, MODALITIES)
    if name not in futures.imagined or MODALITIES[name].kind != "image":
        pictures = [n for n in futures.imagined if MODALITIES[n].kind == "image"]
        raise StateError(f"{name!r} is no picture that this model imagines; it imagines {', '.join(pictures)}.")
    imagined = with_now(instant, name, futures.imagined[name])
    truth = imagined if futures.truth is None else with_now(instant, name, futures.truth.states[name])
    kind = drawable(spec[name], truth.reshape(-1, *spec[name].shape))
    rows = [("imagined", name, draw_states(kind, imagined))]
    if futures.truth is not None:
        rows.insert(0, ("truth", name, draw_states(kind, truth)))
        rows.append(("error", name, over(draw_errors(kind, truth, imagined), (255, 255, 255))))
    return rows


def with_now(instant: Instant, name: str, future: np.ndarray) -> np.ndarray:
    """Futures ``(K, H, *shape)`` with the instant itself in front, ``(K, H+1, *shape)``."""
    now = np.broadcast_to(instant.now(name), (len(future), 1, *future.shape[2:]))
    return np.concatenate([now.astype(future.dtype), future], axis=1)


def _draw_time(pen: ImageDraw.ImageDraw, step: int, length: int, hz: float, size: tuple[int, int], font: Face) -> None:
    width, height = size
    left, right, line = GUTTER, width - GAP, height - FOOT // 2
    pen.text((10, line - 8), f"+{step / hz:.1f} s", INK, font)
    pen.line((left, line, right, line), FAINT, 1)
    pen.line((left, line, left + (right - left) * step / max(length - 1, 1), line), INK, 3)


def _shortened(text: str, width: int, font: Face) -> str:
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    return text
