"""Mosaic against a mosaic that NumPy builds pixel by pixel, and its label's count."""

import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup
from tests.reference import RATE, assert_follows, assert_same, one_hot

JIT = [True, False]
N, CLASSES = 5, 4
# In corners, on borders and inside: one, two or four images are seen.
CENTRE = np.array([[0.3, 0.9], [0, 0], [1, 1], [1, 0.4], [0.5, 0.26]], np.float32)
PARAMS = tfmixup.MosaicParams(tf.constant(CENTRE))
IDS = np.arange(N) % CLASSES, (np.arange(N) + 1) % CLASSES


def middles(height, width, centre=CENTRE):
    """The centre in pixels, to nearest."""
    exact = np.asarray(centre, np.float64) * [height, width]
    return np.floor(exact + 0.5).astype(int)


def mosaic(first, second, centre=CENTRE, axis=1):
    """What NumPy puts together; height and width are `axis` and `axis + 1`."""
    first, second = np.asarray(first), np.asarray(second)
    n, (height, width) = len(first), first.shape[axis : axis + 2]
    out, middle = np.empty_like(first), middles(height, width, centre)
    other = (slice(None),) * (axis - 1)
    for k in range(n):
        y, x = middle[k % len(middle)]
        for row in range(height):
            for column in range(width):
                source = [
                    [first[k], second[k]],
                    [second[(k + 1) % n], second[(k + 2) % n]],
                ][int(row >= y)][int(column >= x)]
                at = row - y + height * (row < y), column - x + width * (column < x)
                out[(k, *other, row, column)] = source[(*other, *at)]
    return out


def numbered(*shape, dtype=np.float32):
    """Two batches in which every element has a number of its own."""
    numbers = np.arange(2 * N * np.prod(shape)).reshape(2, N, *shape)
    return numbers.astype(dtype)


def marks(height, width):
    """From which of the 2·N images each pixel is: (N, height, width)."""
    owner = np.broadcast_to(np.arange(2 * N)[:, None, None], (2 * N, height, width))
    return mosaic(owner[:N], owner[N:])


def counted(height, width):
    """The share of each of the 2·N images in the pixels, float64 (N, 2·N)."""
    return one_hot(marks(height, width), 2 * N).mean(axis=(1, 2))


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("shape", "axes", "axis"),
    [((6, 7, 2), None, 1), ((2, 5, 8, 1), None, 2), ((3, 6, 9), (2, 3), 2)],
    ids=["image", "video", "channels first"],
)
def test_images_and_labels(shape, axes, axis, jit):
    x = numbered(*shape)
    mixer = tfmixup.Mosaic(num_classes=CLASSES, axes=axes, jit_compile=jit)
    got, label = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    np.testing.assert_array_equal(got, mosaic(*x, axis=axis))
    shares = counted(*shape[axis - 1 : axis + 1])
    want = shares @ one_hot(np.concatenate(IDS), CLASSES)
    np.testing.assert_allclose(label, want, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float64"])
def test_bytes_are_moved_and_cast(dtype, jit):
    x = numbered(5, 6, 3) % 251
    given = x.astype(np.float64) / 7 if dtype == "float64" else x.astype(np.uint8)
    mixer = tfmixup.Mosaic(dtype=dtype, jit_compile=jit)
    got = mixer.apply(given[0], given[1], PARAMS)
    assert got.dtype == dtype
    want = tf.cast(mosaic(*given), dtype)  # 8 bits are exact in bfloat16
    assert_same(got, want)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("integer_masks", [True, False])
def test_masks_are_moved_like_images(integer_masks, jit):
    x, masks = numbered(6, 7, 1), numbered(6, 7, 1).astype(np.int32) % 5
    masks = np.where(masks == 4, 255, masks)
    mixer = tfmixup.Mosaic(
        num_classes=CLASSES,
        ignore_label=255,
        integer_masks=integer_masks,
        jit_compile=jit,
    )
    _, got, weights = mixer.apply((x[0], masks[0]), (x[1], masks[1]), PARAMS)
    want = mosaic(*masks)
    np.testing.assert_array_equal(weights, (want != 255)[..., 0])
    if not integer_masks:
        want = one_hot(want[..., 0], CLASSES)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
def test_sample_weights_follow_their_images(jit):
    x, pixels = numbered(6, 7, 1), numbered(6, 7) + 1
    depth = numbered(6, 7, 2)
    examples = np.linspace(0, 2, 2 * N).reshape(2, N).astype(np.float32)
    mixer = tfmixup.Mosaic(num_classes={"label": CLASSES}, jit_compile=jit)

    def batch(k):
        y = {"label": IDS[k], "depth": depth[k], "map": depth[k]}
        w = {"label": examples[k], "depth": pixels[k], "map": examples[k]}
        return x[k], y, w

    own, (_, label, weight) = mixer.apply(batch(0), batch(1), PARAMS, keep_first=True)
    for key, each in own[2].items():
        assert each.shape == weight[key].shape
        np.testing.assert_allclose(
            np.mean(each.numpy().reshape(N, -1), axis=1),
            batch(0)[2][key].reshape(N, -1).mean(axis=1),
            rtol=1e-5,
        )
    np.testing.assert_array_equal(weight["depth"], mosaic(*pixels))
    np.testing.assert_array_equal(label["depth"], mosaic(*depth))
    # The weight of an example becomes one of each of its pixels. A label of weight 0
    # does not come out.
    of_pixels = examples.reshape(-1)[marks(6, 7)]
    np.testing.assert_array_equal(weight["map"], of_pixels)
    shown = of_pixels[..., None] > 0
    np.testing.assert_array_equal(
        np.where(shown, label["map"], 0), np.where(shown, mosaic(*depth), 0)
    )
    terms = counted(6, 7) * examples.reshape(-1)
    np.testing.assert_allclose(weight["label"], terms.sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(
        weight["label"].numpy()[:, None] * label["label"],
        terms @ one_hot(np.concatenate(IDS), CLASSES),
        atol=1e-6,
    )


@pytest.mark.parametrize("jit", JIT)
def test_weights_without_targets_are_blended_by_area(jit):
    x, w = numbered(6, 7, 1), np.linspace(0, 2, 2 * N).reshape(2, N)
    mixer = tfmixup.Mosaic(target_keys=(), jit_compile=jit)
    batches = [{"image": x[k], "sample_weight": w[k]} for k in (0, 1)]
    got = mixer.apply(*batches, PARAMS)["sample_weight"]
    np.testing.assert_allclose(got, counted(6, 7) @ w.reshape(-1), atol=1e-6)


@pytest.mark.parametrize("mixer", [tfmixup.CutMix, tfmixup.Mosaic, tfmixup.ResizeMix])
def test_weights_of_pixels_without_targets_lie_on_their_pixels(mixer):
    """The weight of every pixel is its only channel."""
    x = numbered(6, 7, 1)
    made = mixer(target_keys=())
    batches = [{"image": x[k], "sample_weight": x[k, ..., 0]} for k in (0, 1)]
    if mixer is tfmixup.ResizeMix:
        made = dataclasses.replace(made, interpolation="nearest")
    got = made.apply(*batches, made.sample(N, [3, 4]))
    np.testing.assert_array_equal(got["sample_weight"], got["image"][..., 0])


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("several", [False, True])
def test_one_centre_for_the_batch_in_a_remainder(several, jit):
    """Images of one colour each: the label is the share of each colour."""
    x = np.broadcast_to(np.arange(7)[:, None, None, None], (7, 6, 8, 1))
    x, options = x.astype(np.uint8), {"num_classes": 7, "jit_compile": jit}
    mixer = tfmixup.Mosaic(per="batch", **options)
    if several:
        mixers = [mixer, tfmixup.CutMix(**options)]
        mixer = tfmixup.RandomChoice(mixers, per="example")
    dataset = tf.data.Dataset.from_tensor_slices((x, np.arange(7)))
    stage = tfmixup.two_streams(mixer, 5, drop_remainder=False, seed=1)
    memory = tfmixup.from_tensors((x, np.arange(7)), mixer, 5, drop_remainder=False)
    for mixed in (dataset.apply(stage), memory):
        sizes = []
        for images, labels in mixed:
            sizes.append(len(images))
            counts = one_hot(images[..., 0].numpy().astype(int), 7).mean(axis=(1, 2))
            np.testing.assert_allclose(labels, counts, atol=1e-6)
        assert sizes == [5, 2]


def test_unions_and_smooth_labels():
    x = numbered(6, 7, 1)
    hot = one_hot(np.concatenate(IDS), CLASSES)
    batches = [(x[k], IDS[k]) for k in (0, 1)]
    union = tfmixup.Mosaic(num_classes=CLASSES, targets="union")
    _, label = union.apply(*batches, PARAMS)
    np.testing.assert_array_equal(label, counted(6, 7) @ hot > 0)
    smooth = tfmixup.Mosaic(num_classes=CLASSES, label_smoothing=0.2)
    _, label = smooth.apply(*batches, PARAMS)
    want = 0.8 * counted(6, 7) @ hot + 0.2 / CLASSES
    np.testing.assert_allclose(label, want, atol=1e-6)


def test_unknown_labels_count_for_nothing():
    x, ids = numbered(6, 7, 1), [np.where(one == 1, -1, one) for one in IDS]
    mixer = tfmixup.Mosaic(num_classes=CLASSES, ignore_label=-1)
    _, label, weight = mixer.apply((x[0], ids[0]), (x[1], ids[1]), PARAMS)
    terms = counted(6, 7) @ one_hot(np.concatenate(ids), CLASSES)
    np.testing.assert_allclose(weight, terms.sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(weight.numpy()[:, None] * label, terms, atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
def test_sizes_that_are_not_static(jit):
    x = numbered(6, 7, 2)
    mixer = tfmixup.Mosaic(num_classes=CLASSES, jit_compile=jit)
    spec = (tf.TensorSpec([None, None, None, 2]), tf.TensorSpec([None], tf.int64))
    mix = tf.function(
        mixer.apply,
        input_signature=[spec, spec, PARAMS._replace(centre=tf.TensorSpec([None, 2]))],
    )
    got, label = mix((x[0], IDS[0]), (x[1], IDS[1]), PARAMS)
    np.testing.assert_array_equal(got, mosaic(*x))
    want = counted(6, 7) @ one_hot(np.concatenate(IDS), CLASSES)
    np.testing.assert_allclose(label, want, atol=1e-6)


# Draws ------------------------------------------------------------------------------


def test_centres_are_uniform_in_their_range():
    """False alarms: 1e-6 for each of the three tests; the seed is fixed."""
    mixer = tfmixup.Mosaic((0.2, 0.9))
    centre = mixer.sample(20_000, [1, 2]).centre.numpy()
    for k in (0, 1):
        assert_follows(centre[:, k], stats.uniform(0.2, 0.7).cdf)
    assert stats.spearmanr(*centre.T).pvalue > RATE
    # Every column of nine in the middle is the centre's as often as it is wide.
    middle = tfmixup.Mosaic((0.0, 1.0)).sample(20_000, [3, 4]).centre.numpy()
    counts = np.bincount(middles(8, 8, middle)[:, 1], minlength=9)
    ends = np.array([0.5, *[1] * 7, 0.5]) / 8
    assert stats.chisquare(counts, ends * 20_000).pvalue > RATE


@pytest.mark.parametrize("per", ["example", "batch"])
def test_chance_and_shapes(per):
    mixer = tfmixup.Mosaic(probability=0.3, per=per)
    centre = mixer.sample(5, [1, 2], num_batches=4_000).centre.numpy()
    assert centre.shape == ((4_000, 5, 2) if per == "example" else (4_000, 1, 2))
    unmixed = np.all(centre == 1, axis=-1)
    assert np.all(unmixed == np.any(centre == 1, axis=-1))
    assert stats.binomtest(int(unmixed.sum()), unmixed.size, 0.7).pvalue > RATE


@pytest.mark.parametrize("jit", JIT)
def test_one_centre_for_the_batch_and_chance(jit):
    x = numbered(6, 7, 1)
    mixer = tfmixup.Mosaic(num_classes=CLASSES, per="batch", jit_compile=jit)
    shared = tfmixup.MosaicParams(tf.constant(CENTRE[:1]))
    got, _ = mixer.apply((x[0], IDS[0]), (x[1], IDS[1]), shared)
    np.testing.assert_array_equal(got, mosaic(*x, centre=CENTRE[:1]))
    chance = tfmixup.Mosaic(num_classes=CLASSES, probability=0.5, jit_compile=jit)
    params = chance.sample(N, [1, 3])
    kept = np.all(params.centre == 1, axis=1)
    assert 0 < kept.sum() < N
    second = np.full_like(x[1], np.nan)
    got, label = chance.apply((x[0], IDS[0]), (second, IDS[1]), params)
    np.testing.assert_array_equal(got[kept], x[0][kept])
    np.testing.assert_array_equal(label[kept], one_hot(IDS[0], CLASSES)[kept])
    assert np.all(np.any(np.isnan(got[~kept]), axis=(1, 2, 3)))


# The images of a batch --------------------------------------------------------------


def flat(n):
    """Images of one colour each."""
    return np.broadcast_to(np.arange(n)[:, None, None, None], (n, 4, 4, 1)), np.arange(
        n
    )


MIDDLE = tfmixup.Mosaic((0.4, 0.6), num_classes=7, jit_compile=False)


def colours(images):
    return [set(image.ravel().tolist()) for image in np.asarray(images, int)]


@pytest.mark.parametrize("size", range(1, 8))
def test_four_images_of_a_batch_differ(size):
    x, ids = flat(size)
    seen = set()
    for seed in range(12):
        got, label = MIDDLE(x.astype(np.float32), ids, seed=[seed, 1])
        np.testing.assert_array_equal(got[:, 0, 0, 0], ids)
        shares = one_hot(got[..., 0], 7).mean(axis=(1, 2))
        np.testing.assert_allclose(label, shares, atol=1e-6)
        assert [len(one) for one in colours(got)] == [min(size, 4)] * size
        seen |= set(enumerate(map(frozenset, colours(got))))
    if size == 7:  # partners are drawn: shifts of 1 to 4
        assert len(seen) == 4 * size
    if size == 1:
        np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("per", ["batch", "example"])
@pytest.mark.parametrize("nested", [False, True])
def test_four_images_differ_where_mixers_are_chosen(nested, per):
    choice = tfmixup.RandomChoice(
        [tfmixup.CutMix(num_classes=7, jit_compile=False), MIDDLE], per=per
    )
    if nested:
        choice = tfmixup.RandomChoice([choice])
    x, ids = flat(6)
    element = (tf.cast(x, tf.float32), ids)
    drawn = choice.sample(6, [1, 2])
    inner = drawn.mixers[0] if nested else drawn
    chosen = np.array([1] if per == "batch" else [1, 0, 1, 0, 0, 1], np.int32)
    inner = inner._replace(choice=tf.constant(chosen))
    params = drawn._replace(mixers=(inner,)) if nested else inner
    for shift in range(1, 6):
        got, _ = choice.apply_in_batch(element, np.roll(ids, -shift), params)
        sizes = np.array([len(one) for one in colours(got)])
        assert np.all(sizes[np.broadcast_to(chosen, 6) == 1] == 4)


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_two_streams_shows_images_of_its_second(drop_remainder):
    n, size = 11, 4
    x, ids = flat(n)
    dataset = tf.data.Dataset.from_tensor_slices((x.astype(np.uint8), ids))
    other = tf.data.Dataset.from_tensor_slices((x.astype(np.uint8) + 100, ids))
    mixer = tfmixup.Mosaic((0.4, 0.6), num_classes=n, dtype="uint8")
    stage = tfmixup.two_streams(
        mixer, size, partner=other, drop_remainder=drop_remainder, seed=1
    )
    mixed = dataset.apply(stage)
    assert mixed.element_spec[0].shape == [size if drop_remainder else None, 4, 4, 1]
    for images, _ in mixed:
        rows = colours(images)
        assert all(sum(c < 100 for c in row) == 1 for row in rows)
        assert {len(row) for row in rows} == {1 + min(len(rows), 3)}
        # Each of the second stream is in as many mosaics as there are places for it.
        seconds = [c for row in rows for c in row if c >= 100]
        assert len(set(seconds)) == len(rows)


# RandomChoice -----------------------------------------------------------------------


def choice_and_batches(per, jit):
    options = {"num_classes": CLASSES, "ignore_label": 255, "jit_compile": jit}
    mixers = [
        tfmixup.Mosaic(**options),
        tfmixup.MixUp(0.8, **options),
        tfmixup.CutMix(1.0, **options),
        tfmixup.ResizeMix(**options).off(),
    ]
    draw = np.random.default_rng(0)

    def batch():
        x = draw.integers(0, 256, (N, 6, 7, 2)).astype(np.float32)
        mask = draw.integers(0, 5, (N, 6, 7)).astype(np.uint8)
        y = np.where(mask == 4, 255, mask), draw.integers(0, CLASSES, N)
        return x, y, draw.uniform(size=N).astype(np.float32)

    return tfmixup.RandomChoice(mixers, per=per), mixers, (batch(), batch())


@pytest.mark.parametrize("jit", JIT)
def test_a_chosen_mosaic_per_batch(jit):
    choice, mixers, batches = choice_and_batches("batch", jit)
    drawn = choice.sample(N, [1, 2])
    for k, (mixer, own) in enumerate(zip(mixers, drawn.mixers)):
        got = choice.apply(*batches, drawn._replace(choice=tf.constant([k])))
        assert_same(got, mixer.apply(*batches, own), atol=1e-4)


@pytest.mark.parametrize("jit", JIT)
def test_a_chosen_mosaic_per_example(jit):
    choice, mixers, batches = choice_and_batches("example", jit)
    which = np.array([3, 0, 1, 2, 0], np.int32)
    drawn = choice.sample(N, [1, 2])._replace(choice=tf.constant(which))
    got = choice.apply(*batches, drawn)
    alone = [m.apply(*batches, p) for m, p in zip(mixers, drawn.mixers)]
    want = tf.nest.map_structure(
        lambda *made: tf.stack([made[k][row] for row, k in enumerate(which)]), *alone
    )
    assert_same(got, want, atol=1e-4)


# A value ----------------------------------------------------------------------------


def test_a_mosaic_is_copied_and_pickled():
    mixer = tfmixup.Mosaic((0.1, 0.6), max_boxes=9, min_visible=0.3, num_classes=3)
    mixer.sample(2, [1, 2])
    assert pickle.loads(pickle.dumps(mixer)) == mixer == dataclasses.replace(mixer)
    assert mixer.off().off() == dataclasses.replace(mixer, probability=0.0)
    config = mixer.get_config()
    assert (config["max_boxes"], config["min_visible"]) == (9, 0.3)
    assert tfmixup.Mosaic.from_config(config) == mixer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": "pair"}, "targets='pair' has room for two labels, and a mosaic"),
        ({"length_keys": ("n",)}, r"length_keys=\('n',\) are for sequences, and a mos"),
        ({"axes": (1,)}, r"axes must be height and width, got \(1,\).*axes=\(2, 3\)"),
        ({"axes": (1, 2, 3)}, "axes must be height and width, got"),
        ({"min_visible": 0.5}, "min_visible=0.5 is for boxes, which need max_boxes="),
        ({"min_visible": 2, "max_boxes": 3}, r"min_visible must be in \[0, 1\], got 2"),
        ({"centre_range": (0.5, 0.5)}, "centre_range must satisfy 0 <= low < high <="),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=rf"^tfmixup\.Mosaic: {message}"):
        tfmixup.Mosaic(**arguments)


def test_parts_that_cannot_be_moved():
    mixer = tfmixup.Mosaic(num_classes=CLASSES)
    image = np.zeros([N, 4, 6, 3], np.float32)
    for element, message in (
        ((image, np.zeros([N, 2, 3], np.int32)), "has one entry for 2 .*Mosaic cannot"),
        ((image, np.zeros([N, 3, 3], np.float32)), "Mosaic pastes the same box into"),
        ((image[:, 0, 0], IDS[0]), "channels"),
        ((np.zeros([N, 3, 8, 8], np.float32), IDS[0]), "looks like channels first"),
    ):
        with pytest.raises(ValueError, match=rf"^tfmixup\.Mosaic: .*{message}"):
            mixer(*element)
