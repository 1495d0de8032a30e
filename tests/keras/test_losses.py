"""PairLoss, against NumPy, calculus and the paths of CTC."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.keras.references import combine, cross_entropy, softmax
from tfmixup.keras import PairLoss
from tfmixup.keras.losses import Pair

LAM = np.array([0.0, 0.25, 0.5, 0.9, 1.0], np.float32)
SIZE, CLASSES = len(LAM), 4
IDS = np.array([[0, 1, 2, 3, 1], [3, 1, 0, 2, 2]])
LOSSES = [
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.SparseCategoricalCrossentropy(),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("inner", [(), (3, 2)], ids=str)
def test_loss_is_the_formula_for_every_rank(loss, inner):
    rng = np.random.default_rng(1)
    ids = rng.integers(0, CLASSES, (2, SIZE, *inner))
    p = softmax(rng.normal(size=(SIZE, *inner, CLASSES))).astype(np.float32)
    values = combine(LAM, cross_entropy(ids[0], p), cross_entropy(ids[1], p))
    got = PairLoss(loss)((ids[0], ids[1], LAM), p)
    assert float(got) == pytest.approx(values.mean(), rel=1e-6)
    weights = rng.uniform(size=(SIZE, *inner)).astype(np.float32)
    got = PairLoss(loss)((ids[0], ids[1], LAM), p, weights)
    assert float(got) == pytest.approx((weights * values).mean(), rel=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight", "none"])
def test_reduction_is_that_of_the_loss(reduction):
    rng = np.random.default_rng(2)
    p = softmax(rng.normal(size=(SIZE, CLASSES))).astype(np.float32)
    w = rng.uniform(size=SIZE).astype(np.float32)
    loss = PairLoss(keras.losses.SparseCategoricalCrossentropy(reduction=reduction))
    values = w * combine(LAM, *(cross_entropy(ids, p) for ids in IDS))
    total = values.sum()
    want = {"sum": total, "mean_with_sample_weight": total / w.sum(), "none": values}
    got = loss((*IDS, LAM), p, w)
    np.testing.assert_allclose(got, want[reduction], rtol=1e-6)


def squares(y_true, y_pred):
    """A loss that does not care for ranks itself, as Keras's do."""
    return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


@pytest.mark.parametrize("loss", ["mse", keras.losses.MeanSquaredError(), squares])
@pytest.mark.parametrize("rank", [1, 2])
def test_regression_does_not_broadcast(loss, rank):
    """Labels of either rank for predictions (B, 1)."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=(2, SIZE, 1)).astype(np.float32)
    p = rng.normal(size=(SIZE, 1)).astype(np.float32)
    want = combine(LAM, (y[0] - p)[:, 0] ** 2, (y[1] - p)[:, 0] ** 2).mean()
    labels = y[..., 0] if rank == 1 else y
    assert float(PairLoss(loss)((*labels, LAM), p)) == pytest.approx(want, rel=1e-6)


def test_labels_of_one_more_rank_do_not_broadcast():
    """Labels (B, T, 1) for predictions (B, T)."""
    rng = np.random.default_rng(3)
    y, p = rng.normal(size=(2, SIZE, 6, 1)), rng.normal(size=(SIZE, 6))
    want = combine(LAM, *(((labels[..., 0] - p) ** 2).mean(axis=1) for labels in y))
    got = float(PairLoss(squares)((*y, LAM), p))
    assert got == pytest.approx(want.mean(), rel=1e-6)


def test_pairs_may_be_lists():
    p = np.array([[0.5, 0.5], [0.2, 0.8]])
    got = PairLoss(LOSSES[0])(([0, 0], [1, 1], [0.25, 1.0]), p)
    assert float(got) == pytest.approx(-(np.log(0.5) + np.log(0.2)) / 2, rel=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
def test_cross_entropy_and_its_gradient_are_those_of_soft_labels(from_logits):
    rng = np.random.default_rng(4)
    z = tf.Variable(rng.normal(0, 3, (SIZE, CLASSES)).astype(np.float32))
    soft = combine(LAM, *np.eye(CLASSES, dtype=np.float32)[IDS])
    sparse = PairLoss(keras.losses.SparseCategoricalCrossentropy(from_logits))
    dense = PairLoss(keras.losses.CategoricalCrossentropy(from_logits))
    usual = keras.losses.CategoricalCrossentropy(from_logits)
    results = []
    for loss, y in (
        (sparse, (*IDS, LAM)),
        (dense, (*np.eye(CLASSES, dtype=np.float32)[IDS], LAM)),
        (usual, soft),
    ):
        with tf.GradientTape() as tape:
            value = loss(y, z if from_logits else tf.nn.softmax(z))
        results.append((value, tape.gradient(value, z)))
    for value, gradient in results[:2]:
        np.testing.assert_allclose(value, results[2][0], rtol=3e-7)
        np.testing.assert_allclose(gradient, results[2][1], rtol=2e-5, atol=1e-7)
    # And both are (softmax − y) / B, from calculus.
    exact = (softmax(z.numpy().astype(np.float64)) - soft) / SIZE
    np.testing.assert_allclose(results[0][1], exact, atol=1e-7)


def ctc_by_paths(label, p):
    """−log of the summed probability of every path that reads as the label."""
    total = 0.0
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        read = [c for c, _ in itertools.groupby(path) if c != 0]
        if read == [c for c in label if c != 0]:
            total += np.prod(p[np.arange(len(p)), path])
    return -np.log(total)


CTC_LABELS = np.array(
    [
        [[1, 0], [2, 1], [2, 0], [1, 2], [1, 1]],
        [[2, 1], [1, 0], [1, 2], [0, 0], [2, 0]],
    ]
)


def test_ctc_is_the_sum_over_paths():
    z = np.random.default_rng(6).normal(size=(SIZE, 4, 3)).astype(np.float32)
    p = softmax(z.astype(np.float64))
    values = [
        np.array([ctc_by_paths(y, q) for y, q in zip(labels, p)])
        for labels in CTC_LABELS
    ]
    got = PairLoss(keras.losses.CTC())((*CTC_LABELS, LAM), z)
    assert float(got) == pytest.approx(combine(LAM, *values).mean(), rel=1e-5)


@pytest.mark.parametrize("jit", [True, False])
def test_a_label_that_has_no_share_is_not_looked_at(jit):
    """0 times a loss that is not a number would not be one."""
    p = tf.random.stateless_normal([2, 3], [1, 2])
    fine, broken = np.ones([2, 3], np.float32), np.full([2, 3], np.nan, np.float32)
    loss = PairLoss("mse")

    @tf.function(jit_compile=jit)
    def value_and_gradient(y, p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = loss(y, p)
        return value, tape.gradient(value, p)

    lam = np.array([1.0, 0.0], np.float32)
    first = np.where(lam[:, None] == 1, fine, broken)
    second = np.where(lam[:, None] == 1, broken, fine)
    value, gradient = value_and_gradient((first, second, lam), p)
    assert float(value) == pytest.approx(np.mean((p.numpy() - 1) ** 2), rel=1e-6)
    np.testing.assert_allclose(gradient, (p - 1) / 3, rtol=1e-5)


def test_ctc_labels_that_do_not_fit_do_no_harm_unmixed():
    z = tf.random.stateless_normal([2, 3, 4], [1, 2])
    fits, long = np.array([[1, 0, 0, 0]] * 2), np.array([[1, 2, 3, 1]] * 2)
    loss = PairLoss(keras.losses.CTC())
    got = loss((fits, long, np.ones(2, np.float32)), z)
    assert float(got) == pytest.approx(float(keras.losses.CTC()(fits, z)), rel=1e-6)


def test_loss_errors():
    with pytest.raises(ValueError, match=r"PairLoss: loss must be a Keras loss, a fun"):
        PairLoss(None)
    ignoring = keras.losses.SparseCategoricalCrossentropy(ignore_class=0)
    with pytest.raises(ValueError, match=r"\(ignore_class=0\) cannot leave a class"):
        PairLoss(ignoring)
    p = np.full([SIZE, CLASSES], 0.25, np.float32)
    with pytest.raises(ValueError, match=r"λ of shape \(batch,\), got \(5, 1\)"):
        PairLoss("sparse_categorical_crossentropy")((*IDS, LAM[:, None]), p)

    def of_the_batch(y_true, y_pred):
        return keras.ops.mean(y_pred)

    with pytest.raises(ValueError, match="of_the_batch returned one value for a whole"):
        PairLoss(of_the_batch)((*IDS, LAM), p)


def test_comes_back_from_its_config_with_its_name_and_reduction():
    for loss in LOSSES:
        for name in (None, "mine"):
            made = PairLoss(loss, name)
            config = keras.saving.serialize_keras_object(made)
            assert config["registered_name"] == "tfmixup>PairLoss"
            again = keras.saving.deserialize_keras_object(config)
            assert again.name == made.name
            assert made.name == (name or "sparse_categorical_crossentropy")
            assert type(again.loss) is type(made.loss)
    summed = PairLoss(keras.losses.MeanSquaredError(reduction="sum", dtype="float64"))
    assert (summed.reduction, summed.dtype) == ("sum", "float64")
    config = keras.saving.serialize_keras_object(summed)
    assert keras.saving.deserialize_keras_object(config).reduction == "sum"


def test_keras_takes_a_pair_as_one_label_and_refuses_a_tuple():
    """A canary for `Pair`. Once Keras takes the tuple, `Pair` can go."""
    pair = Pair(*IDS, LAM)
    assert keras.tree.flatten({"output": [pair]}) == [pair]
    model = keras.Sequential([keras.layers.Dense(CLASSES, "softmax")])
    model.compile(loss=PairLoss("sparse_categorical_crossentropy"))
    p = model(np.ones([SIZE, 3], np.float32))
    with pytest.raises(ValueError, match="have different structures"):
        model.compute_loss(None, (*IDS, LAM), p)
    values = [cross_entropy(ids, p.numpy()) for ids in IDS]
    got = float(model.compute_loss(None, pair, p))
    assert got == pytest.approx(combine(LAM, *values).mean(), rel=1e-6)
