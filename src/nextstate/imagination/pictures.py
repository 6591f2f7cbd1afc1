"""Readings as colour: states as their modality draws them, errors as warm colour on nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nextstate.modalities import Modality

FULL_SCALE = {"rgb": 0.4 * 255.0, "depth": 2.0, "motion": 4.0}
"""Error that is drawn at full strength: for depth and motion in standard deviations."""

AMBER, CRIMSON = np.array([240, 160, 40], np.float32), np.array([190, 20, 60], np.float32)


def drawable(modality: Modality, sample: np.ndarray) -> Modality:
    """The modality with contrast fitted to `sample` ``(N, *shape)``, so that what is there can be seen."""
    fitted = modality.fitted(np.asarray(sample))
    if modality.name == "motion":
        # The statistics follow the fastest things; at half of them slow ones keep a colour too.
        return replace(fitted, std=tuple(value / 2 for value in fitted.std))
    return fitted


def draw_states(modality: Modality, values: np.ndarray) -> np.ndarray:
    """Readings ``(..., *shape)`` as pictures ``(..., h, w, 3)`` uint8."""
    lead = values.shape[: values.ndim - len(modality.shape)]
    pictures = np.stack([modality.draw(reading) for reading in values.reshape(-1, *modality.shape)])
    return pictures.reshape(*lead, *pictures.shape[1:])


def draw_errors(modality: Modality, truth: np.ndarray, imagined: np.ndarray) -> np.ndarray:
    """Differences of readings ``(..., h, w[, c])`` as ``(..., h, w, 4)`` uint8: no error is transparent."""
    difference = np.abs(np.asarray(imagined, np.float32) - np.asarray(truth, np.float32))
    if modality.name == "motion":
        difference = np.linalg.norm(difference, axis=-1)
    elif modality.channels > 1:
        difference = difference.mean(axis=-1)
    scale = FULL_SCALE[modality.name] * (modality.std[0] if modality.name != "rgb" else 1.0)
    level = np.clip(difference / scale, 0.0, 1.0)[..., None]
    colour = (1 - level) * AMBER + level * CRIMSON
    # A power below one lets faint errors be seen; without it only gross ones show.
    return np.concatenate([colour, 255 * level**0.7], axis=-1).astype(np.uint8)


def over(picture: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """A picture with opacity ``(..., h, w, 4)`` laid on a plain background, ``(..., h, w, 3)`` uint8."""
    opacity = picture[..., 3:].astype(np.float32) / 255.0
    blended: np.ndarray = opacity * picture[..., :3] + (1 - opacity) * np.array(background, np.float32)
    return blended.astype(np.uint8)
