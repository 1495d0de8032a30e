"""Remix: the table of cases, case by case, against the paper's formula in NumPy."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.reference import blend, mixed, one_hot

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


def drawn(lam: Any) -> tfmixup.MixUpParams:
    return tfmixup.MixUpParams(lam=tf.cast(lam, tf.float32))


def mixed_label(mixer, one, other, lam):
    x = tf.zeros([len(one), 2])
    return mixer.apply((x, one), (x, other), drawn(lam))[1].numpy()


@pytest.mark.parametrize("jit", JIT)
def test_every_case_of_the_table(jit):
    # All counts are classes of one mixer, so that it is compiled once.
    counts = sorted({n for (n_i, n_j, _), _ in CASES.values() for n in (n_i, n_j)})
    mixer = tfmixup.Remix(counts, jit_compile=jit)
    for name, ((n_i, n_j, lam), want) in CASES.items():
        assert lambda_y(n_i, n_j, lam) == want  # the reference agrees with the table
        i, j = counts.index(n_i), counts.index(n_j)
        y = mixed_label(mixer, tf.constant([i]), tf.constant([j]), [lam])
        expected = blend(one_hot([i], len(counts)), one_hot([j], len(counts)), [want])
        np.testing.assert_array_equal(y, np.float32(expected), name)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(
    ("kind", "kappa", "tau"),
    [("ids", 3.0, 0.5), ("column", 1.0, 0.5), ("one_hot", 9.0, 0.8), ("uint8", 3, 0)],
)
def test_all_pairs_of_classes(kind, kappa, tau, jit):
    lams = np.array([0.1, 0.4, 0.5, 0.6, 0.9], np.float32)
    i, j, k = (a.ravel() for a in np.meshgrid(*[range(5)] * 3, indexing="ij"))
    label = {
        "ids": lambda ids: tf.constant(ids, tf.int64),
        "column": lambda ids: tf.constant(ids[:, None], tf.int32),
        "one_hot": lambda ids: tf.constant(np.eye(5)[ids], tf.float32),
        "uint8": lambda ids: tf.constant(ids, tf.uint8),
    }[kind]
    mixer = tfmixup.Remix(COUNTS, kappa, tau, jit_compile=jit)
    share = [
        lambda_y(COUNTS[a], COUNTS[b], c, kappa, tau) for a, b, c in zip(i, j, lams[k])
    ]
    got = mixed_label(mixer, label(i), label(j), lams[k])
    np.testing.assert_allclose(got, blend(np.eye(5)[i], np.eye(5)[j], share), atol=2e-7)


@pytest.mark.parametrize("jit", JIT)
def test_the_border_holds_for_ratios_that_are_no_binary_fractions(jit):
    """11 to 10 is κ = 1.1 as written, in either order."""
    mixer = tfmixup.Remix([11, 10], kappa=1.1, jit_compile=jit)
    ids = tf.constant([0, 1])
    y = mixed_label(mixer, ids, 1 - ids, [0.25, 0.75])
    np.testing.assert_array_equal(y, [[0, 1], [0, 1]])
    # float32 would round the first count to three times the second.
    below = tfmixup.Remix([300_000_001, 100_000_001], jit_compile=jit)
    y = mixed_label(below, ids, 1 - ids, [0.25, 0.75])
    np.testing.assert_array_equal(y, [[0.25, 0.75], [0.25, 0.75]])


@pytest.mark.parametrize("jit", JIT)
def test_features_are_mixed_by_lambda_and_weights_by_the_label_s(jit):
    mixer = tfmixup.Remix([900, 100], jit_compile=jit)
    x = tf.constant([[1.0], [1.0], [1.0]])
    ids, w = tf.constant([0, 0, 1]), tf.constant([2.0, 2.0, 2.0])
    lam = np.float32([0.25, 0.75, 0.25])
    got = mixer.apply((x, ids, w), (3 * x, 1 - ids, 3 * w), drawn(lam))
    np.testing.assert_allclose(got[0][:, 0], lam + 3 * (1 - lam))
    share = np.array([0.0, 0.75, 0.25])
    np.testing.assert_allclose(got[2], share * 2 + (1 - share) * 6)


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


def test_unknown_batch_dimension():
    mixer = tfmixup.Remix(COUNTS)
    spec = (tf.TensorSpec([None, 3]), tf.TensorSpec([None], tf.int64))

    @tf.function(input_signature=[spec, spec, tf.TensorSpec([None])])
    def mix(first, second, lam):
        return mixer.apply(first, second, drawn(lam))

    for size in (1, 4):
        x, y = tf.ones([size, 3]), tf.zeros([size], tf.int64)
        got = mix((x, y), (x, y + 4), tf.fill([size], 0.25))[1]
        np.testing.assert_array_equal(got, np.eye(5)[[4] * size])


@pytest.mark.parametrize(("way", "jit"), [("two_streams", True), ("in_batch", False)])
def test_pipelines(way, jit):
    labels = np.array([0] * 40 + [1] * 10)
    features = np.eye(2, dtype="float32")[labels]  # so that λ can be read back
    source = tf.data.Dataset.from_tensor_slices((features, labels)).shuffle(50, seed=1)
    mixer = tfmixup.Remix([40, 10], jit_compile=jit)
    dataset = mixed(way, source, mixer, 8, drop_remainder=jit)
    size = 8 if jit else None
    assert dataset.element_spec[0].shape.as_list() == [size, 2]
    assert dataset.element_spec[1].shape.as_list() == [size, 2]
    x, y = (
        np.concatenate(part) for part in zip(*dataset.repeat(8).as_numpy_iterator())
    )
    assert len(x) == 8 * (48 if jit else 50)
    # In a mixture of both classes the rare one has all of the label if it has more than
    # half of the picture, whichever came first.
    both = (x > 0).all(axis=1)
    rare = x[:, 1]
    assert both.sum() > 50
    # n_0 / n_1 = 4: with less than half of the picture, class 0 gives way.
    want = np.where(rare > 0.5, 1.0, rare)
    np.testing.assert_allclose(y[both, 1], want[both], atol=1e-6)
    np.testing.assert_allclose(y[~both], x[~both], atol=1e-6)


def test_dict_elements_and_a_weight_among_the_targets():
    batch = {"image": tf.zeros([4, 2]), "label": np.arange(4) % 2, "id": tf.range(4)}
    mixer = tfmixup.Remix([40, 10], target_keys=("label", "sample_weight"))
    got = mixer({**batch, "sample_weight": tf.ones([4])})
    assert sorted(got) == ["id", "image", "label", "sample_weight"]
    assert got["label"].shape == (4, 2)
    np.testing.assert_array_equal(got["sample_weight"], np.ones(4))


def test_arguments():
    mixer = tfmixup.Remix(np.array([5, 3, 1]))
    assert (mixer.class_counts, mixer.num_classes) == ((5.0, 3.0, 1.0), 3)
    assert (mixer.kappa, mixer.tau, mixer.alpha) == (3.0, 0.5, 1.0)
    assert mixer != tfmixup.Remix([5, 3, 2])
