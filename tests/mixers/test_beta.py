"""The table of Beta(α, α)'s quantile function against SciPy and TFP.

Nothing here is random: the integers of 32 bits from which λ is made are given.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from tests.reference import truncated
from tfmixup.mixers import beta

LEAST_NORMAL = 2.0**-126
ALPHAS = [0.001, 0.003, 0.01, 0.05, 0.2, 0.5, 0.9, 2.0, 7.9, 8.0, 50.0, 1000.0]


def lam_of(integers, alpha, lam_range=(0.0, 1.0)) -> np.ndarray:
    table = beta._table(alpha, *lam_range)
    lam = beta._quantile(tf.constant(integers, tf.int32), table)
    assert lam.dtype == tf.float32
    return tf.clip_by_value(lam, *lam_range).numpy().astype(np.float64)


def steps() -> np.ndarray:
    """Numbers in [0, 2³¹): all over, in every octave from both ends, at the ends."""
    draw = np.random.default_rng(1)
    octaves = (2 ** draw.uniform(0, 31, 5000)).astype(np.int64) - 1
    edges = np.r_[0:100, 2**30 - 100 : 2**30 + 100]
    some = np.concatenate([draw.integers(0, 2**31, 5000), octaves, edges])
    return np.unique(np.concatenate([some, 2**31 - 1 - some]))


STEPS = steps()
U = (STEPS + 0.5) / 2**32  # in (0, 1/2)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_lambda_is_the_quantile(alpha):
    lam = lam_of(STEPS - 2**31, alpha)
    want = special.betaincinv(alpha, alpha, U)
    normal = want >= LEAST_NORMAL
    assert np.all(lam[~normal] <= LEAST_NORMAL)
    error = special.betainc(alpha, alpha, lam[normal]) - U[normal]
    assert np.abs(error).max() <= 1e-6
    seen = want >= 1e-12
    np.testing.assert_allclose(lam[seen], want[seen], rtol=2e-5)
    # The upper side is the mirror image, up to the rounding of float32.
    mirrored = lam_of(2**31 - 1 - STEPS, alpha)
    np.testing.assert_allclose(mirrored, 1 - lam, rtol=0, atol=2**-24)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_lambda_is_the_quantile_of_tfps_beta(alpha):
    ours = beta.Beta(np.float64(alpha), np.float64(alpha))
    assert isinstance(ours, tfp.distributions.Beta)
    lam = lam_of(STEPS - 2**31, alpha)
    normal = lam >= LEAST_NORMAL
    np.testing.assert_allclose(ours.cdf(lam[normal]), U[normal], rtol=0, atol=1e-6)


def density(lam, alpha):
    log = (alpha - 1) * np.log(lam * (1 - lam)) - special.betaln(alpha, alpha)
    return np.exp(log)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_there_is_neither_an_atom_nor_a_gap_at_one_half(alpha):
    lam = lam_of(np.arange(-1000, 1000), alpha)
    step = 2**-32 / density(0.5, alpha)
    grain = 2**-24  # of float32 above 1/2; `exp` errs by one
    assert -grain <= np.diff(lam).min() <= np.diff(lam).max() <= 1.1 * step + 2 * grain
    np.testing.assert_allclose(lam[-1] - lam[0], 2000 * step, rtol=0.01, atol=grain)
    assert np.sum(lam == 0.5) <= 2 + 2 * grain / step


RANGES = [
    (0.0, 0.5),
    (0.5, 1.0),
    (0.1, 0.9),
    (0.2, 0.9),
    (0.45, 1.0),
    (0.3, 0.3001),
    (0.6, 0.7),
    (1e-6, 0.999),
    (0.4999, 1.0),
]


@pytest.mark.parametrize("lam_range", RANGES, ids=str)
@pytest.mark.parametrize("alpha", [0.001, 0.2, 1.5, 12.0])
def test_a_range_is_the_truncated_distribution(alpha, lam_range):
    n = 2**14
    integers = np.linspace(-(2**31), 2**31 - 1, n).astype(np.int64)
    lam = np.sort(lam_of(integers, alpha, lam_range))
    low, high = np.float32(lam_range)
    assert low <= lam[0] <= lam[-1] <= high
    cdf = truncated(lambda x: special.betainc(alpha, alpha, x), *lam_range)
    # Where floats are too coarse, at 0 and 1, they have atoms.
    inner = (lam > LEAST_NORMAL) & (lam < 1 - 1e-6)
    want = (np.arange(n) + 0.5) / n
    mass = np.diff(special.betainc(alpha, alpha, lam_range))
    rounding = 2**-24 * density(lam[inner], alpha) / mass
    assert np.all(np.abs(cdf(lam) - want)[inner] <= 0.51 / n + rounding)


@pytest.mark.parametrize("alpha", [1e-30, 1e-12, 1e-6, 1e6, 1e7, 1e12, 1e30])
def test_extreme_alpha(alpha):
    lam = lam_of(STEPS - 2**31, alpha)
    # The limits: a uniform logit between two atoms, and the normal distribution.
    if alpha < 1:
        want = special.expit(np.log1p(2 * U - 1) / alpha)
    else:
        want = 0.5 + special.ndtri(U) * 0.5 / np.sqrt(2 * alpha + 1)
    np.testing.assert_allclose(lam, want, rtol=0, atol=1e-6)


def test_a_table_is_made_in_any_context():
    beta._table.cache_clear()
    want = beta._table(0.3, 0.0, 1.0)

    def make(*_):
        beta._table.cache_clear()
        got = beta._table(0.3, 0.0, 1.0)
        np.testing.assert_array_equal(got.cubics, want.cubics)
        return 0

    with tf.Graph().as_default():
        make()
    tf.function(make, jit_compile=True)()
    tf.data.Dataset.range(1).map(make)
    tf.distribute.MirroredStrategy(["CPU:0"]).run(make)
