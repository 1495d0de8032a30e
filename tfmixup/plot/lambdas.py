"""Histograms of λ over its exact density."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmixup import checks
from tfmixup.mixers import Mixer, base
from tfmixup.plot import backend
from tfmixup.plot.law import Law, laws

__all__ = ["lambdas"]

_OWNER = "tfmixup.plot.lambdas"
_MOST = 3  # panels in a row
_WIDTH, _HEIGHT = 3.6, 2.7  # inches
_DRAWN, _EXACT = "#9ecae1", "#08306b"  # light and dark
_BETWEEN = (0.1, 0.9)


def lambdas(
    mixer: Mixer | Sequence[Mixer],
    *,
    draws: int = 10_000,
    bins: int = 40,
    seed: int = 0,
) -> Any:
    """Draws a histogram of λ over its exact density, to show what α does.

        f(λ) = λ^(α−1) · (1 − λ)^(α−1) / B(α, α)

    or the density of the mixer's `distribution`, divided by the probability of
    `lam_range` where there is one. With `probability` below 1 the curve is scaled by
    it, and a narrow picture beside shows what is drawn as λ = 1 because it is not
    mixed (for small α some of the others round to 1 too). λ is that of the examples:

    - of `CutMix` as it is drawn; what is clipped at the border leaves labels a larger
      share than λ.
    - of `Remix` the one of the features; that of labels depends on their classes.
    - of `ResizeMix`, which draws τ, the share of pixels that are kept, 1 − τ², with
      the density 1 / (2·(high − low)·√(1 − λ)); rounding to whole pixels is left out.
    - of `RandomChoice` a picture for each of its members.

    Distributions of single values have no density and get a histogram alone, as have
    those whose `prob` TensorFlow Probability does not know.

    Args:
      mixer: a mixer, or several to compare.
      draws: how many λ of each, at least 1.
      bins: of the histogram, over [0, 1].
      seed: an integer, for the same picture every time.

    Returns:
      A `matplotlib.figure.Figure`. The height of bars is a density too: shares divided
      by the width of bars. Above is the share of draws with 0.1 < λ < 0.9, of which
      one sees that they are mixed.

    Raises:
      ImportError: matplotlib is not installed.
      TypeError, ValueError: an argument cannot be, or a mixer has no λ.

    Examples:
      >>> figure = lambdas([tfmixup.MixUp(0.2), tfmixup.MixUp(1), tfmixup.MixUp(8)])
    """
    checks.positive_integer(_OWNER, "draws", draws)
    checks.positive_integer(_OWNER, "bins", bins)
    checks.seed(_OWNER, seed)
    mixers = [mixer] if isinstance(mixer, Mixer) else mixer
    if isinstance(mixers, str) or not isinstance(mixers, Sequence) or not mixers:
        raise TypeError(
            f"{_OWNER}: mixer must be a mixer such as tfmixup.MixUp(0.2), or a "
            f"sequence of them, got {mixer!r}."
        )
    for one in mixers:
        base.require(_OWNER, one)
    panels = [law for one in mixers for law in laws(_OWNER, one, draws, seed)]
    columns = min(_MOST, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = backend.empty_figure(
        _OWNER, (max(_WIDTH * columns, 4.4), _HEIGHT * rows + 0.35)
    )
    parts = figure.subfigures(rows, columns, squeeze=False).reshape(-1)
    labelled: dict[str, Any] = {}
    for part, law in zip(parts, panels):
        _panel(part, law, bins, labelled)
    figure.legend(
        handles=list(labelled.values()),
        labels=list(labelled),
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    return figure


def _panel(part: Any, law: Law, bins: int, labelled: dict[str, Any]) -> None:
    if law.unmixed:
        axes, side = part.subplots(1, 2, width_ratios=[5, 1])
        _side(side, law)
    else:
        axes = part.subplots()
    mixed = law.draws[law.draws < 1] if law.unmixed else law.draws
    edges = np.linspace(0, 1, bins + 1)
    counts, _ = np.histogram(mixed, edges)
    heights = counts * bins / len(law.draws)
    bars = axes.bar(
        edges[:-1],
        heights,
        1 / bins,
        align="edge",
        color=_DRAWN,
        edgecolor="white",
        linewidth=0.4,
    )
    labelled.setdefault("drawn", bars)
    top = max(heights.max(), 0.1)
    if law.density is not None:
        lam = _points(*law.ends)
        exact = (1 - law.unmixed) * law.density(lam)
        # Zero outside: the steps at the ends of a range are drawn too.
        if law.ends[0] > 0:
            lam, exact = np.r_[0, law.ends[0], lam], np.r_[0, 0, exact]
        if law.ends[1] < 1:
            lam, exact = np.r_[lam, law.ends[1], 1], np.r_[exact, 0, 0]
        (line,) = axes.plot(lam, exact, color=_EXACT, linewidth=1.6)
        labelled.setdefault("exact density", line)
    if law.unmixed == 1:
        axes.text(0.5, 0.5, "never mixed", ha="center", transform=axes.transAxes)
    axes.set(xlim=(0, 1), ylim=(0, 1.15 * top))
    axes.set_xlabel("λ", fontsize=9)
    axes.set_ylabel("density", fontsize=9)
    axes.tick_params(labelsize=8)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    low, high = _BETWEEN
    share = np.mean((law.draws > low) & (law.draws < high))
    lines = [*_wrap(law.name), f"{low} < λ < {high}: {share:.0%}"]
    if law.why:
        lines.append(law.why)
    part.suptitle("\n".join(lines), fontsize=9)


def _side(axes: Any, law: Law) -> None:
    """λ = 1: what was drawn, and what the mixer's probability says."""
    drawn = 100 * float(np.mean(law.draws == 1))
    axes.bar([0], [drawn], 0.7, color=_DRAWN, edgecolor="white", hatch="///")
    axes.plot([-0.5, 0.5], [100 * law.unmixed] * 2, color=_EXACT, linewidth=1.6)
    axes.set(xlim=(-0.7, 0.7), ylim=(0, 105), xticks=[0])
    axes.set_xticklabels(["λ = 1"], fontsize=8)
    axes.set_ylabel("% of draws", fontsize=8, labelpad=1)
    axes.tick_params(labelsize=7)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)


def _points(low: float, high: float) -> np.ndarray:
    """Places between two ends, dense near them, where densities may be infinite."""
    angles = np.linspace(0, np.pi, 603)[1:-1]
    return low + (high - low) * (1 - np.cos(angles)) / 2


def _wrap(name: str, width: int = 44, most: int = 3) -> list[str]:
    # "<tfp.distributions.Beta 'Beta' batch_shape=[] ...>"
    name = re.sub(r"<tfp\.distributions\.(\w+)[^>]*>", r"\1", name)
    lines = [""]
    for word in name.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} …"]
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]
