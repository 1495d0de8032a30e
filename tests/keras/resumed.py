"""Run as a process by test_mixing.py: training that may be killed, and goes on.

`python -m tests.keras.resumed FOLDER EPOCHS [STEP]` kills itself at that step. Prints
the weights at the end.
"""

import json
import os
import signal
import sys

import keras
import numpy as np
import tensorflow as tf

import tfmixup


class Kill(keras.callbacks.Callback):
    """A crash at a step."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder, epochs, step=0):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=[32, 5]).astype(np.float32), np.arange(32) % 3
    keras.utils.set_random_seed(3)
    inputs = keras.Input([5])
    hidden = keras.layers.Dense(4, "tanh", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(hidden))
    mixer = tfmixup.MixUp(1.0, num_classes=3)
    trainer = tfmixup.keras.MixingModel(model, mixer, at=["hidden", None], seed=7)
    trainer.compile("adam", "categorical_crossentropy")
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    kept = keras.callbacks.BackupAndRestore(folder)
    calls = [kept, Kill(int(step))] if step else [kept]
    trainer.fit(batches, epochs=int(epochs), verbose=0, shuffle=False, callbacks=calls)
    weights = [w.tolist() for w in model.get_weights()]
    print(json.dumps([weights, trainer.mixing_state.numpy().tolist()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
