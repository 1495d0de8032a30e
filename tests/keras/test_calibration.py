"""unmix, against what mixing does to labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, stats

import tfmixup
from tests.keras.references import softmax
from tfmixup.keras import unmix

SHARES = np.array([0.5, 0.3, 0.15, 0.05])
CLASSES = len(SHARES)


def theta(density, low=0.0, high=1.0):
    """E[max(λ, 1 − λ)] by numerical integration."""

    def integral(fn):
        return sum(
            integrate.quad(fn, *ends, limit=200)[0]
            for ends in ((low, 0.5), (0.5, high))
        )

    larger = integral(lambda lam: max(lam, 1 - lam) * density(lam))
    return larger / integral(density)


def shrunk(labels, share, mean=SHARES):
    return mean + share * (labels - mean)


def beta(alpha):
    return stats.beta(alpha, alpha).pdf


UNIFORM = tfp.distributions.Uniform(0.2, 1.0)
MIXERS = {
    "0.2": (tfmixup.MixUp(0.2), theta(beta(0.2)), 1e-6),
    "1": (tfmixup.MixUp(1.0), 0.75, 1e-6),
    "8": (tfmixup.MixUp(8.0, per="batch"), theta(beta(8)), 1e-6),
    "half": (tfmixup.MixUp(0.4, probability=0.5), (1 + theta(beta(0.4))) / 2, 1e-6),
    "range": (
        tfmixup.MixUp(0.4, lam_range=(0.1, 0.8)),
        theta(beta(0.4), 0.1, 0.8),
        2e-3,
    ),
    # The mean of the larger share over [0.2, 0.8] and over [0.8, 1].
    "law": (
        tfmixup.MixUp(distribution=UNIFORM, probability=0.5),
        (1 + 0.75 * 0.65 + 0.25 * 0.9) / 2,
        2e-3,
    ),
}


@pytest.mark.parametrize("name", MIXERS)
def test_labels_shrunk_by_the_mean_larger_share_come_back(name):
    mixer, share, tolerance = MIXERS[name]
    labels = np.random.default_rng(1).dirichlet([1.0] * CLASSES, [3, 5])
    labels[0, :CLASSES] = np.eye(CLASSES)
    got = unmix(shrunk(labels, share), mixer, SHARES)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, labels, atol=tolerance)
    np.testing.assert_allclose(got.sum(axis=-1), 1, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "share"), [(1e-9, 1.0), (1e5, 0.5), (1e30, 0.5)])
def test_extreme_alphas(alpha, share):
    # Near λ = ½ the mean of |λ − ½| is that of a normal distribution.
    share += 0.5 / np.sqrt(np.pi * alpha) if alpha > 1 else 0
    labels = np.eye(CLASSES)
    got = unmix(shrunk(labels, share), tfmixup.MixUp(alpha), SHARES)
    np.testing.assert_allclose(got, labels, atol=1e-5)


def test_the_mean_label_of_examples_of_a_class_is_unmixed():
    """Really mixed, of all those whose larger part is of the class."""
    mixer = tfmixup.MixUp(0.7, num_classes=3, label_smoothing=0.1, jit_compile=False)
    ids = np.repeat([0, 1, 2], [5000, 3000, 2000])
    partner = np.random.default_rng(4).permutation(len(ids)).astype("int32")
    params = mixer.sample(len(ids), [1, 2])
    element = (np.zeros([len(ids), 1], "float32"), ids)
    labels = mixer.apply_in_batch(element, partner, params)[1].numpy()
    larger = np.where(params.lam > 0.5, ids, ids[partner])
    means = np.stack([labels[larger == c].mean(axis=0) for c in range(3)])
    assert means.max() < 0.9
    got = unmix(means, mixer, np.bincount(ids))
    np.testing.assert_allclose(got, 0.9 * np.eye(3) + 0.1 / 3, atol=0.01)


def test_smoothed_labels_come_back_smoothed():
    def smooth(labels):
        return 0.7 * labels + 0.3 / CLASSES

    mixer = tfmixup.MixUp(1.0, num_classes=CLASSES, label_smoothing=0.3)
    labels = smooth(np.eye(CLASSES))
    got = unmix(shrunk(labels, 0.75, smooth(SHARES)), mixer, SHARES)
    np.testing.assert_allclose(got, labels, rtol=1e-5)


@pytest.mark.parametrize("off", [{"alpha": 0.0}, {"probability": 0.0}], ids=str)
def test_without_mixing_probabilities_stay(off):
    p = softmax(np.random.default_rng(2).normal(size=(7, CLASSES)))
    np.testing.assert_allclose(unmix(p, tfmixup.MixUp(**off), SHARES), p, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", [tf.convert_to_tensor, keras.ops.convert_to_numpy])
def test_any_float_dtype_and_shape(dtype, kind):
    p = softmax(np.random.default_rng(3).normal(size=(2, 3, CLASSES)))
    given = tf.cast(p, dtype)
    got = unmix(kind(given), tfmixup.MixUp(0.2), SHARES)
    expected = np.maximum(shrunk(p, 1 / theta(beta(0.2))), 1e-7)
    expected /= expected.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(got, expected, atol=0.01)
    one = unmix(kind(given[0, 0]), tfmixup.MixUp(0.2), SHARES)
    np.testing.assert_array_equal(one, got[0, 0])


def test_shares_may_be_counts_and_a_class_may_be_missing():
    p = np.array([[0.7, 0.2, 0.1]])
    counts = tf.constant([30, 10, 0])
    got = unmix(p, tfmixup.MixUp(1.0), counts)
    np.testing.assert_array_equal(got, unmix(p, tfmixup.MixUp(1.0), [0.75, 0.25, 0]))
    # (0.1 − 0) / 0.75 before the rows are made to sum to 1, which they do.
    np.testing.assert_allclose(got[0, 2], 0.1 / 0.75, rtol=1e-6)


def test_what_no_label_could_be_gets_almost_nothing():
    got = unmix(np.eye(CLASSES), tfmixup.MixUp(8.0), SHARES)
    np.testing.assert_allclose(got, np.eye(CLASSES), atol=1e-6)
    assert 0 < got.min() < 1e-6


P = np.full([2, 4], 0.25)
MIXER = tfmixup.MixUp(0.2)
REFUSED = {
    "logits": (P - 1, MIXER, SHARES, ValueError, r"in \[0, 1\], got -0.75\..*softmax"),
    "nan": (P * np.nan, MIXER, SHARES, ValueError, r"in \[0, 1\], got nan"),
    "sums": (P * 2, MIXER, SHARES, ValueError, "over the last axis.* a sum of 2"),
    "sigmoid": (P[:, :1], MIXER, [1], ValueError, r"got \(2, 1\)\. Of one sigmoid"),
    "scalar": (0.5, MIXER, SHARES, ValueError, r"two classes or more, got \(\)"),
    "words": ([["a"]], MIXER, SHARES, TypeError, "must be an array or a tensor of num"),
    "shares": (P, MIXER, [0.5, 0.5], ValueError, "class_shares has 2 entries"),
    "negative": (
        P,
        MIXER,
        [1, 1, 1, -1],
        ValueError,
        "class_shares must be finite and",
    ),
    "zeros": (P, MIXER, [0, 0, 0, 0], ValueError, "a class with a positive share"),
    "a share": (
        P,
        MIXER,
        0.25,
        TypeError,
        "class_shares must be a sequence of numbers",
    ),
    "classes": (
        P,
        tfmixup.MixUp(num_classes=3),
        SHARES,
        ValueError,
        "have 4 classes, and the mixer num_classes=3",
    ),
    "mixer": (P, tfmixup.CutMix(), SHARES, TypeError, r"a tfmixup\.MixUp.*got CutMix"),
    "alpha": (P, 0.2, SHARES, TypeError, r"must be a tfmixup\.MixUp.*got 0\.2"),
    "pair": (
        P,
        tfmixup.MixUp(targets="pair"),
        SHARES,
        ValueError,
        "mixer must blend labels, and its targets='pair'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    *arguments, error, message = REFUSED[name]
    with pytest.raises(error, match=rf"^tfmixup\.keras\.unmix: .*{message}"):
        unmix(*arguments)


def test_refuses_a_graph():
    with pytest.raises(RuntimeError, match="where probabilities cannot be looked at"):
        tf.function(lambda p: unmix(p, MIXER, SHARES))(tf.constant(P))
