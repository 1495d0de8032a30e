"""from_tensors: what two_streams does, where all examples are in memory."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.pipelines import FIRST, MIXER, VALUES, N, from_tensors, order


@pytest.mark.parametrize("jit_compile", [True, False])
def test_batches_are_the_blends_of_the_rows_that_the_labels_name(jit_compile):
    """Against NumPy: one-hot labels of distinct ids tell both rows and λ."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, 5, 2), dtype=np.uint8)
    mixer = tfmixup.MixUp(1.0, num_classes=N, jit_compile=jit_compile)
    ids = rng.permutation(N)
    weights = rng.random(N)
    dataset = from_tensors(1, mixer, (x, ids, weights), drop_remainder=False)
    total = mixed = 0
    for features, labels, w in dataset.as_numpy_iterator():
        total += len(labels)
        mixed += np.sum(labels.max(axis=1) < 0.99)
        # By row in place of by class: λ·w over the mixed weight.
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
        of_rows = labels[:, ids] * w[:, None] / weights
        np.testing.assert_allclose(of_rows.sum(axis=1), 1, rtol=1e-5)
        expected = np.einsum("bn,nij->bij", of_rows, x.astype("float64"))
        np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-3)
    assert total == N
    assert mixed > N / 2


def test_dicts_keep_their_extras_and_nests_their_structure():
    names = np.array([f"number {i}" for i in range(N)])
    mixer = tfmixup.MixUp(1.0, num_classes=N)
    element = {"image": VALUES, "label": np.arange(N), "id": names, "n": np.arange(N)}
    dataset = from_tensors(1, mixer, element, keep_originals=True)
    batches = list(dataset.as_numpy_iterator())
    for original, mixed in zip(batches[::2], batches[1::2]):
        ids = original["image"][:, 0].astype(int)
        for batch in (original, mixed):
            assert batch["n"].tolist() == ids.tolist()
            assert batch["id"].tolist() == [f"number {i}".encode() for i in ids]
    nested = {"a": VALUES, "b": (VALUES, 2 * VALUES)}
    for x, _ in from_tensors(1, tensors=(nested, VALUES)):
        np.testing.assert_allclose(2 * x["b"][0], x["b"][1], rtol=1e-6)
        np.testing.assert_array_equal(x["a"], x["b"][0])


@pytest.mark.parametrize(
    ("kwargs", "size", "length"),
    [
        ({}, 4, 5),
        ({"drop_remainder": False}, None, 6),
        ({"keep_originals": True}, 4, 10),
    ],
)
def test_shapes_are_static_and_the_length_known(kwargs, size, length):
    dataset = from_tensors(1, **kwargs)
    assert dataset.element_spec[0].shape.as_list() == [size, 1]
    assert len(dataset) == len(list(dataset)) == length
    assert len(dataset.repeat(2)) == 2 * length


@pytest.mark.parametrize("dtype", ["uint8", ">f4", "int64", "float16", "bool"])
def test_arrays_of_any_layout_are_read_as_they_are(dtype):
    values = np.arange(4 * N).reshape(2 * N, 2).astype(dtype)[::2, ::-1]
    first = {"image": VALUES, "label": VALUES, "more": values}
    for batch in from_tensors(1, FIRST, first).as_numpy_iterator():
        rows = batch["image"][:, 0].astype(int)
        np.testing.assert_array_equal(batch["more"], values[rows])


def test_later_changes_of_an_array_are_not_seen():
    # At an address that TensorFlow would take over as it is.
    memory = np.zeros(4 * N + 64, "uint8")
    start = -memory.ctypes.data % 64
    values = memory[start : start + 4 * N].view("float32").reshape(N, 1)
    values[...] = VALUES
    dataset = from_tensors(1, FIRST, (values, values))
    values += 1000
    assert max(order(dataset)) < N


X, Y = np.zeros([6, 3], "float32"), np.zeros([6, 2], "float32")
IDS = np.array([0, 1, 2, 0, 1, 2])
CLASSES = tfmixup.MixUp(0.2, num_classes=3)
DATASET = tf.data.Dataset.from_tensor_slices((X, Y))
RAGGED = tf.ragged.constant([[1.0], [], [2.0], [3.0], [4.0], [5.0]])
REFUSED = {
    "dataset": (DATASET, MIXER, TypeError, r"tensors must be arrays .*two_streams"),
    "dataset inside": ((DATASET, Y), MIXER, TypeError, r"tensors\[0\] must be arrays"),
    "number": (3.0, MIXER, TypeError, r"tensors must be a tuple .*got float"),
    "list": ([X, Y], MIXER, TypeError, r"tensors must be a tuple .*got list"),
    "four": ((X, Y, Y, Y), MIXER, TypeError, r"elements must be .*got tuple of 4"),
    "lengths": ((X, Y[:5]), MIXER, ValueError, r"one first .*\(6, 3\), \(5, 2\)"),
    "scalar": ((X, 3.0), MIXER, ValueError, r"must be batches"),
    "empty": ((X[:0], Y[:0]), MIXER, ValueError, r"tensors is empty"),
    "few": (
        (X[:3], Y[:3]),
        MIXER,
        ValueError,
        r"has 3 examples, fewer than batch_size",
    ),
    "ragged": ((RAGGED, Y), MIXER, TypeError, r"tensors\[0\] must be a dense array"),
    "sparse": (
        (tf.sparse.from_dense(X), Y),
        MIXER,
        TypeError,
        r"tensors\[0\] must be a dense .*SparseTensor.*tf\.sparse\.to_dense",
    ),
    "rows": (([[1.0], [1.0, 2.0]], Y), MIXER, TypeError, r"tensors\[0\] must be an"),
    "objects": ((np.array([{}] * 6), Y), MIXER, TypeError, r"array of Python objects"),
    "strings": ((np.array(["a"] * 6), Y), MIXER, TypeError, r"features must be num"),
    "no classes": ((X, IDS), MIXER, ValueError, r"Pass num_classes"),
    "key": ({"x": X, "label": Y}, MIXER, KeyError, r"no key 'image'"),
    "label": (
        (X, IDS + 1),
        CLASSES,
        ValueError,
        r"in \[0, 3\), but in tensors example 2 has 3\. Set num_classes",
    ),
    "batch_size": ((X, Y), MIXER, TypeError, r"batch_size must be an integer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_mixed_is_refused_at_once(name):
    tensors, mixer, error, message = REFUSED[name]
    size = 4.0 if name == "batch_size" else 4
    with pytest.raises(error, match=f"(?s)tfmixup.from_tensors: .*{message}"):
        tfmixup.from_tensors(tensors, mixer, size)


def test_a_bad_label_among_many_is_found():
    labels = np.zeros(40_000, "int64")
    labels[[31_234, 39_000]] = -1
    with pytest.raises(ValueError, match=r"tensors example 31234 has -1\."):
        tfmixup.from_tensors((np.zeros([40_000, 1]), labels), CLASSES, 4)


def test_a_partner_unlike_the_tensors_is_refused():
    with pytest.raises(
        ValueError, match=r"from_tensors: partner must .*float64 is not"
    ):
        from_tensors(1, partner=(VALUES.astype("float64"), VALUES))
    with pytest.raises(ValueError, match=r"but in partner example 0 has 3\."):
        tfmixup.from_tensors((X, IDS), CLASSES, 4, partner=(X, IDS + 3))


def test_inside_a_function_it_is_refused():
    @tf.function
    def build():
        return from_tensors(1)

    with pytest.raises(
        RuntimeError, match=r"from_tensors: called inside a tf\.function"
    ):
        build()


def test_the_data_service_can_be_told_to_run_it():
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1])
    )
    assert worker
    dataset = from_tensors(7, FIRST, drop_remainder=False)
    there = dataset.apply(service.distribute("parallel_epochs", dispatcher.target))
    assert sorted(order(there)) == list(range(N))


def test_where_there_is_no_remainder_there_is_no_empty_batch():
    eight = VALUES[:8]
    dataset = from_tensors(1, tensors=(eight, eight), drop_remainder=False)
    assert len(dataset) == 2
    assert [len(x) for x, _ in dataset] == [4, 4]
