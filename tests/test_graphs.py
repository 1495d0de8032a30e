"""Pipelines built in a graph, where tf.data does not tell how long they are."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import eye

N, BATCH = 8, 4
# The first example has the larger share, which shows it.
MIXER = tfmixup.MixUp(1.0, lam_range=(0.6, 0.9), num_classes=N)
STAGES = {
    "two_streams": lambda: tfmixup.two_streams(MIXER, BATCH, seed=1),
    "in_batch": lambda: tfmixup.in_batch(MIXER),
}
DATA = tf.data.Dataset.from_tensor_slices(eye(N))


def pipeline(stage, examples):
    if stage == "in_batch":
        examples = examples.shuffle(N).batch(BATCH, drop_remainder=True)
    return examples.apply(STAGES[stage]())


def check(batches, epochs):
    assert len(batches) == epochs * N // BATCH
    features, labels = (np.concatenate(part) for part in zip(*batches))
    np.testing.assert_allclose(features, labels, atol=1e-6)
    np.testing.assert_allclose(features.sum(1), 1, atol=1e-6)
    assert set(np.count_nonzero(features, axis=1)) - {1} == {2}
    for first in features.argmax(1).reshape(epochs, N):
        assert sorted(first) == list(range(N))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("method", ["flat_map", "interleave"])
def test_in_another_dataset(stage, method):
    def epoch(_):
        return pipeline(stage, tf.data.Dataset.from_tensor_slices(eye(N)))

    epochs = 2 if method == "flat_map" else 1  # several interleave
    got = getattr(tf.data.Dataset.range(epochs), method)(epoch)
    assert got.element_spec[0].shape == (BATCH, N)
    check(list(got.as_numpy_iterator()), epochs)


@pytest.mark.parametrize("stage", STAGES)
def test_in_a_function(stage):
    @tf.function
    def epoch():
        batches = pipeline(stage, DATA).batch(N // BATCH)
        return next(iter(batches))

    check(list(zip(*epoch())), 1)


def test_keep_originals_in_a_graph():
    mixer = tfmixup.MixUp(0.2, num_classes=N)
    stage = tfmixup.two_streams(mixer, BATCH, keep_originals=True)
    got = tf.data.Dataset.range(1).flat_map(lambda _: DATA.apply(stage))
    assert len(list(got)) == 2 * N // BATCH


@pytest.mark.parametrize("stage", STAGES)
def test_in_a_graph_of_tensorflow_1(stage):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        examples = tf.data.Dataset.from_tensor_slices((np.eye(N), np.arange(N)))
        batches = pipeline(stage, examples).batch(N // BATCH)
        iterator = tf.compat.v1.data.make_initializable_iterator(batches)
        session.run(iterator.initializer)
        check(list(zip(*session.run(iterator.get_next()))), 1)


def test_a_balanced_stream_in_a_graph():
    got = tf.data.Dataset.range(1).flat_map(
        lambda _: tfmixup.class_balanced(DATA, N, class_counts=[1] * N).take(5)
    )
    assert len(list(got)) == 5


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("class_counts", lambda: tfmixup.class_counts(DATA, N)),
        ("label_mass", lambda: tfmixup.label_mass(DATA.batch(2), N)),
        ("class_balanced", lambda: tfmixup.class_balanced(DATA, N)),
        (
            "class_balanced",
            lambda: tfmixup.class_balanced(
                DATA, N, in_memory=True, class_counts=[1] * N
            ),
        ),
        ("from_tensors", lambda: tfmixup.from_tensors(eye(N), MIXER, BATCH)),
    ],
)
def test_what_looks_at_the_data_is_called_outside(name, read):
    message = f"^tfmixup.{name}: called inside a tf.function, .* Call it outside"
    with pytest.raises(RuntimeError, match=message):
        tf.function(read, autograph=False)()
