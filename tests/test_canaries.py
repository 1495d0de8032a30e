"""What the package relies on in TensorFlow's insides: a test for each, named for it.

Where one of these fails, a workaround has become needless or has lost its ground; the
comment beside the workaround links to the source.
"""

import logging

import numpy as np
import pytest
import tensorflow as tf

import tfmixup
from tfmixup.pairing.from_tensors import _ALIGNMENT, _copy


class Refuses:
    """A callable that is no function, like a mixer, without AutoGraph's mark."""

    @tf.autograph.experimental.do_not_convert
    def __call__(self, x):
        raise ValueError("refused")


def test_canary_autograph_info():
    """`Dataset.map` of a callable object hides its errors unless it has the mark."""
    dataset = tf.data.Dataset.range(3)
    with pytest.raises(ValueError, match="in user code"):
        dataset.map(Refuses())

    class Marked(Refuses):
        autograph_info__ = tfmixup.Mixer.autograph_info__

    with pytest.raises(ValueError, match=r"^refused$"):
        dataset.map(Marked())


def test_canary_negative_seeds_under_xla():
    """`seeding.integers` makes seeds positive: XLA takes others for negative ones."""

    def draw(seed):
        return tf.random.stateless_uniform([2], seed, None, None, tf.int32)

    compiled = tf.function(draw, jit_compile=True)
    for seed, alike in (([1, 2], True), ([-1, 2], False), ([2**32 - 1, 2], True)):
        seed = tf.constant(seed, tf.int64)
        assert np.array_equal(draw(seed), compiled(seed)) == alike


def test_canary_floats_under_xla():
    """`seeding.uniform` makes floats of integers, since XLA takes other bits."""

    def draw(seed):
        return tf.random.stateless_uniform([2], seed)

    compiled, seed = tf.function(draw, jit_compile=True), tf.constant([1, 2])
    assert not np.array_equal(draw(seed), compiled(seed))


def test_canary_aligned_memory_is_not_copied():
    """`from_tensors` copies an array once, because TensorFlow keeps aligned memory."""
    memory = np.zeros(4 * _ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % _ALIGNMENT
    array = memory[start : start + _ALIGNMENT]
    tensor = tf.raw_ops.Identity(input=array)
    array[0] = 7
    assert int(tensor[0]) == 7
    # Its own copy is aligned, and nobody else's.
    given = np.arange(1000.0)
    copied = _copy(given)
    given[:] = 0
    np.testing.assert_array_equal(copied, np.arange(1000.0))


def test_canary_retracing_is_counted_by_code_object(caplog, monkeypatch):
    """Many specs with one mixer are no function that is traced again and again."""
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    mixer = tfmixup.MixUp(0.2, jit_compile=False)
    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        for size in range(2, 14):
            mixer(tf.zeros([size, 3]), tf.zeros([size, 1]))
    assert "retracing" not in caplog.text

    class Plain:
        def mix(self, x):
            return x

    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        for size in range(2, 14):
            tf.function(Plain().mix)(tf.zeros([size]))
    assert "retracing" in caplog.text
