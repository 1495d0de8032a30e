"""targets="pair", and the loss and model that train on it."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tfmixup.keras import MixedAccuracy, PairLoss, PairModel

LAM = np.array([0.0, 0.25, 0.5, 0.9, 1.0], np.float32)
SIZE, CLASSES = len(LAM), 4
IDS = np.array([[0, 1, 2, 3, 1], [3, 1, 0, 2, 2]])
JIT = [True, False, "auto"]
X = (np.zeros([SIZE, 3], np.float32), np.ones([SIZE, 3], np.float32))


def params(lam=LAM):
    return tfmixup.MixUpParams(lam=tf.constant(lam, tf.float32))


# The pipeline


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32"])
def test_both_targets_are_kept_untouched(jit, shape, dtype):
    y = np.random.default_rng(1).integers(0, 99, (2, SIZE, *shape)).astype(dtype)
    mixer = tfmixup.MixUp(targets="pair", jit_compile=jit)
    for lam in (LAM, LAM[1:2]):
        x, got = mixer.apply((X[0], y[0]), (X[1], y[1]), params(lam))
        assert isinstance(got, tuple)
        assert [part.dtype for part in got] == [dtype, dtype, tf.float32]
        np.testing.assert_array_equal(got[0], y[0])
        np.testing.assert_array_equal(got[1], y[1])
        np.testing.assert_array_equal(got[2], np.broadcast_to(lam, SIZE))
        np.testing.assert_allclose(x[:, 0], 1 - np.broadcast_to(lam, SIZE))


def test_class_ids_are_one_hot_where_asked():
    mixer = tfmixup.MixUp(targets="pair", num_classes=CLASSES, label_smoothing=0.1)
    _, (one, other, _) = mixer.apply((X[0], IDS[0]), (X[1], IDS[1]), params())
    np.testing.assert_allclose(one, 0.9 * np.eye(CLASSES)[IDS[0]] + 0.025, rtol=1e-6)
    np.testing.assert_allclose(other, 0.9 * np.eye(CLASSES)[IDS[1]] + 0.025, rtol=1e-6)


def examples(n=10):
    """x tells the example; its label is a sequence made of it."""
    x = np.arange(n, dtype=np.float32)[:, None]
    y = np.arange(n)[:, None] * [1, 10, 100]
    return tf.data.Dataset.from_tensor_slices((x, y))


def pipelines(mixer):
    batches = examples().batch(4)
    streams = tfmixup.two_streams(mixer, 4, seed=1, drop_remainder=False)
    yield examples().apply(streams)
    yield batches.apply(tfmixup.in_batch(mixer, seed=1))
    yield batches.map(mixer)
    yield tf.data.Dataset.zip((batches, batches)).map(mixer.pair)


def test_every_pipeline_keeps_examples_and_labels_together():
    mixer = tfmixup.MixUp(1.0, targets="pair")
    for ds in pipelines(mixer):
        shapes = [spec.shape.as_list() for spec in ds.element_spec[1]]
        assert shapes == [[None, 3], [None, 3], [None]]
        sizes = []
        for x, y in ds:
            one, other, lam = (part.numpy() for part in y)
            np.testing.assert_array_equal(one, one[:, :1] * [1, 10, 100])
            blended = lam * one[:, 0] + (1 - lam) * other[:, 0]
            np.testing.assert_allclose(x[:, 0], blended, atol=1e-5)
            sizes.append(len(lam))
        assert sizes == [4, 4, 2]


def test_static_shapes_dicts_and_sample_weights():
    mixer = tfmixup.MixUp(targets="pair", per="batch")
    ds = examples().map(lambda x, y: ({"a": x}, {"b": y}, tf.reduce_sum(x)))
    _, y, _ = ds.apply(tfmixup.two_streams(mixer, 4)).element_spec
    assert [spec.shape for spec in y["b"]] == [(4, 3), (4, 3), (4,)]
    as_dict = examples().map(lambda x, y: {"image": x, "label": y, "id": y[0]})
    spec = as_dict.apply(tfmixup.two_streams(mixer, 4)).element_spec
    assert [part.shape for part in spec["label"]] == [(4, 3), (4, 3), (4,)]
    batch = next(iter(ds.apply(tfmixup.two_streams(mixer, 4, seed=2))))
    one, other, lam = batch[1]["b"]
    want = lam * tf.cast(one[:, 0], "float32")
    want += (1 - lam) * tf.cast(other[:, 0], "float32")
    np.testing.assert_allclose(batch[2], want, atol=1e-5)


def test_unmixed_pairs_are_twice_the_same():
    plain = tfmixup.MixUp(alpha=0, targets="pair")
    for (x, y), (x0, y0) in zip(examples().batch(4).map(plain), examples().batch(4)):
        np.testing.assert_array_equal(x, x0)
        np.testing.assert_array_equal(y[0], y0)
        np.testing.assert_array_equal(y[1], y0)
        np.testing.assert_array_equal(y[2], np.ones(len(x0)))


def test_one_seed_gives_one_stream():
    mixer = tfmixup.MixUp(1.0, targets="pair")
    runs = [
        [np.concatenate([x, *y[:2], y[2][:, None]], 1) for x, y in ds]
        for ds in [examples().apply(tfmixup.two_streams(mixer, 4, seed=1))] * 2
    ]
    assert not np.array_equal(runs[0][0], runs[0][1])
    again = examples().apply(tfmixup.two_streams(mixer, 4, seed=1))
    again = [np.concatenate([x, *y[:2], y[2][:, None]], 1) for x, y in again]
    np.testing.assert_array_equal(runs[0], again)


def test_vectors_of_class_ids_look_batched_unless_they_are_kept():
    with pytest.raises(ValueError, match="look batched"):
        examples().apply(tfmixup.two_streams(tfmixup.MixUp(num_classes=4), 4))
    mixer = tfmixup.MixUp(targets="pair")
    with pytest.raises(ValueError, match="look batched"):
        examples().batch(4).apply(tfmixup.two_streams(mixer, 4))


# The loss, against NumPy


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(ids, p):
    """−log p of the class, whatever is in front of the classes."""
    return -np.log(np.take_along_axis(p, ids[..., None], -1))[..., 0]


def weighed(lam, one, other):
    lam = lam.reshape([-1] + [1] * (one.ndim - 1))
    return lam * one + (1 - lam) * other


LOSSES = {
    "name": "sparse_categorical_crossentropy",
    "function": keras.losses.sparse_categorical_crossentropy,
    "object": keras.losses.SparseCategoricalCrossentropy(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("inner", [(), (6,), (3, 2)], ids=str)
def test_loss_is_the_formula_for_every_rank(loss, inner):
    rng = np.random.default_rng(1)
    ids = rng.integers(0, CLASSES, (2, SIZE, *inner))
    p = softmax(rng.normal(size=(SIZE, *inner, CLASSES))).astype(np.float32)
    values = weighed(LAM, cross_entropy(ids[0], p), cross_entropy(ids[1], p))
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
    values = w * weighed(LAM, *(cross_entropy(ids, p) for ids in IDS))
    total = values.sum()
    want = {"sum": total, "mean_with_sample_weight": total / w.sum(), "none": values}
    got = loss((*IDS, LAM), p, w)
    np.testing.assert_allclose(got, want[reduction], rtol=1e-6)


@pytest.mark.parametrize("loss", ["mse", keras.losses.MeanSquaredError()], ids=str)
@pytest.mark.parametrize("rank", [1, 2])
def test_regression_does_not_broadcast(loss, rank):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(2, SIZE, 1)).astype(np.float32)
    p = rng.normal(size=(SIZE, 1)).astype(np.float32)
    want = weighed(LAM, (y[0] - p)[:, 0] ** 2, (y[1] - p)[:, 0] ** 2).mean()
    labels = y[..., 0] if rank == 1 else y
    assert float(PairLoss(loss)((*labels, LAM), p)) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
def test_cross_entropy_and_its_gradient_are_those_of_soft_labels(from_logits):
    rng = np.random.default_rng(4)
    z = tf.Variable(rng.normal(0, 3, (SIZE, CLASSES)).astype(np.float32))
    soft = weighed(LAM, *np.eye(CLASSES, dtype=np.float32)[IDS])
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


def differences(function, at, step):
    """Central differences of a function of an array."""
    gradient = np.empty(at.shape)
    for index in np.ndindex(*at.shape):
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[index] += sign * step
            ends.append(float(function(moved)))
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def test_gradient_is_that_of_finite_differences():
    """Of a loss that is not linear in the label, in float64."""
    rng = np.random.default_rng(5)
    z, w = rng.normal(size=(SIZE, CLASSES)), rng.uniform(size=SIZE)
    y = (*rng.normal(size=(2, SIZE, CLASSES)), LAM)
    loss = PairLoss(keras.losses.LogCosh(dtype="float64"))
    with tf.GradientTape() as tape:
        point = tf.constant(z)
        tape.watch(point)
        value = loss(y, point, w)
    expected = differences(lambda z: loss(y, z, w), z, 1e-5)
    np.testing.assert_allclose(tape.gradient(value, point), expected, atol=1e-9)


# CTC


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
    assert float(got) == pytest.approx(weighed(LAM, *values).mean(), rel=1e-5)


def test_ctc_gradient_is_that_of_finite_differences():
    z = np.random.default_rng(7).normal(size=(SIZE, 4, 3))
    loss = PairLoss(keras.losses.CTC())
    with tf.GradientTape() as tape:
        point = tf.constant(z, tf.float32)
        tape.watch(point)
        value = loss((*CTC_LABELS, LAM), point)

    def by_paths(z):
        one, other = (
            np.array([ctc_by_paths(y, q) for y, q in zip(labels, softmax(z))])
            for labels in CTC_LABELS
        )
        return weighed(LAM, one, other).mean()

    expected = differences(by_paths, z, 1e-5)
    np.testing.assert_allclose(tape.gradient(value, point), expected, atol=2e-6)


@pytest.mark.parametrize("jit", [True, False])
def test_a_label_that_has_no_share_is_never_looked_at(jit):
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


@pytest.mark.parametrize("jit", [True, False])
def test_ctc_labels_that_do_not_fit_do_no_harm_unmixed(jit):
    z = tf.random.stateless_normal([2, 3, 4], [1, 2])
    fits, long = np.array([[1, 0, 0, 0]] * 2), np.array([[1, 2, 3, 1]] * 2)
    loss = tf.function(PairLoss(keras.losses.CTC()), jit_compile=jit)
    got = loss((fits, long, np.ones(2, np.float32)), z)
    assert float(got) == pytest.approx(float(keras.losses.CTC()(fits, z)), rel=1e-6)


# The model


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


def train(model, ds, loss, metrics, epochs=2, jit=False, **fit):
    sgd = keras.optimizers.SGD(0.5)
    model.compile(sgd, loss, metrics=metrics, jit_compile=jit)
    return model.fit(ds, epochs=epochs, verbose=0, shuffle=False, **fit).history


@pytest.mark.parametrize(("jit", "weights"), [(True, False), (False, True)])
def test_fit_on_pairs_is_fit_on_soft_labels(jit, weights):
    """Two equal nets, the same λ and partners: weights and curves alike."""
    one, other = net(penalty="l2"), net(penalty="l2")
    pairs = train(
        PairModel(one),
        streams(weights, targets="pair"),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        jit=jit,
    )
    metric = {"weighted_metrics": [MixedAccuracy()]}
    sgd = keras.optimizers.SGD(0.5)
    other.compile(sgd, "categorical_crossentropy", jit_compile=jit, **metric)
    soft = other.fit(
        streams(weights, num_classes=CLASSES), epochs=2, verbose=0, shuffle=False
    ).history
    np.testing.assert_allclose(pairs["loss"], soft["loss"], rtol=1e-6)
    np.testing.assert_allclose(pairs["accuracy"], soft["mixed_accuracy"], rtol=1e-5)
    for mine, theirs in zip(one.get_weights(), other.get_weights()):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_penalties_count_once():
    model = PairModel(net(penalty="l2"))
    x, y = next(iter(streams(targets="pair")))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model(x)
    total = model.compute_loss(x, y, model(x), None)
    bare = PairLoss("sparse_categorical_crossentropy")(y, model(x))
    penalty = 0.01 * np.sum(model.model.layers[0].kernel.numpy() ** 2)
    assert float(total - bare) == pytest.approx(penalty, rel=1e-4)


@pytest.mark.parametrize("unmixed", ["labels", "pairs"])
def test_validation_data_have_their_plain_loss(unmixed):
    plain = classes().batch(10)
    if unmixed == "pairs":
        plain = plain.map(tfmixup.MixUp(alpha=0, targets="pair"))
    inner = net()
    wrapped = PairModel(inner)
    loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
    history = train(
        wrapped, streams(targets="pair"), loss, metrics, validation_data=plain
    )
    inner.compile("sgd", loss, metrics=metrics)
    expected = inner.evaluate(classes().batch(10), verbose=0, return_dict=True)
    assert history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(expected["accuracy"], rel=1e-5)
    assert wrapped.predict(plain, verbose=0).shape == (36, CLASSES)


def test_metrics_of_pairs_are_the_label_mass():
    x, (one, other, lam) = next(iter(streams(targets="pair")))
    model = PairModel(net())
    model.compile(
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)],
    )
    got = model.evaluate(x, (one, other, lam), verbose=0, return_dict=True)
    ranks = np.argsort(-np.asarray(model(x)), axis=-1)
    for name, k in (("accuracy", 1), ("sparse_top_k_categorical_accuracy", 2)):
        hits = [(ranks[:, :k] == np.asarray(y)[:, None]).any(1) for y in (one, other)]
        want = weighed(lam.numpy(), *hits).mean()
        assert got[name] == pytest.approx(want, abs=1e-6)


def test_one_hot_pairs_and_mixed_accuracy():
    model = PairModel(net())
    pairs = streams(targets="pair", num_classes=CLASSES)
    history = train(model, pairs, "categorical_crossentropy", [MixedAccuracy()])
    soft = train(
        net(),
        streams(num_classes=CLASSES),
        "categorical_crossentropy",
        [MixedAccuracy()],
    )
    np.testing.assert_allclose(
        history["mixed_accuracy"], soft["mixed_accuracy"], rtol=1e-5
    )


@pytest.mark.parametrize("structure", ["dict", "list"])
def test_several_outputs(structure):
    """A pair for each output; losses of each, as Keras reports them."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input([3])
    outputs = {
        "a": keras.layers.Dense(CLASSES, "softmax", name="a")(inputs),
        "b": keras.layers.Dense(1, name="b")(inputs),
    }
    ds = classes().map(lambda x, y: (x, {"a": y, "b": x[:1]}))
    losses = {"a": "sparse_categorical_crossentropy", "b": "mse"}
    weights, metrics = {"a": 1.0, "b": 0.5}, {"a": ["accuracy"], "b": ["mae"]}
    if structure == "list":
        outputs, losses, weights, metrics = (
            list(nest.values()) for nest in (outputs, losses, weights, metrics)
        )
        ds = ds.map(lambda x, y: (x, (y["a"], y["b"])))
    model = PairModel(keras.Model(inputs, outputs))
    model.compile("sgd", losses, weights, metrics=metrics)
    stream = ds.apply(
        tfmixup.two_streams(tfmixup.MixUp(1.0, targets="pair"), 36, seed=1)
    )
    x, y = next(iter(stream))
    got = model.evaluate(x, y, batch_size=36, verbose=0, return_dict=True)
    y = y if structure == "list" else list(y.values())
    p = model(x)
    p = p if structure == "list" else list(p.values())
    want_a = float(PairLoss("sparse_categorical_crossentropy")(y[0], p[0]))
    want_b = float(PairLoss("mse")(y[1], p[1]))
    assert got["loss"] == pytest.approx(want_a + 0.5 * want_b, rel=1e-5)
    parts = [got[name] for name in got if name.endswith("_loss")]
    assert sorted(parts) == pytest.approx(sorted([want_a, want_b]), rel=1e-5)
    one, other, lam = (np.asarray(part) for part in y[0])
    best = np.argmax(p[0], axis=-1)
    mass = weighed(lam, best == one, best == other).mean()
    assert [v for k, v in got.items() if "accuracy" in k] == [
        pytest.approx(mass, abs=1e-6)
    ]
    model.fit(stream, verbose=0, shuffle=False)


def test_masked_steps_have_no_loss():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Masking(),
            keras.layers.Dense(CLASSES, "softmax"),
        ]
    )
    x = np.random.default_rng(9).normal(size=(SIZE, 6, 3)).astype(np.float32)
    x[:, 4:] = 0
    ids = np.random.default_rng(9).integers(0, CLASSES, (2, SIZE, 6))
    wrapped = PairModel(model)
    wrapped.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    p = model(x).numpy()
    values = weighed(LAM, *(cross_entropy(y, p) for y in ids))[:, :4]
    got = wrapped.evaluate(x, (*ids, LAM), verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(values.mean(), rel=1e-5)
    right = weighed(LAM, *(p.argmax(axis=-1) == y for y in ids))[:, :4]
    assert got["accuracy"] == pytest.approx(right.mean(), rel=1e-5)


def test_saved_and_loaded_models_train_on(tmp_path):
    model = PairModel(net())
    pairs = streams(targets="pair")
    sparse = keras.losses.SparseCategoricalCrossentropy()
    train(model, pairs, sparse, ["accuracy"])
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
    for one in (loaded, model):
        one.fit(streams(targets="pair"), verbose=0, shuffle=False)
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


def test_loss_and_model_come_back_from_their_config():
    for loss in LOSSES.values():
        made = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(PairLoss(loss))
        )
        assert made.name == PairLoss(loss).name
        assert type(made.loss) is type(PairLoss(loss).loss)
    config = keras.saving.serialize_keras_object(PairModel(net()))
    assert config["registered_name"] == "tfmixup>PairModel"
    assert keras.saving.serialize_keras_object(PairLoss("mse"))["registered_name"] == (
        "tfmixup>PairLoss"
    )
    assert keras.saving.serialize_keras_object(MixedAccuracy())["registered_name"] == (
        "tfmixup>MixedAccuracy"
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = PairModel(net())
        loss = "sparse_categorical_crossentropy"
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


# Bad input


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


def test_model_errors():
    with pytest.raises(TypeError, match=r"model must be a keras\.Model, got Dense"):
        PairModel(keras.layers.Dense(2))
    model = PairModel(net())
    with pytest.raises(ValueError, match="loss='crossentropy' does not say which"):
        model.compile(loss="crossentropy")
    with pytest.raises(ValueError, match="mean the same here"):
        model.compile(loss="mse", metrics=["mae"], weighted_metrics=["mse"])


def test_replacing_fields_keeps_pairs():
    mixer = tfmixup.MixUp(0.2, targets="pair")
    assert dataclasses.replace(mixer, alpha=0).targets == "pair"
