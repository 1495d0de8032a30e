"""CutMix against rectangles drawn by hand, and its label against pixels counted."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import tfmixup
from tests.reference import (
    RATE,
    assert_follows,
    blend,
    mixed,
    one_hot,
    paste,
    truncated,
)

JIT = [True, False]
LAM = np.array([0.0, 0.3, 0.75, 1.0, 0.5, 0.9], np.float32)
CENTRE = np.array(
    [[0.5, 0.5], [0.0, 0.99], [0.25, 0.5], [0.3, 0.3], [0.9, 0.1], [0.6, 0.4]],
    np.float32,
)
N = len(LAM)
PARAMS = tfmixup.CutMixParams(tf.constant(LAM), tf.constant(CENTRE))
IDS = (np.arange(N) % 4, (np.arange(N) + 1) % 4)


def rectangle(lam, centre, height, width):
    """Slices of the paper's rectangle: rounded to pixels, clipped at the border."""

    def span(c, n):
        half = math.sqrt(1 - lam) * n / 2
        ends = (math.floor(c * n - half + 0.5), math.floor(c * n + half + 0.5))
        return slice(*(min(max(end, 0), n) for end in ends))

    return span(centre[0], height), span(centre[1], width)


def pasted(first, second, axis=1, lam=LAM, centre=CENTRE):
    """A copy of first with rectangles of second; H is at `axis`."""

    def box(k, height, width):
        place = centre[k % len(centre)].astype(float)
        return rectangle(float(lam[k % len(lam)]), place, height, width)

    return paste(first, second, box, axis)


def kept(height, width, lam=LAM, centre=CENTRE):
    """The share of pixels kept, counted."""
    zeros = np.zeros([N, height, width])
    return 1 - pasted(zeros, zeros + 1, 1, lam, centre).mean(axis=(1, 2))


def images(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 256, (N, *shape)).astype(dtype)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    "shape", [(7, 12, 3), (12, 7, 1), (5, 5, 4), (3, 6, 10, 2), (1, 4, 9, 1)]
)
def test_images_and_video_of_every_shape(shape, jit):
    x = images(*shape, seed=1), images(*shape, seed=2)
    mixer = tfmixup.CutMix(num_classes=4, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == tf.float32
    np.testing.assert_array_equal(got, pasted(*x, axis=len(shape) - 2))
    want = blend(one_hot(IDS[0], 4), one_hot(IDS[1], 4), kept(*shape[-3:-1]))
    np.testing.assert_allclose(label, want, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_pixels_are_moved_exactly(dtype, jit):
    """All images of an element have one rectangle; video has it in every frame."""
    came = ["uint8"] if dtype == "uint8" else ["int16", "uint16", "float16", "float64"]
    if dtype == "float16":
        came.remove("uint16")  # it would be infinite
    first, second = (
        {
            **{d: images(6, 9, 3, seed=seed, dtype=d) for d in came},
            "clip": images(2, 6, 9, 1, seed=seed),
        }
        for seed in (1, 2)
    )
    mixer = tfmixup.CutMix(num_classes=4, dtype=dtype, jit_compile=jit)
    mixed_x, _ = mixer.apply((first, IDS[0]), (second, IDS[1]), PARAMS)
    for name, got in mixed_x.items():
        want = pasted(first[name], second[name], axis=2 if name == "clip" else 1)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, tf.cast(want, dtype), name)


@pytest.mark.parametrize("jit", JIT)
def test_one_rectangle_for_a_batch(jit):
    x = images(8, 11, 3, seed=5), images(8, 11, 3, seed=6)
    one = tfmixup.CutMixParams(tf.constant([0.4]), tf.constant([[0.7, 0.2]]))
    mixer = tfmixup.CutMix(per="batch", targets="pair", num_classes=4, jit_compile=jit)
    got, y = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), one)
    lam, centre = np.array([0.4]), np.array([[0.7, 0.2]], np.float32)
    np.testing.assert_array_equal(got, pasted(*x, 1, lam, centre))
    np.testing.assert_array_equal(y[0], one_hot(IDS[0], 4))
    np.testing.assert_array_equal(y[1], one_hot(IDS[1], 4))
    np.testing.assert_allclose(y[2], kept(8, 11, lam, centre), atol=1e-6)
    drawn = mixer.sample(5, [1, 2], num_batches=3)
    assert (drawn.lam.shape, drawn.centre.shape) == ((3, 1), (3, 1, 2))


@pytest.mark.parametrize("jit", JIT)
def test_whole_images_do_not_see_their_partner(jit):
    x = images(5, 4, 3, seed=1), images(5, 4, 3, seed=2)
    whole = tfmixup.CutMixParams(tf.ones([N]), tf.constant(CENTRE))
    # Sample weights and labels too are of the first example alone, even beside NaN.
    nan = np.full([N], np.nan, np.float32)
    got, y, w = tfmixup.CutMix(jit_compile=jit).apply(
        (x[0], np.full(N, 2.0, "float32"), np.full(N, 3.0, "float32")),
        (x[1], nan, nan),
        whole,
    )
    np.testing.assert_array_equal(got, x[0])
    np.testing.assert_array_equal(y, np.full(N, 2.0))
    np.testing.assert_array_equal(w, np.full(N, 3.0))


# What is drawn


def test_probability_leaves_whole_images():
    drawn = tfmixup.CutMix(probability=0.3).sample(20_000, [1, 2])
    assert stats.binomtest(int(np.sum(drawn.lam == 1)), 20_000, 0.7).pvalue > RATE


def test_distribution_of_lambda_is_the_mixers():
    skewed = tfp.distributions.Beta(2.0, 1.0)  # its CDF is λ²
    mixer = tfmixup.CutMix(distribution=skewed, lam_range=(0.2, 0.9))
    assert_follows(mixer.sample(5000, [3, 4]).lam, truncated(np.square, 0.2, 0.9))


# What pipelines mix


def pixel_stream(mixer, route, shape, batches, batch_size, seed=0):
    """Batches (share of label, share of pixels), of zeros mixed with ones."""
    zeros, ones = (
        tf.data.Dataset.from_tensors((np.full(shape, value, np.uint8), value)).repeat(n)
        for value, n in ((0, batches * batch_size), (1, batch_size))
    )
    if route == "two_streams":
        got = zeros.apply(
            tfmixup.two_streams(
                mixer, batch_size, partner=ones, shuffle_buffer_size=1, seed=seed
            )
        )
    else:
        both = tf.data.Dataset.zip((zeros.batch(batch_size), ones.batch(batch_size)))
        got = both.repeat(batches).map(mixer.pair)
    assert got.element_spec[0].shape[1:] == shape
    for x, y in got.as_numpy_iterator():
        yield y[:, 0], 1 - x


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("route", "shape", "batches"),
    [("two_streams", (31, 17, 1), 40), ("pair", (2, 9, 24, 1), 4)],
)
def test_weight_is_the_share_of_pixels_kept_in_every_example(
    shape, route, batches, jit
):
    mixer = tfmixup.CutMix(num_classes=2, jit_compile=jit)
    seen = 0
    for weight, pixels in pixel_stream(mixer, route, shape, batches, 100):
        counted = pixels.sum(axis=tuple(range(1, pixels.ndim)), dtype=np.int64)
        exact = counted.astype(np.float32) / np.float32(np.prod(shape))
        np.testing.assert_array_equal(weight, exact)
        seen += len(weight)
    assert seen == batches * 100


def test_places_and_areas_are_distributed_as_in_the_paper():
    height, width, n, alpha = 12, 20, 10_000, 0.3
    mixer = tfmixup.CutMix(alpha, num_classes=2)
    stream = list(pixel_stream(mixer, "two_streams", (height, width, 1), 20, 500, 7))
    weight = np.concatenate([share for share, _ in stream])
    pixels = np.concatenate([kept for _, kept in stream])[..., 0]

    rng = np.random.default_rng(0)
    lam = rng.beta(alpha, alpha, n)
    centre = rng.uniform(size=(n, 2))
    zeros = np.zeros([n, height, width], np.float32)
    reference = 1 - pasted(zeros, zeros + 1, 1, lam, centre)
    # Shares of area: two samples of one distribution.
    both = stats.ks_2samp(weight, reference.mean(axis=(1, 2)))
    assert both.pvalue > RATE
    # How often each pixel is pasted, in 240 pixels: false alarms below 240 · 6e-8.
    p = reference.mean(axis=0)
    spread = np.sqrt(2 * p * (1 - p) / n)
    assert np.all(np.abs(pixels.mean(axis=0) - p) < 5.4 * spread)


def test_compiled_or_not_the_stream_is_the_same():
    ds = tf.data.Dataset.from_tensor_slices((images(10, 6, 3), np.arange(N)))
    compiled, plain = (
        mixed("two_streams", ds, tfmixup.CutMix(num_classes=N, jit_compile=jit), 3)
        for jit in JIT
    )
    pairs = zip(compiled.repeat(5), plain.repeat(5), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
