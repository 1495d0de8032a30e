"""ResizeMix against tf.image.resize and slices, and its label against pixels."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup
from tests.reference import RATE, assert_follows, blend, one_hot

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


def kept(height, width):
    sides = [[box(float(s), 0.0, n)[1] for s in SCALE] for n in (height, width)]
    return 1 - np.prod(sides, axis=0) / (height * width)


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (N, *shape), np.uint8)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(11, 17, 3), (8, 5, 1), (2, 9, 14, 3)])
def test_images_and_video(shape, method, jit):
    x = images(*shape, seed=1), images(*shape, seed=2)
    mixer = tfmixup.ResizeMix(num_classes=4, interpolation=method, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, pasted(*x, method), atol=2e-3)
    want = blend(one_hot(IDS[0], 4), one_hot(IDS[1], 4), kept(*shape[-3:-1]))
    np.testing.assert_allclose(label, want, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
def test_bytes_are_rounded_to_nearest(jit):
    x = images(12, 10, 3, seed=3), images(12, 10, 3, seed=4)
    mixer = tfmixup.ResizeMix(num_classes=4, dtype="uint8", jit_compile=jit)
    got, _ = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == tf.uint8
    error = np.asarray(got, np.float64) - pasted(*x, "bilinear")
    assert np.abs(error).max() <= 0.5 + 2e-3


@pytest.mark.parametrize(("integer_masks", "jit"), [(True, True), (False, False)])
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
        np.testing.assert_array_equal(got, one_hot(want[..., 0], 4))
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("per", "drop_remainder", "jit"),
    [("example", False, True), ("example", True, False), ("batch", False, False)],
)
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
    mixer = tfmixup.ResizeMix((0.2, 0.6), num_classes=2)
    drawn = mixer.sample(20_000, [1, 2])
    assert_follows(drawn.scale, stats.uniform(0.2, 0.4).cdf)
    for k in (0, 1):
        assert_follows(drawn.place[:, k], "uniform")
    # Every possible place of a box of 3 in 8 pixels, equally often.
    n = 3000
    params = tfmixup.ResizeMixParams(tf.fill([n], 0.375), drawn.place[:n])
    x, ids = tf.zeros([n, 8, 8, 1]), tf.zeros([n], tf.int32)
    pixels, _ = mixer.apply((x, ids), (x + 1, ids + 1), params)
    for axis in (1, 2):
        first = np.argmax(np.max(pixels[..., 0], axis=3 - axis), axis=1)
        assert stats.chisquare(np.bincount(first, minlength=6)).pvalue > RATE


def test_probability_and_shapes():
    drawn = tfmixup.ResizeMix(probability=0.3).sample(20_000, [1, 2])
    unmixed = int(np.sum(drawn.scale == 0))
    assert stats.binomtest(unmixed, 20_000, 0.7).pvalue > RATE
    drawn = tfmixup.ResizeMix(per="batch").sample(5, [1, 2], num_batches=3)
    assert (drawn.scale.shape, drawn.place.shape) == ((3, 1), (3, 1, 2))
