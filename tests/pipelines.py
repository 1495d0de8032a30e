"""Small pipelines of every kind, for tests that hold for all of them.

As a script, `python -m tests.pipelines`, it prints the hash of a seeded stream.
"""

import hashlib

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfmixup

N, BATCH = 22, 4
VALUES = np.arange(N, dtype="float32")[:, None]
LABELS = np.repeat([0, 1, 2], [14, 5, 3])
# Uniform λ makes a small graph, and from_tensors compiles anew for each dataset:
# these tests make hundreds of pipelines and iterators.
MIXER = tfmixup.MixUp(1.0, jit_compile=False)
FIRST = tfmixup.MixUp(0, jit_compile=False)  # λ = 1 shows the first stream
SECOND = tfmixup.MixUp(
    distribution=tfp.distributions.Deterministic(0.0), jit_compile=False
)
BETA = tfmixup.MixUp(0.4)


def source() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((VALUES, VALUES))


def two_streams(seed, mixer=MIXER, dataset=None, **kwargs):
    dataset = source() if dataset is None else dataset
    return dataset.apply(tfmixup.two_streams(mixer, BATCH, seed=seed, **kwargs))


def in_batch(seed, mixer=MIXER, drop_remainder=True):
    batches = source().batch(BATCH, drop_remainder=drop_remainder)
    return batches.apply(tfmixup.in_batch(mixer, seed=seed))


def from_tensors(seed, mixer=MIXER, tensors=(VALUES, VALUES), **kwargs):
    return tfmixup.from_tensors(tensors, mixer, BATCH, seed=seed, **kwargs)


def balanced(seed, in_memory):
    """Balanced-MixUp."""
    labelled = tf.data.Dataset.from_tensor_slices((VALUES, LABELS))
    stream = tfmixup.class_balanced(labelled, 3, seed=seed, in_memory=in_memory)
    mixer = tfmixup.MixUp(1.0, num_classes=3, jit_compile=False)
    # Of an endless partner, all of a larger buffer would be filled.
    return two_streams(seed, mixer, labelled, partner=stream, shuffle_buffer_size=N)


PIPELINES = {
    "two_streams": two_streams,
    "small buffer": lambda seed: two_streams(seed, shuffle_buffer_size=5),
    "remainder": lambda seed: two_streams(seed, drop_remainder=False),
    "originals": lambda seed: two_streams(seed, keep_originals=True),
    "originals in one batch": lambda seed: two_streams(
        seed, keep_originals="same_batch"
    ),
    "partner": lambda seed: two_streams(seed, partner=source().skip(15)),
    "unknown length": lambda seed: two_streams(
        seed, dataset=source().filter(lambda x, y: True), drop_remainder=False
    ),
    "balanced": lambda seed: balanced(seed, in_memory=False),
    "balanced in memory": lambda seed: balanced(seed, in_memory=True),
    "in_batch": in_batch,
    "in_batch remainder": lambda seed: in_batch(seed, drop_remainder=False),
    "from_tensors": from_tensors,
    "from_tensors remainder": lambda seed: from_tensors(seed, drop_remainder=False),
    "from_tensors originals": lambda seed: from_tensors(seed, keep_originals=True),
    "from_tensors partner": lambda seed: from_tensors(
        seed, partner=(VALUES[:5], VALUES[:5])
    ),
    "from_tensors one batch": lambda seed: from_tensors(
        seed, tensors=(VALUES[:3], VALUES[:3]), drop_remainder=False
    ),
}


def stream(dataset) -> list[bytes]:
    """The features of every batch."""
    return [x.tobytes() for x, _ in dataset.as_numpy_iterator()]


def order(dataset) -> list[int]:
    """The features of every example, of datasets that FIRST or SECOND has mixed."""
    return np.concatenate([x[:, 0] for x, _ in dataset]).astype(int).tolist()


def digest() -> str:
    batches = stream(two_streams(7, BETA).repeat(2)) + stream(in_batch(7, BETA))
    return hashlib.sha256(b"".join(batches + stream(from_tensors(7)))).hexdigest()


if __name__ == "__main__":
    print(digest())
