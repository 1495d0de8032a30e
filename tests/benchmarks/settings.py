"""Where examples come from: tensors that are batches already, memory, or JPEGs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.benchmarks import jpegs
from tests.benchmarks.workloads import WORKLOADS, Workload

__all__ = ["MIXING", "PREFETCH", "SETTINGS", "Source", "finish", "make"]

PREFETCH = 2
CIFAR_EXAMPLES = 50_000

MIXING, PIPELINE, DECODE = "mixing", "pipeline", "decode"
SETTINGS = {
    MIXING: "Mixing alone",
    PIPELINE: "Whole pipeline from memory",
    DECODE: "Decode-bound pipeline",
}


@dataclasses.dataclass(frozen=True)
class Source:
    """What every contender of a workload starts from.

    Attributes:
      workload: what the data are like.
      stream: stream(0) and stream(1) are two datasets of batches (features, labels),
        shuffled each on its own where there is anything to shuffle.
      examples: the unbatched dataset; None where batches are all there is.
      shuffle_buffer_size: of every shuffle.
      batches_per_epoch: a timing takes whole epochs, since an epoch begins slowly.
      rows: features and labels in memory for the floor, or None.
    """

    workload: Workload
    stream: Callable[[int], tf.data.Dataset]
    examples: tf.data.Dataset | None = None
    shuffle_buffer_size: int = 0
    batches_per_epoch: int = 1
    rows: tuple[np.ndarray, np.ndarray] | None = None


def make(setting: str, workload: str, records: str | None) -> Source:
    """Makes a source by name; `records` is the directory of the JPEGs."""
    what = WORKLOADS[workload]
    if setting == MIXING:
        return _mixing(what)
    if setting == PIPELINE:
        return _pipeline(what)
    return _decode(what, records)


def _mixing(workload: Workload) -> Source:
    """The same two batches again and again: what mixing a batch costs, and no more."""
    size = workload.batch_size
    features, labels = workload.arrays(2 * size)
    batches = [
        tf.data.Dataset.from_tensors((tf.constant(x), tf.constant(y))).repeat()
        for x, y in zip(np.split(features, 2), np.split(labels, 2))
    ]
    return Source(workload, lambda which: batches[which], rows=(features, labels))


def _pipeline(workload: Workload) -> Source:
    """Slices of arrays in memory, shuffled and batched."""
    features, labels = workload.arrays(CIFAR_EXAMPLES)
    dataset = tf.data.Dataset.from_tensor_slices((features, labels))
    return _shuffled(workload, dataset, 10_000, rows=(features, labels))


def _decode(workload: Workload, directory: str) -> Source:
    """JPEGs in TFRecords, decoded example by example, shuffled and batched."""
    return _shuffled(workload, jpegs.read(workload, directory), 512, rows=None)


def _shuffled(
    workload: Workload,
    examples: tf.data.Dataset,
    shuffle_buffer_size: int,
    rows: tuple[np.ndarray, np.ndarray] | None,
) -> Source:
    def stream(which: int) -> tf.data.Dataset:
        del which  # every shuffle draws its own order
        shuffled = examples.shuffle(shuffle_buffer_size)
        return shuffled.batch(workload.batch_size, drop_remainder=True)

    batches = int(examples.cardinality()) // workload.batch_size
    return Source(workload, stream, examples, shuffle_buffer_size, batches, rows)


def finish(source: Source, mixed: tf.data.Dataset) -> tf.data.Dataset:
    """The last stages, the same for every contender."""
    endless = mixed if source.examples is None else mixed.repeat()
    return endless.prefetch(PREFETCH)
