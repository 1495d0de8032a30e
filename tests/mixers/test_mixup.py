"""MixUp: what is blended, against the formula in NumPy."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import EPSILON, assert_close, blend, numbers, one_hot, weigh

JIT = [True, False]
SIZE = 6  # examples in a batch
CLASSES = 5
LAM = np.array([0.0, 0.125, 0.3, 0.5, 0.9, 1.0], np.float32)
FIRST = np.array([0, 1, 2, 3, 4, 4])
SECOND = np.array([4, 1, 0, 2, 3, 1])
PARTNER = np.array([3, 0, 5, 1, 2, 4], np.int32)
FLOATS = [*EPSILON]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
Y = (numbers((SIZE, 2), seed=8), numbers((SIZE, 2), seed=9))  # some targets


def params(lam: Any = LAM) -> tfmixup.MixUpParams:
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


def make(**arguments: Any) -> tfmixup.MixUp:
    return tfmixup.MixUp(0.2, **arguments)


# Features


@pytest.mark.parametrize("jit", JIT)
def test_features_of_every_rank_and_dtype(jit):
    shapes = [(SIZE, 3), (SIZE, 2, 3), (SIZE, 3, 2, 1), (SIZE, 2, 1, 3, 2)]
    dtypes = ["uint8", "int8", "int16", "uint16", *FLOATS]
    first, second = (
        {f"{d}{s}": numbers(s, d, seed) for d in dtypes for s in shapes}
        for seed in (1, 2)
    )
    mixed, _ = make(jit_compile=jit).apply((first, Y[0]), (second, Y[1]), params())
    for name, got in mixed.items():
        one, other = first[name], second[name]
        assert got.dtype == tf.float32
        assert_close(got, blend(one, other, LAM), one, other, name=name)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("dtype", FLOATS[1:])
def test_features_come_in_the_dtype_asked_for(dtype, jit):
    first = numbers((SIZE, 40), "int16", seed=1) / 2**11
    second = numbers((SIZE, 40), "int16", seed=2) / 2**11
    mixed, y = make(dtype=dtype, jit_compile=jit).apply(
        (first, Y[0]), (second, Y[1]), params()
    )
    assert (mixed.dtype, y.dtype) == (dtype, tf.float32)
    assert_close(mixed, blend(first, second, LAM), first, second)


@pytest.mark.parametrize("jit", JIT)
def test_bytes_are_rounded_to_nearest(jit):
    lam = np.arange(256, dtype=np.float32) / 255
    first, second = np.random.default_rng(1).integers(0, 256, (2, 256, 200), np.uint8)
    first[:, :4], second[:, :4] = [255, 0, 255, 0], [255, 0, 0, 255]
    mixed, _ = make(dtype="uint8", jit_compile=jit).apply(
        (first, lam[:, None]), (second, lam[:, None]), params(lam)
    )
    assert mixed.dtype == tf.uint8
    error = np.asarray(mixed, np.float64) - blend(first, second, lam)
    # Next to a tie float32 may go either way.
    assert np.abs(error).max() <= 0.5 + 1e-4
    share = np.arange(256)
    want = np.stack([0 * share + 255, 0 * share, share, 255 - share], axis=1)
    np.testing.assert_array_equal(mixed[:, :4], want)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("dtype", "extremes"),
    [
        ("int16", [-(2**15), 2**15 - 1, -1, 0]),
        ("int8", [-(2**7), 2**7 - 1, -1, 0]),
        ("uint16", [0, 2**16 - 1, 2**15, 1]),
    ],
)
def test_integers_never_wrap(jit, dtype, extremes):
    lam = np.linspace(0, 1, 33, dtype=np.float32)
    pairs = np.array(np.meshgrid(extremes, extremes), dtype).reshape(2, 1, -1)
    one, other = np.repeat(pairs, len(lam), axis=1)
    y = np.zeros([len(lam), 1], np.float32)
    x, _ = make(jit_compile=jit).apply((one, y), (other, y), params(lam))
    scale = np.maximum(*np.abs(pairs.astype(np.float64)))
    error = np.abs(np.asarray(x, np.float64) - blend(one, other, lam))
    assert (error <= 4e-7 * scale).all()


# Targets


@pytest.mark.parametrize("jit", JIT)
def test_class_ids_become_mixed_one_hot_labels(jit):
    first, second = (
        {
            f"{dtype}{shape}": tf.constant(ids.reshape(shape), dtype)
            for dtype in INTEGERS
            for shape in [(SIZE,), (SIZE, 1)]
        }
        for ids in (FIRST, SECOND)
    )
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    _, mixed = mixer.apply((Y[0], first), (Y[1], second), params())
    want = blend(one_hot(FIRST, CLASSES), one_hot(SECOND, CLASSES), LAM)
    for name, got in mixed.items():
        assert (got.dtype, got.shape) == (tf.float32, (SIZE, CLASSES)), name
        assert_close(got, want, name=name)


@pytest.mark.parametrize("num_classes", [None, SIZE])
@pytest.mark.parametrize("jit", JIT)
def test_float_targets_keep_shape_and_dtype(jit, num_classes):
    # Regression, a column, one-hot or multi-hot, T = B, all dimensions equal.
    shapes = [(SIZE,), (SIZE, 1), (SIZE, SIZE), (SIZE, SIZE, 3), (SIZE, SIZE, SIZE)]
    first, second = (
        {f"{d}{s}": numbers(s, d, seed) for d in FLOATS for s in shapes}
        for seed in (1, 2)
    )
    mixer = make(jit_compile=jit, num_classes=num_classes)
    _, mixed = mixer.apply((Y[0], first), (Y[1], second), params())
    for name, got in mixed.items():
        one, other = first[name], second[name]
        assert (got.dtype, got.shape) == (one.dtype, one.shape), name
        assert_close(got, blend(one, other, LAM), one, other, name=name)


@pytest.mark.parametrize(("classes", "epsilon"), [(5, 0.9), (2, 0.1), (1000, 0.1)])
def test_label_smoothing(classes, epsilon):
    mixer = make(num_classes=classes, label_smoothing=epsilon)
    ids = FIRST % classes, SECOND % classes
    _, got = mixer.apply((Y[0], ids[0]), (Y[1], ids[1]), params())
    hot = (one_hot(y, classes, epsilon) for y in ids)
    assert_close(got, blend(*hot, LAM))
    np.testing.assert_allclose(tf.reduce_sum(got, axis=1), 1, atol=1e-6)


# Sample weights


@pytest.mark.parametrize("jit", JIT)
def test_sample_weights_are_mixed_alike(jit):
    first, second = (
        {
            f"{dtype}{shape}": tf.cast(tf.reshape(tf.constant(values), shape), dtype)
            for dtype in [*FLOATS, "int32", "int64", "uint8"]
            for shape in [(SIZE,), (SIZE, 1)]
        }
        for values in ([1, 2, 3, 4, 0, 6], [6, 0, 1, 1, 0, 2])
    )
    mixer = make(jit_compile=jit)
    y = [dict.fromkeys(first, target) for target in Y]
    original, mixed = mixer.apply(
        (Y[0], y[0], first), (Y[1], y[1], second), params(), keep_first=True
    )
    for name, got in mixed[2].items():
        _, share = weigh(first[name], second[name], LAM)
        assert_close(mixed[1][name], blend(*Y, np.ravel(share)), *Y, name=name)
        one, other = first[name], second[name]
        want = one.dtype if one.dtype.is_floating else tf.float32
        assert original[2][name].dtype == got.dtype == want, name
        np.testing.assert_array_equal(tf.cast(original[2][name], one.dtype), one)
        assert_close(got, blend(one, other, LAM), one, other, name=name)


# λ


@pytest.mark.parametrize("jit", JIT)
def test_one_lambda_for_the_whole_batch(jit):
    first, second = numbers((SIZE, 3), seed=1), numbers((SIZE, 3), seed=2)
    weights = np.arange(6, dtype=np.float32), np.ones(6, np.float32)
    mixed = make(num_classes=CLASSES, per="batch", jit_compile=jit).apply(
        (first, FIRST, weights[0]), (second, SECOND, weights[1]), params([0.3])
    )
    lam = np.full(SIZE, 0.3, np.float32)
    assert_close(mixed[0], blend(first, second, lam), first, second)
    weight, share = weigh(*weights, lam)
    assert_close(mixed[1], blend(one_hot(FIRST, 5), one_hot(SECOND, 5), share))
    assert_close(mixed[2], weight, *weights)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("came", "dtype"),
    [("float32", "float32"), ("uint8", "uint8"), ("float16", "float16")],
)
def test_lambda_of_one_gives_exactly_the_first(came, dtype, jit):
    first, second = numbers((SIZE, 50), came, 1), numbers((SIZE, 50), came, 2)
    mixer = make(num_classes=CLASSES, dtype=dtype, jit_compile=jit)
    x, y, weight = mixer.apply(
        (first, FIRST, Y[0][:, 0]), (second, SECOND, Y[1][:, 0]), params(np.ones(SIZE))
    )
    np.testing.assert_array_equal(x, tf.cast(first, dtype))
    np.testing.assert_array_equal(y, one_hot(FIRST, CLASSES))
    np.testing.assert_array_equal(weight, Y[0][:, 0])


@pytest.mark.parametrize("jit", JIT)
def test_an_example_left_unmixed_by_chance_does_not_see_its_partner(jit):
    mixer = tfmixup.MixUp(1.0, probability=0.5, jit_compile=jit)
    first = np.float32([[1], [2], [3], [np.inf]])
    broken = np.float32([[np.inf], [np.nan], [5], [7]])
    x, y, weight = mixer.apply(
        (first, first, first[:, 0]),
        (broken, broken, broken[:, 0]),
        params([1.0, 1.0, 0.5, 0.0]),
    )
    np.testing.assert_array_equal(x, [[1], [2], [4], [7]])
    np.testing.assert_array_equal(y, [[1], [2], [(3 * 3 + 5 * 5) / 8], [7]])
    np.testing.assert_array_equal(weight, [1, 2, 4, 7])


# Within a batch


@pytest.mark.parametrize("jit", JIT)
def test_apply_in_batch_mixes_with_the_partner(jit):
    x = {"a": numbers((SIZE, 3, 2), "int16"), "b": numbers((SIZE, 4), "float64")}
    y = {"ids": FIRST.astype(np.uint16), "sizes": numbers((SIZE, SIZE))}
    weight = np.arange(SIZE)  # a NumPy batch, too
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    mixed = mixer.apply_in_batch((x, y, weight), tf.constant(PARTNER), params())
    hot = one_hot(FIRST, CLASSES)
    _, share = weigh(weight, weight[PARTNER], LAM)
    assert_close(mixed[1]["ids"], blend(hot, hot[PARTNER], share))
    for got, one, lam in [
        (mixed[0]["a"], x["a"], LAM),
        (mixed[0]["b"], x["b"], LAM),
        (mixed[1]["sizes"], y["sizes"], share),
        (mixed[2], weight, LAM),
    ]:
        one = np.asarray(one)
        assert_close(got, blend(one, one[PARTNER], lam), one)


@pytest.mark.parametrize("jit", [True, False, "auto"])
def test_batches_of_every_size_share_one_mixer(jit):
    mixer = make(num_classes=CLASSES, jit_compile=jit)
    for size in (1, 2, 5):
        x, ids, partner = numbers((size, 3)), FIRST[:size], np.roll(range(size), 1)
        lam = LAM[1 : 1 + size]
        got = mixer.apply_in_batch((x, ids), tf.constant(partner), params(lam))
        hot = one_hot(ids, CLASSES)
        assert_close(got[0], blend(x, x.numpy()[partner], lam), x)
        assert_close(got[1], blend(hot, hot[partner], lam))


def test_apply_in_batch_of_one_is_exactly_cast_and_encoded():
    x = numbers((1, 40), "float64")
    batch = x, np.array([3])
    got = make(num_classes=CLASSES).apply_in_batch(
        batch, tf.zeros([1], tf.int32), params([0.3])
    )
    np.testing.assert_array_equal(got[0], tf.cast(x, tf.float32))
    np.testing.assert_array_equal(got[1], one_hot([3], CLASSES))


@pytest.mark.parametrize("jit", [True, False])
def test_an_example_of_no_share_may_be_infinite(jit):
    """λ is exactly 0 or 1 in 2 % of the draws at α = 0.2, and 0 · ∞ is NaN."""
    one, bad = np.float32([[1], [2], [3]]), np.float32([[np.inf], [np.nan], [5]])
    lam = tfmixup.MixUpParams(lam=tf.constant([1.0, 1.0, 0.5]))
    other = tfmixup.MixUpParams(lam=tf.constant([0.0, 0.0, 0.5]))
    mixer = tfmixup.MixUp(0.2, jit_compile=jit)
    for first, second, params in ((one, bad, lam), (bad, one, other)):
        for got in mixer.apply((first, first), (second, second), params):
            np.testing.assert_array_equal(got, [[1], [2], [4]])
