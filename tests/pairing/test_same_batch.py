"""keep_originals="same_batch": what True emits one after the other, in one batch."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.pipelines import BATCH, VALUES, N, from_tensors, two_streams

IDS = np.arange(N)
IMAGES = np.arange(N * 6, dtype="uint8").reshape(N, 2, 3)
NAMES = np.array([f"number {i}" for i in IDS])
ONES = np.ones(N, "float32")

ELEMENTS = {
    "dict": (
        {"image": IMAGES, "label": IDS % 3, "sample_weight": ONES, "id": NAMES},
        {"num_classes": 3, "dtype": "uint8"},
    ),
    "nested": (
        ({"a": VALUES, "b": (IMAGES,)}, (IDS % 3, VALUES), ONES),
        {"num_classes": (3, None)},
    ),
    "ignored": ((VALUES, IDS % 4 - 1), {"num_classes": 3, "ignore_label": -1}),
    "pairs": ((VALUES, (IDS, IDS[::-1])), {"targets": "pair"}),
    "one pair": ((VALUES, IDS), {"targets": "pair", "per": "batch"}),
    "kept": (({"x": VALUES, "mask": IMAGES}, VALUES), {"keep_keys": ("mask",)}),
    "off": ((VALUES, IDS % 3), {"num_classes": 3, "probability": 0.0}),
    "alone": ((VALUES,), {}),
}
SETTINGS = [
    ("two_streams", True, "auto"),
    ("two_streams", False, False),
    ("from_tensors", True, False),
    ("from_tensors", False, "auto"),
]


def make(route, element, mixer, **kwargs):
    if route == "from_tensors":
        return from_tensors(1, mixer, element, **kwargs)
    dataset = tf.data.Dataset.from_tensor_slices(element)
    return two_streams(1, mixer, dataset, **kwargs)


def check_joined(together, apart):
    """Compares with pairs of elements, and with what the spec promises."""
    parts = iter(apart)
    count = 0
    for element, original, mixed in zip(together, parts, parts, strict=True):
        count += 1
        expected = tf.nest.map_structure(
            lambda *two: np.concatenate(list(map(as_array, two))), original, mixed
        )
        got = tf.nest.map_structure(as_array, element)
        tf.nest.map_structure(np.testing.assert_array_equal, got, expected)
    assert len(together) == count


def as_array(tensor):
    if isinstance(tensor, tf.RaggedTensor):
        return np.array([*map(str, tensor.to_list())])
    if isinstance(tensor, tf.SparseTensor):
        return tf.sparse.to_dense(tensor).numpy()
    return tensor.numpy()


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_batch_is_the_originals_and_then_the_mixed(name):
    element, options = ELEMENTS[name]
    route, drop_remainder, jit_compile = SETTINGS[[*ELEMENTS].index(name) % 4]
    options = {"probability": 0.9, "jit_compile": jit_compile, **options}
    mixer = tfmixup.MixUp(1.0, **options)
    kwargs = {"drop_remainder": drop_remainder}
    together = make(route, element, mixer, keep_originals="same_batch", **kwargs)
    apart = make(route, element, mixer, keep_originals=True, **kwargs)
    check_joined(together, apart)
    size = 2 * BATCH if drop_remainder else None
    for spec in tf.nest.flatten(together.element_spec):
        assert spec.shape[0] == size
    whole = make(route, element, mixer, **kwargs)
    assert len(together) == len(whole) == (5 if drop_remainder else 6)
    for one, two in zip(
        *map(tf.nest.flatten, (whole.element_spec, apart.element_spec))
    ):
        assert one.dtype == two.dtype


@pytest.mark.parametrize("route", ["two_streams", "from_tensors"])
def test_the_first_half_is_not_mixed_and_the_second_is(route):
    mixer = tfmixup.MixUp(8.0, num_classes=N)
    dataset = make(route, (VALUES, IDS), mixer, keep_originals="same_batch")
    for x, y in dataset.as_numpy_iterator():
        original, mixed = y[:BATCH], y[BATCH:]
        assert (original.max(axis=1) == 1).all()
        assert (mixed.max(axis=1) < 1).mean() > 0.7
        np.testing.assert_allclose(x, y @ VALUES, rtol=1e-5)
        # Example B + i is mixed from example i.
        assert (mixed[original == 1] > 0).all()


def test_padded_examples_and_their_lengths():
    def dataset(keep):
        rows = tf.data.Dataset.range(N)
        waves = rows.map(
            lambda i: {"x": tf.fill([i % 5 + 1], 1.0), "n": i % 5 + 1, "label": i % 3}
        )
        mixer = tfmixup.MixUp(
            1.0, num_classes=3, feature_keys=("x",), length_keys=("n",)
        )
        shapes = {"x": [None], "n": [], "label": []}
        return two_streams(1, mixer, waves, padded_shapes=shapes, keep_originals=keep)

    together = dataset("same_batch")
    check_joined(together, dataset(True))
    assert together.element_spec["x"].shape.as_list() == [2 * BATCH, None]


def test_ragged_and_sparse_extras():
    tags = tf.ragged.constant([[7] * (i % 3) for i in IDS])
    here = tf.sparse.from_dense(np.eye(N)[:, :5])
    element = {"image": VALUES, "label": VALUES, "tags": tags, "here": here}
    mixer = tfmixup.MixUp(1.0)
    together = make("two_streams", element, mixer, keep_originals="same_batch")
    check_joined(together, make("two_streams", element, mixer, keep_originals=True))
    shapes = {key: spec.shape.as_list() for key, spec in together.element_spec.items()}
    assert shapes["tags"] == [2 * BATCH, None]
    assert shapes["here"] == [2 * BATCH, 5]


class Box(tf.experimental.BatchableExtensionType):
    corner: tf.Tensor


def test_what_cannot_be_concatenated_is_refused():
    boxes = tf.data.Dataset.from_tensor_slices(VALUES).map(
        lambda x: {"image": x, "label": x, "box": Box(x)}
    )
    message = r"^tfmixup.two_streams: keep_originals='same_batch' conc.* is a Box\. Map"
    with pytest.raises(TypeError, match=message):
        two_streams(1, dataset=boxes, keep_originals="same_batch")


def test_a_model_is_trained_by_half_of_each():
    """The mean loss is that of the originals and that of the mixed, halved."""
    mixer = tfmixup.MixUp(1.0, num_classes=N)
    both = next(
        iter(from_tensors(1, mixer, (VALUES, IDS), keep_originals="same_batch"))
    )
    apart = from_tensors(1, mixer, (VALUES, IDS), keep_originals=True)
    model = tf.keras.Sequential([tf.keras.layers.Dense(N, activation="softmax")])
    loss = tf.keras.losses.CategoricalCrossentropy()
    total, one, two = (loss(y, model(x)) for x, y in [both, *apart.take(2)])
    np.testing.assert_allclose(total, (one + two) / 2, rtol=1e-6)
