"""Gradients through every mixer, as a layer before the mixing needs them."""

import numpy as np
import pytest
import tensorflow as tf

import tfmixup

MIXERS = {
    "MixUp": tfmixup.MixUp(1.0),
    "Remix": tfmixup.Remix(num_classes=3, class_counts=[5, 2, 1]),
    "BetweenClass": tfmixup.BetweenClass(16_000),
    "CMixup": tfmixup.CMixup(bandwidth=1.0),
    "CutMix": tfmixup.CutMix(1.0),
    "ResizeMix": tfmixup.ResizeMix(),
    "Mosaic": tfmixup.Mosaic(),
    "RandomChoice": tfmixup.RandomChoice(
        [tfmixup.MixUp(1.0), tfmixup.CutMix(1.0)], per="example"
    ),
}
SEED = tf.constant([3, 4])


def batch(name, size=6):
    rng = np.random.default_rng(1)
    shape = [size, 8] if name == "BetweenClass" else [size, 4, 4, 1]
    y = rng.integers(0, 3, size) if name == "Remix" else rng.normal(size=(size, 1))
    return (
        tf.constant(rng.normal(size=shape), tf.float32),
        tf.constant(y, tf.int32 if name == "Remix" else tf.float32),
        tf.constant(rng.normal(size=shape), tf.float32),
    )


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("how", ["eager", "graph", "unknown size", "jit_compile"])
def test_a_gradient_is_the_slope_of_the_mixed_features(name, how):
    """Against a difference quotient: features are mixed linearly, to rounding."""
    mixer = MIXERS[name]
    x, y, along = batch(name)

    def mixed(x):
        return mixer(x, y, seed=SEED)[0]

    def slope(x, y):
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = mixer(x, y, seed=SEED)[0]
            loss = tf.reduce_sum(out * tf.cast(weights, out.dtype))
        return tape.gradient(loss, x)

    weights = np.random.default_rng(2).normal(size=mixed(x).shape)
    if how != "eager":
        size = None if how == "unknown size" else x.shape[0]
        signature = [tf.TensorSpec([size, *t.shape[1:]], t.dtype) for t in (x, y)]
        slope = tf.function(
            slope, signature, autograph=False, jit_compile=how == "jit_compile"
        )
    step = 0.5 if name != "BetweenClass" else 1e-2
    change = (mixed(x + step * along) - mixed(x - step * along)) / (2 * step)
    expected = np.sum(change.numpy() * weights)
    found = np.sum(slope(x, y).numpy() * along.numpy())
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-3)
