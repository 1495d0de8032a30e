"""matplotlib, where it is installed."""

from __future__ import annotations

from typing import Any

__all__ = ["empty_figure", "new_figure"]


def empty_figure(owner: str, size: tuple[float, float]) -> Any:
    """A figure without axes, made without pyplot, which would keep it.

    Args:
      owner: named in errors.
      size: width and height in inches.

    Returns:
      The figure.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"{owner}: figures need matplotlib, but importing it failed ({error}). "
            "Install it: pip install 'tfmixup[plot]'."
        ) from error
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_figure(owner: str, size: tuple[float, float]) -> tuple[Any, Any]:
    """As `empty_figure`, with one pair of axes.

    Args:
      owner: named in errors.
      size: width and height in inches.

    Returns:
      The figure and its axes.

    Raises:
      ImportError: matplotlib is not installed.
    """
    figure = empty_figure(owner, size)
    return figure, figure.subplots()
