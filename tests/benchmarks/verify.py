"""Comparing different work is a defect: is it the same work, and is it done?"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.benchmarks.contenders import Contender
from tests.benchmarks.settings import Source

__all__ = ["verify"]

# Of Beta(0.2, 0.2), more than half is within [0.01, 0.99]; where a batch shares λ, one
# batch of these will be mixed at least.
_BATCHES = 16
_LEAST_SHARE = 1 / _BATCHES
_FEATURES = 64
_TOLERANCE = {"float32": 1e-4, "uint8": 2e-2, "bfloat16": 2e-2}


def verify(contender: Contender, source: Source, dataset: tf.data.Dataset) -> None:
    """Raises AssertionError where a contender does not do what the others do."""
    workload = source.workload
    size = workload.batch_size
    expected = (
        tf.TensorSpec([size, *workload.shape], contender.dtype),
        tf.TensorSpec([size, workload.num_classes], tf.float32),
    )
    assert dataset.element_spec == expected, (contender.name, dataset.element_spec)
    share = 0.0
    for features, targets in dataset.take(_BATCHES):
        labels = targets.numpy()
        np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
        share += np.mean(labels.max(axis=1) < 0.99) / _BATCHES
        if source.examples is None:
            some = tf.reshape(features, [size, -1])[:, :_FEATURES]
            _check_features(
                contender, source, tf.cast(some, tf.float32).numpy(), labels
            )
    fine = share >= _LEAST_SHARE if contender.scope else share == 0
    assert fine, f"{contender.name}: {share:.0%} of the labels are mixed"


def _check_features(
    contender: Contender, source: Source, x: np.ndarray, y: np.ndarray
) -> None:
    """Solves `x = λ·first + (1 − λ)·second` for `second`, which must be in the data."""
    size = len(x)
    features, labels = source.rows
    batches = features.reshape(2, size, -1)[..., :_FEATURES].astype(np.float32)
    ones, others = batches[0], batches[1 if contender.scope == "dataset" else 0]
    if not contender.scope:
        np.testing.assert_array_equal(x, ones)
        return
    lam = y[np.arange(size), labels[:size]][:, None]
    # Where labels tell λ, and where rounding is not blown up.
    clear = ((lam > 0.1) & (lam < 0.8))[:, 0]
    second = (x - lam * ones)[clear] / (1 - lam)[clear]
    distances = np.abs(second[:, None] - others[None]).mean(axis=-1)
    worst = distances.min(axis=1).max(initial=0.0) / ones.max()
    limit = _TOLERANCE[contender.dtype]
    assert worst < limit, f"{contender.name}: features are off by {worst:.2g}"
