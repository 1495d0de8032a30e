"""Draws masks, with a colour for each class, and makes their legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["LEAST", "draw_masks", "short_name"]

LEAST = 0.005  # smaller shares would be written as 0.00
_PURE = 0.995  # from this share on, a pixel counts as of one class
_NAME = 16  # characters of a class's name
_MOST_COLOURS = 16  # classes in the legend
_DOTS = 24  # across a mask, where its pixels are of several classes


def draw_masks(
    layer: np.ndarray, shares: np.ndarray, names: Sequence[str] | None
) -> list[Any]:
    """Draws masks (B, H, W, C). Returns the handles of the legend."""
    import matplotlib
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    total = shares.sum(axis=-1)
    known = total > LEAST
    mixed = known & (shares.max(axis=-1) < _PURE * total)
    classes = np.flatnonzero(shares.max(axis=(0, 1, 2)) >= LEAST)
    # Lightness rises from class to class, so that classes differ in grey. The hue turns
    # too, so that a blend of two classes, which is dull, differs from a class between.
    steps = matplotlib.colormaps["cubehelix"](np.linspace(0.0, 0.92, len(classes)))
    colours = np.zeros([shares.shape[-1], 3])
    colours[classes] = steps[:, :3]
    blend = shares @ colours / np.maximum(total, LEAST)[..., np.newaxis]
    # Ignored pixels are transparent, so that the stripes show through.
    pictures = np.concatenate([blend, known[..., np.newaxis]], axis=-1).clip(0, 1)
    step = math.ceil(max(mixed.shape[1:]) / _DOTS)
    stripes: dict[str, Any] = {
        "facecolor": "0.92",
        "edgecolor": "0.45",
        "hatch": "/////",
    }
    dots: dict[str, Any] = {"marker": "o", "markersize": 2, "markeredgewidth": 0.4}
    dots |= {"color": "white", "markeredgecolor": "black", "linestyle": "none"}
    for axes, picture, several in zip(layer, pictures, mixed):
        axes.patch.set(**stripes)
        axes.imshow(picture, interpolation="nearest")
        down, across = np.nonzero(several[step // 2 :: step, step // 2 :: step])
        axes.plot(across * step + step // 2, down * step + step // 2, **dots)
    edge: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.5}
    handles: list[Any] = [
        Patch(facecolor=colours[c], label=short_name(names, c), **edge)
        for c in classes[:_MOST_COLOURS]
    ]
    if len(classes) > _MOST_COLOURS:
        more = len(classes) - _MOST_COLOURS
        handles.append(Patch(facecolor="white", label=f"and {more} more"))
    if mixed.any():
        handles.append(Line2D([], [], label="of several", **dots))
    if not known.all():
        handles.append(Patch(label="ignored", **stripes))
    return handles


def short_name(names: Sequence[str] | None, c: int) -> str:
    """A class's name, cut to fit above an example or into a legend."""
    name = str(names[c] if names else c)
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"
