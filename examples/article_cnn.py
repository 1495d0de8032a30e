"""A small network of two convolutions, with dropout and Adadelta."""

from __future__ import annotations

from collections.abc import Sequence

import keras

import tfmixup

IMAGE_SIZE = 32


def article_cnn(
    num_classes: int,
    learning_rate: float,
    shape: Sequence[int] = (IMAGE_SIZE, IMAGE_SIZE, 3),
) -> keras.Model:
    """Builds and compiles the network."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(shape),
            # Mixing is linear, so scaling after it gives the same as scaling before it.
            # In the model it also scales the test images, and images at inference.
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
    model.compile(
        # Adadelta was published with a learning rate of 1.0, once also Keras's default.
        # With today's default, 0.001, this network hardly learns in 20 epochs.
        optimizer=keras.optimizers.Adadelta(learning_rate),
        loss=keras.losses.CategoricalCrossentropy(),
        # Pass metrics by keyword: compile's third positional argument is loss_weights.
        metrics=[tfmixup.keras.MixedAccuracy(name="accuracy")],
    )
    return model
