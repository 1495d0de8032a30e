"""Places in a model where it is mixed: masks, layers called twice, and names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.keras.test_mixing import drawn, look
from tfmixup.keras import Mix, MixingModel, PairModel

IDS = np.array([[1, 2, 0, 0], [3, 4, 5, 0], [6, 0, 0, 0], [7, 8, 9, 1]])
LABELS = np.array([0, 1, 2, 0])
MIXER = tfmixup.MixUp(1.0, num_classes=3)


def mixed(lam, partner, x):
    lam = lam.numpy().reshape([-1] + [1] * (x.ndim - 1))
    return lam * x + (1 - lam) * x[partner]


def test_a_layer_of_several_outputs_is_mixed_with_its_mask():
    """States have no mask, the sequence has one."""
    ids = keras.Input([4], dtype="int32")
    embedded = keras.layers.Embedding(10, 3, mask_zero=True)(ids)
    lstm = keras.layers.LSTM(2, return_sequences=True, return_state=True, name="lstm")
    steps, *states = lstm(embedded)
    pooled = keras.layers.GlobalAveragePooling1D()(steps)
    model = keras.Model(ids, keras.layers.Concatenate()([pooled, *states]))
    trainer = MixingModel(model, MIXER, at="lstm", seed=1)
    partner, (lam, *_) = drawn(trainer, 4)
    outputs = keras.Model(ids, [steps, *states])(IDS)
    steps, *states = (mixed(lam, partner, x.numpy()) for x in outputs)
    mask = ((IDS > 0) | (IDS[partner] > 0))[..., np.newaxis]
    expected = [(steps * mask).sum(1) / mask.sum(1), *states]
    seen = look(trainer, IDS, LABELS)
    np.testing.assert_allclose(seen.y_pred, np.concatenate(expected, 1), atol=1e-5)


def test_attention_behind_the_place_has_the_mask_of_the_mixture():
    ids = keras.Input([4], dtype="int32")
    words = keras.layers.Embedding(10, 4, mask_zero=True, name="words")
    attention = keras.layers.MultiHeadAttention(2, 3)
    gru = keras.layers.GRU(3)
    h = words(ids)
    model = keras.Model(ids, gru(attention(h, h)))
    trainer = MixingModel(model, MIXER, at="words", seed=3)
    partner, (lam, *_) = drawn(trainer, 4)
    mask = (IDS > 0) | (IDS[partner] > 0)
    h = tf.constant(mixed(lam, partner, words(IDS).numpy()))
    both = mask[:, :, np.newaxis] & mask[:, np.newaxis]
    expected = gru(attention(h, h, attention_mask=both), mask=tf.constant(mask))
    seen = look(trainer, IDS, LABELS)
    np.testing.assert_allclose(seen.y_pred, expected, atol=1e-5)


def test_a_layer_that_is_called_twice_is_refused():
    x = keras.Input([3])
    twice = keras.layers.Dense(3, name="twice")
    model = keras.Model(x, twice(twice(x)))
    with pytest.raises(ValueError, match="layer 'twice' is called more than once in"):
        MixingModel(model, MIXER, at="twice")


@pytest.mark.parametrize("eager", [False, True])
def test_a_mix_that_is_called_twice_is_refused(eager):
    """Features behind the second call would have λ², labels λ."""

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.place, self.dense = Mix(name="here"), keras.layers.Dense(3)

        def call(self, x):
            return self.dense(self.place(self.place(x)))

    trainer = MixingModel(Own(), MIXER, at="here")
    trainer.compile("sgd", "mse", run_eagerly=eager)
    with pytest.raises(RuntimeError, match="'here' of `at` was called 2 times in this"):
        trainer.fit(np.ones([4, 3]), LABELS, verbose=0)


def test_one_call_mixes_several_tensors_alike():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.place = Mix(name="here")

        def call(self, inputs):
            return keras.ops.concatenate(self.place(tuple(inputs)), -1)

    x = np.eye(4, dtype=np.float32)
    seen = look(MixingModel(Own(), MIXER, at="here", seed=1), [x, 2 * x], LABELS)
    assert np.any(seen.y_true % 1)
    np.testing.assert_allclose(2 * seen.y_pred[:, :4], seen.y_pred[:, 4:], rtol=1e-6)


def test_an_input_layer_is_refused():
    x = keras.Input([3], name="image")
    model = keras.Model(x, keras.layers.Dense(3)(x))
    with pytest.raises(ValueError, match="at='image' is an input"):
        MixingModel(model, MIXER, at="image")


@keras.saving.register_keras_serializable("tests")
class Block(keras.layers.Layer):
    """A layer with a place in it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.place, self.dense = Mix(name="inner"), keras.layers.Dense(3)

    def call(self, x):
        return self.dense(self.place(x))


def test_a_mix_within_a_layer_has_a_name(tmp_path):
    x = keras.Input([3])
    block = Block()
    model = keras.Model(x, block(x))
    trainer = MixingModel(model, MIXER, at="inner", seed=1)
    by_layer = MixingModel(model, MIXER, at=block.place, seed=1)
    seen = [look(t, np.eye(4, 3), LABELS) for t in (trainer, by_layer)]
    np.testing.assert_allclose(seen[0].y_pred, seen[1].y_pred)
    assert np.any(seen[0].y_true % 1)
    trainer.compile("sgd", "mse")
    trainer.save(tmp_path / "trainer.keras")
    again = keras.saving.load_model(tmp_path / "trainer.keras")
    again.fit(np.eye(4, 3), LABELS, verbose=0)


def test_a_compiled_model_is_taken_without_its_optimizer():
    x = keras.Input([3])
    out = keras.layers.Dense(3)(keras.layers.Dense(3, name="hidden")(x))
    model = keras.Model({"x": x}, {"y": out})
    model.compile("adam", lambda y, p: tf.reduce_sum(p, -1))  # which no file can hold
    trainer = MixingModel(model, MIXER, at="hidden", seed=1)
    assert not trainer._places.network(model).compiled
    trainer.compile("sgd", {"y": "mse"})
    trainer.fit({"x": np.ones([4, 3])}, {"y": LABELS}, verbose=0)


@pytest.mark.parametrize("wrap", [PairModel, lambda m: MixingModel(m, MIXER)])
def test_inputs_reach_the_model_in_their_own_dtype(wrap):
    x = keras.Input([1], dtype="float64")
    model = keras.Model(x, keras.layers.Identity(dtype="float64")(x))
    third = tf.constant([[1 / 3]], tf.float64)
    assert float(wrap(model)(third)[0, 0]) == 1 / 3


def test_a_call_of_ones_own_is_not_passed_over():
    """The layers of a functional model are not all that it does, then."""

    class Own(keras.Model):
        def call(self, x, training=None, mask=None):
            return 100 + super().call(x, training=training)

    x = keras.Input([3])
    model = Own(x, keras.layers.Dense(3, name="hidden")(x))
    with pytest.raises(TypeError, match="got Own, which has a call of its own"):
        MixingModel(model, MIXER, at="hidden")
    assert np.min(look(MixingModel(model, MIXER), np.eye(4, 3), LABELS).y_pred) > 50


def test_a_layer_that_is_added_later_is_trained():
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(3, name="hidden")])
    trainer = MixingModel(model, MIXER, at="hidden", seed=1)
    model.add(keras.layers.Rescaling(0.0, offset=7.0))
    assert np.all(look(trainer, np.eye(4, 3), LABELS).y_pred == 7)


def test_three_outputs_are_no_pair():
    x = keras.Input([3])
    model = keras.Model(x, [keras.layers.Dense(1)(x) for _ in range(3)])
    trainer = MixingModel(model, tfmixup.MixUp(targets="pair"))
    trainer.compile("sgd", "mse")
    y = [np.ones([4, 1], np.float32)] * 3
    assert np.isfinite(trainer.train_on_batch(np.eye(4, 3), y)[0])


@pytest.mark.filterwarnings("ignore:.*goes around")  # one input of two is kept
@pytest.mark.parametrize("inputs", ["tensor", "dict", "sequential"])
@pytest.mark.parametrize("at", [None, [None, "same"]])
def test_mixed_bytes_are_not_rounded(inputs, at):
    """A model casts its inputs to the dtype of its Input."""
    x = keras.Input([4], dtype="uint8", name="x")
    count = keras.Input([1], dtype="int32", name="count")
    layers = [keras.layers.Rescaling(1.0), keras.layers.Identity(name="same")]
    pixels = (np.eye(4) * [255, 100, 3, 1]).astype(np.uint8)
    data, mixer = pixels, MIXER
    if inputs == "sequential":
        model = keras.Sequential([x, *layers])
    elif inputs == "tensor":
        model = keras.Model(x, layers[1](layers[0](x)))
    else:
        numbers = keras.layers.Rescaling(1.0)(count)
        out = keras.layers.Concatenate()([layers[1](layers[0](x)), numbers])
        model = keras.Model({"x": x, "count": count}, out)
        data = {"x": pixels, "count": np.arange(4)[:, np.newaxis]}
        mixer = tfmixup.MixUp(1.0, num_classes=3, keep_keys=("count",))
    trainer = MixingModel(model, mixer, at=at, seed=1)
    partner, (lam, *_) = drawn(trainer, 4)
    seen = look(trainer, data, LABELS).y_pred
    expected = mixed(lam, partner, pixels.astype(np.float32))
    np.testing.assert_allclose(seen[:, :4], expected, rtol=1e-5)
    np.testing.assert_array_equal(seen[:, 4:].flatten(), range(seen[:, 4:].size))


def test_a_model_within_the_model_that_would_round_is_refused():
    x, inside = (keras.Input([4], dtype="uint8") for _ in range(2))
    inner = keras.Model(inside, keras.layers.Rescaling(1.0)(inside), name="inner")
    model = keras.Model(x, inner(x))
    with pytest.raises(TypeError, match="'inner' within the model has inputs of uint8"):
        MixingModel(model, MIXER)


@pytest.mark.parametrize("shape", [[5], [4, 6]])
def test_labels_of_frames_and_pixels_are_encoded_in_evaluation(shape):
    x = keras.Input([*shape, 2])
    model = keras.Model(x, keras.layers.Dense(3, "softmax", name="out")(x))
    trainer = MixingModel(model, MIXER, at="out", seed=1)
    trainer.compile("sgd", "categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=[4, *shape, 2]).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 3, [4, *shape])
    trainer.fit(x, y, verbose=0)
    p = np.sum(model(x) * np.eye(3)[y], -1)
    np.testing.assert_allclose(
        trainer.evaluate(x, y, verbose=0), -np.mean(np.log(p)), rtol=1e-5
    )


def test_ragged_inputs_are_refused():
    ids = keras.Input([None], dtype="int32")
    words = keras.layers.Embedding(10, 3, name="words")(ids)
    model = keras.Model(ids, keras.layers.GlobalAveragePooling1D()(words))
    trainer = MixingModel(model, MIXER, at="words")
    trainer.compile("sgd", "mse")
    ds = tf.data.Dataset.from_tensors((tf.ragged.constant([[1], [2, 3]]), [0, 1]))
    with pytest.raises(TypeError, match="must be dense tensors, got a RaggedTensor"):
        trainer.fit(ds, verbose=0)


def test_an_optional_input_may_be_left_out():
    class Add(keras.layers.Layer):
        def call(self, x, other=None):
            return x if other is None else x + other

        def compute_output_spec(self, x, other=None):
            return keras.KerasTensor(x.shape, x.dtype)

    inputs = [keras.Input([3]), keras.Input([3], optional=True)]
    model = keras.Model(inputs, Add(name="sum")(*inputs))
    trainer = MixingModel(model, MIXER, at="sum", seed=1)
    partner, (lam, *_) = drawn(trainer, 4)
    x = np.eye(4, 3, dtype=np.float32)
    seen = look(trainer, [x, None], LABELS)
    np.testing.assert_allclose(seen.y_pred, mixed(lam, partner, x), rtol=1e-6)
