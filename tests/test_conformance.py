"""What six peers were measured to do, one test for every row that a mixup can have.

The rows are those of the comparison table (keras.layers, keras-cv, Model Garden, the
recipe of Keras's example, timm, the paper's code); the rows of CutMix, masks and
bounding boxes are at the end. The rows of seeds and epochs are in test_determinism.py,
of checkpoints in test_resume.py, of partners in pairing/test_orders.py, of the tf.data
service in distributed/test_tf_data_service.py.

Most tests feed unit vectors: example k is the k-th unit vector. A mixed row then has λ
at the first example's place and 1 − λ at the partner's, so that both can be read off,
and `row @ anything` is what mixing must have made of `anything`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfmixup

ROUTES = ("map", "in_batch", "two_streams")
SEEDED = ("in_batch", "two_streams")


def unit_vectors(n, labels=None, **extras):
    """Dict elements: the k-th has the k-th unit vector, its label and its id k."""
    labels = np.arange(n) if labels is None else labels
    columns = {"image": np.eye(n, dtype=np.float32), "label": labels}
    return tf.data.Dataset.from_tensor_slices({**columns, "id": np.arange(n), **extras})


def mix(route, dataset, mixer, batch_size, seed=None, drop_remainder=True):
    """Unbatched examples to mixed batches, by one of the three routes."""
    if route == "two_streams":
        return dataset.apply(
            tfmixup.two_streams(
                mixer, batch_size, drop_remainder=drop_remainder, seed=seed
            )
        )
    batches = dataset.batch(batch_size, drop_remainder=drop_remainder)
    if route == "in_batch":
        return batches.apply(tfmixup.in_batch(mixer, seed=seed))
    return batches.map(mixer, num_parallel_calls=tf.data.AUTOTUNE)


def collect(dataset):
    """The batches of a dataset of dicts, one behind the other, and where each ends."""
    batches = list(dataset.as_numpy_iterator())
    return {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}


def one_hot(classes, n):
    return np.eye(n, dtype=np.float32)[np.ravel(classes)]


def lambda_stream(route, mixer, batch_size, n_batches, seed):
    """A dataset of the (B,) λ of n_batches batches."""
    if route == "two_streams":
        ones, zeros = (
            tf.data.Dataset.from_tensors(([value], [value])).repeat(n)
            for value, n in ((1.0, n_batches * batch_size), (0.0, 1))
        )
        stage = tfmixup.two_streams(
            mixer, batch_size, partner=zeros, shuffle_buffer_size=1, seed=seed
        )
        return ones.apply(stage).map(lambda x, y: x[:, 0])
    dataset = unit_vectors(batch_size, np.zeros(batch_size, np.float32))
    mixed = mix(route, dataset.repeat(n_batches), mixer, batch_size, seed)
    return mixed.map(lambda batch: tf.linalg.diag_part(batch["image"]))


def lambdas_of(*args, **kwargs):
    """(n_batches, batch_size) λ of `lambda_stream`, as a pipeline really mixed."""
    return np.stack(list(lambda_stream(*args, **kwargs).as_numpy_iterator()))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_row_lambda_follows_beta(route, alpha):
    lam = lambdas_of(route, tfmixup.MixUp(alpha), 256, 80, seed=11).ravel()
    grid = np.linspace(0.001, 0.999, 999)
    measured = np.searchsorted(np.sort(lam), grid, side="right") / lam.size
    # Dvoretzky–Kiefer–Wolfowitz: false alarms at most 1e-9 for each of the nine; only
    # map's seed cannot be fixed.
    bound = np.sqrt(np.log(2 / 1e-9) / (2 * lam.size))
    assert np.abs(measured - stats.beta(alpha, alpha).cdf(grid)).max() < bound


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("alpha", [0.01, 0.001])
def test_row_tiny_alpha_has_no_pile_at_half(route, alpha):
    lam = lambdas_of(route, tfmixup.MixUp(alpha), 256, 16, seed=12).ravel()
    assert np.isfinite(lam).all()
    # A float32 draw is exactly ½ with probability ~2α·2⁻²⁴: false alarms below 1e-5.
    assert not np.any(lam == 0.5)
    # Binomial tails of 1e-9 each: as much between the ends as Beta has there, and the
    # ends balanced.
    inside = np.sum((lam > 0.1) & (lam < 0.9))
    beta = stats.beta(alpha, alpha)
    middle = beta.cdf(0.9) - beta.cdf(0.1)
    low, high = stats.binom.ppf([1e-9, 1 - 1e-9], lam.size, middle)
    assert low <= inside <= high
    low, high = stats.binom.ppf([1e-9, 1 - 1e-9], lam.size, 0.5)
    assert low <= np.sum(lam < 0.5) <= high


@pytest.mark.parametrize("route", ROUTES)
def test_row_alpha_zero_means_no_mixing(route):
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 3, 1), np.uint8)
    classes = np.arange(12) % 5
    dataset = tf.data.Dataset.from_tensor_slices(
        {"image": images, "label": classes, "id": np.arange(12)}
    )
    got = collect(mix(route, dataset, tfmixup.MixUp(0, num_classes=5), 4))
    assert sorted(got["id"]) == list(range(12))
    np.testing.assert_array_equal(got["image"], images[got["id"]].astype(np.float32))
    np.testing.assert_array_equal(got["label"], one_hot(classes, 5)[got["id"]])


@pytest.mark.parametrize("route", ROUTES)
def test_row_lambda_per_example_or_per_batch(route):
    def distinct(per):
        lam = lambdas_of(route, tfmixup.MixUp(1.0, per=per), 32, 50, seed=15)
        return [len(set(row)) for row in lam], len(set(lam[:, 0]))

    within, across = distinct("batch")
    assert within == [1] * 50
    # Two of 50 uniform draws are one float32 with probability below 50² / 2²⁴ = 2e-4,
    # more than one such pair below 3e-8.
    assert across >= 49
    within, across = distinct("example")
    # Likewise for 50 · 32²/2 pairs: two coincidences in one batch below 1e-7.
    assert min(within) >= 31
    assert across >= 49


def mixed_reference(values, mixed):
    """λ·values[i] + (1 − λ)·values[j] in float64, λ and j from the mixed labels."""
    return np.einsum("bk,k...->b...", mixed["label"], values.astype(np.float64))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_row_uint8_images(route, dtype):
    images = np.random.default_rng(1).integers(0, 256, (12, 5, 4, 3), np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices(
        {"image": images, "label": np.arange(12)}
    )
    mixer = tfmixup.MixUp(1.0, num_classes=12, dtype=dtype)
    mixed = mix(route, dataset, mixer, 6, seed=16)
    assert mixed.element_spec["image"].dtype == dtype
    got = collect(mixed)
    assert got["image"].dtype == dtype
    # Some are mixed indeed: chance of λ = 1 or of partner = self for all 12 is below
    # 1e-12.
    assert (got["label"] > 0).sum() > 12
    expected = mixed_reference(images, got)
    # uint8: rounded to nearest, not cut off.
    tolerance = 1e-4 if dtype == "float32" else 0.5 + 1e-4
    np.testing.assert_allclose(got["image"], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("dtype", "shape"), [("int64", (12,)), ("uint8", (12, 1))])
def test_row_integer_labels_become_mixed_one_hot(route, dtype, shape):
    classes = np.arange(12) % 5
    labels = classes.astype(dtype).reshape(shape)
    mixer = tfmixup.MixUp(1.0, num_classes=5)
    mixed = mix(route, unit_vectors(12, labels), mixer, 6, seed=17)
    assert mixed.element_spec["label"] == tf.TensorSpec([6, 5], tf.float32)
    got = collect(mixed)
    expected = got["image"] @ one_hot(classes, 5)
    np.testing.assert_allclose(got["label"], expected, atol=1e-6)


@pytest.mark.parametrize("route", ROUTES)
def test_row_float_labels_stay_vectors(route):
    values = np.random.default_rng(2).normal(size=12).astype(np.float32)
    mixed = mix(route, unit_vectors(12, values), tfmixup.MixUp(1.0), 6, seed=18)
    got = collect(mixed)
    assert got["label"].shape == (12,)
    np.testing.assert_allclose(got["label"], got["image"] @ values, atol=1e-6)


@pytest.mark.parametrize("route", ROUTES)
def test_row_sequence_targets_where_length_is_batch_size(route):
    # (B, T, C) with T = B: a λ of shape (B,) would broadcast along T without an error.
    sequences = np.random.default_rng(3).normal(size=(12, 6, 4)).astype(np.float32)
    mixed = mix(route, unit_vectors(12, sequences), tfmixup.MixUp(1.0), 6, seed=19)
    got = collect(mixed)
    expected = np.einsum("bk,ktc->btc", got["image"], sequences)
    np.testing.assert_allclose(got["label"], expected, atol=1e-5)


@pytest.mark.parametrize("route", ROUTES)
def test_row_parallel_calls_never_draw_twice(route):
    lam = lambdas_of(route, tfmixup.MixUp(1.0), 4, 3000, seed=22)
    # Four uniform λ of 23 bits: two batches alike by chance below 3000² / 2⁹³ = 1e-21.
    assert np.unique(lam, axis=0).shape == (3000, 4)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_row_odd_batch_and_batch_of_one(route, batch_size):
    # 11 one-channel images: the last batch of 5 has 1.
    images = np.random.default_rng(4).normal(size=(11, 4, 4, 1)).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(
        {"image": images, "label": np.arange(11), "id": np.arange(11)}
    )
    mixer = tfmixup.MixUp(1.0, num_classes=11)
    mixed = mix(route, dataset, mixer, batch_size, seed=25, drop_remainder=False)
    batches = list(mixed.as_numpy_iterator())
    sizes = [min(batch_size, 11 - start) for start in range(0, 11, batch_size)]
    assert [len(batch["image"]) for batch in batches] == sizes
    for batch in batches:
        expected = mixed_reference(images, batch)
        np.testing.assert_allclose(batch["image"], expected, atol=1e-5)
        if route != "two_streams" and len(batch["image"]) == 1:
            # With itself: λ·x + (1 − λ)·x, which float32 may round.
            unmixed = images[batch["id"]]
            np.testing.assert_allclose(batch["image"], unmixed, rtol=1e-6, atol=1e-6)
    if batch_size > 1 or route == "two_streams":
        # Two labels in a row wherever there is another example: mixing took place.
        # Seeded but for map, where λ is 0 or 1 throughout with probability ~0.
        together = np.concatenate([batch["label"] for batch in batches])
        assert ((together > 0).sum(axis=1) == 2).any()


def test_row_jit_compile_in_a_users_compiled_function():
    # λ is drawn inside here too.
    mixer = tfmixup.MixUp(0.4, num_classes=8)
    values = np.random.default_rng(5).normal(size=(8, 3)).astype(np.float32)
    compiled = tf.function(
        lambda x, y, seed: mixer(x, y, seed=seed), jit_compile=True, autograph=False
    )
    x, y = compiled(values, np.arange(8), tf.constant([2, 7]))
    np.testing.assert_allclose(x, y.numpy() @ values, atol=1e-5)
    assert np.any((y > 0.01) & (y < 0.99))


@pytest.mark.parametrize("route", ROUTES)
def test_row_extra_keys_are_untouched(route):
    ids = np.arange(12) + 2**60  # float32 could not hold them
    names = np.array([f"café {k}".encode() for k in range(12)])
    flags = np.arange(12) % 3 == 0
    dataset = unit_vectors(12, int64_id=ids, name=names, flag=flags)
    got = collect(mix(route, dataset, tfmixup.MixUp(1.0, num_classes=12), 4))
    assert got["int64_id"].dtype == np.int64
    np.testing.assert_array_equal(got["int64_id"], ids[got["id"]])
    np.testing.assert_array_equal(got["name"], names[got["id"]])
    np.testing.assert_array_equal(got["flag"], flags[got["id"]])


@pytest.mark.parametrize("route", SEEDED)
def test_row_tuples_and_tfds_dicts_alike(route):
    images = np.random.default_rng(6).integers(0, 256, (12, 4, 4, 1), np.uint8)
    classes = np.arange(12)
    mixer = tfmixup.MixUp(1.0, num_classes=12)
    tfds_like = tf.data.Dataset.from_tensor_slices({"image": images, "label": classes})
    as_dict = collect(mix(route, tfds_like, mixer, 4, seed=27))
    supervised = tfds_like.map(lambda e: (e["image"], e["label"]))
    as_tuple = list(mix(route, supervised, mixer, 4, seed=27).as_numpy_iterator())
    assert all(type(batch) is tuple and len(batch) == 2 for batch in as_tuple)
    for k, key in enumerate(("image", "label")):
        together = np.concatenate([batch[k] for batch in as_tuple])
        np.testing.assert_array_equal(together, as_dict[key])
    expected = mixed_reference(images, as_dict)
    np.testing.assert_allclose(as_dict["image"], expected, atol=1e-4)


@pytest.fixture
def policy():
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_global_policy(before)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("route", ROUTES)
def test_row_mixed_precision_policy_leaves_the_data_alone(route):
    values = np.random.default_rng(7).normal(size=(12, 6)).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(
        {"image": values, "label": np.arange(12)}
    )
    got = collect(mix(route, dataset, tfmixup.MixUp(1.0, num_classes=12), 4, seed=28))
    assert got["image"].dtype == got["label"].dtype == np.float32
    # 1e-5 is far below the resolution of half precision.
    expected = mixed_reference(values, got)
    np.testing.assert_allclose(got["image"], expected, atol=1e-5)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_row_mixed_precision_policy_in_fit(dtype):
    rng = np.random.default_rng(8)
    classes = rng.integers(0, 3, 96)
    values = (3 * one_hot(classes, 3) + rng.normal(size=(96, 3))).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices((values, classes))
    mixer = tfmixup.MixUp(0.2, num_classes=3, dtype=dtype)
    mixed = dataset.apply(tfmixup.two_streams(mixer, 32, seed=29))
    assert mixed.element_spec[0].dtype == dtype

    start = keras.initializers.GlorotUniform(seed=0)
    softmax = keras.layers.Activation("softmax", dtype="float32")
    model = keras.Sequential([keras.layers.Dense(3, kernel_initializer=start), softmax])
    model.compile(
        keras.optimizers.SGD(0.5),
        "categorical_crossentropy",
        metrics=[tfmixup.keras.MixedAccuracy()],
    )
    history = model.fit(mixed, epochs=3, verbose=0).history
    assert model.layers[0].compute_dtype == "bfloat16"
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert history["mixed_accuracy"][-1] > 0.6


# CutMix, masks, bounding boxes: images of one colour each, so that pixels can be told


def flat_images(n, height, width, channels=1, **columns):
    """Dict elements: every pixel of the k-th image is k, its label and id are k."""
    ids = np.arange(n)
    shape = (n, height, width, channels)
    images = np.broadcast_to(ids.reshape(n, 1, 1, 1), shape).astype(np.uint8)
    columns = {"image": images, "label": ids, "id": ids, **columns}
    return tf.data.Dataset.from_tensor_slices(columns)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_row_label_weight_is_the_share_of_pixels_kept(route, batch_size):
    dataset = flat_images(12, 8, 40).repeat(10)
    mixer = tfmixup.CutMix(num_classes=12, dtype="uint8")
    got = collect(mix(route, dataset, mixer, batch_size, seed=30, drop_remainder=False))
    assert len(got["id"]) == 120
    # In every example each class weighs exactly what its colour covers.
    counts = np.stack(
        [(got["image"] == k).sum(axis=(1, 2, 3)) for k in range(12)], axis=1
    )
    np.testing.assert_allclose(got["label"], counts / 320, atol=1e-7)
    assert got["label"].min() >= 0
    np.testing.assert_allclose(got["label"].sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_row_masks_are_mixed_as_their_image(route, name):
    # Two classes in every mask: its own pixel values, and one that is everywhere.
    masks = np.arange(1, 7).reshape(6, 1, 1) * np.ones([6, 4, 9], np.int64)
    masks[:, ::2] = 0
    dataset = flat_images(6, 4, 9, mask=masks[..., None])
    mixer = getattr(tfmixup, name)(1.0, num_classes=7, target_keys=("label", "mask"))
    mixed = mix(route, dataset, mixer, 3, seed=31)
    assert mixed.element_spec["mask"] == tf.TensorSpec([3, 4, 9, 7], tf.float32)
    got = collect(mixed)
    hot = np.eye(7, dtype=np.float32)[masks]
    if name == "MixUp":
        # Labels are one-hot of the id: they say which two, and by how much.
        expected = np.einsum("bk,khwc->bhwc", got["label"][:, :6], hot)
    else:
        which = got["image"][..., 0].astype(int)
        expected = hot[which, np.arange(4)[:, None], np.arange(9)]
    np.testing.assert_allclose(got["mask"], expected, atol=1e-6)


@pytest.mark.parametrize("route", ROUTES)
def test_row_integer_masks_of_one_channel_stay_so(route):
    masks = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1) * np.ones(
        [6, 4, 9, 1], np.uint8
    )
    dataset = flat_images(6, 4, 9, 3, mask=masks)
    mixer = tfmixup.CutMix(num_classes=6, target_keys=("mask",), integer_masks=True)
    mixed = mix(route, dataset, mixer, 3, seed=32)
    assert mixed.element_spec["mask"] == tf.TensorSpec([3, 4, 9, 1], tf.uint8)
    got = collect(mixed)
    np.testing.assert_array_equal(got["mask"], got["image"][..., :1])
    np.testing.assert_array_equal(got["label"], got["id"])  # an extra key


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_row_bounding_boxes_are_refused_or_passed_through(route, name):
    boxes = np.random.default_rng(9).uniform(size=(6, 2, 4)).astype(np.float32)
    dataset = flat_images(6, 4, 9, bboxes=boxes)
    make = getattr(tfmixup, name)
    message = r"'bboxes' looks like bounding boxes, and .*pass max_boxes=\.\.\."
    with pytest.raises(ValueError, match=message):
        mix(route, dataset, make(target_keys=("label", "bboxes"), num_classes=6), 3)
    got = collect(mix(route, dataset, make(num_classes=6), 3))
    np.testing.assert_array_equal(got["bboxes"], boxes[got["id"]])


@pytest.mark.parametrize("route", SEEDED)
def test_row_mixup_or_cutmix_by_switch_prob(route):
    images, labels = np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1), np.arange(8)
    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})
    mixers = [tfmixup.MixUp(0.8, num_classes=8), tfmixup.CutMix(1.0, num_classes=8)]
    mixed = mix(route, dataset.repeat(200), tfmixup.RandomChoice(mixers), 8, seed=33)
    # MixUp gives values between 0 and 1, CutMix none. (A batch of MixUp has none with
    # a chance below 1e-6: all λ 0 or 1, or in two_streams all partners themselves.)
    blended = [
        np.any((b["image"] > 1e-6) & (b["image"] < 1 - 1e-6))
        for b in mixed.as_numpy_iterator()
    ]
    # Binomial of 200: false alarms 1e-6.
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], 200, 0.5)
    assert low <= np.sum(blended) <= high
