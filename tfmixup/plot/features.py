"""Images, waveforms and spectrograms on axes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfmixup import checks

__all__ = ["KINDS", "Look", "draw", "heat", "prepare"]

KINDS = ("image", "waveform", "spectrogram")
_HEAT = "viridis"  # of even lightness from dark to light, with and without colour


class Look(NamedTuple):
    """How features are drawn, all examples alike.

    Attributes:
      kind: one of `KINDS`.
      values: what is drawn: (B, H, W, 1, 3 or 4), (B, T, channels) or (B, T, F).
      low: the value that is black, or the lower end of the axis.
      high: the value that is white, or the upper end.
      stretched: whether black and white are the batch's own extremes.
    """

    kind: str
    values: np.ndarray
    low: float
    high: float
    stretched: bool


def prepare(
    owner: str,
    feature: np.ndarray,
    kind: str | None,
    value_range: tuple[float, float] | None,
) -> Look:
    """Decides how a batch of features is drawn.

    Args:
      owner: named in errors.
      feature: (B, ...).
      kind: one of `KINDS`; None to tell by the shape.
      value_range: (low, high) of the scale; None to tell by dtype and values.

    Raises:
      ValueError: it cannot be drawn so.
    """
    if kind is None:
        kind = _kind(feature)
    else:
        checks.choice(owner, "kind", kind, KINDS)
    values = {"image": _image, "waveform": _waveform, "spectrogram": _spectrogram}[
        kind
    ](feature)
    if values is None:
        raise ValueError(
            f"{owner}: a feature of shape {feature.shape} cannot be drawn as "
            f"kind={kind!r}. Images are (batch, height, width, channels) of 1, 3 or 4 "
            "channels, waveforms (batch, time) or (batch, time, channels), "
            "spectrograms (batch, time, frequency). Map the dataset to that, or name "
            "another feature_key."
        )
    if value_range is not None:
        low, high = _checked_range(owner, value_range)
        return Look(kind, values, low, high, False)
    if kind == "image":
        return Look(kind, values, *_image_range(values))
    low, high = _extremes(values)
    if kind == "waveform":
        margin = 0.05 * (high - low)
        low, high = low - margin, high + margin
    return Look(kind, values, low, high, False)


def _kind(feature: np.ndarray) -> str:
    if feature.ndim == 2:
        return "waveform"
    if feature.ndim == 3 and feature.shape[2] <= 2:
        return "waveform"
    if feature.ndim == 3 and feature.dtype != np.uint8:
        return "spectrogram"
    return "image"


def _image(feature: np.ndarray) -> np.ndarray | None:
    if feature.ndim == 5:  # the middle frame of a video
        feature = feature[:, feature.shape[1] // 2]
    if feature.ndim == 3:
        feature = feature[..., np.newaxis]
    return feature if feature.ndim == 4 and feature.shape[3] in (1, 3, 4) else None


def _waveform(feature: np.ndarray) -> np.ndarray | None:
    if feature.ndim == 2:
        return feature[..., np.newaxis]
    return feature if feature.ndim == 3 else None


def _spectrogram(feature: np.ndarray) -> np.ndarray | None:
    if feature.ndim == 4 and feature.shape[3] == 1:
        feature = feature[..., 0]
    return feature if feature.ndim == 3 else None


def _checked_range(owner: str, value: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            f"{owner}: value_range must be two numbers (low, high), the values of "
            f"black and white, got {value!r}. For example: value_range=(-1, 1)."
        )
    return low, high


def _extremes(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _image_range(values: np.ndarray) -> tuple[float, float, bool]:
    """The scale that an image is on: low, high, and whether it had to be stretched."""
    if values.dtype.kind == "b":
        return 0.0, 1.0, False
    if values.dtype.kind in "iu":
        info = np.iinfo(values.dtype)
        if values.min() >= 0 and values.max() <= 255:
            return 0.0, 255.0, False
        return (float(values.min()), float(min(info.max, values.max())), True)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    # Mixing rounds: 255 may come out as 255.00002.
    for start, stop in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        slack = 1e-3 * (stop - start)
        if low >= start - slack and high <= stop + slack:
            return start, stop, False
    return *_extremes(values), True


def draw(axes: Any, look: Look, row: int) -> Any:
    """Draws one example; returns the image of a spectrogram, for a colour bar."""
    values = look.values[row]
    if look.kind == "waveform":
        axes.set(ylim=(look.low, look.high), xlim=(0, max(1, len(values) - 1)))
        axes.axhline(0, color="0.8", linewidth=0.6)
        for channel, colour in zip(values.T, ("#08519c", "#e6550d", *["0.4"] * 99)):
            axes.plot(channel, color=colour, linewidth=0.6)
        return None
    if look.kind == "spectrogram":
        return axes.imshow(
            values.T.astype(np.float64),
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap=_HEAT,
            vmin=look.low,
            vmax=look.high,
        )
    scaled = (values.astype(np.float64) - look.low) / (look.high - look.low)
    scaled = np.clip(np.nan_to_num(scaled, nan=0.0), 0, 1)
    if scaled.shape[-1] == 1:
        scaled = np.repeat(scaled, 3, axis=-1)
    axes.imshow(scaled, interpolation="nearest")
    return None


def heat(values: np.ndarray) -> tuple[list[np.ndarray], str]:
    """Numbers (B, H, W) as RGB pictures from dark to light, and the scale in words."""
    import matplotlib

    low, high = _extremes(values)
    scaled = np.nan_to_num((values - low) / (high - low), nan=0.0)
    pictures = matplotlib.colormaps[_HEAT](np.clip(scaled, 0, 1))[..., :3]
    return list(pictures), f"below: dark is {low:.3g}, light is {high:.3g}"
