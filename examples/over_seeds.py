"""The mean over an example's seeds, and its standard error."""

from __future__ import annotations

from typing import Any

import numpy as np


def mean_and_error(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mean over the first axis and its standard error, s / √n (NaN for n = 1)."""
    values = np.asarray(values, float)
    if len(values) == 1:
        return values[0], np.full_like(values[0], np.nan)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def shown(values: Any, digits: int) -> str:
    """Mean ± standard error with `digits` decimals, such as "7.8 ± 0.1".

    A single run has no standard error, and only its value is shown.
    """
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f} ± {error:.{digits}f}".removesuffix(" ± nan")
