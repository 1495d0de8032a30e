"""Sources that fail at some of their examples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmixup


def faulty(n=48, bad=(5, 30)):
    """A source that fails at some of its examples."""

    def decode(k):
        fine = tf.reduce_all(k != tf.constant(bad, tf.int64))
        with tf.control_dependencies([tf.debugging.Assert(fine, ["cannot decode", k])]):
            return tf.one_hot(k, n), tf.one_hot(k, n)

    return tf.data.Dataset.range(n).map(decode)


STAGES = {
    "two_streams": lambda ds: ds.apply(
        tfmixup.two_streams(tfmixup.MixUp(1.0), 4, drop_remainder=False)
    ),
    "in_batch": lambda ds: ds.batch(4).apply(tfmixup.in_batch(tfmixup.MixUp(1.0))),
}
each_stage = pytest.mark.parametrize("stage", STAGES)


@each_stage
def test_ignored_errors_upstream_leave_out_their_examples_only(stage):
    mixed = STAGES[stage](faulty().ignore_errors())
    total = np.concatenate([x for x, _ in mixed.as_numpy_iterator()])
    assert len(total) == 46
    seen = np.flatnonzero(total.sum(axis=0))
    assert set(range(48)) - set(seen) >= {5, 30}
    # Each of the others is the first example of one row, and so has some of it but
    # where λ is 0.
    assert len(seen) == 46


@each_stage
def test_an_error_of_the_source_reaches_fit(stage):
    model = keras.Sequential([keras.layers.Dense(48)])
    model.compile("sgd", "mse")
    with pytest.raises(tf.errors.InvalidArgumentError, match="cannot decode"):
        model.fit(STAGES[stage](faulty()), epochs=1, verbose=0, shuffle=False)
