"""MixingModel: mixing inside a model, in the training step of `fit`."""

import functools
import json
import math
import signal
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tfmixup import seeding
from tfmixup.keras import Mix, MixingModel, PairModel

SIZE, CLASSES, WIDTH = 8, 3, 5
JIT = pytest.mark.parametrize("jit", [False, True])


def data(n=SIZE, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, WIDTH)).astype(np.float32)
    return x, rng.integers(0, CLASSES, n)


def net(seed=1, activation="tanh"):
    """Two layers, "hidden" and the output."""
    keras.utils.set_random_seed(seed)
    x = keras.Input([WIDTH])
    h = keras.layers.Dense(4, activation, name="hidden")(x)
    return keras.Model(x, keras.layers.Dense(CLASSES, "softmax", name="out")(h))


def identity(*names, shape=(SIZE,)):
    """A model that returns what passes its layers, which change nothing."""
    x = y = keras.Input(shape)
    for name in names:
        y = keras.layers.Identity(name=name)(y)
    return keras.Model(x, y)


class Seen(keras.losses.Loss):
    """Keeps what the loss is of; eager steps only."""

    def call(self, y_true, y_pred):
        self.y_true, self.y_pred = y_true.numpy(), y_pred.numpy()
        return tf.reduce_sum(y_pred, axis=-1) * 0


def look(trainer, x, y, sample_weight=None):
    """The mixed labels and what the model returned, of one training step."""
    seen = Seen()
    trainer.compile(loss=seen, run_eagerly=True)
    trainer.train_on_batch(x, y, sample_weight)
    return seen


def drawn(trainer, size=SIZE):
    """Partners and parameters of the trainer's next step."""
    seed = tf.cast(trainer.mixing_state.value, tf.int32)
    _, for_partner, for_params = seeding.split(seed, 3)
    partner = seeding.partners(size, for_partner)
    return partner.numpy(), trainer.mixer.sample(size, for_params)


@pytest.mark.parametrize("at", [None, "here", ["here"]])
@pytest.mark.parametrize(
    "mixer",
    [
        tfmixup.MixUp(1.0, num_classes=SIZE),
        tfmixup.MixUp(1.0, num_classes=SIZE, per="batch", label_smoothing=0.1),
        tfmixup.RandomChoice([tfmixup.MixUp(a, num_classes=SIZE) for a in (0.5, 2.0)]),
    ],
)
def test_an_identity_layer_mixes_as_the_pipeline_does(at, mixer):
    """Examples that are unit vectors show partners and λ: the label has the same."""
    x, y = np.eye(SIZE, dtype=np.float32), np.arange(SIZE)
    trainer = MixingModel(identity("here"), mixer, at=at, seed=4)
    partner, params = drawn(trainer)
    expected = mixer.apply_in_batch((x, y), partner, params)
    seen = look(trainer, x, y)
    np.testing.assert_allclose(seen.y_pred, expected[0], atol=1e-6)
    np.testing.assert_allclose(seen.y_true, expected[1], atol=1e-6)
    assert np.all(np.sum(seen.y_pred > 0, axis=1) == 2)


def split(x, y, trainer):
    """Loss and gradients of one step by the formula, in NumPy."""
    partner, params = drawn(trainer, len(x))
    lam = params.lam.numpy()[:, np.newaxis]
    w1, b1, w2, b2 = (w.numpy() for w in trainer.model.weights)
    hidden = np.tanh(x @ w1 + b1)
    mixed = lam * hidden + (1 - lam) * hidden[partner]
    one_hot = np.eye(CLASSES)[y]
    label = lam * one_hot + (1 - lam) * one_hot[partner]
    logits = mixed @ w2 + b2
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    d_logits = (p - label) / len(x)
    d_mixed = d_logits @ w2.T
    d_hidden = lam * d_mixed
    np.add.at(d_hidden, partner, (1 - lam) * d_mixed)
    d_sum = d_hidden * (1 - hidden**2)
    gradients = [x.T @ d_sum, d_sum.sum(0), mixed.T @ d_logits, d_logits.sum(0)]
    return -np.mean(np.sum(label * np.log(p), axis=1)), gradients


@JIT
@pytest.mark.parametrize("known_size", [True, False])
def test_gradients_are_those_of_the_formula(jit, known_size):
    x, y = data()
    trainer = MixingModel(net(), tfmixup.MixUp(1.0, num_classes=3), at="hidden", seed=2)
    trainer.compile(
        keras.optimizers.SGD(1.0), "categorical_crossentropy", jit_compile=jit
    )
    before = [w.numpy() for w in trainer.model.weights]
    loss, gradients = split(x, y, trainer)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(SIZE, known_size)
    history = trainer.fit(batches, verbose=0, shuffle=False).history
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-5)
    for weight, old, gradient in zip(trainer.model.weights, before, gradients):
        np.testing.assert_allclose(old - weight.numpy(), gradient, atol=1e-5)


def test_places_are_drawn_equally_often():
    """λ is squared behind each place, so that λ's exponent tells which it was.

    Chi-square of 300 steps over three places: 13.8 is passed once in 1,000 seeds.
    """
    x = y = keras.Input([SIZE])
    for name in ("a", "b", "c"):
        y = keras.layers.Identity(name=name)(y) ** 2
    mixer = tfmixup.MixUp(1.0, num_classes=SIZE, per="batch", lam_range=(0.6, 0.9))
    trainer = MixingModel(keras.Model(x, y), mixer, at=["a", "b", "c"], seed=5)

    def exponent(y_true, y_pred):
        high = tf.reduce_max(y_pred, axis=-1), tf.reduce_max(y_true, axis=-1)
        return tf.math.log(high[0]) / tf.math.log(high[1])

    trainer.compile(loss=exponent)
    eye, labels = np.eye(SIZE, dtype=np.float32), np.arange(SIZE)
    exponents = []
    for _ in range(300):
        trainer.reset_metrics()
        exponents.append(float(trainer.train_on_batch(eye, labels)))
    counts = [np.sum(np.isclose(exponents, k, rtol=1e-3)) for k in (8, 4, 2)]
    assert sum(counts) == 300
    assert sum((n - 100) ** 2 / 100 for n in counts) < 13.8


def test_inputs_may_be_one_of_the_places():
    x, y = data(64)
    images = (128 + 50 * x).clip(0, 255).astype(np.uint8)
    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES)
    trainer = MixingModel(net(), mixer, at=[None, "hidden"], seed=1)
    trainer.compile("sgd", "categorical_crossentropy")
    history = trainer.fit(images, y, batch_size=16, epochs=2, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))


@pytest.mark.parametrize("at", [None, "hidden"])
def test_sample_weights_belong_to_their_labels(at):
    x, y = np.eye(SIZE, dtype=np.float32), np.arange(SIZE)
    weights = np.linspace(0, 3, SIZE, dtype=np.float32)
    mixer = tfmixup.MixUp(1.0, num_classes=SIZE)
    trainer = MixingModel(identity("hidden"), mixer, at=at, seed=6)
    partner, params = drawn(trainer)
    expected = mixer.apply_in_batch((x, y, weights), partner, params)
    seen = []
    trainer.compile(loss=Seen(), weighted_metrics=[], run_eagerly=True)
    given = trainer.compute_metrics

    def compute_metrics(x, y, y_pred, sample_weight):
        seen.append(trainer._labels(y, y_pred, sample_weight))
        return given(x, y, y_pred, sample_weight)

    trainer.compute_metrics = compute_metrics
    trainer.fit(x, y, batch_size=SIZE, sample_weight=weights, verbose=0, shuffle=False)
    np.testing.assert_allclose(seen[0][0], expected[1], atol=1e-6)
    np.testing.assert_allclose(seen[0][1], expected[2], atol=1e-6)


@pytest.mark.parametrize("loaded", [False, True])
def test_masks_of_the_mixture_are_either(loaded):
    """Recurrent layers behind the place read where either sentence has a word."""
    ids = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [5, 6, 0, 0], [7, 8, 9, 1]])
    words = keras.Input([4], dtype="int32")
    embedded = keras.layers.Embedding(10, 2, mask_zero=True, name="words")(words)
    seen = {}

    class Look(keras.layers.Layer):
        supports_masking = True

        def call(self, x, mask=None):
            seen["mask"] = mask
            return x

    out = keras.layers.GlobalAveragePooling1D()(Look()(embedded))
    mixer = tfmixup.MixUp(1.0, num_classes=4)
    model = keras.Model(words, out)
    if loaded:  # where a mask that Keras has found is an argument
        model = model.from_config(model.get_config(), custom_objects={"Look": Look})
    trainer = MixingModel(model, mixer, at="words", seed=7)
    partner, params = drawn(trainer, 4)
    assert np.all((params.lam > 0) & (params.lam < 1))
    look(trainer, ids, np.arange(4))
    np.testing.assert_array_equal(seen["mask"], (ids > 0) | (ids[partner] > 0))
    trainer.predict(ids, verbose=0)
    trainer.evaluate(ids, np.arange(4), verbose=0)
    np.testing.assert_array_equal(seen["mask"], ids > 0)


def test_evaluation_is_the_models_with_labels_encoded_alike():
    x, y = data(20)
    trainer = MixingModel(
        net(), tfmixup.MixUp(num_classes=3, label_smoothing=0.2), at="hidden", seed=1
    )
    trainer.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = trainer.evaluate(x, y, verbose=0)
    p = np.asarray(trainer.model(x))
    np.testing.assert_allclose(loss, -np.mean(np.log(p[np.arange(20), y])), rtol=1e-5)
    np.testing.assert_allclose(accuracy, np.mean(p.argmax(1) == y), rtol=1e-6)
    one_hot = np.eye(3, dtype=np.float32)[y]
    assert trainer.evaluate(x, one_hot, verbose=0) == [loss, accuracy]
    np.testing.assert_allclose(trainer.predict(x, verbose=0), p, atol=1e-6)


def test_ignored_labels_do_not_count_in_evaluation():
    x, y = data(12)
    y[:6] = -1
    mixer = tfmixup.MixUp(num_classes=3, ignore_label=-1)
    trainer = MixingModel(net(), mixer, at="hidden")
    trainer.compile("sgd", "categorical_crossentropy")
    p = np.asarray(trainer.model(x[6:]))
    expected = -np.sum(np.log(p[np.arange(6), y[6:]])) / 12
    np.testing.assert_allclose(trainer.evaluate(x, y, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("stacked", [True, False])
def test_pairs_of_targets_are_trained_as_by_pair_model(stacked):
    """For a cross-entropy a pair is the soft label of the same λ."""
    x, y = data(24)
    on_soft, on_pairs = net(), net()
    soft = MixingModel(on_soft, tfmixup.MixUp(1.0, num_classes=3), at="hidden", seed=3)
    pair = tfmixup.MixUp(1.0, targets="pair")
    inner = PairModel(on_pairs) if stacked else on_pairs
    pairs = MixingModel(inner, pair, at="hidden", seed=3)
    soft.compile("sgd", "categorical_crossentropy")
    pairs.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    curves = [
        t.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False).history["loss"]
        for t in (soft, pairs)
    ]
    np.testing.assert_allclose(*curves, rtol=1e-5)
    for one, other in zip(on_soft.get_weights(), on_pairs.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)


def fit(trainer, epochs, *, n=32, **arguments):
    x, y = data(n)
    arguments = {"optimizer": keras.optimizers.Adam(0.01)} | arguments
    trainer.compile(loss="categorical_crossentropy", **arguments)
    trainer.fit(x, y, batch_size=8, epochs=epochs, verbose=0, shuffle=False)
    return trainer.model.get_weights()


def trainer_of(seed=1, at=("hidden", None), **arguments):
    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES)
    return MixingModel(net(), mixer, at=list(at), seed=seed, **arguments)


@functools.cache
def two_epochs():
    """The weights after a run that several tests compare with."""
    return fit(trainer_of(), 2)


def test_a_seed_gives_the_same_run_however_it_is_executed():
    once = two_epochs()
    again = {
        "steps_per_execution": fit(trainer_of(), 2, steps_per_execution=3),
        "jit_compile": fit(trainer_of(), 2, jit_compile=True),
        "run_eagerly": fit(trainer_of(), 2, run_eagerly=True),
    }
    for how, weights in again.items():
        for one, other in zip(once, weights):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=how)
    other = fit(trainer_of(seed=2), 2)
    assert not np.allclose(once[0], other[0], atol=1e-3)


def test_without_a_seed_runs_differ_unless_keras_has_one():
    states = [trainer_of(seed=None).mixing_state.numpy()[0] for _ in range(2)]
    assert states[0] == states[1]  # `net` sets a seed for all of Keras
    keras.utils.set_random_seed(99)
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(2)])
    assert MixingModel(model, tfmixup.MixUp()).mixing_state.numpy()[0] != states[0]


def test_every_micro_batch_of_an_accumulated_gradient_is_mixed_anew():
    trainer = trainer_of()
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    fit(trainer, 1, optimizer=optimizer)
    assert trainer.mixing_state.numpy()[1] == 4
    assert int(optimizer.iterations) == 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_the_dtype_of_hidden_tensors(policy):
    keras.config.set_dtype_policy(policy)
    try:
        trainer = trainer_of()
        weights = fit(trainer, 1)
        hidden = trainer._places.network(trainer.model).get_layer("hidden_mixed")
        assert hidden.output.dtype == policy.removeprefix("mixed_")
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(np.all(np.isfinite(w)) for w in weights)


def test_a_checkpoint_resumes_the_run(tmp_path):
    first = trainer_of()
    fit(first, 1)
    saved = tf.train.Checkpoint(first).save(str(tmp_path / "ck"))
    second = trainer_of(seed=None)
    second.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    second.optimizer.build(second.trainable_variables)
    tf.train.Checkpoint(second).restore(saved).assert_consumed()
    x, y = data(32)
    second.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    for one, other in zip(two_epochs(), second.model.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_saved_wrapper_goes_on_with_its_mixer(tmp_path):
    first = trainer_of()
    fit(first, 1)
    first.save(tmp_path / "trainer.keras")
    second = keras.saving.load_model(tmp_path / "trainer.keras")
    assert (second.mixer, second.seed) == (first.mixer, first.seed)
    x, y = data(32)
    second.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    for one, other in zip(two_epochs(), second.model.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_models_file_knows_nothing_of_the_wrapper(tmp_path):
    trainer = trainer_of()
    fit(trainer, 1)
    trainer.model.save(tmp_path / "model.keras")
    plain = keras.saving.load_model(tmp_path / "model.keras")
    assert "tfmixup" not in plain.to_json()
    x, _ = data()
    np.testing.assert_array_equal(plain(x), trainer.model(x))


@JIT
def test_cutmix_mixes_feature_maps(jit):
    """PatchUp: of cells that are moved, each is of one of the two examples."""
    keras.utils.set_random_seed(1)
    x = keras.Input([8, 8, 1])
    h = keras.layers.Conv2D(2, 3, padding="same", name="maps")(x)
    h = keras.layers.GlobalAveragePooling2D()(h)
    model = keras.Model(x, keras.layers.Dense(CLASSES, "softmax")(h))
    choice = tfmixup.RandomChoice(
        [tfmixup.CutMix(num_classes=3), tfmixup.MixUp(num_classes=3)]
    )
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 1)).astype(np.float32)
    # XLA compiles what may be chosen, CutMix too.
    for mixer in (choice,) if jit else (tfmixup.CutMix(num_classes=3), choice):
        trainer = MixingModel(model, mixer, at="maps", seed=1)
        trainer.compile("sgd", "categorical_crossentropy", jit_compile=jit)
        history = trainer.fit(
            images, np.arange(16) % 3, batch_size=8, verbose=0
        ).history
        assert np.isfinite(history["loss"][0])


def test_a_model_of_ones_own_has_its_own_place():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.place = keras.layers.Dense(4), Mix(name="here")
            self.last = keras.layers.Dense(SIZE)

        def call(self, x):
            return self.last(self.place(self.first(x)))

    x, _ = data()
    for at in ("here", None):
        trainer = MixingModel(
            Own(), tfmixup.MixUp(1.0, num_classes=SIZE), at=at, seed=1
        )
        seen = look(trainer, x, np.arange(SIZE))
        assert np.max(seen.y_true) < 1
        mixed = seen.y_pred
        assert not np.allclose(mixed, trainer.model(x), atol=1e-3)
    assert Mix()(x) is not None


def test_sequential_models_and_layers_are_taken():
    model = keras.Sequential([keras.layers.Dense(4, name="d"), keras.layers.Dense(3)])
    x, y = data()
    for at in (model.layers[0], "d"):
        trainer = MixingModel(model, tfmixup.MixUp(1.0, num_classes=3), at=at, seed=1)
        trainer.compile("sgd", "mse")
        trainer.fit(x, y, verbose=0)
        assert len(trainer.trainable_weights) == 4
    assert trainer.summary(print_fn=lambda *_: None) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MixingModel(net(), "mixup"), TypeError, "mixer must be a mixer"),
        (lambda: MixingModel(net(), tfmixup.MixUp(), seed=1.5), TypeError, "seed must"),
        (
            lambda: MixingModel("net", tfmixup.MixUp()),
            TypeError,
            "must be a keras.Model",
        ),
        (
            lambda: MixingModel(net(), tfmixup.MixUp(), at="hiden"),
            ValueError,
            r"at='hiden' is no layer of the model, whose layers are \['hidden', ",
        ),
        (
            lambda: MixingModel(net(), tfmixup.MixUp(), at=keras.layers.Dense(3)),
            ValueError,
            "is no layer of the model",
        ),
        (
            lambda: MixingModel(net(), tfmixup.MixUp(), at=3),
            TypeError,
            "at must be None",
        ),
        (
            lambda: MixingModel(net(), tfmixup.MixUp(), at=[]),
            ValueError,
            "one place or",
        ),
        (
            lambda: MixingModel(net(), tfmixup.MixUp(), at=["hidden", "hidden"]),
            ValueError,
            "each once",
        ),
        (
            lambda: MixingModel(net(), tfmixup.CutMix(), at="hidden"),
            ValueError,
            "cannot mix what layer 'hidden' returns",
        ),
        (
            lambda: MixingModel(
                net(), tfmixup.RandomChoice([tfmixup.MixUp(), tfmixup.ResizeMix()])
            ),
            ValueError,
            "cannot mix the inputs",
        ),
        (
            lambda: MixingModel(MixingModel(net(), tfmixup.MixUp()), tfmixup.MixUp()),
            TypeError,
            "is a MixingModel already",
        ),
        (
            lambda: PairModel(MixingModel(net(), tfmixup.MixUp())),
            TypeError,
            "trains on pairs itself",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused_when_the_model_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_names_are_refused_as_a_place():
    x = keras.Input([4], dtype="int32")
    ids = keras.layers.Identity(name="ids")(x)
    model = keras.Model(x, keras.layers.Embedding(5, 2)(ids))
    with pytest.raises(
        TypeError, match="what layer 'ids' returns cannot be mixed: int"
    ):
        MixingModel(model, tfmixup.MixUp(), at="ids")


def test_inputs_that_are_names_are_refused():
    x = keras.Input([4], dtype="int32")
    model = keras.Model(x, keras.layers.Embedding(5, 2)(x))
    quantities = "cannot mix the inputs: features must be quantities, got int32"
    with pytest.raises(TypeError, match=quantities):
        MixingModel(model, tfmixup.MixUp())
    strings = keras.Input([], dtype="string")
    model = keras.Model(strings, keras.layers.Identity()(strings))
    with pytest.raises(TypeError, match="cannot mix the inputs: features"):
        MixingModel(model, tfmixup.MixUp())


def test_a_dict_of_inputs_keeps_what_is_named():
    inputs = {"a": keras.Input([2], name="a"), "id": keras.Input([1], name="id")}
    out = keras.layers.Concatenate()([inputs["a"], inputs["id"]])
    mixer = tfmixup.MixUp(1.0, num_classes=SIZE, keep_keys=("id",))
    trainer = MixingModel(keras.Model(inputs, out), mixer, seed=1)
    x = {"a": np.eye(SIZE, 2), "id": np.arange(SIZE, dtype=np.float32)[:, np.newaxis]}
    seen = look(trainer, x, np.arange(SIZE))
    np.testing.assert_array_equal(seen.y_pred[:, 2], np.arange(SIZE))
    assert np.max(seen.y_true) < 1
    missing = tfmixup.MixUp(keep_keys=("word",))
    with pytest.raises(KeyError, match="cannot mix the inputs: elements have no key"):
        MixingModel(keras.Model(inputs, out), missing)


def test_a_place_in_a_model_of_ones_own_needs_mix():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(x)

    with pytest.raises(TypeError, match=r"Put a tfmixup\.keras\.Mix into its call"):
        MixingModel(Own(), tfmixup.MixUp(), at="dense")


def test_a_place_that_is_not_passed_raises():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.place, self.dense = Mix(name="here"), keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    trainer = MixingModel(Own(), tfmixup.MixUp(num_classes=3), at="here")
    trainer.compile("sgd", "categorical_crossentropy")
    with pytest.raises(RuntimeError, match="layer 'here' of `at` was not called"):
        trainer.fit(*data(), verbose=0)


def test_data_that_are_mixed_already_are_refused():
    x, y = data()
    mixer = tfmixup.MixUp(num_classes=3)
    ds = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).map(mixer)
    trainer = MixingModel(net(), mixer, at="hidden")
    trainer.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ValueError, match=r"float32\(.*3\): mixed already, or one-hot"):
        trainer.fit(ds, verbose=0)
    pair = tfmixup.MixUp(targets="pair")
    ds = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).map(pair)
    trainer = MixingModel(net(), pair, at="hidden")
    trainer.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="so that the data set is mixed already"):
        trainer.fit(ds, verbose=0)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"needs Keras on TensorFlow, and .* 'jax'"):
        MixingModel(net(), tfmixup.MixUp())


def test_a_place_that_inputs_go_around_is_told():
    """A skip connection stays unmixed, while its labels are mixed."""
    x = keras.Input([WIDTH])
    h = keras.layers.Dense(WIDTH, name="branch")(x)
    joined = keras.layers.Add(name="joined")([x, h])
    model = keras.Model(x, keras.layers.Dense(3)(joined))
    with pytest.warns(UserWarning, match="inputs goes around layer 'branch' and stays"):
        MixingModel(model, tfmixup.MixUp(), at=["joined", "branch"])
    words = keras.Input([4], dtype="int32")
    h = keras.layers.Embedding(9, 2, mask_zero=True, name="words")(words)
    h = keras.layers.GRU(3)(h)  # the mask comes from the ids, and is mixed too
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MixingModel(model, tfmixup.MixUp(), at=["joined", None])
        MixingModel(keras.Model(words, h), tfmixup.MixUp(), at="words")


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "sparse_categorical_crossentropy"},
        {"loss": keras.losses.SparseCategoricalCrossentropy()},
        {"loss": "mse", "metrics": ["accuracy", "sparse_categorical_accuracy"]},
    ],
)
def test_what_wants_class_ids_is_refused_where_they_become_one_hot(arguments):
    trainer = MixingModel(net(), tfmixup.MixUp(num_classes=3), at="hidden")
    with pytest.raises(ValueError, match=r"parse.*is for class ids, and the mixer's"):
        trainer.compile("sgd", **arguments)


def test_a_wrong_label_raises():
    x, _ = data()
    trainer = MixingModel(net(), tfmixup.MixUp(num_classes=3), at="hidden")
    trainer.compile("sgd", "categorical_crossentropy")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be in \[0, 3\)"):
        trainer.fit(x, np.full(SIZE, 3), verbose=0)


@pytest.mark.parametrize("targets", ["blend", "pair"])
def test_a_wrong_label_makes_the_loss_nan_where_xla_drops_asserts(targets):
    x, y = data()
    mixer = tfmixup.MixUp(num_classes=3, targets=targets)
    trainer = MixingModel(net(), mixer, at="hidden")
    trainer.compile("sgd", "categorical_crossentropy", jit_compile=True)
    assert np.isfinite(trainer.evaluate(x, y, verbose=0))
    assert np.isfinite(trainer.fit(x, y, verbose=0).history["loss"][0])
    y[3] = 7
    assert np.isnan(trainer.evaluate(x, y, verbose=0))
    assert np.isnan(trainer.fit(x, y, verbose=0).history["loss"][0])


def test_a_batch_of_one_is_not_mixed():
    x, y = data(1)
    seen = look(trainer_of(), x, y)
    np.testing.assert_array_equal(seen.y_true, np.eye(3)[y])
    assert math.isclose(seen.y_pred.sum(), 1, rel_tol=1e-5)


def process(*arguments):
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_killed_run_that_goes_on_ends_with_the_same_weights(tmp_path):
    """Killed in the third epoch, restored by Keras at the end of the second."""
    run = ["-m", "tests.keras.resumed"]
    code, out, err = process(*run, tmp_path / "straight", 4)
    assert code == 0, err[-2000:]
    straight, state = json.loads(out.splitlines()[-1])
    code, _, _ = process(*run, tmp_path / "killed", 4, 10)
    assert code == -signal.SIGKILL
    code, out, err = process(*run, tmp_path / "killed", 4)
    assert code == 0, err[-2000:]
    weights, again = json.loads(out.splitlines()[-1])
    assert again == state
    for one, other in zip(straight, weights):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
def test_the_models_file_is_read_without_tfmixup(tmp_path):
    trainer = trainer_of()
    fit(trainer, 1)
    trainer.model.save(tmp_path / "model.keras")
    x, _ = data()
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules['tfmixup'] = None\n"
        "import keras, numpy, sys\n"
        f"model = keras.saving.load_model(r'{tmp_path / 'model.keras'}')\n"
        f"print(model(numpy.load(r'{tmp_path / 'x.npy'}')).numpy().tolist())"
    )
    status, out, err = process("-c", code)
    assert status == 0, err[-2000:]
    np.testing.assert_allclose(
        json.loads(out.splitlines()[-1]), trainer.model(x), atol=1e-6
    )


def test_one_of_several_places_that_is_not_passed_raises():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.passed, self.other = Mix(name="passed"), Mix(name="other")
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(self.passed(x))

    model = Own()
    trainer = MixingModel(model, tfmixup.MixUp(num_classes=3), at=["passed", "other"])
    trainer.compile("sgd", "categorical_crossentropy")
    with pytest.raises(RuntimeError, match="layer 'other' of `at` was not called"):
        trainer.fit(*data(), verbose=0)


def test_hidden_tensors_are_not_rounded_to_the_mixer_s_dtype():
    x = np.random.default_rng(5).normal(size=[SIZE, SIZE]).astype(np.float32)
    mixers = [
        tfmixup.MixUp(1.0, num_classes=SIZE, dtype=d) for d in ("float32", "float16")
    ]
    seen = [
        look(MixingModel(identity("here"), m, at="here", seed=1), x, np.arange(SIZE))
        for m in mixers
    ]
    np.testing.assert_array_equal(seen[0].y_pred, seen[1].y_pred)


def test_nothing_is_mixed_after_the_training_step():
    x = np.eye(SIZE, dtype=np.float32)
    mixer = tfmixup.MixUp(1.0, num_classes=SIZE)
    trainer = MixingModel(identity("here"), mixer, at="here", seed=1)
    assert not np.array_equal(look(trainer, x, np.arange(SIZE)).y_pred, x)
    np.testing.assert_array_equal(trainer(x), x)


def test_a_choice_of_mixers_is_trained_under_xla():
    mixers = [tfmixup.MixUp(alpha, num_classes=CLASSES) for alpha in (0.5, 2.0)]
    choice = tfmixup.RandomChoice(mixers)
    trainer = MixingModel(net(), choice, at="hidden", seed=2)
    trainer.compile("sgd", "categorical_crossentropy", jit_compile=True)
    assert np.isfinite(trainer.fit(*data(), verbose=0).history["loss"]).all()
