"""Draws boxes on images, with their class and weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.box_formats import FORMATS, is_relative, to_corners
from tfmixup.box_rows import format_of, keys_of
from tfmixup.elements import WHOLE, Parts
from tfmixup.objects import taken
from tfmixup.plot.masks import short_name

__all__ = ["Boxes", "boxes_of", "draw_boxes", "keys_of_boxes", "taken_of_batch"]

_WIDTH = (0.5, 2.0)  # of a line, in points, for weights 0 and 1
_EDGE = 1.2  # how much wider the dark line behind it is
_FONT = 6.0  # points
_ROOM = 0.06  # the height of such a text, as a share of an image's width
_COLOURS = 8  # of matplotlib's "Set2"


class Boxes(NamedTuple):
    """The boxes of a batch.

    `name` is the key of their dict, or None. `corners` are float64 (B, n, 4), the first
    of them down, in the unit that `relative` tells. `weights` are None if all are 1.
    """

    name: Any
    corners: np.ndarray
    relative: bool
    labels: np.ndarray
    weights: np.ndarray | None


def keys_of_boxes(batch: dict[str, Any]) -> list[str]:
    """The keys of a dict element that hold dicts of boxes and labels."""
    inner = {key: value for key, value in batch.items() if isinstance(value, dict)}
    return [key for key in taken(Parts((), inner)).objects or () if key != WHOLE]


def taken_of_batch(parts: Parts) -> Parts:
    """`objects.taken`, unless the boxes are targets (B, 4) without a row for each."""
    found = taken(parts)
    for objects in (found.objects or {}).values():
        boxes = objects[keys_of(objects)[0]]
        if len(getattr(boxes, "shape", ())) < 3:
            return parts
    return found


def boxes_of(objects: dict[str, Any] | None, box_format: str | None) -> list[Boxes]:
    """Reads what `objects.taken` found among the targets of a batch."""
    if box_format is not None:
        checks.choice("box_format", box_format, FORMATS)
    return [_read(k or None, one, box_format) for k, one in (objects or {}).items()]


def _read(name: Any, objects: dict[str, Any], box_format: str | None) -> Boxes:
    boxes_key, labels_key = keys_of(objects)
    needs = f"boxes under the key {boxes_key!r} need"
    box_format = format_of(needs, boxes_key, box_format)
    labels = _dense(objects[labels_key], tf.int64)
    boxes = _dense(objects[boxes_key], tf.float64)
    weights = _dense(objects.get("weight", tf.ones_like(labels)), tf.float64)
    shape = labels.shape
    if len(shape) != 2 or boxes.shape != (*shape, 4) or weights.shape != shape:
        raise ValueError(
            "boxes must be of shape (batch, boxes, 4), and their labels and weights "
            f"(batch, boxes), got {boxes.shape}, {shape} and {weights.shape}. "
            "Call dataset.batch(...) or dataset.ragged_batch(...), or leave them out: "
            "target_keys=..."
        )
    differ = bool(np.any((weights.numpy() != 1) & (labels.numpy() != -1)))
    return Boxes(
        name,
        to_corners(boxes, box_format).numpy(),
        is_relative(box_format),
        labels.numpy(),
        weights.numpy() if differ else None,
    )


def _dense(value: Any, dtype: tf.DType) -> tf.Tensor:
    value = tf.cast(value, dtype)
    if isinstance(value, tf.RaggedTensor):
        return value.to_tensor(default_value=tf.constant(-1, dtype))
    return value


def draw_boxes(
    row: Sequence[Any], boxes: Boxes, size: Sequence[int], names: Sequence[str] | None
) -> None:
    """Draws boxes on images that `imshow` drew, (height, width) pixels, one an axes.

    A row of label -1 is no box. A box of less weight has a thinner line.
    """
    import matplotlib
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    most = boxes.labels.max(initial=-1)
    if names is not None and most >= len(names):
        raise ValueError(
            f"class_names has {len(names)} entries, and boxes have the label {most}. "
            "Name every class, in the order of their ids."
        )
    colours = matplotlib.colormaps["Set2"](range(_COLOURS))
    for k, axes in enumerate(row):
        for n, c in enumerate(boxes.labels[k]):
            if c == -1:
                continue
            ends = boxes.corners[k, n].reshape(2, 2)
            # The first pixel's centre is 0, so that an image begins at -0.5.
            low, high = (ends * size if boxes.relative else ends) - 0.5
            weight = 1.0 if boxes.weights is None else boxes.weights[k, n]
            width = _WIDTH[0] + (_WIDTH[1] - _WIDTH[0]) * min(max(weight, 0), 1)
            colour = colours[c % _COLOURS]
            patch = Rectangle(
                low[::-1],
                *(high - low)[::-1],
                fill=False,
                edgecolor=colour,
                linewidth=width,
                path_effects=[withStroke(linewidth=width + _EDGE, foreground="black")],
            )
            axes.add_patch(patch)
            text = short_name(names, c)
            axes.text(
                *low[::-1],
                text if boxes.weights is None else f"{text} {weight:.2f}",
                fontsize=_FONT,
                # Above the box, if there is room, so that it covers no pixel of it.
                verticalalignment="bottom" if low[0] > _ROOM * size[1] else "top",
                clip_on=True,
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8},
            )
