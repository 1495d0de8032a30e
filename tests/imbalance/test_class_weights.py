"""weight_by_class: weights looked up before mixing, and mixed by λ with the label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup

WEIGHTS = {0: 1.0, 1: 5.0, 2: 0.5}
IDS = np.array([0, 1, 2, 1])
X = np.arange(8, dtype="float32").reshape(4, 2)


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts)


def weights_of(elements):
    return [float(w) for _, _, w in elements.as_numpy_iterator()]


@pytest.mark.parametrize("kind", [dict, list, np.array])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
def test_class_ids(kind, dtype):
    given = WEIGHTS if kind is dict else kind(list(WEIGHTS.values()))
    weighted = dataset(X, IDS.astype(dtype)).map(tfmixup.weight_by_class(given))
    assert weighted.element_spec[2] == tf.TensorSpec([], tf.float32)
    assert weights_of(weighted) == [1, 5, 0.5, 5]


def test_batches_and_columns():
    weigh = tfmixup.weight_by_class(WEIGHTS)
    for labels in (IDS, IDS[:, None]):
        for batches in (dataset(X, labels).batch(4), dataset(X, labels).batch(3)):
            for x, y, w in batches.map(weigh):
                assert w.shape == x.shape[:1]
                want = [WEIGHTS[int(c)] for c in np.ravel(y)]
                np.testing.assert_array_equal(w, want)
        assert weights_of(dataset(X, labels).map(weigh)) == [1, 5, 0.5, 5]


def test_one_hot_and_soft_labels():
    weigh = tfmixup.weight_by_class(WEIGHTS)
    soft = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [0.2, 0.2, 0.6]], "float32")
    want = soft @ np.array([1, 5, 0.5])
    np.testing.assert_allclose(weights_of(dataset(X, soft).map(weigh)), want, 1e-6)
    _, _, w = next(iter(dataset(X, soft).batch(4).map(weigh)))
    np.testing.assert_allclose(w, want, 1e-6)


def test_weights_that_are_there_are_multiplied():
    weigh = tfmixup.weight_by_class(WEIGHTS)
    given = np.array([1.0, 2.0, 3.0, 4.0])
    assert weights_of(dataset(X, IDS, given).map(weigh)) == [1, 10, 1.5, 20]
    dicts = dataset(X, IDS, given).map(
        lambda x, y, w: {"image": x, "label": y, "sample_weight": w, "id": y}
    )
    got = [float(e["sample_weight"]) for e in dicts.map(weigh)]
    assert got == [1, 10, 1.5, 20]


def test_keys_of_dict_elements():
    dicts = dataset(X, IDS).map(lambda x, y: {"x": x, "digit": y})
    weigh = tfmixup.weight_by_class(WEIGHTS, label_key="digit", weight_key="w")
    weighted = dicts.map(weigh)
    assert sorted(weighted.element_spec) == ["digit", "w", "x"]
    assert [float(e["w"]) for e in weighted] == [1, 5, 0.5, 5]


@pytest.mark.parametrize("jit", [True, False])
def test_weights_mix_by_lambda(jit):
    mixer = tfmixup.MixUp(num_classes=3, jit_compile=jit)
    batch = next(iter(dataset(X, IDS).map(tfmixup.weight_by_class(WEIGHTS)).batch(4)))
    partner = np.array([1, 2, 3, 0], np.int32)
    lam = np.array([0.0, 0.25, 0.5, 0.9], np.float32)
    params = tfmixup.MixUpParams(tf.constant(lam))
    _, y, w = mixer.apply_in_batch(batch, tf.constant(partner), params)
    own = np.array([1, 5, 0.5, 5])
    np.testing.assert_allclose(w, lam * own + (1 - lam) * own[partner], rtol=1e-6)
    # What the classes have of the loss, λ·w_i and (1 − λ)·w_j, is λ and 1 − λ of them.
    np.testing.assert_allclose(w * (y.numpy() @ [1, 1 / 5, 1 / 0.5]), 1, rtol=1e-6)


def test_dict_elements_mix_the_weight_as_a_target():
    dicts = dataset(X, IDS).map(lambda x, y: {"image": x, "label": y})
    weighted = dicts.map(tfmixup.weight_by_class(WEIGHTS))
    mixer = tfmixup.MixUp(
        1.0, num_classes=3, target_keys=("label", "sample_weight"), jit_compile=False
    )
    for batch in weighted.apply(tfmixup.two_streams(mixer, 4, seed=1)).repeat(3):
        shares = batch["label"].numpy() @ [1, 1 / 5, 1 / 0.5]
        np.testing.assert_allclose(batch["sample_weight"] * shares, 1, rtol=1e-6)


def test_keras_weighs_the_loss_by_the_mixed_weight():
    """Against the weighted mean of cross-entropies, in NumPy."""
    weighted = dataset(X, IDS).map(tfmixup.weight_by_class(WEIGHTS))
    mixer = tfmixup.MixUp(1.0, num_classes=3)
    mixed = weighted.apply(tfmixup.two_streams(mixer, 4, seed=1)).take(1).cache()
    model = keras.Sequential([keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    loss = model.evaluate(mixed, verbose=0)
    x, y, w = next(mixed.as_numpy_iterator())
    assert len(set(w)) > 2
    each = -(y * np.log(model.predict(x, verbose=0))).sum(axis=1)
    # Keras divides by the number of examples, not by the sum of weights.
    np.testing.assert_allclose(loss, (w * each).sum() / len(w), rtol=1e-5)
    model.fit(mixed, verbose=0)


@pytest.mark.parametrize("classes", [{0: 1.0, 2: 2.0}, {0: 1.0}, [1.0]])
def test_a_class_without_a_weight_raises(classes):
    weighted = dataset(X, IDS).map(tfmixup.weight_by_class(classes))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a class has no weight"):
        weights_of(weighted)
    negative = dataset(X, IDS - 1).map(tfmixup.weight_by_class(WEIGHTS))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a class has no weight"):
        weights_of(negative)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (5.0, TypeError, "class_weight must be a dict"),
        ("ab", TypeError, "class_weight must be a dict"),
        ({}, TypeError, "class_weight must be a dict"),
        ({"cat": 1.0}, ValueError, "keys must be class ids.*'cat'"),
        ({-1: 1.0}, ValueError, "keys must be class ids.*-1"),
        ({0: -1.0}, ValueError, "finite numbers >= 0, got -1.0 for class 0"),
        ([1.0, np.nan], ValueError, "got nan for class 1"),
        ({0: "1"}, ValueError, "got '1' for class 0"),
    ],
)
def test_bad_weights(weights, error, message):
    with pytest.raises(error, match=f"tfmixup.weight_by_class: .*{message}"):
        tfmixup.weight_by_class(weights)


def test_labels_that_have_no_class():
    weigh = tfmixup.weight_by_class(WEIGHTS)
    for labels in (X, X[:, 0], np.zeros([4, 2, 2, 1], int), np.array(["a"] * 4)):
        with pytest.raises(ValueError, match="labels must be class ids"):
            dataset(X, labels).map(weigh)
    for shape in ((4, 3), (4, 2, 2)):
        with pytest.raises(ValueError, match="labels must be class ids, integers"):
            dataset(X, np.ones(shape, "int32")).batch(4).map(weigh)
    with pytest.raises(ValueError, match="a weight for every class"):
        dataset(X, np.eye(4, 3, dtype="float32")).map(
            tfmixup.weight_by_class({0: 1.0, 2: 1.0})
        )
    with pytest.raises(KeyError, match="label_key"):
        dataset(X, IDS).map(lambda x, y: {"x": x}).map(weigh)
    with pytest.raises(ValueError, match="one weight an example"):
        dataset(X, IDS, np.ones([4, 2])).map(weigh)


def test_a_batch_of_one_keeps_its_dimension():
    one = dataset(X, IDS).batch(1, drop_remainder=True)
    weighted = one.map(tfmixup.weight_by_class(WEIGHTS))
    assert weighted.element_spec[2].shape == [1]
    assert [float(w[0]) for _, _, w in weighted] == [1, 5, 0.5, 5]
