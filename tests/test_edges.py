"""Input at the edges, where blending alone would be silently wrong."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

tfd = tfp.distributions


@pytest.mark.parametrize(
    "mixer",
    [
        tfmixup.MixUp(num_classes=4, distribution=tfd.Uniform(0.1, 0.9)),
        tfmixup.MixUp(num_classes=4, lam_range=(0.1, 0.9)),
        tfmixup.MixUp(num_classes=4, probability=0.5, per="batch"),
    ],
)
def test_alpha_0_is_no_mixing_whatever_else_is_given(mixer):
    images, labels = np.arange(24, dtype="uint8").reshape(4, 6), np.arange(4)
    x, y = dataclasses.replace(mixer, alpha=0)(images, labels)
    np.testing.assert_array_equal(x, images.astype("float32"))
    np.testing.assert_array_equal(y, np.eye(4)[labels])


@pytest.mark.parametrize("mixer", [tfmixup.MixUp(0), tfmixup.MixUp(probability=0.0)])
def test_an_unmixed_example_does_not_see_its_partner(mixer):
    x = np.float32([[1, 2], [np.inf, np.nan], [3, 4]])
    np.testing.assert_array_equal(mixer(x, x)[0], x)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_an_example_left_unmixed_by_chance_does_not_see_its_partner(jit_compile):
    mixer = tfmixup.MixUp(1.0, probability=0.5, jit_compile=jit_compile)
    first, second = np.float32([[1], [2]]), np.float32([[np.inf], [np.nan]])
    params = tfmixup.MixUpParams(tf.constant([1.0, 1.0]))
    x, _ = mixer.apply((first, first), (second, first), params)
    np.testing.assert_array_equal(x, first)


@pytest.mark.parametrize("sizes", [(8, 5), (5, 8)])
def test_zipped_batches_of_different_length_raise(sizes):
    """A batch of one would broadcast against the other."""
    streams = tuple(
        tf.data.Dataset.from_tensor_slices((tf.zeros([n, 3]), tf.zeros([n, 1]))).batch(
            4
        )
        for n in sizes
    )
    mixed = tf.data.Dataset.zip(streams).map(tfmixup.MixUp(1.0).pair)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="two batches to be mixed have different"
    ):
        list(mixed)


def test_a_partner_of_another_unknown_size_raises():
    def examples(size):
        spec = tf.TensorSpec([None], tf.float32)
        values = tf.data.Dataset.from_tensors(tf.zeros([size])).repeat(8)
        return values.map(lambda x: (tf.ensure_shape(x, spec.shape), tf.zeros([1])))

    unknown = [
        examples(n).map(lambda x, y: (tf.boolean_mask(x, x == 0), y)) for n in (3, 1)
    ]
    mixed = unknown[0].apply(
        tfmixup.two_streams(tfmixup.MixUp(1.0), 4, partner=unknown[1])
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="two batches to be mixed have different"
    ):
        list(mixed)


@pytest.mark.parametrize("alpha", [1e-40, 1e-31, 1e31, 1e40])
def test_alpha_beyond_float32_is_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha=.* is beyond what float32 can draw"):
        tfmixup.MixUp(alpha)


@pytest.mark.parametrize("alpha", [1e-30, 1e-6, 1e6, 1e30])
def test_extreme_alpha_gives_no_nan(alpha):
    lam = tfmixup.MixUp(alpha).sample(1000, seed=[1, 2]).lam.numpy()
    assert np.all((lam >= 0) & (lam <= 1))


@pytest.mark.parametrize(
    "distribution",
    [
        tfd.Poisson(2e-3),
        tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.99999, 0.00001]),
            tfd.Uniform([0.0, 2.0], [1.0, 3.0]),
        ),
    ],
)
def test_a_distribution_that_rarely_leaves_the_range_is_refused(distribution):
    with pytest.raises(ValueError, match=r"support within \[0, 1\]"):
        tfmixup.MixUp(distribution=distribution)


def test_label_smoothing_of_float_labels_is_refused():
    mixer = tfmixup.MixUp(num_classes=3, label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 is for integer class"):
        mixer(np.zeros([3, 2], "float32"), np.eye(3, dtype="float32"))


def test_a_pair_of_batches_given_to_the_wrong_function_is_refused():
    batches = tf.data.Dataset.from_tensor_slices(
        (tf.zeros([8, 3]), tf.range(8) % 3)
    ).batch(4)
    zipped = tf.data.Dataset.zip((batches, batches))
    with pytest.raises(ValueError, match=r"Map mixer\.pair instead"):
        zipped.map(tfmixup.MixUp(num_classes=3))


def test_equal_mixers_have_equal_hashes():
    plain = tfmixup.MixUp(0.2)
    for other in (
        tfmixup.MixUp(np.float64(0.2), dtype=np.dtype("float32")),
        tfmixup.MixUp(0.2, dtype=tf.float32),
    ):
        assert other == plain
        assert hash(other) == hash(plain)


@pytest.mark.parametrize(("known", "passes"), [(True, 2), (False, 3)])
def test_how_often_a_dataset_is_read(known, passes):
    """Of an unknown length, the second stream starts over once as the epoch ends."""
    reads = tf.Variable(0, dtype=tf.int64)

    def count(i):
        reads.assign_add(1)
        return tf.cast(i, tf.float32)[None], tf.zeros([1])

    source = tf.data.Dataset.range(40).filter(lambda i: True).map(count)
    if known:
        source = source.apply(tf.data.experimental.assert_cardinality(40))
    assert len(list(source.apply(tfmixup.two_streams(tfmixup.MixUp(1.0), 10)))) == 4
    assert int(reads) == 40 * passes


def test_two_workers_of_the_data_service_do_not_repeat_each_other():
    """Without a seed; with one, every worker yields the same, as tf.data has it."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    workers = [
        service.WorkerServer(
            service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1])
        )
        for _ in range(2)
    ]
    values = tf.range(32, dtype=tf.float32)[:, None]
    dataset = (
        tf.data.Dataset.from_tensor_slices((values, values))
        .apply(tfmixup.two_streams(tfmixup.MixUp(1.0), 4))
        .apply(service.distribute("parallel_epochs", dispatcher.target))
    )
    batches = [x.tobytes() for _ in range(2) for x, _ in dataset.as_numpy_iterator()]
    assert len(batches) == 2 * len(workers) * 8
    assert len(set(batches)) == len(batches)
