"""MixedAccuracy, and Keras models trained on mixed data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tfmixup.keras import MixedAccuracy


def reference(labels, predictions, weights=None):
    """The label mass on the predicted class, example after example."""
    labels, predictions = (np.asarray(a, np.float64) for a in (labels, predictions))
    masses = np.empty(labels.shape[:-1])
    for index in np.ndindex(*masses.shape):
        best = max(range(labels.shape[-1]), key=lambda c: predictions[index][c])
        masses[index] = labels[index][best]
    if weights is None:
        return masses.mean()
    weights = np.broadcast_to(weights, masses.shape)
    return (masses * weights).sum() / weights.sum()


def mixed_labels(rng, *shape):
    """λ·one_hot + (1 − λ)·one_hot'."""
    lam = rng.uniform(size=(*shape[:-1], 1))
    classes = rng.integers(0, shape[-1], (2, *shape[:-1]))
    one, other = np.eye(shape[-1])[classes]
    return (lam * one + (1 - lam) * other).astype(np.float32)


def value(metric):
    return float(metric.result())


# The metric ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 5), (1, 2), (16, 7, 4), (4, 3, 2, 5)], ids=str)
@pytest.mark.parametrize("logits", [False, True])
def test_metric_is_the_label_mass_on_the_prediction(shape, logits):
    rng = np.random.default_rng(1)
    labels = mixed_labels(rng, *shape)
    predictions = rng.normal(size=shape).astype(np.float32)
    if not logits:
        predictions = np.exp(predictions)
        predictions /= predictions.sum(axis=-1, keepdims=True)
    metric = MixedAccuracy()
    metric.update_state(labels, predictions)
    assert value(metric) == pytest.approx(reference(labels, predictions), abs=1e-6)


def test_metric_on_one_hot_labels_is_accuracy():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 4, 200)
    predictions = rng.normal(size=(200, 4)) + np.eye(4)[classes]
    metric = MixedAccuracy()
    metric.update_state(np.eye(4)[classes], predictions)
    expected = np.mean(predictions.argmax(axis=1) == classes)
    assert 0.3 < expected < 0.9
    assert value(metric) == pytest.approx(expected, abs=1e-6)


def test_metric_over_uneven_batches_is_the_mean_over_examples():
    rng = np.random.default_rng(3)
    labels, predictions = mixed_labels(rng, 30, 5), rng.normal(size=(30, 5))
    metric = MixedAccuracy()
    for part in (slice(0, 16), slice(16, 29), slice(29, 30)):
        metric.update_state(labels[part], predictions[part])
    assert value(metric) == pytest.approx(reference(labels, predictions), abs=1e-6)
    metric.reset_state()
    metric.update_state(labels[:3], predictions[:3])
    first = reference(labels[:3], predictions[:3])
    assert value(metric) == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("weights_shape", [(8,), (8, 1), (8, 6)], ids=str)
def test_metric_with_sample_weights(weights_shape):
    rng = np.random.default_rng(11)
    labels, predictions = mixed_labels(rng, 8, 6, 5), rng.normal(size=(8, 6, 5))
    weights = rng.uniform(0, 3, size=weights_shape)
    metric = MixedAccuracy()
    metric.update_state(labels, predictions, sample_weight=weights)
    per_position = weights[:, None] if weights.ndim == 1 else weights
    expected = reference(labels, predictions, per_position)
    assert value(metric) == pytest.approx(expected, abs=1e-6)
    assert abs(expected - reference(labels, predictions)) > 1e-3


@pytest.mark.parametrize("dtype", ["int32", "float16", "float64"])
def test_metric_takes_other_dtypes_of_labels(dtype):
    labels = np.eye(3)[[0, 1, 2, 0]].astype(dtype)
    predictions = np.eye(3)[[0, 2, 2, 0]].astype(np.float32)
    metric = MixedAccuracy()
    metric.update_state(labels, predictions)
    assert value(metric) == 0.75


@pytest.mark.parametrize(
    ("labels", "predictions", "came"),
    [
        ((8,), (8, 3), r"\(8,\) and \(8, 3\)"),
        ((8, 1), (8, 3), r"\(8, 1\) and \(8, 3\)"),
        ((8, 4), (8, 3), r"\(8, 4\) and \(8, 3\)"),
        ((8, 3), (8, 1), r"\(8, 3\) and \(8, 1\)"),
        ((8, 3), (1, 3), r"\(8, 3\) and \(1, 3\)"),
        ((8, 3), (8, 6, 3), r"\(8, 3\) and \(8, 6, 3\)"),
        ((8, 1, 3), (8, 6, 3), r"\(8, 1, 3\) and \(8, 6, 3\)"),
        ((), (), r"\(\) and \(\)"),
    ],
    ids=str,
)
def test_metric_refuses_shapes_that_differ(labels, predictions, came):
    message = (
        rf"^tfmixup\.keras\.MixedAccuracy: labels and pred.*, got {came}\. One-hot"
    )
    with pytest.raises(ValueError, match=message):
        MixedAccuracy().update_state(np.zeros(labels), np.zeros(predictions))


@pytest.mark.parametrize("shape", [(8, 1), (8, 6, 1)], ids=str)
def test_metric_refuses_a_single_output(shape):
    message = r"^tfmixup\.keras\.MixedAccuracy: predictions have one output.*BinaryAcc"
    with pytest.raises(ValueError, match=message):
        MixedAccuracy().update_state(np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize(
    "arguments", [{}, {"name": "acc", "dtype": "float64"}], ids=str
)
def test_metric_from_its_config(arguments):
    metric = MixedAccuracy(**arguments)
    again = MixedAccuracy.from_config(metric.get_config())
    for m in (metric, again):
        assert m.name == arguments.get("name", "mixed_accuracy")
        assert m.dtype == arguments.get("dtype", "float32")
        m.update_state([[0.25, 0.75]], [[0.9, 0.1]])
        assert value(m) == 0.25


def test_metric_is_deserialized_by_name():
    config = keras.saving.serialize_keras_object(MixedAccuracy(name="acc"))
    assert config["registered_name"] == "tfmixup>MixedAccuracy"
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is MixedAccuracy
    assert again.name == "acc"


# Models ----------------------------------------------------------------------------

N, CLASSES = 240, 3


@pytest.fixture(scope="module")
def problem():
    """Three overlapping clouds: features, class ids."""
    rng = np.random.default_rng(5)
    classes = np.arange(N) % CLASSES
    centres = np.array([[2, 0], [-1, 1.7], [-1, -1.7]])
    features = centres[classes] + rng.normal(size=(N, 2))
    return features.astype(np.float32), classes


def dataset(problem, weights=False):
    features, classes = problem
    columns = (features, classes)
    if weights:
        columns += (1 + classes.astype(np.float32),)
    return tf.data.Dataset.from_tensor_slices(columns)


def train_batches(problem, route, weights=False, seed=6):
    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES)
    examples = dataset(problem, weights)
    if route == "two_streams":
        return examples.apply(tfmixup.two_streams(mixer, 24, seed=seed))
    batches = examples.shuffle(N, seed=7).batch(24, drop_remainder=True)
    return batches.apply(tfmixup.in_batch(mixer, seed=seed))


def validation_batches(problem, weights=False):
    unmixed = tfmixup.MixUp(0, num_classes=CLASSES)
    return dataset(problem, weights).batch(50).map(unmixed)


def compiled_model(**weighted):
    start = keras.initializers.GlorotUniform(seed=8)
    layer = keras.layers.Dense(CLASSES, "softmax", kernel_initializer=start)
    model = keras.Sequential([keras.Input([2]), layer])
    model.compile(
        optimizer=keras.optimizers.SGD(0.3),
        loss="categorical_crossentropy",
        metrics=[MixedAccuracy()],
        **weighted,
    )
    return model


class Steps(keras.callbacks.Callback):
    """Notes the total that a progress bar is shown, and the batches there were."""

    def on_train_begin(self, logs=None):
        self.totals, self.batches = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.totals.append(self.params["steps"])
        self.batches.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches[-1] += 1


@pytest.mark.parametrize("route", ["two_streams", "in_batch"])
@pytest.mark.parametrize("weights", [False, True], ids=["plain", "weighted"])
def test_fit_lowers_the_loss(problem, route, weights):
    model = compiled_model()
    before, accuracy_before = model.evaluate(validation_batches(problem), verbose=0)
    steps = Steps()
    history = model.fit(
        train_batches(problem, route, weights),
        epochs=4,
        validation_data=validation_batches(problem),
        callbacks=[steps],
        verbose=0,
    ).history
    # Measured: 1.31 before, 0.28 to 0.29 after, accuracy 0.91 to 0.93. Seeds are fixed.
    assert history["val_loss"][-1] < 0.5 * before
    assert np.mean(history["loss"][1:]) < history["loss"][0]
    assert history["val_mixed_accuracy"][-1] > max(0.8, accuracy_before)
    # The total is known before the first epoch is over, and right.
    assert steps.totals == steps.batches == [N // 24] * 4


def test_fit_validation_metric_is_accuracy(problem):
    features, classes = problem
    model = compiled_model()
    history = model.fit(
        train_batches(problem, "two_streams"),
        epochs=2,
        validation_data=validation_batches(problem),
        verbose=0,
    ).history
    predicted = model.predict(features, verbose=0)
    accuracy = np.mean(predicted.argmax(axis=1) == classes)
    assert history["val_mixed_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)
    loss = -np.log(predicted[np.arange(N), classes]).mean()
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-4)


def test_fit_weighs_metric_by_mixed_sample_weights(problem):
    model = compiled_model(weighted_metrics=[MixedAccuracy(name="weighted")])
    # The same seeds: evaluate sees the batches that are listed here.
    batches = list(train_batches(problem, "in_batch", weights=True))
    labels, weights = (np.concatenate([b[k] for b in batches]) for k in (1, 2))
    features = np.concatenate([b[0] for b in batches])
    got = model.evaluate(
        train_batches(problem, "in_batch", weights=True), return_dict=True, verbose=0
    )
    predictions = model.predict(features, verbose=0)
    # λ·w_i + (1 − λ)·w_j with w = 1 + class: the mixed labels tell.
    np.testing.assert_allclose(weights, labels @ [1, 2, 3], atol=1e-5)
    for name, per_example in (("mixed_accuracy", None), ("weighted", weights)):
        expected = reference(labels, predictions, per_example)
        assert got[name] == pytest.approx(expected, abs=1e-5)
    cross_entropy = -(labels * np.log(predictions)).sum(axis=1)
    expected = (weights * cross_entropy).mean()
    assert got["loss"] == pytest.approx(expected, rel=1e-4)


def test_metric_on_mixed_sequence_targets():
    # (B, T, C) where T = B.
    rng = np.random.default_rng(9)
    features = rng.normal(size=(24, 6, 2)).astype(np.float32)
    examples = tf.data.Dataset.from_tensor_slices(
        (features, mixed_labels(rng, 24, 6, CLASSES))
    )

    def batches():
        return examples.apply(tfmixup.two_streams(tfmixup.MixUp(1.0), 6, seed=10))

    model = keras.Sequential([keras.layers.Dense(CLASSES, "softmax")])
    model.compile(loss="categorical_crossentropy", metrics=[MixedAccuracy()])
    got = model.evaluate(batches(), return_dict=True, verbose=0)
    features, labels = (np.concatenate(part) for part in zip(*batches()))
    expected = reference(labels, model.predict(features, verbose=0))
    assert got["mixed_accuracy"] == pytest.approx(expected, abs=1e-5)


def test_metric_where_the_number_of_classes_is_not_static(problem):
    features, classes = problem
    one_hot = np.eye(CLASSES, dtype=np.float32)[classes]
    spec = (tf.TensorSpec([None, 2]), tf.TensorSpec([None, None]))
    batches = tf.data.Dataset.from_generator(
        lambda: iter([(features, one_hot)]), output_signature=spec
    )
    model = compiled_model()
    got = model.evaluate(batches, return_dict=True, verbose=0)
    predicted = model.predict(features, verbose=0).argmax(axis=1)
    expected = np.mean(predicted == classes)
    assert got["mixed_accuracy"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("monitor", ["mixed_accuracy", "val_mixed_accuracy"])
def test_callbacks_know_that_more_is_better(problem, monitor):
    stop = keras.callbacks.EarlyStopping(monitor=monitor, mode="auto", patience=3)
    compiled_model().fit(
        train_batches(problem, "two_streams").take(2),
        validation_data=validation_batches(problem),
        callbacks=[stop],
        verbose=0,
    )
    assert stop.monitor_op(0.9, 0.8)
    assert not stop.monitor_op(0.8, 0.9)


def test_saved_model_brings_its_metric_back(problem, tmp_path):
    model = compiled_model()
    model.fit(train_batches(problem, "two_streams"), epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")

    validation = validation_batches(problem)
    expected = model.evaluate(validation, return_dict=True, verbose=0)
    assert "mixed_accuracy" in expected
    got = again.evaluate(validation, return_dict=True, verbose=0)
    assert got == pytest.approx(expected, abs=1e-6)
    # It trains on, compiled as it was.
    history = again.fit(train_batches(problem, "two_streams"), epochs=3, verbose=0)
    assert again.evaluate(validation, verbose=0)[0] < expected["loss"]
    assert "mixed_accuracy" in history.history
