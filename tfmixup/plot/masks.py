"""Masks as pictures: a colour a class, stripes where a pixel is ignored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmixup.plot.reading import Target
from tfmixup.plot.titles import shorten

__all__ = ["Legend", "handles", "legend", "picture", "shares"]

_PICTURE = 192  # pixels of a picture's longer side, at least
_PERIOD = 8  # pixels from stripe to stripe, from dot to dot
_STRIPES = (0.92, 0.45)  # grey
_LEAST = 0.005
_PURE = 0.995  # the share from which a pixel counts as of one class
_MOST = 16  # classes in the legend


class Legend(NamedTuple):
    """What the colours of masks mean.

    Attributes:
      classes: ids of the classes that are drawn.
      colours: (C, 3) in [0, 1], of every class, drawn or not.
      ignored: whether a pixel is ignored.
      mixed: whether a pixel is of several classes.
    """

    classes: list[int]
    colours: np.ndarray
    ignored: bool
    mixed: bool


def shares(
    owner: str,
    target: Target,
    weights: np.ndarray | None,
    ignore_label: int | None,
    names: Sequence[str] | None,
) -> np.ndarray:
    """Shares of classes (B, H, W, C); zeros where a pixel is ignored.

    Args:
      owner: named in errors.
      target: class ids (B, H, W) or (B, H, W, 1), floats (B, H, W, C), or a pair.
      weights: sample weights; those of pixels, (B, H, W) or (B, H, W, 1), count.
      ignore_label: the class id that is none.
      names: of the classes, or None.

    Raises:
      ValueError: there are more classes than names.
    """
    both = [y for y in (target.first, target.second) if y is not None]
    hot = [_one_hot(owner, y, ignore_label, names) for y in both]
    share = hot[0]
    if len(hot) == 2 and target.lam is not None:
        lam = target.lam.reshape(-1, 1, 1, 1)
        size = max(one.shape[-1] for one in hot)
        wide = [np.pad(one, [(0, 0)] * 3 + [(0, size - one.shape[-1])]) for one in hot]
        share = lam * wide[0] + (1 - lam) * wide[1]
    if weights is not None and weights.size == share[..., 0].size:
        share = share * (weights.reshape(share.shape[:-1]) != 0)[..., np.newaxis]
    return share


def _one_hot(
    owner: str, mask: np.ndarray, ignore_label: int | None, names: Any
) -> np.ndarray:
    if mask.dtype.kind == "f":
        _check_names(owner, names, mask.shape[-1] - 1)
        return mask.astype(np.float64)
    ids = mask.reshape(mask.shape[:3])
    known = np.ones(ids.shape, bool) if ignore_label is None else ids != ignore_label
    highest = int(ids[known].max()) if known.any() else 0
    _check_names(owner, names, highest)
    classes = max(len(names or ()), highest + 1)
    return (ids[..., np.newaxis] == np.arange(classes)) & known[..., np.newaxis]


def _check_names(owner: str, names: Any, highest: int) -> None:
    if names is not None and highest >= len(names):
        raise ValueError(
            f"{owner}: class_names has {len(names)} entries, but masks have class "
            f"{highest}. Name every class; pixels that have none: ignore_label="
            f"{highest}."
        )


def legend(shares: np.ndarray) -> Legend:
    """Chooses colours for the classes of the masks that are drawn (N, H, W, C)."""
    import matplotlib

    total = shares.sum(axis=-1)
    largest = shares.max(axis=(0, 1, 2))
    classes = [int(c) for c in np.flatnonzero(largest >= _LEAST)]
    # Lightness rises from class to class, so that they differ in grey; hues turn, so
    # that a blend of two, which is dull, differs from a class between.
    steps = matplotlib.colormaps["cubehelix"](np.linspace(0.0, 0.92, len(classes)))
    colours = np.zeros([shares.shape[-1], 3])
    colours[classes] = steps[:, :3]
    known = total > _LEAST
    pure = shares.max(axis=-1) >= _PURE * total
    return Legend(classes, colours, bool((~known).any()), bool((known & ~pure).any()))


def picture(share: np.ndarray, legend: Legend) -> np.ndarray:
    """One mask (H, W, C) as an enlarged RGB picture in [0, 1].

    A pixel of several classes has the blend of their colours, and dots; an ignored one
    has grey stripes.
    """
    share = share.astype(np.float64)
    total = share.sum(axis=-1)
    known = total > _LEAST
    pure = share.max(axis=-1) >= _PURE * total
    blend = share @ legend.colours / np.maximum(total, _LEAST)[..., np.newaxis]
    scale = math.ceil(_PICTURE / max(share.shape[:2]))
    large = np.clip(_enlarge(blend, scale), 0, 1)
    down, across = np.indices(large.shape[:2])
    dots = ((down % _PERIOD) < 2) & ((across % _PERIOD) < 2)
    dots &= _enlarge(known & ~pure, scale)
    light = large.mean(axis=-1) > 0.5
    large[dots & light], large[dots & ~light] = 0.0, 1.0
    dark = (down + across) % _PERIOD < _PERIOD // 2
    stripes = np.where(dark, _STRIPES[1], _STRIPES[0])
    ignored = _enlarge(~known, scale)
    large[ignored] = stripes[ignored][:, np.newaxis]
    return large


def _enlarge(pixels: np.ndarray, scale: int) -> np.ndarray:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def handles(legend: Legend, names: Sequence[str] | None) -> list[Any]:
    """Entries for matplotlib's legend."""
    from matplotlib.patches import Patch

    made = [
        Patch(
            facecolor=legend.colours[c],
            edgecolor="black",
            linewidth=0.5,
            label=shorten(names[c] if names else c),
        )
        for c in legend.classes[:_MOST]
    ]
    if len(legend.classes) > _MOST:
        more = len(legend.classes) - _MOST
        made.append(Patch(facecolor="white", label=f"and {more} more"))
    if legend.mixed:
        made.append(
            Patch(facecolor="0.6", edgecolor="white", hatch="...", label="of several")
        )
    if legend.ignored:
        made.append(
            Patch(facecolor="0.92", edgecolor="0.45", hatch="/////", label="ignored")
        )
    return made
