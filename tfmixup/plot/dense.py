"""Targets with pixels, drawn below their images: masks, depth maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmixup.plot import features, masks
from tfmixup.plot.reading import Target

__all__ = ["Panel", "panel"]


class Panel(NamedTuple):
    """A target as pictures.

    Attributes:
      pictures: RGB in [0, 1], one an example.
      handles: of matplotlib's legend.
      note: what no legend can say, or "".
    """

    pictures: list[np.ndarray]
    handles: list[Any]
    note: str


def panel(
    owner: str,
    target: Target,
    look: features.Look,
    weights: np.ndarray | None,
    names: Sequence[str] | None,
    ignore_label: int | None,
    count: int,
) -> Panel:
    """Draws a target below the images of `look`.

    Args:
      owner: named in errors.
      target: (B, H, W), (B, H, W, 1) or (B, H, W, C), or a pair of such.
      look: how the images are drawn.
      weights: the batch's sample weights, or None.
      names: of the classes of masks, or None.
      ignore_label: the class id of integer masks that is none.
      count: how many examples are drawn.

    Raises:
      ValueError: its size is not that of the images.
    """
    second, lam = (y if y is None else y[:count] for y in target[2:])
    target = Target(target.name, target.first[:count], second, lam)
    y, size = target.first, look.values.shape[1:3]
    flat = y.ndim == 3 or (y.ndim == 4 and y.shape[3] == 1)
    if y.ndim > 4 or y.shape[1:3] != size:
        raise ValueError(
            f"{owner}: a target of shape {y.shape} does not lie on images of "
            f"{size[0]}×{size[1]} pixels. Leave it out, by target_keys or a map."
        )
    if flat and y.dtype.kind == "f":
        if target.second is not None and target.lam is not None:
            share = target.lam.reshape([-1, *[1] * (y.ndim - 1)])
            y = share * y + (1 - share) * target.second
        heat, note = features.heat(y.reshape(y.shape[:3]))
        return Panel(heat, [], note)
    weight = None if weights is None else weights[:count]
    shares = masks.shares(owner, target, weight, ignore_label, names)
    legend = masks.legend(shares)
    pictures = [masks.picture(one, legend) for one in shares]
    return Panel(pictures, masks.handles(legend, names), "")
