"""The formula λ·first + (1 − λ)·second, and what is exact at its ends."""

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import assert_close, numbers, per_example
from tests.reference import blend as expected
from tfmixup import blending

LAM = np.array([0.0, 0.3, 0.5, 1.0], np.float32)
INF, NAN = np.inf, np.nan
compiled_or_not = pytest.mark.parametrize("jit", [True, False])


@compiled_or_not
@pytest.mark.parametrize(
    ("given", "dtype", "wanted"),
    [
        ("float32", None, "float32"),
        ("float64", None, "float64"),
        ("bfloat16", None, "bfloat16"),
        ("int16", None, "float32"),
        ("uint8", "float16", "float16"),
        ("float64", "float32", "float32"),
    ],
)
def test_blend(given, dtype, wanted, jit):
    first, second = (numbers((4, 3, 2), given, seed) for seed in (1, 2))
    blend = tf.function(blending.blend, jit_compile=jit)
    for lam in (LAM, LAM[1:2]):
        got = blend(first, second, lam, dtype and tf.as_dtype(dtype))
        assert got.dtype == wanted
        assert_close(got, expected(first, second, lam), first, second)


@compiled_or_not
def test_bytes_are_rounded_to_nearest(jit):
    first, second = (numbers((4, 50), "uint8", seed) for seed in (1, 2))
    # Sums of quarters are exact, so that halves are halves.
    lam = np.array([0.0, 0.25, 0.5, 1.0], np.float32)
    got = tf.function(blending.blend, jit_compile=jit)(first, second, lam, tf.uint8)
    np.testing.assert_array_equal(got, np.rint(expected(first, second, lam)))


@compiled_or_not
def test_an_example_of_no_share_is_not_looked_at(jit):
    first = tf.constant([[INF, NAN], [1.0, 2.0], [INF, 1.0]])
    second = tf.constant([[3.0, 4.0], [INF, NAN], [2.0, 2.0]])
    blend = tf.function(blending.blend, jit_compile=jit)
    got = blend(first, second, tf.constant([0.0, 1.0, 0.5]))
    np.testing.assert_array_equal(got, [[3.0, 4.0], [1.0, 2.0], [INF, 1.5]])


@pytest.mark.parametrize("lam", [LAM, [0.0], [1.0], [0.5]])
def test_at_ends(lam):
    parts = [tf.fill([4, 2, 3], value) for value in "abc"]
    by_lam = {0.0: "b", 1.0: "a"}
    rows = [by_lam.get(float(share), "c") for share in np.broadcast_to(lam, [4])]
    got = blending.at_ends(tf.constant(lam), *parts).numpy().astype(str)
    np.testing.assert_array_equal(
        got, np.broadcast_to(np.c_[rows][..., None], got.shape)
    )


@pytest.mark.parametrize("shape", [[4], [4, 2], [None, 3, None, 1]])
def test_per_example(shape):
    like = tf.TensorSpec(shape)
    for value in (LAM, LAM[:1]):
        got = blending.per_example(value, like)
        np.testing.assert_array_equal(got, per_example(value, len(shape)))


def test_as_float():
    for dtype in ("float16", "float64"):
        given = tf.ones([2], dtype)
        assert blending.as_float(given) is given
    for dtype in ("uint8", "int64", "bool"):
        assert blending.as_float(tf.ones([2], dtype)).dtype == tf.float32
