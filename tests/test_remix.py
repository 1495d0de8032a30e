"""Remix: the table of cases, case by case, against the paper's formula in NumPy."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

JIT = [True, False]
COUNTS = (900, 300, 299, 100, 1)  # κ = 3 is met exactly by 900:300 and 300:100


def lambda_y(n_i, n_j, lam, kappa=3.0, tau=0.5):
    """The paper's cases, one pair at a time; counts are integers and κ, τ exact."""
    if n_i >= kappa * n_j and lam < tau:
        return 0.0
    if kappa * n_i <= n_j and 1 - lam < tau:
        return 1.0
    return lam


CASES = {
    # n_i, n_j, λ: λ_y
    "much more frequent, little of it: gives way": ((900, 100, 0.25), 0.0),
    "much more frequent, much of it: λ": ((900, 100, 0.75), 0.75),
    "much rarer, much of it: has it all": ((100, 900, 0.75), 1.0),
    "much rarer, little of it: λ": ((100, 900, 0.25), 0.25),
    "κ met exactly": ((300, 100, 0.25), 0.0),
    "κ met exactly, the other way": ((100, 300, 0.75), 1.0),
    "just below κ": ((299, 100, 0.25), 0.25),
    "just below κ, the other way": ((100, 299, 0.75), 0.75),
    "λ = τ is not below": ((900, 100, 0.5), 0.5),
    "1 − λ = τ is not below": ((100, 900, 0.5), 0.5),
    "just below τ": ((900, 100, 0.5 - 2**-20), 0.0),
    "just above τ, the other way": ((100, 900, 0.5 + 2**-20), 1.0),
    "equally frequent": ((100, 100, 0.25), 0.25),
    "λ = 0": ((900, 100, 0.0), 0.0),
    "λ = 1": ((900, 100, 1.0), 1.0),
    "λ = 0, the other way": ((100, 900, 0.0), 0.0),
    "λ = 1, the other way": ((100, 900, 1.0), 1.0),
}
PER_EXAMPLE = {"lam": np.array([[0.1], [0.4], [0.5], [0.6], [0.9]], np.float32)}


def drawn(lam: Any) -> tfmixup.MixUpParams:
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


def mixed_label(mixer, one, other, lam):
    x = tf.zeros([len(one), 2])
    return mixer.apply((x, one), (x, other), drawn(lam))[1].numpy()


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_of_the_table(case, jit):
    (n_i, n_j, lam), want = case
    assert lambda_y(n_i, n_j, lam) == want  # the reference agrees with the table
    mixer = tfmixup.Remix([n_i, n_j], jit_compile=jit)
    y = mixed_label(mixer, tf.constant([0]), tf.constant([1]), [lam])
    np.testing.assert_array_equal(y, np.float32([[want, 1 - want]]))


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("kind", ["ids", "column", "one_hot", "uint8"])
@pytest.mark.parametrize(("kappa", "tau"), [(3.0, 0.5), (1.0, 0.5), (9.0, 0.8), (3, 0)])
def test_all_pairs_of_classes(kind, kappa, tau, jit):
    i, j, k = np.meshgrid(range(5), range(5), range(5), indexing="ij")
    i, j, lam = i.ravel(), j.ravel(), PER_EXAMPLE["lam"][k.ravel(), 0]
    label = {
        "ids": lambda ids: tf.constant(ids, tf.int64),
        "column": lambda ids: tf.constant(ids[:, None], tf.int32),
        "one_hot": lambda ids: tf.constant(np.eye(5)[ids], tf.float32),
        "uint8": lambda ids: tf.constant(ids, tf.uint8),
    }[kind]
    mixer = tfmixup.Remix(COUNTS, kappa, tau, jit_compile=jit)
    share = [
        lambda_y(COUNTS[a], COUNTS[b], c, kappa, tau) for a, b, c in zip(i, j, lam)
    ]
    share = np.array(share)[:, None]
    want = share * np.eye(5)[i] + (1 - share) * np.eye(5)[j]
    got = mixed_label(mixer, label(i), label(j), lam)
    np.testing.assert_allclose(got, want, atol=2e-7)


@pytest.mark.parametrize("jit", JIT)
def test_the_border_holds_for_ratios_that_are_no_binary_fractions(jit):
    """11 to 10 is κ = 1.1 as written, in either order."""
    mixer = tfmixup.Remix([11, 10], kappa=1.1, jit_compile=jit)
    ids = tf.constant([0, 1])
    y = mixed_label(mixer, ids, 1 - ids, [0.25, 0.75])
    np.testing.assert_array_equal(y, [[0, 1], [0, 1]])


@pytest.mark.parametrize("jit", JIT)
def test_features_are_mixed_by_lambda_and_weights_by_the_label_s(jit):
    mixer = tfmixup.Remix([900, 100], jit_compile=jit)
    x = tf.constant([[1.0], [1.0], [1.0]])
    ids, w = tf.constant([0, 0, 1]), tf.constant([2.0, 2.0, 2.0])
    lam = np.float32([0.25, 0.75, 0.25])
    mixed = mixer.apply((x, ids, w), (3 * x, 1 - ids, 3 * w), drawn(lam))
    np.testing.assert_allclose(mixed[0][:, 0], lam + 3 * (1 - lam))
    share = np.array([0.0, 0.75, 0.25])
    np.testing.assert_allclose(mixed[2], share * 2 + (1 - share) * 6)


@pytest.mark.parametrize("jit", JIT)
def test_one_lambda_for_the_batch_has_a_share_for_every_example(jit):
    mixer = tfmixup.Remix([900, 100], per="batch", jit_compile=jit)
    ids, others = tf.constant([0, 1, 0]), tf.constant([1, 0, 0])
    y = mixed_label(mixer, ids, others, [0.25])
    np.testing.assert_allclose(y, [[0, 1], [0.75, 0.25], [1, 0]])


def test_smoothing_and_pairs():
    ids, others = tf.constant([0]), tf.constant([1])
    smooth = tfmixup.Remix([900, 100], label_smoothing=0.2)
    np.testing.assert_allclose(
        mixed_label(smooth, ids, others, [0.25]), [[0.1, 0.9]], rtol=1e-6
    )
    pairs = tfmixup.Remix([900, 100], targets="pair")
    x = tf.zeros([1, 2])
    one, other, lam = pairs.apply((x, ids), (x, others), drawn([0.25]))[1]
    np.testing.assert_array_equal(one, [[1, 0]])
    np.testing.assert_array_equal(other, [[0, 1]])
    np.testing.assert_array_equal(lam, [0.0])


def test_unknown_batch_dimension_and_static_shapes():
    mixer = tfmixup.Remix(COUNTS)
    spec = (tf.TensorSpec([None, 3]), tf.TensorSpec([None], tf.int64))

    @tf.function(input_signature=[spec, spec, tf.TensorSpec([None])])
    def mix(first, second, lam):
        return mixer.apply(first, second, drawn_tensor(lam))

    for size in (1, 4):
        x, y = tf.ones([size, 3]), tf.zeros([size], tf.int64)
        got = mix((x, y), (x, y + 4), tf.fill([size], 0.25))[1]
        np.testing.assert_array_equal(got, np.eye(5)[[4] * size])


def drawn_tensor(lam):
    return tfmixup.MixUpParams(lam=lam)


SIZE = 50
LABELS = np.array([0] * 40 + [1] * 10)
FEATURES = np.eye(2, dtype="float32")[LABELS]  # so that λ can be read back


def source():
    return tf.data.Dataset.from_tensor_slices((FEATURES, LABELS))


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("remainder", [True, False])
@pytest.mark.parametrize("way", ["two_streams", "in_batch", "map", "pair"])
def test_pipelines(way, remainder, jit):
    mixer = tfmixup.Remix([40, 10], jit_compile=jit)
    batches = source().shuffle(SIZE, seed=1).batch(8, drop_remainder=remainder)
    dataset = {
        "two_streams": lambda: source().apply(
            tfmixup.two_streams(mixer, 8, seed=1, drop_remainder=remainder)
        ),
        "in_batch": lambda: batches.apply(tfmixup.in_batch(mixer, seed=1)),
        "map": lambda: batches.map(mixer),
        "pair": lambda: tf.data.Dataset.zip((batches, batches)).map(mixer.pair),
    }[way]()
    size = 8 if remainder else None
    assert dataset.element_spec[0].shape.as_list() == [size, 2]
    assert dataset.element_spec[1].shape.as_list() == [size, 2]
    x, y = (
        np.concatenate(part) for part in zip(*dataset.repeat(8).as_numpy_iterator())
    )
    assert len(x) == 8 * (48 if remainder else 50)
    # In a mixture of both classes the rare one has all of the label if it has more than
    # half of the picture, whichever came first.
    both = (x > 0).all(axis=1)
    rare = x[:, 1]
    assert both.sum() > 50
    # n_0 / n_1 = 4: with less than half of the picture, class 0 gives way.
    want = np.where(rare > 0.5, 1.0, rare)
    np.testing.assert_allclose(y[both, 1], want[both], atol=1e-6)
    np.testing.assert_allclose(y[~both], x[~both], atol=1e-6)


def test_same_seed_same_stream():
    def stream(seed):
        mixer = tfmixup.Remix([40, 10])
        dataset = source().apply(tfmixup.two_streams(mixer, 8, seed=seed))
        return [y.tobytes() for _, y in dataset.as_numpy_iterator()]

    assert stream(1) == stream(1) != stream(2)


def test_dict_elements_and_a_weight_among_the_targets():
    elements = source().map(
        lambda x, y: {"image": x, "label": y, "sample_weight": 1.0, "id": y}
    )
    mixer = tfmixup.Remix([40, 10], target_keys=("label", "sample_weight"))
    batch = next(iter(elements.apply(tfmixup.two_streams(mixer, 8, seed=1))))
    assert sorted(batch) == ["id", "image", "label", "sample_weight"]
    assert batch["label"].shape == (8, 2)
    np.testing.assert_array_equal(batch["sample_weight"], np.ones(8))


def test_no_mixing_leaves_the_label():
    mixer = tfmixup.Remix([40, 10], alpha=0)
    y = mixed_label(mixer, tf.constant([0, 1]), tf.constant([1, 0]), [0.25, 0.75])
    np.testing.assert_array_equal(y, np.eye(2))
    never = dataclasses.replace(mixer, alpha=1.0, probability=0.0)
    _, y = never(tf.zeros([2, 1]), tf.constant([0, 1]))
    np.testing.assert_array_equal(y, np.eye(2))


def test_remix_is_a_value():
    mixer = tfmixup.Remix(np.array([5, 3, 1]))
    assert mixer.class_counts == (5.0, 3.0, 1.0)
    assert mixer.num_classes == 3
    assert (mixer.kappa, mixer.tau, mixer.alpha) == (3.0, 0.5, 1.0)
    assert mixer == tfmixup.Remix([5, 3, 1], num_classes=3)
    assert hash(mixer) == hash(tfmixup.Remix(tf.constant([5, 3, 1])))
    assert mixer != tfmixup.Remix([5, 3, 2])
    assert repr(mixer).startswith("Remix(")
    assert dataclasses.replace(mixer, tau=0.25).tau == 0.25


BAD = {
    "class_counts=3": (lambda: tfmixup.Remix(3), TypeError, "class_counts must be a"),
    "a dict": (lambda: tfmixup.Remix({0: 3}), TypeError, "class_counts must be a"),
    "a string": (lambda: tfmixup.Remix("abc"), TypeError, "class_counts must be a"),
    "one class": (lambda: tfmixup.Remix([3]), ValueError, "at least two"),
    "text": (lambda: tfmixup.Remix([3, "a"]), TypeError, "'a'.*class 1"),
    "zero": (lambda: tfmixup.Remix([3, 0]), ValueError, "positive.*class 1"),
    "NaN": (lambda: tfmixup.Remix([np.nan, 3]), ValueError, "finite.*class 0"),
    "a matrix": (lambda: tfmixup.Remix(np.ones([2, 2])), TypeError, "class 0"),
    "num_classes": (
        lambda: tfmixup.Remix([3, 1], num_classes=3),
        ValueError,
        "num_classes=3, but class_counts has 2",
    ),
    "kappa below 1": (lambda: tfmixup.Remix([3, 1], 0.5), ValueError, "kappa.*0.5"),
    "kappa=inf": (lambda: tfmixup.Remix([3, 1], np.inf), ValueError, "kappa"),
    "kappa='3'": (lambda: tfmixup.Remix([3, 1], "3"), TypeError, "kappa"),
    "tau": (lambda: tfmixup.Remix([3, 1], tau=1.5), ValueError, "tau"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_arguments(case):
    make, error, message = case
    with pytest.raises(error, match=message):
        make()


X = tf.zeros([4, 4, 4, 1])
BAD_LABELS = {
    "one-hot of other classes": (tf.zeros([4, 5]), "one-hot.*2"),
    "floats": (tf.zeros([4]), "class ids"),
    "a mask": (tf.zeros([4, 4, 4], tf.int32), "class ids"),
    "two targets": ((tf.zeros([4, 2]), tf.zeros([4, 2])), "2 targets"),
}


@pytest.mark.parametrize("case", BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels_when_the_pipeline_is_built(case):
    labels, message = case
    batches = tf.data.Dataset.from_tensors((X, labels))
    with pytest.raises(ValueError, match=message):
        batches.apply(tfmixup.in_batch(tfmixup.Remix([3, 1])))


def test_a_class_id_beyond_the_counts_raises():
    with pytest.raises(tf.errors.InvalidArgumentError, match="0, 2"):
        tfmixup.Remix([3, 1])(X, tf.constant([0, 1, 2, 0]))
