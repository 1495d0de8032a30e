"""What several test files compare with: formulas in NumPy, and ways to mix a dataset.

Statistical comparisons have a false-alarm rate of `RATE`, and their seeds are fixed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import stats

import tfmixup

RATE = 1e-6
# Units in the last place, relative to 1.
EPSILON = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}


def numbers(shape: Any, dtype: str = "float32", seed: int = 0) -> tf.Tensor:
    """Values over the range of a dtype; 24 bits of the wide ones, as in PCM."""
    draw = np.random.default_rng([seed, *shape])
    if dtype in EPSILON:
        return tf.cast(tf.constant(draw.normal(0, 3, shape)), dtype)
    ends = tf.as_dtype(dtype)
    low, high = max(ends.min, -(2**23)), min(ends.max, 2**23)
    return tf.constant(draw.integers(low, high, shape, endpoint=True), dtype)


def per_example(values: Any, rank: int) -> np.ndarray:
    """float64 (B,) with the dimensions to broadcast against (B, ...)."""
    return np.asarray(values, np.float64).reshape([-1] + [1] * (rank - 1))


def blend(first: Any, second: Any, lam: Any) -> np.ndarray:
    """λ·first + (1 − λ)·second, in float64."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lam = per_example(lam, first.ndim)
    return lam * first + (1 - lam) * second


def weigh(first: Any, second: Any, lam: Any) -> tuple[np.ndarray, np.ndarray]:
    """W = λ·w_i + (1 − λ)·w_j, and the first label's share λ·w_i / W (λ if W is 0)."""
    mixed = blend(first, second, lam)
    lam = np.broadcast_to(per_example(lam, mixed.ndim), mixed.shape)
    share = lam * np.asarray(first, np.float64)
    return mixed, np.divide(share, mixed, out=lam.astype(np.float64), where=mixed != 0)


def one_hot(ids: Any, classes: int, smoothing: float = 0.0) -> np.ndarray:
    """(1 − ε)·one_hot + ε/C; a row of zeros for an id that is no class."""
    hot = np.asarray(ids)[..., None] == np.arange(classes)
    return (1 - smoothing) * hot + smoothing / classes


def assert_close(got: Any, want: np.ndarray, *terms: Any, name: Any = "") -> None:
    """To the accuracy of got's dtype, computed in float32 at least.

    Terms may cancel: their rounding counts by the size of the terms, that of the result
    by its own.
    """
    scale = max([np.abs(np.asarray(t, np.float64)).max() for t in terms], default=1.0)
    own = EPSILON[tf.as_dtype(got.dtype).name]
    np.testing.assert_allclose(
        np.asarray(got, np.float64),
        want,
        rtol=own / 2 * 1.01,
        atol=3 * min(own, EPSILON["float32"]) * scale,
        err_msg=str(name),
    )


def assert_same(got: Any, want: Any, atol: float = 0.0) -> None:
    """Nests of one structure, dtypes and values."""
    tf.nest.assert_same_structure(got, want)
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(want)):
        one, other = tf.convert_to_tensor(one), tf.convert_to_tensor(other)
        if one.dtype != other.dtype or one.shape != other.shape:
            raise AssertionError(f"{one.dtype}{one.shape}, {other.dtype}{other.shape}")
        if one.dtype == tf.bfloat16:
            one, other = tf.cast(one, tf.float32), tf.cast(other, tf.float32)
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def assert_follows(draws: Any, cdf: str | Callable[..., Any]) -> None:
    """The distribution with that CDF, by Kolmogorov and Smirnov's test."""
    pvalue = stats.kstest(np.asarray(draws, np.float64).ravel(), cdf).pvalue
    if not pvalue > RATE:  # a NaN fails too
        raise AssertionError(f"p = {pvalue}")


def truncated(cdf: Callable[..., Any], low: float, high: float) -> Callable[..., Any]:
    """The CDF of what lies in [low, high]."""
    mass = cdf(high) - cdf(low)
    return lambda x: (cdf(np.clip(x, low, high)) - cdf(low)) / mass


def paste(
    first: Any, second: Any, box: Callable[..., tuple[slice, slice]], axis: int = 1
) -> np.ndarray:
    """A copy of `first` (B, ...) with the box of each example from `second`.

    `box(k, height, width)` are the slices of example k; height is at `axis`.
    """
    out = np.array(first)
    for k in range(len(out)):
        slices = box(k, *out.shape[axis : axis + 2])
        where = (k, *[slice(None)] * (axis - 1), *slices)
        out[where] = np.asarray(second)[where]
    return out


def eye(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Features that tell which examples were mixed, and how; class ids that do too."""
    return tf.eye(size), tf.range(size)


ROUTES = ("two_streams", "in_batch", "map", "pair")


def mixed(
    route: str,
    examples: tf.data.Dataset,
    mixer: tfmixup.Mixer,
    size: int,
    *,
    drop_remainder: bool = False,
    seed: int | None = 1,
    **two_streams: Any,
) -> tf.data.Dataset:
    """Unbatched examples to mixed batches, by one of the ways there are."""
    if route == "two_streams":
        return examples.apply(
            tfmixup.two_streams(
                mixer, size, drop_remainder=drop_remainder, seed=seed, **two_streams
            )
        )
    batches = examples.batch(size, drop_remainder=drop_remainder)
    if route == "in_batch":
        return batches.apply(tfmixup.in_batch(mixer, seed=seed))
    if route == "map":
        return batches.map(mixer)
    turned = examples.skip(1).concatenate(examples.take(1))
    second = turned.batch(size, drop_remainder=drop_remainder)
    return tf.data.Dataset.zip((batches, second)).map(mixer.pair)
