"""Numbers of every kind are numbers: fractions, and those of NumPy."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tests.pipelines import LABELS, VALUES, in_batch, source, stream
from tests.reference import assert_same
from tfmixup import checks

IMAGES, IDS = tf.reshape(tf.range(4.0 * 8 * 8), [4, 8, 8, 1]), tf.range(4) % 2
WAVES = tf.random.stateless_normal([4, 4000], [1, 2])
FIFTH, HALF = Fraction(1, 5), Fraction(1, 2)
OPTIONS = {"num_classes": (np.uint8(2), 2), "label_smoothing": (FIFTH, 0.2)}
MIXERS = {
    "MixUp": {"alpha": (FIFTH, 0.2), "lam_range": ((FIFTH, HALF), (0.2, 0.5))},
    "CutMix": {"alpha": (np.int8(3), 3)},
    "ResizeMix": {"scale": ((FIFTH, np.float64(0.5)), (0.2, 0.5))},
    "Mosaic": {"centre_range": ((FIFTH, np.float64(0.5)), (0.2, 0.5))},
    "Remix": {"class_counts": ([Fraction(3), 1], [3, 1]), "tau": (HALF, 0.5)},
    "BetweenClass": {"sample_rate": (np.int16(16000), 16000)},
    "RandomChoice": {"weights": ((FIFTH, np.uint8(1)), (0.2, 1))},
}


@pytest.mark.parametrize("name", MIXERS)
def test_arguments_of_mixers(name):
    given = MIXERS[name]
    if name == "RandomChoice":
        given = {"mixers": ([tfmixup.MixUp(num_classes=2)] * 2,) * 2, **given}
    else:
        given = {**given, **OPTIONS, "probability": (HALF, 0.5)}
    one, other = (
        getattr(tfmixup, name)(**{key: pair[k] for key, pair in given.items()})
        for k in (0, 1)
    )
    assert one == other
    assert hash(one) == hash(other)
    x = WAVES if name == "BetweenClass" else IMAGES
    assert_same(one(x, IDS, seed=[1, 2]), other(x, IDS, seed=[1, 2]))


def test_sizes_of_streams():
    def mixed(size, buffer):
        stage = tfmixup.two_streams(
            tfmixup.MixUp(), size, seed=np.uint8(1), shuffle_buffer_size=buffer
        )
        tensors = tfmixup.from_tensors((VALUES, VALUES), tfmixup.MixUp(), size, seed=1)
        return stream(source().apply(stage)) + stream(tensors)

    assert mixed(np.uint8(4), np.uint8(5)) == mixed(4, 5)


def test_counts_of_classes():
    dataset = tf.data.Dataset.from_tensor_slices((VALUES, LABELS))
    counts = tfmixup.class_counts(dataset, np.uint8(255))  # 256 does not fit in uint8
    np.testing.assert_array_equal(counts[:3], [14, 5, 3])
    tfmixup.class_balanced(dataset, np.uint8(3), shuffle_buffer_size=np.uint8(9))


@pytest.mark.parametrize("size", [np.int64(2), np.uint8(1), np.int64(-1)])
@pytest.mark.parametrize("device", ["auto", "/cpu:0"])
def test_buffers_of_devices(size, device):
    batches = in_batch(1).apply(tfmixup.prefetch_to_device(device, size))
    assert len(list(batches)) == len(batches)


def test_the_innermost_entry_names_an_error_once():
    inner, outer = checks.named("tfmixup.inner"), checks.named("tfmixup.outer")
    with pytest.raises(ValueError, match=r"^tfmixup\.inner: no$"), outer, inner:
        raise ValueError("no")
