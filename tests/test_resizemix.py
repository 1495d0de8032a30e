"""ResizeMix against tf.image.resize and slices, and its label against pixels."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup

JIT = [True, False]
SCALE = np.array([0.1, 0.5, 0.8, 0.0, 0.33, 1.0], np.float32)
PLACE = np.array(
    [[0.0, 0.0], [0.5, 0.99], [0.999, 0.2], [0.4, 0.4], [0.25, 0.75], [0.9, 0.9]],
    np.float32,
)
N = len(SCALE)
PARAMS = tfmixup.ResizeMixParams(tf.constant(SCALE), tf.constant(PLACE))
IDS = (np.arange(N) % 4, (np.arange(N) + 1) % 4)


def box(scale, place, n):
    """Start and length along one side: rounded, at least 1, uniform inside."""
    length = min(max(math.floor(scale * n + 0.5), 1), n) if scale else 0
    return math.floor(place * (n - length + 1)), length


def pasted(first, second, method, scale=SCALE, place=PLACE):
    """A copy of first with all of second, made smaller by tf.image.resize."""
    out = np.array(first, np.float64)
    flat = out.reshape([len(out), -1, *out.shape[-3:]])  # a view: frames
    other = np.reshape(second, flat.shape)
    for k in range(len(out)):
        at = k % len(scale)
        top, h = box(float(scale[at]), float(place[at][0]), out.shape[-3])
        left, w = box(float(scale[at]), float(place[at][1]), out.shape[-2])
        if h:
            small = tf.image.resize(tf.cast(other[k], tf.float32), (h, w), method)
            flat[k, :, top : top + h, left : left + w] = small
    return out


def area(height, width, scale=SCALE):
    sides = [[box(float(s), 0.0, n)[1] for s in scale] for n in (height, width)]
    return np.prod(sides, axis=0) / (height * width)


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (N, *shape), np.uint8)


@pytest.mark.parametrize("jit", [*JIT, "auto"])
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(11, 17, 3), (8, 5, 1), (2, 9, 14, 3)])
def test_images_and_video(shape, method, jit):
    x = images(*shape, seed=1), images(*shape, seed=2)
    mixer = tfmixup.ResizeMix(num_classes=4, interpolation=method, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, pasted(*x, method), atol=2e-3)
    share = 1 - area(*shape[-3:-1])[:, None]
    want = share * np.eye(4)[IDS[0]] + (1 - share) * np.eye(4)[IDS[1]]
    np.testing.assert_allclose(label, want, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
def test_bytes_are_rounded_to_nearest(jit):
    x = images(12, 10, 3, seed=3), images(12, 10, 3, seed=4)
    mixer = tfmixup.ResizeMix(num_classes=4, dtype="uint8", jit_compile=jit)
    got, _ = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == tf.uint8
    error = np.asarray(got, np.float64) - pasted(*x, "bilinear")
    assert np.abs(error).max() <= 0.5 + 2e-3


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("integer_masks", [True, False])
def test_masks_are_resized_to_the_nearest(integer_masks, jit):
    x = images(9, 13, 3)
    masks = [images(9, 13, 1, seed=k) % 5 for k in (1, 2)]
    masks = [np.where(mask == 4, 255, mask).astype(np.uint8) for mask in masks]
    mixer = tfmixup.ResizeMix(
        num_classes=4, ignore_label=255, integer_masks=integer_masks, jit_compile=jit
    )
    _, got, weights = mixer.apply((x, masks[0]), (x, masks[1]), PARAMS)
    want = pasted(*masks, "nearest")
    np.testing.assert_array_equal(weights, (want != 255)[..., 0])
    if not integer_masks:
        assert set(np.unique(tf.reduce_sum(got, -1))) == {0.0, 1.0}
        got = np.where(weights == 0, 255, np.argmax(got, -1))[..., None]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("drop_remainder", [True, False])
@pytest.mark.parametrize("per", ["example", "batch"])
def test_pipelines_count_their_pixels(per, drop_remainder, jit):
    # Grey partners stay grey however they are resized: the rest is counted.
    shape, n = (13, 22, 1), 1010
    zeros, ones = (
        tf.data.Dataset.from_tensors((np.full(shape, v, np.uint8), v)).repeat(n)
        for v in (0, 1)
    )
    mixer = tfmixup.ResizeMix(num_classes=2, per=per, jit_compile=jit)
    stage = tfmixup.two_streams(
        mixer, 100, partner=ones, drop_remainder=drop_remainder, seed=1
    )
    seen, shares = 0, set()
    for x, y in zeros.apply(stage).as_numpy_iterator():
        counted = np.sum(x == 0, axis=(1, 2, 3)).astype(np.float32)
        np.testing.assert_array_equal(y[:, 0], counted / np.float32(13 * 22))
        seen += len(x)
        shares.add(len(set(counted)))
    assert seen == (1000 if drop_remainder else 1010)
    assert shares == {1} if per == "batch" else min(shares) > 1


def test_scales_and_places_are_uniform():
    drawn = tfmixup.ResizeMix((0.2, 0.6)).sample(20_000, [1, 2])
    # False alarms: 1e-6 each.
    assert stats.kstest(drawn.scale, stats.uniform(0.2, 0.4).cdf).pvalue > 1e-6
    for k in (0, 1):
        assert stats.kstest(drawn.place[:, k], "uniform").pvalue > 1e-6
    # Every possible place of a box of 3 in 8 pixels, equally often.
    params = drawn._replace(scale=tf.fill([20_000], 0.375))
    tops = tfmixup.ResizeMix().box(params, 8, 8).top
    assert stats.chisquare(np.bincount(tops, minlength=6)).pvalue > 1e-6


def test_in_batch_map_and_switched_off():
    x, y = images(9, 6, 3), np.arange(N)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    mixer = tfmixup.ResizeMix(num_classes=N, per="batch")
    for mixed in (batches.apply(tfmixup.in_batch(mixer)), batches.map(mixer)):
        labels = [label for _, label in mixed.as_numpy_iterator()]
        assert [len(label) for label in labels] == [4, 2]
        assert all(np.all(np.sum(label > 0, axis=1) == 2) for label in labels)
    off = dataclasses.replace(mixer, probability=0.0)
    got, label = off(x, y)
    np.testing.assert_array_equal(got, x)
    np.testing.assert_array_equal(label, np.eye(N))


def test_probability():
    drawn = tfmixup.ResizeMix(probability=0.3).sample(20_000, [1, 2])
    # Binomial, standard deviation 0.0032; false alarms below 1e-6.
    assert abs(np.mean(drawn.scale == 0) - 0.7) < 0.016


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scale": (0.8, 0.1)}, ValueError, "scale must satisfy 0 <= low < high <= 1"),
        ({"scale": 0.5}, TypeError, r"scale must be a pair of numbers \(low, high\)"),
        ({"per": "image"}, ValueError, "per must be one of 'example', 'batch'"),
        ({"probability": 2}, ValueError, r"probability must be in \[0, 1\], got 2"),
        ({"interpolation": "cubic"}, ValueError, "interpolation must be one of 'bili"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=f"^tfmixup.ResizeMix: {message}"):
        tfmixup.ResizeMix(**arguments)
