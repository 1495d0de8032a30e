"""Draws the label mass of every class in two datasets as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmixup import checks
from tfmixup.plot.figure import new_figure

__all__ = ["label_mass"]

_MOST_NAMES = 30  # classes that are named one by one below the axis
_BEFORE, _AFTER = "#9ecae1", "#08519c"  # light and dark, to differ in grey too


@checks.named("tfmixup.plot.label_mass")
def label_mass(
    before: Sequence[float],
    after: Sequence[float],
    *,
    class_names: Sequence[str] | None = None,
    labels: tuple[str, str] = ("before", "after"),
) -> Any:
    """Draws the label mass of every class in two datasets side by side.

        m_c of tfmixup.label_mass, in per cent

    A dashed line at 1/C shows where all classes would be equal.

    Args:
      before: shares (C,), as `tfmixup.label_mass` returns them.
      after: shares (C,) of the same classes.
      class_names: C names. None for class ids.
      labels: the names of the two datasets in the legend.

    Returns:
      A `matplotlib.figure.Figure`. `figure.savefig("mass.png")` writes it, and a
      notebook shows it.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: `before` and `after` differ in their number of classes, or one of them
        is not a sequence of shares that sum to 1.

    Examples:
      >>> figure = label_mass([0.9, 0.1], [0.6, 0.4], class_names=["cat", "lynx"])
    """
    first, second = _shares("before", before), _shares("after", after)
    classes = len(first)
    if len(second) != classes:
        raise ValueError(f"before has {classes} classes and after {len(second)}.")
    names = [str(c) for c in range(classes)] if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(f"class_names has {len(names)} entries for {classes} classes.")
    if isinstance(labels, str) or len(labels) != 2:
        raise ValueError(f"labels must be two names, got {labels!r}.")
    figure = new_figure(min(max(5.0, 1.5 + 0.55 * classes), 14.0), 3.6)
    axes, ids = figure.subplots(), np.arange(classes)
    edge = {"edgecolor": "black", "linewidth": 0.5 if classes <= _MOST_NAMES else 0}
    axes.bar(ids - 0.2, 100 * first, 0.4, label=labels[0], color=_BEFORE, **edge)
    axes.bar(ids + 0.2, 100 * second, 0.4, label=labels[1], color=_AFTER, **edge)
    axes.axhline(100 / classes, color="k", ls="--", lw=1, label="equal shares")
    if classes <= _MOST_NAMES:
        long = max(len(str(name)) for name in names) > 4
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(ids, names, **(turned if long else {}))
    axes.set(xlabel="class", ylabel="share of label mass (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _shares(name: str, value: Any) -> np.ndarray:
    shares = np.asarray(value, np.float64)
    fine = shares.ndim == 1 and shares.size and np.isfinite(shares).all()
    if not fine or shares.min() < 0 or abs(shares.sum() - 1) > 1e-3:
        raise ValueError(
            f"{name} must be shares of classes that sum to 1, as "
            f"tfmixup.label_mass returns them, got {value!r}."
        )
    return shares
