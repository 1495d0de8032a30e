"""A small detector without anchors, its targets and loss, and average precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

STRIDE = 8  # of a cell, in pixels


class Boxes(NamedTuple):
    """The boxes of one image, known or found.

    Attributes:
      boxes: (n, 4): ymin, xmin, ymax, xmax, in any one unit.
      labels: (n,): class ids.
      scores: (n,): how sure the detector is. None for boxes that are known.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


# The detector -----------------------------------------------------------------------


def cell_targets(
    image: tf.Tensor, objects: dict[str, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns the boxes of a batch into what each cell of the network is to predict.

    A cell is responsible for a box if their centres are less than one cell apart along
    both axes. Of several boxes it takes the one with the largest weight less distance.

    Returns:
      The images, and float32 (B, rows, columns, 6): the weight of the cell's box (0
      where there is none), its class id, its centre relative to the cell's centre and
      the logarithm of its size, both in cells, down and across.
    """
    rows, columns = (n // STRIDE for n in image.shape[1:3])
    corners = objects["bbox"] * tf.constant([rows, columns] * 2, tf.float32)
    low, high = tf.split(corners, 2, axis=-1)
    middles = tf.stack(tf.meshgrid(*map(tf.range, (rows, columns)), indexing="ij"), -1)
    middles = tf.cast(middles, tf.float32)[:, :, tf.newaxis] + 0.5
    offsets = ((low + high) / 2)[:, tf.newaxis, tf.newaxis] - middles
    distance = tf.reduce_max(tf.abs(offsets), axis=-1)  # (B, rows, columns, boxes)
    is_box = (objects["label"] != -1)[:, tf.newaxis, tf.newaxis]
    weight = objects["weight"][:, tf.newaxis, tf.newaxis]
    rank = tf.where(is_box & (distance < 1), weight - distance, -np.inf)
    best = tf.argmax(rank, axis=-1)
    found = tf.reduce_max(rank, axis=-1) > -np.inf
    about_box = tf.concat(
        [
            objects["weight"][..., tf.newaxis],
            tf.cast(objects["label"], tf.float32)[..., tf.newaxis],
            tf.math.log(tf.maximum(high - low, 1e-3)),
        ],
        axis=-1,
    )
    weight, label, size = tf.split(
        tf.gather(about_box, best, batch_dims=1), [1, 1, 2], axis=-1
    )
    offset = tf.gather(offsets, best, batch_dims=3)
    made = tf.concat([weight, label, offset, size], axis=-1)
    made = tf.where(found[..., tf.newaxis], made, 0.0)
    return image, made


def network(shape: Sequence[int | None], classes: int, seed: int) -> keras.Model:
    """A small fully convolutional network that predicts a box for each cell.

    Its outputs are those of `cell_targets`, with a logit in place of the weight, and a
    logit for each class in place of the class id: (B, rows, columns, 5 + classes).
    """
    keras.utils.set_random_seed(seed)

    def conv(x: Any, filters: int, **arguments: Any) -> Any:
        x = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, **arguments
        )(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

    image = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(image)
    for filters in (16, 32, 64):
        x = conv(x, filters, strides=2)
    for dilation in (1, 2, 1):
        x = keras.layers.Add()([x, conv(x, 64, dilation_rate=dilation)])
    # Few cells have a box, so training begins with a low probability of one.
    bias = np.zeros(5 + classes, np.float32)
    bias[0] = -3
    start = keras.initializers.Constant(bias)
    made = keras.layers.Conv2D(5 + classes, 1, bias_initializer=start)(x)
    return keras.Model(image, made)


def detection_loss(true: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """The loss of a batch for each box in it.

    Cross-entropy of "there is a box" over all cells; for cells that have one, cross-
    entropy of its class and the Huber loss of its place. All three of a box are
    multiplied by the box's weight, as in arXiv 1902.04103.
    """
    weight, label, place = tf.split(true, [1, 1, 4], axis=-1)
    there, of_place, of_class = tf.split(
        predicted, [1, 4, predicted.shape[-1] - 5], axis=-1
    )
    weight, has_box = weight[..., 0], tf.cast(weight > 0, tf.float32)
    of_boxes = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.cast(label[..., 0], tf.int32), of_class
    ) + 4 * keras.losses.huber(place, of_place)
    presence = tf.nn.sigmoid_cross_entropy_with_logits(has_box, there)[..., 0]
    of_cells = tf.where(weight > 0, weight * (presence + of_boxes), presence)
    return tf.reduce_sum(of_cells) / tf.maximum(tf.reduce_sum(weight), 1.0)


@tf.function
def decode(predicted: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Turns outputs of the network into boxes, and drops the weaker of two alike.

    Returns:
      Boxes (B, n, 4) as shares of the size, scores (B, n), labels (B, n), and how many
      of the n rows count, (B,).
    """
    there, offset, size, of_class = tf.split(
        predicted, [1, 2, 2, predicted.shape[-1] - 5], axis=-1
    )
    rows, columns = predicted.shape[1:3]
    middles = tf.stack(tf.meshgrid(*map(tf.range, (rows, columns)), indexing="ij"), -1)
    centre = tf.cast(middles, tf.float32) + 0.5 + offset
    half = tf.exp(tf.minimum(size, 10.0)) / 2
    boxes = tf.concat([centre - half, centre + half], axis=-1)
    boxes /= tf.constant([rows, columns] * 2, tf.float32)
    scores = tf.sigmoid(there) * tf.nn.softmax(of_class)
    batch, cells = tf.shape(predicted)[0], rows * columns
    made = tf.image.combined_non_max_suppression(
        tf.reshape(boxes, [batch, cells, 1, 4]),
        tf.reshape(scores, [batch, cells, of_class.shape[-1]]),
        max_output_size_per_class=50,
        max_total_size=100,
        iou_threshold=0.5,
        score_threshold=0.01,
    )
    return tuple(made)


def detected(model: keras.Model, images: tf.Tensor) -> list[Boxes]:
    """What the network finds in each image of a batch."""
    boxes, scores, labels, counts = (
        part.numpy() for part in decode(model(images, training=False))
    )
    return [
        Boxes(boxes[k, :n], labels[k, :n].astype(int), scores[k, :n])
        for k, n in enumerate(counts)
    ]


# Average precision ------------------------------------------------------------------


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4), as (n, m)."""
    low = np.maximum(a[:, np.newaxis, :2], b[:, :2])
    high = np.minimum(a[:, np.newaxis, 2:], b[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (a, b)]
    union = areas[0][:, np.newaxis] + areas[1] - both
    return both / np.maximum(union, 1e-12)


def average_precision(
    found: Sequence[Boxes], known: Sequence[Boxes], label: int, least_iou: float = 0.5
) -> float:
    """The average precision of one class over images, as Pascal VOC has it since 2010.

    Detections of all images are sorted by their scores. A detection is right if the
    known box of its image that it overlaps most has an IoU of `least_iou` or more, and
    no detection with a higher score has this box. Average precision is the area below
    the curve of precision over recall, where the precision at a recall is the highest
    at this recall or above. Without a known box it is NaN.
    """
    scores, right, total = [], [], 0
    for ours, theirs in zip(found, known):
        true = theirs.boxes[theirs.labels == label]
        total += len(true)
        mine = ours.labels == label
        order = np.argsort(-ours.scores[mine], kind="stable")
        scores.extend(ours.scores[mine][order])
        taken = set()
        for overlaps in iou(ours.boxes[mine][order], true):
            best = int(np.argmax(overlaps)) if len(true) else -1
            hit = best >= 0 and overlaps[best] >= least_iou and best not in taken
            right.append(hit)
            if hit:
                taken.add(best)
    if not total:
        return float("nan")
    hits = np.array(right, bool)[np.argsort(-np.array(scores), kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    # Each hit is a step of 1 / total along the axis of recall.
    return float(best_from_here[hits].sum() / total)
