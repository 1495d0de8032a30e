"""Draws histograms of λ with the exact distribution."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.distributions import Beta
from tfmixup.mixers import (
    BetweenClass,
    CMixup,
    CutMix,
    Mixer,
    MixUp,
    RandomChoice,
    ResizeMix,
)
from tfmixup.plot.figure import new_figure

__all__ = ["lambdas"]

_LAM = (MixUp, CutMix, BetweenClass, CMixup)  # mixers that draw λ; Remix is a MixUp
_COLUMNS = 3
_DRAWN, _EXACT = "#9ecae1", "#08306b"  # light and dark


@checks.named("tfmixup.plot.lambdas")
def lambdas(
    mixer: Mixer | Sequence[Mixer],
    *,
    draws: int = 10_000,
    bins: int = 40,
    seed: int = 0,
) -> Any:
    """Draws a histogram of λ and its exact distribution, to show what α does.

        f(λ) = λ^(α−1) · (1 − λ)^(α−1) / B(α, α)

    The bars are λ as the mixer draws it. The line is the exact density, averaged over
    each bin: of Beta(α, α), or of the mixer's `distribution`. With `lam_range` the
    density is divided by the probability of that range.

    The title names the mixer and two shares of the draws. Draws of 0.1 < λ < 0.9 look
    mixed. Draws of λ = 1 are not mixed, because of `probability` or α = 0. They are in
    no bar, and the line is scaled by `probability`. For small α some mixed λ round to 1
    too.

    - `CutMix`: λ as it is drawn. If a box is clipped at the border, the label's share
      of the first example is larger than λ.
    - `Remix`: λ of the features. λ of the labels depends on their classes.
    - `ResizeMix`: 1 − τ², where τ is the drawn scale. Its density is
      1 / (2·(high − low)·√(1 − λ)). Rounding to whole pixels is left out.
    - `RandomChoice`: a panel for each of its mixers, with its probability.

    If TensorFlow Probability has no `cdf` of the distribution, only bars are drawn.

    Args:
      mixer: a mixer, or several mixers to compare.
      draws: how many λ to draw of each mixer, at least 1.
      bins: the number of bins of the histogram, over [0, 1].
      seed: an integer. The same seed draws the same figure.

    Returns:
      A `matplotlib.figure.Figure`. The height of a bar is a density: its share of the
      draws divided by its width.

    Raises:
      ImportError: matplotlib is not installed.
      TypeError, ValueError: an argument is not as described, or a mixer has no λ.

    Examples:
      >>> figure = lambdas([tfmixup.MixUp(0.2), tfmixup.MixUp(1), tfmixup.MixUp(8)])
    """
    checks.integer("draws", draws)
    checks.integer("bins", bins)
    checks.seed(seed)
    mixers = [mixer] if isinstance(mixer, Mixer) else mixer
    listed = isinstance(mixers, Sequence) and len(mixers) > 0
    if not listed or not all(isinstance(member, Mixer) for member in mixers):
        raise TypeError(
            f"mixer must be a mixer such as tfmixup.MixUp(0.2), or a "
            f"sequence of them, got {mixer!r}."
        )
    panels = [panel for member in mixers for panel in _members(member)]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(max(3.6 * columns, 4.4), 2.7 * rows + 0.35)
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    legend: dict[str, Any] = {}
    for axes, (share, member) in zip(grid, panels):
        _panel(axes, share, member, _draw(member, draws, seed or 0), bins)
        handles, labels = axes.get_legend_handles_labels()
        legend.update(zip(labels, handles))
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.legend(
        legend.values(),
        legend.keys(),
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    return figure


def _members(mixer: Mixer, share: float = 1.0) -> Iterator[tuple[float, Mixer]]:
    """The mixer, or the members of a choice, each with its probability."""
    if isinstance(mixer, RandomChoice):
        weights = mixer.weights or [1.0] * len(mixer.mixers)
        for weight, member in zip(weights, mixer.mixers):
            yield from _members(member, share * weight / sum(weights))
    elif isinstance(mixer, (*_LAM, ResizeMix)):
        yield share, mixer
    else:
        raise TypeError(
            f"mixer must be one that draws λ (MixUp, CutMix, BetweenClass, "
            f"Remix, CMixup), ResizeMix or a RandomChoice of those, got {mixer!r}. For "
            "another one, draw its histogram from what its sample(...) returns."
        )


def _draw(mixer: Any, draws: int, seed: int) -> np.ndarray:
    """λ of one example in each of many batches, because a batch may share one λ."""
    params = mixer.sample(1, tf.constant([seed % 2**31, 0]), num_batches=draws)
    if isinstance(mixer, ResizeMix):
        return 1 - np.square(params.scale).reshape(-1)
    return np.asarray(params.lam).reshape(-1)


def _panel(axes: Any, share: float, mixer: Any, lam: np.ndarray, bins: int) -> None:
    mixed = 0.0 if getattr(mixer, "alpha", None) == 0 else float(mixer.probability)
    edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
    counts, _ = np.histogram(lam[lam < 1] if mixed < 1 else lam, edges)
    drawn = counts * bins / len(lam)
    axes.stairs(drawn, edges, fill=True, color=_DRAWN, label="drawn")
    exact = _exact(mixer, edges) if mixed else np.zeros(bins)
    if exact is not None:
        exact = mixed * bins * exact
        axes.stairs(exact, edges, color=_EXACT, linewidth=1.4, label="exact density")
    axes.set(xlim=(0, 1), xlabel="λ", ylabel="density")
    axes.set_ylim(0, max(1.15 * drawn.max(), 0.1))
    axes.spines[["top", "right"]].set_visible(False)
    # TFP prints "<tfp.distributions.Beta 'Beta' batch_shape=[] ...>".
    name = re.sub(r"<tfp\.distributions\.(\w+)[^>]*>", r"\1", repr(mixer))
    name = name if share == 1 else f"{share:.0%}: {name}"
    shares = f"0.1 < λ < 0.9: {np.mean((lam > 0.1) & (lam < 0.9)):.0%}"
    if mixed < 1:
        shares += f", not mixed: {np.mean(lam == 1):.0%}"
    lines = [*textwrap.wrap(name, 40, max_lines=3, placeholder=" …"), shares]
    if exact is None:
        lines.append(f"TFP knows no cdf of {type(mixer.distribution).__name__}")
    axes.set_title("\n".join(lines), fontsize=9)


def _exact(mixer: Any, edges: np.ndarray) -> np.ndarray | None:
    """The probability of each bin if examples are mixed. None if it is not known."""
    if isinstance(mixer, ResizeMix):
        low, high = mixer.scale
        # λ = 1 − τ² is below an edge where the uniform τ is above √(1 − edge).
        return np.diff(np.clip((high - np.sqrt(1 - edges)) / (high - low), 0, 1))
    distribution = mixer.distribution
    if distribution is None:
        # float64 resolves λ near 0 and 1 for small α.
        alpha = np.float64(mixer.alpha)
        distribution = Beta(alpha, alpha)
    low, high = mixer.lam_range or (0.0, 1.0)
    # Compute P(λ < edge), because NumPy counts a value on an edge to the bin above.
    # Discrete distributions have values on edges. TFP finds these with some tolerance.
    places = np.clip(edges, low, high) - np.float32(1e-5)
    places[-1] = high
    try:
        below = distribution.cdf(tf.cast(places, distribution.dtype))
    except NotImplementedError:
        return None
    below = np.array(below, np.float64)
    below[0] = below[0] if low > 0 else 0.0
    return np.diff(below) / (below[-1] - below[0])
