"""The formulas that the tests of tfmixup.keras compare with, in NumPy."""

import numpy as np


def combine(lam, first, second):
    """λ·first + (1 − λ)·second for each example."""
    lam = np.reshape(lam, [-1] + [1] * (np.ndim(first) - 1))
    return lam * first + (1 - lam) * second


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(ids, p):
    """−log p of the class, for ids (...) and p (..., classes)."""
    return -np.log(np.take_along_axis(p, ids[..., None], -1))[..., 0]


def label_mass(labels, predictions, weights=None):
    """The mean label mass on the predicted class, position after position."""
    labels, predictions = (np.asarray(a, np.float64) for a in (labels, predictions))
    masses = np.empty(labels.shape[:-1])
    for index in np.ndindex(*masses.shape):
        best = max(range(labels.shape[-1]), key=lambda c: predictions[index][c])
        masses[index] = labels[index][best]
    return np.average(masses, weights=weights)
