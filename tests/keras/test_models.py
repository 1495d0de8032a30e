"""PairModel: what `fit` and `evaluate` make of pairs of targets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.keras.references import combine, cross_entropy
from tfmixup.keras import MixedAccuracy, PairLoss, PairModel

LAM = np.array([0.0, 0.25, 0.5, 0.9, 1.0], np.float32)
SIZE, CLASSES = len(LAM), 4
SPARSE = "sparse_categorical_crossentropy"


def net(outputs=CLASSES, penalty=None, seed=1):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.layers.Dense(6, "tanh", kernel_regularizer=penalty),
            keras.layers.Dense(outputs, "softmax"),
        ]
    )


def classes(n=36, weights=False):
    rng = np.random.default_rng(8)
    parts = (rng.normal(size=(n, 3)).astype(np.float32), np.arange(n) % CLASSES)
    if weights:
        parts += (rng.uniform(size=n).astype(np.float32),)
    return tf.data.Dataset.from_tensor_slices(parts)


def streams(weights=False, **arguments):
    stream = tfmixup.two_streams(tfmixup.MixUp(1.0, **arguments), 8, seed=3)
    return classes(weights=weights).apply(stream)


def train(model, ds, loss, metrics, *, epochs=2, validation_data=None, **arguments):
    """The history. Arguments are compile's."""
    arguments = {
        "optimizer": keras.optimizers.SGD(0.5),
        "jit_compile": False,
    } | arguments
    model.compile(loss=loss, metrics=metrics, **arguments)
    return model.fit(
        ds, epochs=epochs, verbose=0, shuffle=False, validation_data=validation_data
    ).history


@pytest.mark.parametrize(
    ("jit", "weights", "one_hot"), [(True, False, False), (False, True, True)]
)
def test_fit_on_pairs_is_fit_on_soft_labels(jit, weights, one_hot):
    """Two equal nets, the same λ and partners: weights and curves alike."""
    on_pairs, on_soft = net(penalty="l2"), net(penalty="l2")
    pairs = train(
        PairModel(on_pairs),
        streams(weights, targets="pair", num_classes=CLASSES if one_hot else None),
        "categorical_crossentropy" if one_hot else SPARSE,
        [MixedAccuracy(name="accuracy")] if one_hot else ["accuracy"],
        jit_compile=jit,
    )
    soft = train(
        on_soft,
        streams(weights, num_classes=CLASSES),
        "categorical_crossentropy",
        None,
        jit_compile=jit,
        weighted_metrics=[MixedAccuracy()],
    )
    np.testing.assert_allclose(pairs["loss"], soft["loss"], rtol=1e-6)
    np.testing.assert_allclose(pairs["accuracy"], soft["mixed_accuracy"], rtol=1e-5)
    for mine, theirs in zip(on_pairs.get_weights(), on_soft.get_weights()):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_training_reaches_the_model():
    model = keras.Sequential([keras.layers.Dropout(0.5)])
    wrapped, x = PairModel(model), np.ones([50, 9], np.float32)
    np.testing.assert_array_equal(wrapped(x, training=False), x)
    # All 450 are kept with probability 2^-450.
    assert np.any(wrapped(x, training=True) != x)


def test_is_built_with_its_model():
    model = PairModel(net())
    assert not model.built
    model.build((None, 3))
    assert model.model.built
    assert PairModel(model.model).built


def test_penalties_count_once():
    model = PairModel(net(penalty="l2"))
    x, y = next(iter(streams(targets="pair")))
    model.compile("sgd", SPARSE)
    model(x)
    total = model.compute_loss(x, y, model(x), None)
    bare = PairLoss(SPARSE)(y, model(x))
    penalty = 0.01 * np.sum(model.model.layers[0].kernel.numpy() ** 2)
    assert float(total - bare) == pytest.approx(penalty, rel=1e-4)


@pytest.mark.parametrize("unmixed", ["labels", "pairs"])
def test_validation_data_have_their_plain_loss(unmixed):
    plain = classes().batch(10)
    if unmixed == "pairs":
        plain = plain.map(tfmixup.MixUp(alpha=0, targets="pair"))
    inner = net()
    wrapped = PairModel(inner)
    loss, metrics = SPARSE, ["accuracy"]
    history = train(
        wrapped, streams(targets="pair"), loss, metrics, validation_data=plain
    )
    inner.compile("sgd", loss, metrics=metrics)
    expected = inner.evaluate(classes().batch(10), verbose=0, return_dict=True)
    assert history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(expected["accuracy"], rel=1e-5)
    assert wrapped.predict(plain, verbose=0).shape == (36, CLASSES)


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
def test_metrics_of_pairs_are_the_label_mass(argument):
    x, (first, second, lam) = next(streams(targets="pair").as_numpy_iterator())
    model = PairModel(net())
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)]
    model.compile(loss=SPARSE, **{argument: metrics})
    got = model.evaluate(x, (first, second, lam), verbose=0, return_dict=True)
    ranks = np.argsort(-np.asarray(model(x)), axis=-1)
    for name, k in (("accuracy", 1), ("sparse_top_k_categorical_accuracy", 2)):
        hits = [
            (ranks[:, :k] == np.asarray(y)[:, None]).any(1) for y in (first, second)
        ]
        want = combine(lam, *hits).mean()
        assert got[name] == pytest.approx(want, abs=1e-6)


def two_outputs(structure):
    """A PairModel of a classifier `a` and a regression `b`, compiled."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input([3])
    outputs = {
        "a": keras.layers.Dense(CLASSES, "softmax", name="a")(inputs),
        "b": keras.layers.Dense(1, name="b")(inputs),
    }
    losses, metrics = {"a": SPARSE, "b": "mse"}, {"a": ["accuracy"], "b": ["mae"]}
    weights = {"a": 1.0, "b": 0.5}
    if structure != "dict":
        outputs = list(outputs.values())
    if structure == "list":
        losses, weights, metrics = (
            list(nest.values()) for nest in (losses, weights, metrics)
        )
    model = PairModel(keras.Model(inputs, outputs))
    model.compile("sgd", losses, weights, metrics=metrics)
    return model


def output_data():
    """Features, pairs for `a` and for `b`, sample weights for both."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(SIZE, 3)).astype(np.float32)
    a = (*rng.integers(0, CLASSES, (2, SIZE)), LAM)
    b = (*rng.normal(size=(2, SIZE, 1)).astype(np.float32), LAM)
    return x, a, b, *rng.uniform(size=(2, SIZE)).astype(np.float32)


# "by name": outputs in a list, losses and labels by the outputs' names.
@pytest.mark.parametrize("structure", ["dict", "list", "by name"])
@pytest.mark.parametrize("b_is", ["pair", "plain"])
@pytest.mark.parametrize("weighted", [False, True])
def test_several_outputs(structure, b_is, weighted):
    """A pair for each output, or a plain label; losses as Keras reports them."""
    x, a, b, weights_a, weights_b = output_data()
    if not weighted:
        weights_a, weights_b = np.ones([2, SIZE], np.float32)
    model = two_outputs(structure)
    p = model(x)
    p_a, p_b = (np.asarray(q) for q in (p.values() if structure == "dict" else p))
    want_a = weights_a * combine(LAM, *(cross_entropy(y, p_a) for y in a[:2]))
    hits = combine(LAM, *(p_a.argmax(axis=-1) == y for y in a[:2]))
    errors = [abs(y - p_b)[:, 0] for y in b[:2]]
    if b_is == "plain":
        b, errors = b[0], errors[:1] * 2
    want_b = weights_b * combine(LAM, *(e**2 for e in errors))
    nest = tuple if structure == "list" else lambda pair: dict(zip("ab", pair))
    if structure == "by name":  # in another order than the outputs

        def nest(pair):
            return {"b": pair[1], "a": pair[0]}

    elements = (x, nest((a, b)))
    if weighted:
        elements += (nest((weights_a, weights_b)),)
    ds = tf.data.Dataset.from_tensors(elements)
    got = model.evaluate(ds, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(want_a.mean() + 0.5 * want_b.mean(), rel=1e-5)
    assert got["a_loss"] == pytest.approx(want_a.mean(), rel=1e-5)
    assert got["b_loss"] == pytest.approx(want_b.mean(), rel=1e-5)
    want = np.average(hits, weights=weights_a)
    assert got["a_accuracy"] == pytest.approx(want, abs=1e-6)
    want = np.average(combine(LAM, *errors), weights=weights_b)
    assert got["b_mae"] == pytest.approx(want, rel=1e-5)


class Weights(keras.metrics.Sum):
    """The sum of the weights that a metric gets."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        assert len(sample_weight.shape) == 1
        super().update_state(sample_weight)


def test_metrics_count_every_example_once():
    """λ + (1 − λ) for a pair, and 1 + 0 for a plain label."""
    x, a, b, *_ = output_data()
    model = two_outputs("dict")
    metrics = {"a": [Weights("n")], "b": [Weights("n")]}
    model.compile(loss={"a": SPARSE, "b": "mse"}, metrics=metrics)
    ds = tf.data.Dataset.from_tensors((x, {"a": a, "b": b[0]}))
    got = model.evaluate(ds, verbose=0, return_dict=True)
    assert [got["a_n"], got["b_n"]] == pytest.approx([SIZE, SIZE], rel=1e-6)


class Rank(keras.metrics.Mean):
    """The rank of the weights that a metric gets."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(float(len(sample_weight.shape)))


def test_each_output_in_a_list_has_weights_of_its_own_rank():
    """(B, 1) where predictions are steps (B, T, C), so that a mask (B, T) fits."""
    inputs = keras.Input([6, 3])
    steps = keras.layers.Dense(CLASSES, "softmax", name="steps")(inputs)
    whole = keras.layers.Dense(1, name="whole")(keras.layers.Flatten()(inputs))
    model = PairModel(keras.Model(inputs, [steps, whole]))
    model.compile("sgd", [SPARSE, "mse"], metrics=[[Rank("rank")], [Rank("rank")]])
    x, _, b, *_ = output_data()
    ids = np.zeros([SIZE, 6], int)
    ds = tf.data.Dataset.from_tensors((np.stack([x] * 6, 1), ((ids, ids, LAM), b)))
    got = model.evaluate(ds, verbose=0, return_dict=True)
    assert (got["steps_rank"], got["whole_rank"]) == (2, 1)


def test_several_outputs_of_a_mixer_are_trained():
    ds = classes().map(lambda x, y: (x, {"a": y, "b": x[:1]}))
    stream = tfmixup.two_streams(tfmixup.MixUp(1.0, targets="pair"), 12, seed=1)
    history = two_outputs("dict").fit(
        ds.apply(stream), epochs=20, verbose=0, shuffle=False
    )
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize("shape", [(SIZE,), (SIZE, 1)], ids=str)
def test_sample_weights_of_arrays(shape):
    """Keras repeats them for each part of the pair, as it would for three outputs."""
    x, a, _, weights, _ = output_data()
    given = weights.reshape(shape)
    model = PairModel(net())
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    p = np.asarray(model(x))
    got = model.evaluate(x, a, sample_weight=given, verbose=0, return_dict=True)
    values = weights * combine(LAM, *(cross_entropy(y, p) for y in a[:2]))
    assert got["loss"] == pytest.approx(values.mean(), rel=1e-5)
    hits = combine(LAM, *(p.argmax(axis=-1) == y for y in a[:2]))
    want = np.average(hits, weights=weights)
    assert got["accuracy"] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("inner", [None, (1,), (6,)], ids=str)
def test_masked_steps_have_no_loss(inner):
    """With sample weights (B, 1), (B, T) and without."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            keras.layers.Dense(CLASSES, "softmax"),
        ]
    )
    rng = np.random.default_rng(9)
    x = rng.normal(size=(SIZE, 6, 3)).astype(np.float32)
    x[:, 4:] = 0
    ids = rng.integers(0, CLASSES, (2, SIZE, 6))
    given = None if inner is None else rng.uniform(size=(SIZE, *inner))
    wrapped = PairModel(model)
    wrapped.compile("sgd", SPARSE, metrics=["accuracy"])
    p = model(x).numpy()
    weights = np.ones([SIZE, 6])
    if given is not None:
        weights = weights * given.reshape([SIZE, -1])
    weights = weights[:, :4]
    values = combine(LAM, *(cross_entropy(y, p) for y in ids))[:, :4]
    elements = (x, (*ids, LAM)) if given is None else (x, (*ids, LAM), given)
    ds = tf.data.Dataset.from_tensors(elements)
    got = wrapped.evaluate(ds, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx((weights * values).mean(), rel=1e-5)
    right = combine(LAM, *(p.argmax(axis=-1) == y for y in ids))[:, :4]
    want = np.average(right, weights=weights)
    assert got["accuracy"] == pytest.approx(want, rel=1e-5)


def test_one_loss_for_all_steps_takes_one_sample_weight():
    """As CTC has it: predictions (B, T, C), a loss and sample weights (B,)."""

    def squares(y_true, y_pred):
        return keras.ops.mean((y_true - y_pred) ** 2, axis=(1, 2))

    rng = np.random.default_rng(12)
    x, *y = rng.normal(size=(3, SIZE, 6, 2)).astype(np.float32)
    weights = rng.uniform(size=SIZE).astype(np.float32)
    model = PairModel(keras.Sequential([keras.layers.Dense(2)]))
    metric = keras.metrics.MeanMetricWrapper(squares, name="squares")
    model.compile("sgd", squares, metrics=[metric])
    values = combine(
        LAM, *(((part - model(x)) ** 2).numpy().mean((1, 2)) for part in y)
    )
    ds = tf.data.Dataset.from_tensors((x, (*y, LAM), weights))
    got = model.evaluate(ds, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx((weights * values).mean(), rel=1e-5)
    want = np.average(values, weights=weights)
    assert got["squares"] == pytest.approx(want, rel=1e-5)


def test_saved_and_loaded_models_train_on(tmp_path):
    model = PairModel(net())
    pairs = streams(targets="pair")
    sparse = keras.losses.SparseCategoricalCrossentropy()
    # Adam's state is lost unless the optimizer is built before it is loaded.
    adam = keras.optimizers.Adam(0.1)
    train(model, pairs, sparse, ["accuracy"], optimizer=adam)
    model.save(tmp_path / "pair.keras")
    loaded = keras.models.load_model(tmp_path / "pair.keras")
    assert isinstance(loaded, PairModel)
    assert isinstance(loaded.loss, PairLoss)
    assert isinstance(loaded.loss.loss, keras.losses.SparseCategoricalCrossentropy)
    x = np.ones([2, 3], np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))
    # The optimizer's steps too: both go on alike.
    test = classes().batch(10)
    assert loaded.evaluate(test, verbose=0) == model.evaluate(test, verbose=0)
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 8
    for again in (loaded, model):
        again.fit(streams(targets="pair"), verbose=0, shuffle=False)
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
    model.save_weights(tmp_path / "pair.weights.h5")
    fresh = PairModel(net(seed=7))
    fresh(x)
    fresh.load_weights(tmp_path / "pair.weights.h5")
    np.testing.assert_array_equal(fresh(x), model(x))
    # What is trained is the model within, which needs no tfmixup.
    model.model.save(tmp_path / "plain.keras")
    plain = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(plain(x), model(x))


def test_comes_back_from_its_config():
    model = PairModel(net(), name="trainer")
    config = keras.saving.serialize_keras_object(model)
    assert config["registered_name"] == "tfmixup>PairModel"
    again = keras.saving.deserialize_keras_object(config)
    assert again.name == "trainer"
    assert [type(layer) for layer in again.model.layers] == [keras.layers.Dense] * 2


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = PairModel(net())
        loss = SPARSE
        history = train(model, streams(targets="pair"), loss, ["accuracy"], epochs=1)
    finally:
        keras.config.set_dtype_policy(before)
    full = train(
        PairModel(net()), streams(targets="pair"), loss, ["accuracy"], epochs=1
    )
    assert history["loss"] == pytest.approx(full["loss"], rel=0.02)


@pytest.mark.slow
def test_ctc_is_learnt_by_fit():
    """Two tones a sound, told in order, with padding among the labels."""
    rng = np.random.default_rng(10)
    labels = np.array([rng.integers(1, 4, 2) for _ in range(64)])
    labels[::4, 1] = 0
    x = np.zeros([64, 8, 4], np.float32)
    for row, (a, b) in enumerate(labels):
        x[row, 1:3, a], x[row, 5:7, b] = 1, 1
    ds = tf.data.Dataset.from_tensor_slices((x, labels))
    mixer = tfmixup.MixUp(0.2, targets="pair", probability=0.5)
    pairs = ds.apply(tfmixup.two_streams(mixer, 16, seed=1))
    keras.utils.set_random_seed(1)
    model = PairModel(keras.Sequential([keras.layers.Conv1D(4, 3, padding="same")]))
    model.compile(keras.optimizers.Adam(0.05), keras.losses.CTC())
    history = model.fit(pairs, epochs=15, verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < 0.5 * history[0]
    plain = model.evaluate(ds.batch(16), verbose=0)
    assert plain < 1.0


@pytest.mark.parametrize("built", [True, False])
def test_export_is_that_of_the_model(built, tmp_path):
    inner = net()
    if built:
        inner.build((None, 3))
    model = PairModel(inner)
    train(model, streams(targets="pair"), SPARSE, None, epochs=1)
    model.export(tmp_path / "model", verbose=False)
    x = np.ones([2, 3], np.float32)
    loaded = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.serve(x), model.predict(x, verbose=0), rtol=1e-5)


def test_keras_2():
    tf_keras = pytest.importorskip("tf_keras")

    class Mine(tf_keras.Model):
        pass

    message = (
        r"must be of Keras 3 \(import keras\), got .* of tf_keras, which is Keras 2"
    )
    model = PairModel(net())
    for name, call in [
        ("model", lambda: PairModel(tf_keras.Sequential())),
        ("model", lambda: PairModel(Mine())),
        ("optimizer", lambda: model.compile(tf_keras.optimizers.SGD(), SPARSE)),
        (
            "metrics",
            lambda: model.compile(
                "sgd", SPARSE, metrics=[tf_keras.metrics.MeanSquaredError()]
            ),
        ),
    ]:
        with pytest.raises(TypeError, match=rf"PairModel: {name} {message}"):
            call()
    for loss in (tf_keras.losses.MeanSquaredError(), tf_keras.losses.mse):
        with pytest.raises(TypeError, match=f"PairLoss: loss {message}"):
            PairLoss(loss)


def test_model_errors():
    with pytest.raises(TypeError, match=r"model must be a keras\.Model, got Dense"):
        PairModel(keras.layers.Dense(2))
    model = PairModel(net())
    with pytest.raises(ValueError, match="loss='crossentropy' does not say which"):
        model.compile(loss="crossentropy")
    with pytest.raises(ValueError, match="mean the same here"):
        model.compile(loss="mse", metrics=["mae"], weighted_metrics=["mse"])
