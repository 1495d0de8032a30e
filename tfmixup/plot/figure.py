"""Makes empty figures and grids for examples. Needs matplotlib."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfmixup import requirements

__all__ = ["draw_example", "example_grid", "new_figure"]


def new_figure(width: float, height: float) -> Any:
    """A figure without axes, with matplotlib's constrained layout.

    It is made without pyplot, which would keep the figure and might open a window.

    Args:
      width: the width in inches.
      height: the height in inches.

    Returns:
      A `matplotlib.figure.Figure`.

    Raises:
      ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"figures need matplotlib, but importing it failed ({error}). "
            f"Install it: {requirements.install('plot')}."
        ) from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def example_grid(
    kind: str, values: np.ndarray, columns: int, layers: int, text: float, head: bool
) -> tuple[Any, np.ndarray]:
    """A figure and its axes (layers, B): the features, and below them the masks.

    Each example has `text` inches above it. A `head` has some space above all examples.
    """
    rows, sound = math.ceil(len(values) / columns), kind != "image"
    wide, tall = (2.6, 1.4) if sound else (1.9, 1.9)
    if not sound:
        tall *= min(max(values.shape[1] / values.shape[2], 0.4), 2.5)
    height = rows * (layers * (tall + 0.05) + text + 0.05) + 0.25 * head
    height += 0.5 if sound or layers > 1 else 0.0  # names of axes, or a legend
    figure = new_figure(max(columns * wide, 3.0), height)
    shared: dict[str, Any] = {"sharex": sound, "sharey": sound, "squeeze": False}
    grid = figure.subplots(rows * layers, columns, **shared)
    cells = grid.reshape(rows, layers, columns).swapaxes(0, 1).reshape(layers, -1)
    for axes in cells[:, len(values) :].flat:
        axes.set_axis_off()
    if sound:
        for axes in cells[0, len(values) - columns : len(values)]:
            axes.tick_params(labelbottom=True)  # also if the place below is empty
        figure.supxlabel("sample" if kind == "waveform" else "frame", fontsize=9)
        figure.supylabel("" if kind == "waveform" else "bin", fontsize=9)
    else:
        for axes in cells.flat:
            axes.set(xticks=[], yticks=[])
    return figure, cells[:, : len(values)]


def draw_example(
    axes: Any, kind: str, example: np.ndarray, low: float, high: float
) -> None:
    """Draws an image, a waveform or a spectrogram between low and high."""
    if kind == "image":
        scaled = (example.astype(np.float64) - low) / (high - low)
        scaled = np.clip(np.nan_to_num(scaled, nan=0.0), 0, 1)
        axes.imshow(scaled, cmap="gray", vmin=0, vmax=1)
    elif kind == "spectrogram":
        ends = {"vmin": low, "vmax": high}
        axes.imshow(example.T, origin="lower", aspect="auto", **ends)
    else:
        axes.plot(example, linewidth=0.6)
        axes.locator_params(axis="x", integer=True, nbins=4)
        margin = 0.05 * (high - low)
        axes.set(xlim=(0, len(example) - 1), ylim=(low - margin, high + margin))
