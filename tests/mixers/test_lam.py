"""λ: its distribution against SciPy's, its shapes, its seeds.

Draws come from fixed seeds. Where a test is statistical, `RATE` is the chance that
another seed would make one check of it fail although the code is right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

import tfmixup
from tests.reference import RATE, assert_follows, truncated

tfd = tfp.distributions

ALPHAS = [0.001, 0.2, 1.0, 8.0]
SEED = [3, 11]


def draw(n: int, seed: list[int] = SEED, **arguments: Any) -> np.ndarray:
    return tfmixup.MixUp(**arguments).sample(n, seed=seed).lam.numpy()


def draw_compiled(n: int, **arguments: Any) -> np.ndarray:
    mixer = tfmixup.MixUp(**arguments)
    sample = tf.function(lambda seed: mixer.sample(n, seed).lam, jit_compile=True)
    return sample(tf.constant(SEED)).numpy()


def beta_cdf(alpha: float, beta: float | None = None) -> Callable[..., np.ndarray]:
    # The regularised incomplete beta function: defined for the tiniest alpha.
    return lambda x: special.betainc(alpha, alpha if beta is None else beta, x)


def mixture_cdf(x: Any) -> Any:
    return 0.3 * special.betainc(2, 8, x) + 0.7 * special.betainc(8, 3, x)


def mixture() -> tfd.Distribution:
    """Has no quantile function."""
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]), tfd.Beta([2.0, 8.0], [8.0, 3.0])
    )


def assert_share(count: int, total: int, probability: float) -> None:
    """A two-sided exact binomial test."""
    assert stats.binomtest(int(count), total, probability).pvalue > RATE


def assert_frequencies(draws: np.ndarray, expected: dict[float, float]) -> None:
    """χ² over the values, which are all that may occur."""
    values = np.array(sorted(expected), np.float32)
    assert set(np.unique(draws)) == set(values)
    counts = [np.sum(draws == value) for value in values]
    shares = np.array([expected[value] for value in sorted(expected)])
    assert stats.chisquare(counts, len(draws) * shares).pvalue > RATE


def assert_folded_beta(lam: np.ndarray, alpha: float) -> None:
    """Compares min(λ, 1 − λ) with Beta(α, α) folded at 1/2.

    In float32, λ above 1 − 2⁻²⁵ is exactly 1 and λ below 2⁻¹²⁶ may be exactly 0: the
    folded value has an atom at 0, which holds 95 % of Beta(0.001, 0.001). All of it is
    below 1e-3, whose share is compared as a whole; a grain of 6e-8 is too fine for
    Kolmogorov-Smirnov to see above. What is below follows in the next test.
    """
    folded = np.minimum(lam, 1 - lam.astype(np.float64))
    assert folded.min() >= 0  # and so λ in [0, 1]; a NaN would fail as well

    def cdf(x: Any) -> Any:
        return 2 * special.betainc(alpha, alpha, x)

    tail = folded < 1e-3
    assert_share(tail.sum(), lam.size, cdf(1e-3))
    assert_follows(folded[~tail], truncated(cdf, 1e-3, 0.5))
    # Rounding hits 1/2 with p < 2e-7; more than 12 in a million have a chance of 1e-17.
    assert np.sum(lam == 0.5) <= 12


# Beta(α, α)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_lambda_is_beta_distributed(alpha):
    lam = draw(300_000, alpha=alpha)
    assert lam.dtype == np.float32
    assert_folded_beta(lam, alpha)
    assert_share(np.sum(lam > 0.5), lam.size, 0.5)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_lambda_is_beta_distributed_down_to_the_smallest_floats(alpha):
    lam = draw(300_000, [5, 8], alpha=alpha)
    grid = np.geomspace(1e-37, 0.5, 1000)
    empirical = np.searchsorted(np.sort(lam), grid.astype(np.float32), "right")
    distance = np.abs(empirical / lam.size - special.betainc(alpha, alpha, grid)).max()
    # Dvoretzky, Kiefer, Wolfowitz, Massart: P(distance > ε) <= 2 exp(−2 n ε²), and a
    # grid sees no more of the distance than there is.
    assert distance < np.sqrt(np.log(2 / RATE) / (2 * lam.size))


def test_lambda_compiled_by_xla_is_beta_distributed():
    lam = draw_compiled(100_000, alpha=0.001)
    assert_folded_beta(lam, 0.001)
    assert_share(np.sum(lam > 0.5), lam.size, 0.5)


@pytest.mark.parametrize("alpha", [1e-30, 1e-6, 1e6, 1e30])
def test_extreme_alpha_gives_no_nan(alpha):
    lam = draw(1000, alpha=alpha)
    assert np.all((lam >= 0) & (lam <= 1))


# lam_range


def assert_no_atoms_at(lam: np.ndarray, low: float, high: float) -> None:
    # An end is as likely as any other float: p < 1e-7, so that more than 4 in a hundred
    # thousand have a chance below 1e-11. Clipping would put thousands there.
    for end in (low, high):
        assert np.sum(lam == np.float32(end)) <= 4


@pytest.mark.parametrize(
    ("alpha", "lam_range"),
    [
        (0.001, (0.1, 0.9)),
        (0.4, (0.5, 1.0)),
        (1.0, (0.1, 0.9)),
        (2.0, (0.0, 0.5)),
        (8.0, (0.2, 0.3)),
    ],
)
def test_truncated_beta_is_renormalised_not_clipped(alpha, lam_range):
    lam = draw(100_000, alpha=alpha, lam_range=lam_range)
    assert lam.dtype == np.float32
    low, high = np.float32(lam_range)
    assert low <= lam.min() <= lam.max() <= high
    assert_follows(lam, truncated(beta_cdf(alpha), *lam_range))
    if lam_range != (0.5, 1.0):  # At 1 the floats of Beta(0.4, 0.4) have an atom.
        assert_no_atoms_at(lam, *lam_range)


def test_truncated_beta_keeps_its_shape_for_tiny_alpha():
    # Next to nothing of the distribution is in the range, and the limit of its shape
    # for α → 0 has the density 1/(x (1 − x)): the logit of λ is uniform.
    lam = draw(100_000, alpha=1e-6, lam_range=(0.1, 0.9))
    low, high = special.logit([0.1, 0.9])
    assert_follows(lam, lambda x: (special.logit(x) - low) / (high - low))
    # 0.2 % are expected to meet among the 27 million floats in the range.
    assert len(np.unique(lam)) > 99_000


def test_range_that_is_too_fine_for_float32_needs_float64():
    # The range holds 2.2e-5 of either, which is 370 steps of a float32 CDF near 1/2.
    coarse, fine = (tfd.Beta(dtype(1e-5), dtype(1e-5)) for dtype in (float, np.float64))
    with pytest.raises(ValueError, match=r"holds 2\..e-05 .*too little.*float64"):
        tfmixup.MixUp(distribution=coarse, lam_range=(0.1, 0.9))
    lam = draw(100_000, distribution=fine, lam_range=(0.1, 0.9))
    assert_follows(lam, truncated(beta_cdf(1e-5), 0.1, 0.9))


def test_truncated_beta_compiled_by_xla():
    lam = draw_compiled(20_000, alpha=0.2, lam_range=(0.1, 0.9))
    assert_follows(lam, truncated(beta_cdf(0.2), 0.1, 0.9))
    assert_no_atoms_at(lam, 0.1, 0.9)


# Other distributions


@pytest.mark.parametrize("lam_range", [None, (0.1, 0.9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_asymmetric_beta_is_not_turned_around(dtype, lam_range):
    beta = tfd.Beta(dtype(0.4), dtype(1.0))
    lam = draw(20_000, distribution=beta, lam_range=lam_range)
    assert lam.dtype == np.float32
    assert_follows(lam, truncated(beta_cdf(0.4, 1.0), *(lam_range or (0.0, 1.0))))


def test_alpha_above_0_plays_no_part_beside_a_distribution():
    beta = tfd.Beta(0.4, 1.0)
    np.testing.assert_array_equal(
        draw(100, alpha=8.0, distribution=beta), draw(100, alpha=1, distribution=beta)
    )


@pytest.mark.parametrize(
    ("lam_range", "ends"), [(None, (0.1, 0.9)), ((0.3, 1.0), (0.3, 0.9))]
)
def test_uniform_distribution(lam_range, ends):
    lam = draw(20_000, distribution=tfd.Uniform(0.1, 0.9), lam_range=lam_range)
    assert_follows(lam, stats.uniform(ends[0], ends[1] - ends[0]).cdf)
    assert ends[0] - 1e-6 <= lam.min() <= lam.max() <= ends[1] + 1e-6


@pytest.mark.parametrize(
    ("lam_range", "drawn_by"),
    [(None, draw), ((0.0, 0.3), draw), ((0.4, 0.8), draw_compiled)],
)
def test_distribution_without_quantile(lam_range, drawn_by):
    lam = drawn_by(20_000, distribution=mixture(), lam_range=lam_range)
    assert_follows(lam, truncated(mixture_cdf, *(lam_range or (0.0, 1.0))))
    if lam_range:
        assert_no_atoms_at(lam, *lam_range)


def test_discrete_distributions():
    lam = draw(100, distribution=tfd.Deterministic(0.3))
    np.testing.assert_array_equal(lam, np.full(100, 0.3, np.float32), strict=True)
    lam = draw(20_000, distribution=tfd.Bernoulli(probs=0.3))
    assert lam.dtype == np.float32
    assert_frequencies(lam, {0.0: 0.7, 1.0: 0.3})
    finite = tfd.FiniteDiscrete([0.0, 0.25, 0.5, 1.0], probs=[0.1, 0.2, 0.3, 0.4])
    lam = draw(20_000, distribution=finite)
    assert_frequencies(lam, {0.0: 0.1, 0.25: 0.2, 0.5: 0.3, 1.0: 0.4})
    # The values at the ends of the range are in it.
    lam = draw(20_000, distribution=finite, lam_range=(0.25, 0.5))
    assert_frequencies(lam, {0.25: 0.4, 0.5: 0.6})


# probability


@pytest.mark.parametrize("probability", [0.3, 0.9])
@pytest.mark.parametrize("per", ["example", "batch"])
def test_probability_of_mixing(probability, per):
    mixer = tfmixup.MixUp(1.0, per=per, probability=probability)
    lam = mixer.sample(20, SEED, num_batches=2500 if per == "example" else 50_000).lam
    lam = lam.numpy().ravel()
    assert lam.size == 50_000
    # Beta(1, 1) in float32 gives 1 exactly with p < 1e-7: not more often than here.
    chosen = lam < 1
    assert_share(chosen.sum(), lam.size, probability)
    # Whether to mix must not depend on λ.
    assert_follows(lam[chosen], stats.uniform.cdf)


def test_probability_is_one_chance_for_each_example():
    chosen = tfmixup.MixUp(1.0, probability=0.5).sample(2, SEED, 20_000).lam.numpy() < 1
    counts = np.bincount(2 * chosen[:, 0] + chosen[:, 1], minlength=4)
    assert stats.chisquare(counts).pvalue > RATE


def test_probability_zero_and_one():
    assert np.all(draw(1000, alpha=1.0, probability=0.0) == 1)
    # One of a thousand is exactly 1 with p < 1e-4; fixed seed.
    assert np.all(draw(1000, alpha=1.0, probability=1.0) < 1)


# Shapes


@pytest.mark.parametrize(
    "arguments", [{"alpha": 0.0}, {"probability": 0.9}, {"lam_range": (0.1, 0.9)}]
)
def test_shape(arguments):
    for per, num_batches, shape in [
        ("example", None, (6,)),
        ("example", 4, (4, 6)),
        ("batch", None, (1,)),
        ("batch", 4, (4, 1)),
    ]:
        lam = tfmixup.MixUp(per=per, **arguments).sample(6, SEED, num_batches).lam
        assert (lam.shape, lam.dtype) == (shape, tf.float32)
        assert np.all(lam == 1) == ("alpha" in arguments)


SAMPLERS = {
    "beta": {},
    "batch": {"per": "batch"},
    "probability": {"alpha": 1.0, "probability": 0.5},
    "range": {"lam_range": (0.1, 0.9)},
    "rejection": {"distribution": mixture(), "lam_range": (0.4, 0.8)},
}


@pytest.mark.parametrize("arguments", SAMPLERS.values(), ids=SAMPLERS)
def test_graph_or_not_and_size_as_tensor_or_not_give_the_same(arguments):
    mixer = tfmixup.MixUp(**arguments)
    want = mixer.sample(7, SEED, 3).lam
    got = mixer.sample(tf.constant(7), tf.constant(SEED), 3).lam
    np.testing.assert_array_equal(got, want, strict=True)

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def graph(size: tf.Tensor) -> tf.Tensor:
        return mixer.sample(size, tf.constant(SEED), 3).lam

    # A graph's arithmetic is optimised: the last digits of log λ may differ.
    got = graph(tf.constant(7))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got, want, rtol=2e-5)
    assert not np.array_equal(want, mixer.sample(7, [3, 12], 3).lam)


# Seeds


def assert_uncorrelated(first: np.ndarray, second: np.ndarray) -> None:
    # √n·r is about standard normal: beyond ±5 with a chance of 6e-7.
    r = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert abs(r) * np.sqrt(first.size) < 5


@pytest.mark.parametrize("other", [[4, 11], [3, 12], [11, 3], [-3, 11], [3, -(2**31)]])
def test_seeds_that_are_close_give_independent_draws(other):
    lam = draw(20_000, SEED, alpha=1.0)
    assert_uncorrelated(lam, draw(20_000, other, alpha=1.0))


def test_batches_drawn_at_once_are_independent():
    lam = tfmixup.MixUp(1.0).sample(32, SEED, 1000).lam.numpy()
    # Rows repeat only if 32 floats do.
    assert len(np.unique(lam, axis=0)) == 1000
    assert_uncorrelated(lam[:-1], lam[1:])
    assert_uncorrelated(lam[:, :-1], lam[:, 1:])
    lam = tfmixup.MixUp(1.0, per="batch").sample(32, SEED, 1000).lam.numpy()[:, 0]
    # 1000 uniforms of at least 2²³ values: on average 0.06 pairs are equal, so that
    # ten or more are a chance of 1e-19.
    assert len(np.unique(lam)) > 990
    assert_uncorrelated(lam[:-1], lam[1:])


def test_alpha_0_is_lambda_1_whatever_the_distribution():
    mixer = tfmixup.MixUp(0, distribution=tfp.distributions.Uniform(0.1, 0.9))
    np.testing.assert_array_equal(mixer.sample(8, SEED).lam, np.ones(8))


class Unknown(tfd.Distribution):
    """Uniform on [0, high], of which TFP knows neither support nor CDF."""

    def __init__(self, high):
        super().__init__(
            tf.float32, tfd.NOT_REPARAMETERIZED, False, True, {"high": high}
        )
        self.high = high

    def _batch_shape(self):
        return tf.TensorShape([])

    def _event_shape(self):
        return tf.TensorShape([])

    def _sample_n(self, n, seed=None):
        return self.high * tf.random.stateless_uniform([n], seed)


def test_lambda_of_an_unknown_support_is_checked_when_it_is_drawn():
    assert draw(100, distribution=Unknown(1.0)).max() <= 1
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"outside \[0, 1\]"):
        draw(100, distribution=Unknown(2.0))
