"""Run as a process by test_jax.py: trains on the Keras backend of the environment.

Prints one line of JSON: the backend, the losses and metrics of every epoch.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import tfmixup

EXAMPLES, CLASSES, SIZE = 64, 5, 6


def data(mixer):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(EXAMPLES, SIZE)).astype(np.float32)
    y = draw.integers(0, CLASSES, EXAMPLES)
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    return dataset.apply(tfmixup.two_streams(mixer, 16, seed=1))


def network():
    model = keras.Sequential(
        [
            keras.layers.Input([SIZE]),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    draw = np.random.default_rng(1)
    model.set_weights(
        [draw.normal(size=w.shape).astype(np.float32) for w in model.get_weights()]
    )
    return model


def fit(trainer, train):
    """Fits, after one step on a fixed batch that builds every layer, loss and metric.

    Keras on JAX begins an iteration to build them, and more than one in each epoch. An
    iteration that is begun is an epoch of the stream. So one iteration runs through.
    """
    fixed = tf.data.Dataset.from_tensors(train.take(1).get_single_element())
    trainer.fit(fixed, epochs=1, shuffle=False, verbose=0)
    history = trainer.fit(
        train.repeat(), steps_per_epoch=len(train), epochs=4, shuffle=False, verbose=0
    )
    return history.history


def soft_labels():
    model = network()
    model.compile(
        keras.optimizers.SGD(0.1),
        "categorical_crossentropy",
        metrics=[tfmixup.keras.MixedAccuracy()],
    )
    train = data(tfmixup.MixUp(0.4, num_classes=CLASSES))
    return model, fit(model, train)


def pairs():
    model = network()
    trainer = tfmixup.keras.PairModel(model)
    trainer.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    train = data(tfmixup.MixUp(0.4, targets="pair"))
    return model, fit(trainer, train)


def plain_loop():
    """Without Keras's trainer: NumPy batches into a function of JAX's or NumPy's."""
    weights = np.random.default_rng(2).normal(size=(SIZE, CLASSES)).astype(np.float32)

    def mean_squares(w, x, y):
        return ((x @ w - y) ** 2).mean()

    def gradient(w, x, y):
        return 2 * x.T @ (x @ w - y) / y.size

    if keras.backend.backend() == "jax":
        import jax

        mean_squares, gradient = jax.jit(mean_squares), jax.jit(jax.grad(mean_squares))
    losses = []
    train = data(tfmixup.MixUp(0.4, num_classes=CLASSES))
    for x, y in train.as_numpy_iterator():
        losses.append(float(mean_squares(weights, x, y)))
        weights = weights - 0.1 * gradient(weights, x, y)
    return losses


def main():
    result = {"backend": keras.backend.backend(), "plain_loop": plain_loop()}
    for name, train in (("soft_labels", soft_labels), ("pairs", pairs)):
        model, history = train()
        result[name] = history
        weights = np.concatenate([w.ravel() for w in model.get_weights()])
        result[f"{name}_weights"] = weights.tolist()
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
