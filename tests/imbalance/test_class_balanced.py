"""class_balanced and class_counts: shares of classes by χ², and by hand."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

COUNTS = [30, 7, 3]
LABELS = np.repeat([0, 1, 2], COUNTS)
N = len(LABELS)
IDS = np.arange(N, dtype="float32")[:, None]
SOURCES = pytest.mark.parametrize("in_memory", [False, True], ids=["filter", "memory"])


def source(kind="ids") -> tf.data.Dataset:
    labels = {
        "ids": LABELS,
        "uint8": LABELS.astype("uint8"),
        "column": LABELS[:, None].astype("int32"),
        "one_hot": np.eye(3, dtype="float32")[LABELS],
    }[kind]
    return tf.data.Dataset.from_tensor_slices((IDS, labels))


def drawn(dataset, n) -> np.ndarray:
    """The ids of n examples."""
    return np.array([int(x[0]) for x, *_ in dataset.take(n).as_numpy_iterator()])


def stream(dataset) -> list[bytes]:
    return [x.tobytes() for x, _ in dataset.as_numpy_iterator()]


@SOURCES
@pytest.mark.parametrize("kind", ["ids", "uint8", "column", "one_hot"])
def test_every_class_is_equally_likely(kind, in_memory):
    """χ² of classes, and of the examples in a class; false alarm 1e-4 each."""
    n = 600
    dataset = tfmixup.class_balanced(source(kind), 3, seed=1, in_memory=in_memory)
    assert dataset.element_spec == source(kind).element_spec
    assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
    examples = drawn(dataset, n)
    classes = np.bincount(LABELS[examples], minlength=3)
    assert scipy.stats.chisquare(classes).pvalue > 1e-4
    # Within a class they come more evenly than at random, so that χ² is rather small.
    for c in range(3):
        counts = np.bincount(examples, minlength=N)[c == LABELS]
        assert scipy.stats.chisquare(counts).statistic < len(counts)


@SOURCES
def test_given_odds(in_memory):
    odds = [1, 0, 3]
    dataset = tfmixup.class_balanced(
        source(), 3, odds=odds, seed=2, in_memory=in_memory
    )
    classes = np.bincount(LABELS[drawn(dataset, 600)], minlength=3)
    assert classes[1] == 0
    assert scipy.stats.chisquare(classes[[0, 2]], [150, 450]).pvalue > 1e-4


def test_classes_follow_each_other_independently():
    """χ² of the nine pairs of successive classes; false alarm 1e-4."""
    dataset = tfmixup.class_balanced(source(), 3, seed=3, in_memory=True)
    classes = LABELS[drawn(dataset, 2000)].reshape(-1, 2)
    pairs = np.bincount(3 * classes[:, 0] + classes[:, 1], minlength=9)
    assert scipy.stats.chisquare(pairs).pvalue > 1e-4


@SOURCES
def test_seeds_and_iterations(in_memory):
    def make(seed):
        return tfmixup.class_balanced(source(), 3, seed=seed, in_memory=in_memory).take(
            60
        )

    one, other = make(1), make(1)
    first = [stream(one), stream(one)]
    assert first == [stream(other), stream(other)]
    assert first[0] != first[1]
    assert stream(make(2)) not in first
    assert stream(make(None)) != stream(make(None))


def test_a_class_comes_in_another_order_each_round():
    only = tfmixup.class_balanced(source(), 3, odds=[1, 0, 0], seed=1)
    rounds = drawn(only, 90).reshape(3, 30)
    assert set(rounds.ravel()) == set(range(30))
    assert (np.sort(rounds, axis=1) != rounds).any(axis=1).all()
    assert len({row.tobytes() for row in rounds}) == 3


@SOURCES
def test_balanced_mixup_weighs_the_balanced_stream_by_beta_alpha_1(in_memory):
    """1 − λ ~ Beta(α, 1) has the mean α / (1 + α): a third for α = ½.

    Six standard errors are allowed, of 1 − λ and of the classes.
    """
    lam = tfp.distributions.Beta(1.0, 0.5)
    stage = tfmixup.two_streams(
        tfmixup.MixUp(distribution=lam, num_classes=3),
        8,
        partner=tfmixup.class_balanced(source(), 3, seed=1, in_memory=in_memory),
        shuffle_buffer_size=N,  # of an endless partner, all of it would be filled
        seed=1,
    )
    epochs = 30
    mass = tfmixup.label_mass(source().apply(stage).repeat(epochs), 3)
    want = 2 / 3 * np.array(COUNTS) / N + 1 / 3 * np.ones(3) / 3
    np.testing.assert_allclose(mass, want, atol=6 * 0.5 / np.sqrt(epochs * N))


@SOURCES
def test_dict_elements_with_strings_and_weights(in_memory):
    dicts = source().map(
        lambda x, y: {"image": x, "digit": y, "name": tf.strings.as_string(y)}
    )
    dataset = tfmixup.class_balanced(
        dicts, 3, label_key="digit", seed=1, in_memory=in_memory
    )
    assert dataset.element_spec == dicts.element_spec
    for element in dataset.take(20).as_numpy_iterator():
        assert LABELS[int(element["image"][0])] == element["digit"]
        assert element["name"] == str(element["digit"]).encode()
    weighted = source().map(lambda x, y: (x, y, 1.0))
    for x, y, w in tfmixup.class_balanced(weighted, 3, in_memory=in_memory).take(20):
        assert LABELS[int(x[0])] == int(y)
        assert float(w) == 1.0


def test_examples_of_varying_length_are_filtered():
    ragged = source().map(lambda x, y: (tf.fill([y + 1], x[0]), y))
    dataset = tfmixup.class_balanced(ragged, 3, seed=1)
    assert all(len(x) == y + 1 for x, y in dataset.take(30).as_numpy_iterator())
    with pytest.raises(ValueError, match="in_memory=True needs examples of one shape"):
        tfmixup.class_balanced(ragged, 3, in_memory=True)


def test_in_memory_reads_the_dataset_once():
    reads = []

    def read(x):
        reads.append(1)
        return x

    counted = source().map(
        lambda x, y: (tf.ensure_shape(tf.py_function(read, [x], tf.float32), [1]), y)
    )
    dataset = tfmixup.class_balanced(counted, 3, in_memory=True)
    list(dataset.take(200))
    assert len(reads) == N


def test_counts_that_are_given_spare_the_pass():
    def fail(x, y):
        tf.debugging.Assert(False, ["read"])
        return x, y

    unread = source().map(fail)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tfmixup.class_balanced(unread, 3)
    tfmixup.class_balanced(unread, 3, class_counts=COUNTS)
    dataset = tfmixup.class_balanced(source(), 3, class_counts=np.array(COUNTS), seed=1)
    counted = tfmixup.class_balanced(source(), 3, seed=1)
    assert stream(dataset.take(50)) == stream(counted.take(50))


@pytest.mark.parametrize("kind", ["ids", "uint8", "column", "one_hot"])
def test_class_counts(kind):
    counts = tfmixup.class_counts(source(kind), 3)
    assert counts.dtype == np.int64
    assert counts.tolist() == COUNTS
    if kind != "one_hot":
        assert tfmixup.class_counts(source(kind), 5).tolist() == [*COUNTS, 0, 0]


# Bad input


def filtered(**kwargs):
    """Data of unknown length, in which class 1 is missing."""
    without = source().filter(lambda x, y: y != 1)
    return tfmixup.class_balanced(without, 3, **kwargs)


@SOURCES
def test_a_class_without_examples_is_an_error_unless_it_has_no_odds(in_memory):
    for make in (
        lambda **kwargs: filtered(in_memory=in_memory, **kwargs),
        lambda **kwargs: tfmixup.class_balanced(
            source().take(30), 3, in_memory=in_memory, **kwargs
        ),
    ):
        with pytest.raises(ValueError, match=r"no examples of class 1.*odds"):
            make()
    dataset = filtered(in_memory=in_memory, odds=[1, 0, 1], seed=1)
    assert set(LABELS[drawn(dataset, 40)]) == {0, 2}


def test_counts_that_are_wrong_are_an_error_and_not_other_odds():
    dataset = filtered(class_counts=COUNTS, seed=1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="examples of class 1"):
        drawn(dataset, 200)
    with pytest.raises(ValueError, match="sum to 5, but the dataset has 40"):
        tfmixup.class_balanced(source(), 3, class_counts=[2, 2, 1])
    with pytest.raises(ValueError, match="the data have"):
        tfmixup.class_balanced(source(), 3, class_counts=[29, 8, 3], in_memory=True)
    with pytest.raises(ValueError, match="no examples of class 2"):
        tfmixup.class_balanced(source(), 3, class_counts=[30, 10, 0])


@SOURCES
def test_labels_that_are_no_class(in_memory):
    with pytest.raises(ValueError, match=r"3 labels are not in \[0, 2\)"):
        tfmixup.class_balanced(source(), 2, in_memory=in_memory)
    missing = source().map(lambda x, y: (x, y - 1))
    with pytest.raises(ValueError, match="30 labels are not in"):
        tfmixup.class_balanced(missing, 3, in_memory=in_memory)
    empty_rows = source("one_hot").map(lambda x, y: (x, y * 0))
    with pytest.raises(ValueError, match="without a positive entry"):
        tfmixup.class_balanced(empty_rows, 3, in_memory=in_memory)


def test_labels_that_are_no_class_where_counts_were_given():
    dataset = tfmixup.class_balanced(source(), 2, class_counts=[30, 10])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not in \[0, 2\)"):
        drawn(dataset, 200)


BAD = [
    ({"dataset": [1]}, TypeError, "dataset must be a tf.data.Dataset, got list"),
    ({"num_classes": 1}, ValueError, "num_classes must be at least 2"),
    ({"num_classes": "3"}, TypeError, "num_classes must be an integer"),
    ({"dataset": source().repeat()}, ValueError, "endless. Give it before .repeat"),
    ({"dataset": source().take(0)}, ValueError, "the dataset is empty"),
    ({"dataset": source().batch(4)}, ValueError, "Call it before .batch"),
    (
        {"dataset": source("one_hot"), "num_classes": 4},
        ValueError,
        "check num_classes=4",
    ),
    ({"dataset": source().map(lambda x, y: (y, x))}, ValueError, "are class ids"),
    ({"dataset": source().map(lambda x, y: {"y": y})}, KeyError, "Pass label_key"),
    ({"dataset": source().map(lambda x, y: (x, (y, y)))}, ValueError, "got 2 targets"),
    ({"odds": [1, 1, -1]}, ValueError, "odds must be finite and not negative"),
    ({"odds": [1e308, 1e308, 1]}, ValueError, "odds must have a finite sum"),
    ({"odds": [0, 0, 0]}, ValueError, "odds are all 0"),
    ({"odds": [1, 1]}, ValueError, "odds has 2 entries, and num_classes=3"),
    ({"odds": 1}, TypeError, "odds must be a sequence of numbers"),
    ({"class_counts": [30, 7.5, 2.5]}, ValueError, "must be whole numbers"),
    ({"in_memory": 1}, TypeError, "in_memory must be True or False"),
    ({"shuffle_buffer_size": 0}, ValueError, "shuffle_buffer_size must be at least 1"),
    ({"seed": 0.5}, TypeError, "seed must be an integer or None"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_input(arguments, error, message):
    arguments = {"dataset": source(), "num_classes": 3, **arguments}
    with pytest.raises(error, match=f"tfmixup.class_balanced: .*{message}"):
        tfmixup.class_balanced(**arguments)


@pytest.mark.parametrize(
    ("dataset", "num_classes", "error", "message"),
    [
        ([1], 3, TypeError, "dataset must be a tf.data.Dataset, got list"),
        (source().repeat(), 3, ValueError, "endless. Give it before .repeat"),
        (source(), 2, ValueError, r"3 labels are not in \[0, 2\)"),
    ],
)
def test_what_cannot_be_counted(dataset, num_classes, error, message):
    with pytest.raises(error, match=f"tfmixup.class_counts: .*{message}"):
        tfmixup.class_counts(dataset, num_classes)


def test_classes_follow_each_other_otherwise_in_every_iteration():
    """Of one example a class, which leaves nothing else to be in another order."""
    two = tf.data.Dataset.from_tensor_slices(([0.0, 1.0], [0, 1]))
    stream = tfmixup.class_balanced(two, 2, seed=1, in_memory=True).take(64)
    first, second = ([int(y) for _, y in stream] for _ in range(2))
    assert first != second
