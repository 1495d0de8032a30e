"""The figure of λ: the bars and the line against SciPy's distributions."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from looking import assert_readable, titles

import tfmixup
from tfmixup import plot

tfd = tfp.distributions


def drawn(axes):
    return axes.patches[0].get_data().values


def exact(axes):
    return axes.patches[1].get_data().values


class Root:
    """λ = 1 − τ² for uniform τ: P(λ <= x) = P(τ >= √(1 − x))."""

    def cdf(self, x):
        return 1 - scipy.stats.uniform(0.2, 0.5).cdf(np.sqrt(1 - x))


LAWS = [
    (tfmixup.MixUp(0.2), scipy.stats.beta(0.2, 0.2)),
    (tfmixup.CutMix(8, per="batch"), scipy.stats.beta(8, 8)),
    (tfmixup.Remix([9, 1], alpha=1), scipy.stats.uniform()),
    (tfmixup.BetweenClass(16000, alpha=2, lam_range=(0.2, 0.8)), None),
    (tfmixup.CMixup(1.0, alpha=2), scipy.stats.beta(2, 2)),
    (
        tfmixup.MixUp(distribution=tfd.TruncatedNormal(0.6, 0.2, 0.0, 1.0)),
        scipy.stats.truncnorm(-3, 2, 0.6, 0.2),
    ),
    (tfmixup.ResizeMix((0.2, 0.7), per="batch"), Root()),
]


@pytest.mark.parametrize(("mixer", "law"), LAWS, ids=lambda value: repr(value)[:20])
def test_bars_and_line_are_those_of_the_distribution(mixer, law):
    draws, bins = 4000, 20
    axes = plot.lambdas(mixer, draws=draws, bins=bins).axes[0]
    edges = np.linspace(0, 1, bins + 1)
    if law is None:  # Beta(2, 2), truncated to [0.2, 0.8]
        cdf = scipy.stats.beta(2, 2).cdf([0.2, *np.clip(edges, 0.2, 0.8), 0.8])
        p = np.diff(cdf[1:-1]) / (cdf[-1] - cdf[0])
    else:
        p = np.diff(law.cdf(edges))
    np.testing.assert_allclose(exact(axes), bins * p, rtol=1e-3, atol=1e-3)
    counts = drawn(axes) * draws / bins
    assert counts.sum() == pytest.approx(draws)
    # The seed is fixed. Another one would fail one of 140 bars with p below 1e-3.
    sigma = np.sqrt(draws * p * (1 - p))
    assert np.all(np.abs(counts - draws * p) <= 4.7 * sigma + 1e-6)


@pytest.mark.parametrize(
    ("distribution", "p"),
    [
        # On edges of 40 bins, which NumPy counts to the bin above.
        (tfd.FiniteDiscrete([0.25, 0.5], probs=[0.5, 0.5]), {10: 0.5, 20: 0.5}),
        (tfd.FiniteDiscrete([0.21, 0.7], probs=[0.2, 0.8]), {8: 0.2, 28: 0.8}),
        (tfd.Deterministic(0.31), {12: 1.0}),
        (tfd.Bernoulli(probs=0.3), {0: 0.7, 39: 0.3}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_single_values_are_in_their_bins(distribution, p):
    axes = plot.lambdas(tfmixup.MixUp(distribution=distribution), draws=4000).axes[0]
    expected = np.zeros(40)
    for k, share in p.items():
        expected[k] = 40 * share
    np.testing.assert_allclose(exact(axes), expected, atol=1e-4)
    # 4.7 sigma of a share of 4000 draws is below 0.038.
    np.testing.assert_allclose(drawn(axes), expected, atol=40 * 0.038)


def test_the_unmixed_are_told_above_and_are_in_no_bar():
    figure = plot.lambdas(tfmixup.MixUp(2, probability=0.3), draws=4000)
    axes = figure.axes[0]
    assert drawn(axes).sum() / 40 == pytest.approx(0.3, abs=0.035)  # 4.8 sigma
    assert exact(axes).sum() / 40 == pytest.approx(0.3, abs=1e-6)
    shares = titles(figure)[0][1]
    assert shares.startswith("0.1 < λ < 0.9: ")
    assert int(shares.split(": ")[-1][:-1]) == pytest.approx(70, abs=4)
    assert_readable(figure)


def test_no_mixing_at_all():
    for mixer in (tfmixup.MixUp(0), tfmixup.CutMix().off(), tfmixup.ResizeMix().off()):
        figure = plot.lambdas(mixer, draws=100)
        assert not drawn(figure.axes[0]).any()
        assert not exact(figure.axes[0]).any()
        assert titles(figure)[0][-1] == "0.1 < λ < 0.9: 0%, not mixed: 100%"


def test_the_share_that_looks_mixed():
    figure = plot.lambdas(tfmixup.MixUp(1), draws=20_000)
    assert titles(figure)[0][0] == "MixUp(alpha=1.0)"
    share = int(titles(figure)[0][1].removeprefix("0.1 < λ < 0.9: ")[:-1])
    assert share == pytest.approx(80, abs=2)  # 7 sigma


def test_a_panel_for_each_mixer_and_each_member_of_a_choice():
    inner = tfmixup.RandomChoice([tfmixup.MixUp(0.8), tfmixup.CutMix(1)])
    choice = tfmixup.RandomChoice([inner, tfmixup.ResizeMix()], weights=(3, 1))
    normal = tfd.TruncatedNormal(0.8, 0.1, 0.0, 1.0)
    low = tfmixup.MixUp(0.2, distribution=normal, lam_range=(0.2, 0.9))
    figure = plot.lambdas([choice, low], draws=100)
    assert [lines[:-1] for lines in titles(figure)] == [
        ["38%: MixUp(alpha=0.8)"],
        ["38%: CutMix(alpha=1.0)"],
        ["25%: ResizeMix(scale=(0.1, 0.8))"],
        [
            "MixUp(alpha=0.2,",
            "distribution=TruncatedNormal,",
            "lam_range=(0.2, 0.9))",
        ],
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["drawn", "exact density"]
    assert not any(axes.axison for axes in figure.axes[4:])
    assert_readable(figure)


def test_a_distribution_without_a_cdf_has_bars_alone():
    class Unknown(tfd.Distribution):
        def __init__(self):
            super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, False)

        def _batch_shape(self):
            return tf.TensorShape([])

        _event_shape = _batch_shape

        def _sample_n(self, n, seed=None):
            return tf.random.stateless_uniform([n], seed)

    figure = plot.lambdas(tfmixup.MixUp(distribution=Unknown()), draws=500)
    assert len(figure.axes[0].patches) == 1
    assert titles(figure)[0][-1] == "TFP knows no cdf of Unknown"


def test_the_seed_chooses_the_draws():
    first, again, other = (
        drawn(plot.lambdas(tfmixup.MixUp(), seed=s, draws=500).axes[0])
        for s in (1, 1, -(2**70))
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


class Swap(tfmixup.Mixer):
    """A mixer without λ, which is never called."""


Swap.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(
    ("mixer", "more", "error", "message"),
    [
        (0.2, {}, TypeError, "mixer must be a mixer such as"),
        ([], {}, TypeError, "mixer must be a mixer such as"),
        ([0.2], {}, TypeError, "mixer must be a mixer such as"),
        ("mixup", {}, TypeError, "mixer must be a mixer such as"),
        (Swap(), {}, TypeError, "mixer must be one that draws λ"),
        (tfmixup.MixUp(), {"draws": 0}, ValueError, "draws must be at least 1"),
        (tfmixup.MixUp(), {"bins": 2.5}, TypeError, "bins must be an integer"),
        (tfmixup.MixUp(), {"seed": "a"}, TypeError, "seed must be an integer"),
    ],
)
def test_what_cannot_be_drawn(mixer, more, error, message):
    with pytest.raises(error, match=f"^tfmixup.plot.lambdas: {message}"):
        plot.lambdas(mixer, **more)
