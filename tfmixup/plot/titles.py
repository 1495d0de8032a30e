"""What is written above an example: λ and the label mass of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmixup.plot.features import Look
from tfmixup.plot.reading import Target

__all__ = ["label_lines", "mass", "shorten", "titles"]

_MOST = 3  # classes, and numbers of a target that is no class
_LEAST = 0.005  # which would be written 0.00
_LINE, _NAME = 24, 20  # characters


def titles(
    owner: str,
    labels: list[Target],
    look: Look,
    names: dict[Any, Any],
    lam: np.ndarray | None,
    weights: np.ndarray | None,
    count: int,
) -> list[list[str]]:
    """The lines above every example.

    Args:
      owner: named in errors.
      labels: targets without pixels.
      look: how the features are drawn.
      names: of classes, by the target's name.
      lam: λ (B,), or None where it is not known.
      weights: sample weights; those of examples are written.
      count: how many examples are drawn.

    Raises:
      ValueError: a label has not as many classes as there are names.
    """
    masses = []
    for target in labels:
        named = names.get(target.name)
        found = mass(target, None if named is None else len(named))
        if found is not None and named is not None and found.shape[1] != len(named):
            raise ValueError(
                f"{owner}: class_names has {len(named)} entries, and labels have "
                f"{found.shape[1]} classes. Name every class, in the order of their "
                "ids."
            )
        masses.append(found)
    weighed = weights is not None and weights.size == len(weights)
    weighed = weighed and not np.all(weights == 1)
    text = []
    for row in range(count):
        lines = [] if lam is None else [f"λ = {lam[row]:.2f}"]
        for target, found in zip(labels, masses):
            lines += label_lines(target, names.get(target.name), row, found)
        if weighed and weights is not None:
            lines.append(f"weight {weights.reshape(-1)[row]:.2f}")
        if not np.all(np.isfinite(look.values[row].astype(np.float64))):
            lines.append("NaN or infinite!")
        text.append(lines)
    return text


def mass(target: Target, num_classes: int | None) -> np.ndarray | None:
    """The label mass of every class: float64 (B, C).

    Args:
      target: class ids (B,) or (B, 1), shares (B, C), or a pair of them.
      num_classes: C for class ids; None for as many as they need.

    Returns:
      None for what is not a label of classes: numbers, sequences, masks.
    """
    if target.second is None:
        return _mass(target.first, num_classes)
    classes = num_classes
    if target.first.dtype.kind in "iu" and classes is None:
        classes = 1 + int(max(target.first.max(), target.second.max()))
    first, second = (_mass(y, classes) for y in (target.first, target.second))
    if first is None or second is None or target.lam is None:
        return None
    lam = target.lam[:, np.newaxis]
    return lam * first + (1 - lam) * second


def _mass(y: np.ndarray, num_classes: int | None) -> np.ndarray | None:
    if y.dtype.kind == "f":
        shares = y.ndim == 2 and y.shape[1] > 1 and y.min() >= 0 and y.max() <= 1 + 1e-3
        return y.astype(np.float64) if shares else None
    if y.dtype.kind == "b" or y.size != len(y) or y.min() < 0:
        return None
    ids = y.reshape(-1)
    classes = max(num_classes or 0, int(ids.max()) + 1)
    return (ids[:, np.newaxis] == np.arange(classes)).astype(np.float64)


def label_lines(
    target: Target, names: Sequence[str] | None, row: int, mass: np.ndarray | None
) -> list[str]:
    """What a target says of one example, in lines.

    Args:
      target: not a mask.
      names: of the classes; None for class ids.
      row: which example.
      mass: what the function of that name returned.

    Returns:
      Lines such as ["3: 0.79 / 4: 0.21"]; none for sequences.
    """
    if mass is not None:
        return _wrap(_shares(mass[row], names))
    y, other = target.first[row], target.second
    if y.size == 1 and other is not None and target.lam is not None:
        lam, second = target.lam[row], other[row].item()
        return [f"{lam:.2f} · {y.item():.3g} + {1 - lam:.2f} · {second:.3g}"]
    if y.dtype.kind != "f" or y.ndim > 1 or other is not None:
        return []
    numbers = [f"{number:.3g}" for number in y.reshape(-1)[:_MOST]]
    return [f"y = {', '.join(numbers)}" + (", …" if y.size > _MOST else "")]


def _shares(mass: np.ndarray, names: Sequence[str] | None) -> list[str]:
    order = np.argsort(-mass, kind="stable")
    shown = [c for c in order[:_MOST] if mass[c] >= _LEAST]
    if len(order) > _MOST:
        # Of several that are alike, as smoothing makes them, none is picked out.
        standing_out = [c for c in shown if mass[c] > mass[order[_MOST]] + 1e-6]
        shown = standing_out or shown
    texts = [f"{shorten(names[c] if names else c)}: {mass[c]:.2f}" for c in shown]
    others = mass.sum() - mass[shown].sum()
    return [*texts, f"others: {others:.2f}"] if others >= _LEAST else texts


def shorten(name: object) -> str:
    """A name that fits above a picture."""
    text = str(name)
    return text if len(text) <= _NAME else text[: _NAME - 1] + "…"


def _wrap(texts: list[str]) -> list[str]:
    """As many as fit on a line."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 3 + len(text) <= _LINE:
            lines[-1] += f" / {text}"
        else:
            lines.append(text)
    return lines
