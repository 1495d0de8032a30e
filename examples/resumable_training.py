"""A training loop that may be killed at any moment and ends with the same weights.

Model, optimizer and the iterator over the mixed data are saved together every few
steps. Start the script again with the same flags, and the loop goes on from the last
checkpoint. It has the batches, the λ and the weights of an uninterrupted run.

  pip install '.[tf,examples]'
  python examples/resumable_training.py --out run     # kill it, start it again
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

import tfmixup
import tfmixup.datasets


def make_data(args: argparse.Namespace) -> tf.data.Dataset:
    """The digits in memory. Indices are shuffled and saved, never images."""
    train, _ = tfmixup.datasets.load(
        "bundled_digits", "train", args.data_dir, as_supervised=True
    )
    images, labels = (np.stack(part) for part in zip(*train.as_numpy_iterator()))
    mixer = tfmixup.MixUp(args.alpha, num_classes=10)
    mixed = tfmixup.from_tensors(
        (images, labels), mixer, args.batch_size, seed=args.seed
    )
    return mixed.repeat(args.epochs)


def make_model() -> keras.Model:
    """A small dense network."""
    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def train(args: argparse.Namespace) -> keras.Model:
    """Trains, starting from the last checkpoint if there is one."""
    keras.utils.set_random_seed(args.seed)
    model = make_model()
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    iterator = iter(make_data(args))
    done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(
        model=model, optimizer=optimizer, iterator=iterator, done=done
    )
    # The manager only knows complete checkpoints. It passes over a checkpoint that was
    # being written when the process died.
    manager = tf.train.CheckpointManager(checkpoint, args.out / "checkpoints", 2)
    if manager.restore_or_initialize():
        print(f"goes on after step {int(done)}", flush=True)
    for images, labels in iterator:
        loss = step(images, labels)
        done.assign_add(1)
        if int(done) % args.save_every == 0:
            manager.save()
            print(f"step {int(done)}: loss {float(loss):.4f}, saved", flush=True)
    return model


def fingerprint(model: keras.Model) -> str:
    """A hash of the weights. Two models have the same if all bits of them are equal."""
    every = b"".join(weight.numpy().tobytes() for weight in model.weights)
    return hashlib.sha256(every).hexdigest()[:16]


def main(argv: Sequence[str] | None = None) -> None:
    """Trains and prints the fingerprint of the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=pathlib.Path, default=pathlib.Path("resumable_out"))
    add("--data-dir", help="folder of prepared data sets; without it, TFDS's own")
    add("--epochs", type=int, default=10)
    add("--batch-size", type=int, default=64)
    add("--alpha", type=float, default=0.2)
    add("--seed", type=int, default=0)
    add("--save-every", type=int, default=10, help="steps")
    args = parser.parse_args(argv)
    model = train(args)
    size = sum(f.stat().st_size for f in (args.out / "checkpoints").iterdir())
    print(f"checkpoints: {size / 1e6:.1f} MB")
    print(f"weights: {fingerprint(model)}")


if __name__ == "__main__":
    main()
