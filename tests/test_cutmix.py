"""CutMix against rectangles drawn by hand, and its label against pixels counted."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import tfmixup

JIT = [True, False]
LAM = np.array([0.0, 0.3, 0.75, 1.0, 0.5, 0.9], np.float32)
CENTRE = np.array(
    [[0.5, 0.5], [0.0, 0.99], [0.25, 0.5], [0.3, 0.3], [0.9, 0.1], [0.6, 0.4]],
    np.float32,
)
N = len(LAM)
PARAMS = tfmixup.CutMixParams(tf.constant(LAM), tf.constant(CENTRE))


def rectangle(lam, centre, height, width):
    """Slices of the paper's rectangle: rounded to pixels, clipped at the border."""

    def span(c, n):
        half = math.sqrt(1 - lam) * n / 2
        ends = (math.floor(c * n - half + 0.5), math.floor(c * n + half + 0.5))
        return slice(*(min(max(end, 0), n) for end in ends))

    return span(centre[0], height), span(centre[1], width)


def pasted(first, second, axis=1, lam=LAM, centre=CENTRE):
    """A copy of first with rectangles of second; H is at `axis`."""
    out = np.array(first)
    for k in range(len(out)):
        box = rectangle(
            float(lam[k % len(lam)]),
            centre[k % len(centre)].astype(float),
            *out.shape[axis : axis + 2],
        )
        where = (k, *[slice(None)] * (axis - 1), *box)
        out[where] = second[where]
    return out


def kept(height, width, lam=LAM, centre=CENTRE):
    """The share of pixels kept, counted."""
    zeros = np.zeros([N, height, width])
    return 1 - pasted(zeros, zeros + 1, 1, lam, centre).mean(axis=(1, 2))


def images(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 256, (N, *shape)).astype(dtype)


IDS = (np.arange(N) % 4, (np.arange(N) + 1) % 4)


@pytest.mark.parametrize("jit", [*JIT, "auto"])
@pytest.mark.parametrize(
    "shape", [(7, 12, 3), (12, 7, 1), (5, 5, 4), (3, 6, 10, 2), (1, 4, 9, 1)]
)
def test_images_and_video_of_every_shape(shape, jit):
    x = images(*shape, seed=1), images(*shape, seed=2)
    mixer = tfmixup.CutMix(num_classes=4, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == tf.float32
    np.testing.assert_array_equal(got, pasted(*x, axis=len(shape) - 2))
    share = kept(*shape[-3:-1])[:, None]
    want = share * np.eye(4)[IDS[0]] + (1 - share) * np.eye(4)[IDS[1]]
    np.testing.assert_allclose(label, want, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("came", ["uint8", "int16", "int64", "float16", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_pixels_are_moved_exactly(dtype, came, jit):
    if dtype == "uint8" and came != "uint8":
        pytest.skip("uint8 takes bytes")
    x = images(6, 9, 3, seed=3, dtype=came), images(6, 9, 3, seed=4, dtype=came)
    mixer = tfmixup.CutMix(num_classes=4, dtype=dtype, jit_compile=jit)
    got, _ = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, tf.cast(pasted(*x), dtype))


@pytest.mark.parametrize("jit", JIT)
def test_one_rectangle_for_a_batch(jit):
    x = images(8, 11, 3, seed=5), images(8, 11, 3, seed=6)
    one = tfmixup.CutMixParams(tf.constant([0.4]), tf.constant([[0.7, 0.2]]))
    mixer = tfmixup.CutMix(per="batch", num_classes=4, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), one)
    lam, centre = np.array([0.4]), np.array([[0.7, 0.2]], np.float32)
    np.testing.assert_array_equal(got, pasted(*x, 1, lam, centre))
    np.testing.assert_allclose(
        tf.reduce_max(label, 1), np.maximum(a := kept(8, 11, lam, centre), 1 - a), 1e-6
    )
    drawn = mixer.sample(5, [1, 2], num_batches=3)
    assert (drawn.lam.shape, drawn.centre.shape) == ((3, 1), (3, 1, 2))


def test_several_images_share_the_rectangle():
    x = [(images(6, 8, 3, seed=k), images(2, 6, 8, 1, seed=k + 5)) for k in (1, 2)]
    got, _ = tfmixup.CutMix(num_classes=4).apply(
        ({"rgb": x[0][0], "clip": x[0][1]}, IDS[0]),
        ({"rgb": x[1][0], "clip": x[1][1]}, IDS[1]),
        PARAMS,
    )
    np.testing.assert_array_equal(got["rgb"], pasted(x[0][0], x[1][0]))
    np.testing.assert_array_equal(got["clip"], pasted(x[0][1], x[1][1], axis=2))


# What pipelines mix -----------------------------------------------------------------


def pixel_stream(mixer, route, shape, batches, batch_size, seed=0):
    """Batches (share of label, share of pixels), of zeros mixed with ones."""
    zeros, ones = (
        tf.data.Dataset.from_tensors((np.full(shape, value, np.uint8), value)).repeat(n)
        for value, n in ((0, batches * batch_size), (1, batch_size))
    )
    if route == "two_streams":
        mixed = zeros.apply(
            tfmixup.two_streams(
                mixer, batch_size, partner=ones, shuffle_buffer_size=1, seed=seed
            )
        )
    else:
        both = tf.data.Dataset.zip((zeros.batch(batch_size), ones.batch(batch_size)))
        mixed = both.repeat(batches).map(mixer.pair)
    assert mixed.element_spec[0].shape[1:] == shape
    for x, y in mixed.as_numpy_iterator():
        yield y[:, 0], 1 - x


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("route", ["two_streams", "pair"])
@pytest.mark.parametrize("shape", [(31, 17, 1), (2, 9, 24, 1)])
def test_weight_is_the_share_of_pixels_kept_in_every_example(shape, route, jit):
    mixer = tfmixup.CutMix(num_classes=2, jit_compile=jit)
    batches = 40 if route == "two_streams" else 4
    seen = 0
    for weight, pixels in pixel_stream(mixer, route, shape, batches, 100):
        counted = pixels.sum(axis=tuple(range(1, pixels.ndim)), dtype=np.int64)
        exact = counted.astype(np.float32) / np.float32(np.prod(shape))
        np.testing.assert_array_equal(weight, exact)
        seen += len(weight)
    assert seen == batches * 100


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_places_and_areas_are_distributed_as_in_the_paper(alpha):
    height, width, n = 12, 20, 20_000
    mixer = tfmixup.CutMix(alpha, num_classes=2)
    stream = list(pixel_stream(mixer, "two_streams", (height, width, 1), 40, 500, 7))
    weight = np.concatenate([share for share, _ in stream])
    pixels = np.concatenate([kept for _, kept in stream])[..., 0]

    rng = np.random.default_rng(0)
    lam = rng.beta(alpha, alpha, n)
    centre = rng.uniform(size=(n, 2))
    zeros = np.zeros([n, height, width], np.float32)
    reference = 1 - pasted(zeros, zeros + 1, 1, lam, centre)
    # Shares of area: two samples of one distribution. False alarms: 1e-6.
    both = stats.ks_2samp(weight, reference.mean(axis=(1, 2)))
    assert both.pvalue > 1e-6
    # How often each pixel is pasted, in 240 pixels: false alarms below 240 · 6e-8.
    p = reference.mean(axis=0)
    spread = np.sqrt(2 * p * (1 - p) / n)
    assert np.all(np.abs(pixels.mean(axis=0) - p) < 5.4 * spread)


def test_rounding_to_pixels_keeps_the_area_on_average():
    # Sides of 2.5 pixels around centres away from the border: 6.25 pixels on average,
    # where cutting off would leave 4. Standard error 0.017; false alarms below 1e-6.
    n = 20_000
    centre = np.random.default_rng(1).uniform(0.3, 0.7, (n, 2)).astype(np.float32)
    params = tfmixup.CutMixParams(tf.constant([1 - 0.25**2]), tf.constant(centre))
    share = tfmixup.CutMix().apply(
        (tf.zeros([n, 10, 10, 1]), tf.ones([n])),
        (tf.ones([n, 10, 10, 1]), tf.zeros([n])),
        params,
    )[1]
    assert abs(100 * np.mean(1 - share) - 6.25) < 0.09


@pytest.mark.parametrize("jit", JIT)
def test_every_route_and_partial_batches(jit):
    x, y = images(9, 6, 3), np.arange(N)
    ds = tf.data.Dataset.from_tensor_slices({"image": x, "label": y, "id": y})
    mixer = tfmixup.CutMix(num_classes=N, dtype="uint8", jit_compile=jit)
    for mixed in (
        ds.apply(tfmixup.two_streams(mixer, 4, seed=1, drop_remainder=False)),
        ds.batch(4).apply(tfmixup.in_batch(mixer, seed=1)),
        ds.batch(4).map(mixer),
    ):
        sizes = []
        for batch in mixed.as_numpy_iterator():
            sizes.append(len(batch["id"]))
            for got, label, first in zip(*(batch[k] for k in ("image", "label", "id"))):
                other = np.argmax(np.where(np.arange(N) == first, -1, label))
                from_first = np.all(got == x[first], axis=-1)
                assert np.all(from_first | np.all(got == x[other], axis=-1))
                # No two of these images have a pixel in common.
                np.testing.assert_allclose(label[first], from_first.mean(), atol=1e-6)
        assert sizes == [4, 2]


def test_same_seed_same_stream_compiled_or_not():
    ds = tf.data.Dataset.from_tensor_slices((images(10, 6, 3), np.arange(N)))

    def stream(seed, jit):
        mixer = tfmixup.CutMix(num_classes=N, jit_compile=jit)
        mixed = ds.apply(tfmixup.two_streams(mixer, 3, seed=seed)).repeat(5)
        return [np.concatenate(p) for p in zip(*mixed.as_numpy_iterator())]

    once = stream(3, True)
    for again in (stream(3, True), stream(3, False)):
        np.testing.assert_array_equal(again[0], once[0])
        np.testing.assert_array_equal(again[1], once[1])
    assert not np.array_equal(stream(4, True)[0], once[0])


@pytest.mark.parametrize("arguments", [{"alpha": 0}, {"probability": 0.0}])
def test_switched_off(arguments):
    x = images(5, 4, 3)
    got, label = tfmixup.CutMix(num_classes=4, **arguments)(x, IDS[0])
    np.testing.assert_array_equal(got, x)
    np.testing.assert_array_equal(label, np.eye(4)[IDS[0]])


def test_probability_leaves_whole_images():
    drawn = tfmixup.CutMix(probability=0.3).sample(20_000, [1, 2])
    unmixed = np.mean(drawn.lam == 1)
    # Binomial, standard deviation 0.0032; false alarms below 1e-6.
    assert abs(unmixed - 0.7) < 0.016
    x = images(5, 4, 3, seed=1), images(5, 4, 3, seed=2)
    whole = tfmixup.CutMixParams(tf.ones([N]), tf.constant(CENTRE))
    # Sample weights and labels too are of the first example alone, even beside NaN.
    nan = np.full([N], np.nan, np.float32)
    got, y, w = tfmixup.CutMix().apply(
        (x[0], np.full(N, 2.0, "float32"), np.full(N, 3.0, "float32")),
        (x[1], nan, nan),
        whole,
    )
    np.testing.assert_array_equal(got, x[0])
    np.testing.assert_array_equal(y, np.full(N, 2.0))
    np.testing.assert_array_equal(w, np.full(N, 3.0))


def test_distribution_of_lambda_is_the_mixers():
    skewed = tfp.distributions.Beta(2.0, 1.0)  # its CDF is λ²
    mixer = tfmixup.CutMix(distribution=skewed, lam_range=(0.2, 0.9))
    lam = np.asarray(mixer.sample(5000, [3, 4]).lam, np.float64)
    uniform = (lam**2 - 0.2**2) / (0.9**2 - 0.2**2)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-6  # false alarms: 1e-6


def test_value():
    mixer = tfmixup.CutMix(0.5, num_classes=3)
    assert mixer == dataclasses.replace(mixer)
    assert len({mixer, tfmixup.CutMix()}) == 2
    assert repr(tfmixup.CutMix()) == "CutMix(alpha=1.0)"
    assert tfmixup.CutMix().alpha == 1.0


def test_pairs_of_labels():
    x = images(7, 12, 3, seed=1), images(7, 12, 3, seed=2)
    mixer = tfmixup.CutMix(num_classes=4, targets="pair")
    _, (one, other, lam) = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    np.testing.assert_array_equal(one, np.eye(4)[IDS[0]])
    np.testing.assert_array_equal(other, np.eye(4)[IDS[1]])
    np.testing.assert_allclose(lam, kept(7, 12), atol=1e-6)
