"""Pictures of a batch: every example with its λ and its label mass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmixup import checks
from tfmixup.plot import backend, dense, features, titles
from tfmixup.plot.reading import Target, read

__all__ = ["batch"]

_OWNER = "tfmixup.plot.batch"
# Inches: a column of images, of sounds; a line of text, a letter.
_WIDTH, _WIDE = 1.75, 2.6
_LINE, _LETTER = 0.165, 0.079

Names = Sequence[str] | Mapping[Any, Sequence[str]] | None


def batch(
    ds_or_batch: Any,
    class_names: Names = None,
    *,
    lam: Any = None,
    examples: int = 8,
    columns: int = 4,
    kind: str | None = None,
    value_range: tuple[float, float] | None = None,
    ignore_label: int | None = None,
    feature_key: Any = None,
    target_keys: Sequence[Any] | None = None,
    weight_key: str = "sample_weight",
    title: str | None = None,
) -> Any:
    """Draws examples of a batch, each under its λ and the label mass of its classes.

    A mixed label, such as "3: 0.79 / 4: 0.21", does not tell λ: 0.79 may be the share
    of the first example or of the second, and two examples of one class leave no trace.
    So λ is written only where it is known: with `lam`, or where targets are pairs
    (y_i, y_j, λ) (`targets="pair"`), whose label mass is λ·y_i + (1 − λ)·y_j. Up to
    three classes are named, the largest first; masses below 0.005 are left out, and
    what is not named is "others".

    Features are drawn by shape (or as `kind` says), all of one batch on one scale:

    - (B, H, W, C), C 1, 3 or 4: images, grey, RGB or RGBA; the middle frame of videos
      (B, T, H, W, C); (B, H, W) of bytes. Black and white are 0 and 255 for integers;
      for floats 0 and 1, −1 and 1, or 0 and 255, the first that holds the whole batch;
      else its least and greatest value, and the figure says so.
    - (B, T), (B, T, 1) or (B, T, 2): waveforms, a line a channel.
    - (B, T, F): spectrograms, time from left to right.

    Masks, class ids (B, H, W) or shares (B, H, W, C), are drawn in a row below:
    a colour a class, lighter from class to class; a pixel of several classes has the
    blend of their colours, and dots; an ignored one (no class, or weight 0) has grey
    stripes. Other dense targets, floats (B, H, W), go from dark to light.
    Numbers are written as "y = 1.5", sequences not at all.

    Args:
      ds_or_batch: a dataset of batches, of which the first is drawn, or a batch:
        `(x, y)`, `(x, y, sample_weight)`, a dict as TFDS yields it, or x alone.
      class_names: names of the classes, for the label and for masks; a dict of them by
        key (or place) of the target where there are several. None for class ids.
      lam: λ, in [0, 1]: a number or (B,), where the labels cannot tell it.
      examples: how many of the batch are drawn, from the first on, at least 1.
      columns: pictures in a row, at least 1.
      kind: "image", "waveform" or "spectrogram", where the shape misleads: (B, H, W)
        floats are taken for spectrograms, (B, T, F, 1) for grey images.
      value_range: (low, high), the values of black and white (of the ends of the scale
        for sounds); None as told above.
      ignore_label: class id of pixels in integer masks that have none, such as 255.
      feature_key: which feature of a dict is drawn; None for "image", "audio" or
        "spectrogram".
      target_keys: which targets of a dict element; None for those of "label",
        "segmentation_mask" and "mask" that it has.
      weight_key: the key of sample weights in dict elements, used if there is one.
      title: above everything.

    Returns:
      A `matplotlib.figure.Figure`; `figure.savefig("mix.png")` writes it, a notebook
      shows it.

    Raises:
      ImportError: matplotlib is not installed.
      TypeError, KeyError, ValueError: an argument or the batch is not as described.

    Examples:
      >>> x, y = tf.random.uniform([8, 16, 16, 3]), tf.range(8)
      >>> mixed = tfmixup.MixUp(0.4, num_classes=10)(x, y)
      >>> figure = batch(mixed)
    """
    checks.positive_integer(_OWNER, "examples", examples)
    checks.positive_integer(_OWNER, "columns", columns)
    feature, targets, weights = read(
        _OWNER, ds_or_batch, feature_key, target_keys, weight_key
    )
    size = len(feature)
    shares = _lam(lam, size, targets)
    count = min(examples, size)
    look = features.prepare(_OWNER, feature[:count], kind, value_range)
    names = _all_names(class_names, targets)
    below = [t for t in targets if look.kind == "image" and t.first.ndim >= 3]
    panels = [
        dense.panel(_OWNER, t, look, weights, names.get(t.name), ignore_label, count)
        for t in below
    ]
    labels = [t for t in targets if not any(t is other for other in below)]
    text = titles.titles(_OWNER, labels, look, names, shares, weights, count)
    columns = min(columns, count)
    rows, layers = math.ceil(count / columns), 1 + len(panels)
    above = _above(look, panels, title)
    figure = backend.empty_figure(
        _OWNER, _size(look, rows, columns, text, panels, len(above))
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.05)
    if above:
        figure.suptitle("\n".join(above), fontsize=10)
    grid = figure.subplots(rows * layers, columns, squeeze=False)
    bars = []
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        cells = [grid[row * layers + layer][column] for layer in range(layers)]
        if place >= count:
            for axes in cells:
                axes.set_axis_off()
            continue
        bars.append(features.draw(cells[0], look, place))
        cells[0].set_title("\n".join(text[place]), fontsize=9)
        for axes, panel in zip(cells[1:], panels):
            axes.imshow(panel.pictures[place], interpolation="nearest")
        last = place + columns >= count
        _tidy(cells, look, last, column == 0)
    _beside(figure, grid, panels, bars[0])
    return figure


def _lam(lam: Any, size: int, targets: list[Target]) -> np.ndarray | None:
    if lam is None:
        pairs = [target.lam for target in targets if target.lam is not None]
        return pairs[0] if pairs else None
    try:
        values = np.asarray(lam, np.float64)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.size not in (1, size) or values.ndim > 1:
        raise ValueError(
            f"{_OWNER}: lam must be one number or one for each of the {size} examples "
            f"of the batch, got shape {values.shape}."
        )
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"{_OWNER}: lam must be in [0, 1], got {lam!r}.")
    return np.broadcast_to(values.reshape(-1), [size])


def _all_names(class_names: Any, targets: list[Target]) -> dict[Any, Any]:
    if class_names is None:
        return {}
    if not isinstance(class_names, Mapping):
        if isinstance(class_names, str) or not isinstance(class_names, Sequence):
            raise TypeError(
                f"{_OWNER}: class_names must be a sequence of names, or a dict of such "
                f"by target, got {class_names!r}."
            )
        return {target.name: list(class_names) for target in targets}
    known = [target.name for target in targets]
    for key in class_names:
        if key not in known:
            raise KeyError(
                f"{_OWNER}: class_names has the key {key!r}, and targets are named "
                f"{known}. Give a plain sequence where there is one target."
            )
    return {key: list(names) for key, names in class_names.items()}


def _size(
    look: features.Look,
    rows: int,
    columns: int,
    text: list[list[str]],
    panels: list[dense.Panel],
    above: int,
) -> tuple[float, float]:
    """Inches that everything needs; `above` is the number of lines of the title."""
    longest = max((len(line) for lines in text for line in lines), default=0)
    lines = max(map(len, text))
    if look.kind == "image":
        high, wide = look.values.shape[1:3]
        width = max(_WIDTH, 0.1 + _LETTER * longest)
        height = width * min(max(high / wide, 0.4), 2.5)
    else:
        width, height = max(_WIDE, _LETTER * longest), 1.4
    across = max(columns * width + (0.7 if look.kind != "image" else 0), 3.0)
    entries = [handle for panel in panels for handle in panel.handles]
    below = 0.3 * math.ceil(len(entries) / _legend_columns(across, entries))
    if look.kind != "image":
        below += 0.4  # numbers and names of the axes
    down = rows * ((1 + len(panels)) * height + lines * _LINE + 0.1)
    return across, down + below + 0.2 * above + 0.1


def _legend_columns(across: float, handles: list[Any]) -> int:
    longest = max((len(handle.get_label()) for handle in handles), default=0)
    columns = int(across / (0.55 + 0.07 * longest))
    return max(1, min(columns, len(handles)))


def _tidy(cells: list[Any], look: features.Look, last: bool, first: bool) -> None:
    for axes in cells[1:] if look.kind != "image" else cells:
        axes.set(xticks=[], yticks=[])
    if look.kind == "image":
        return
    cells[0].tick_params(labelsize=7, labelbottom=last, labelleft=first)
    cells[0].locator_params(axis="x", nbins=4)
    names = {"waveform": ("sample", ""), "spectrogram": ("frame", "bin")}[look.kind]
    cells[0].set_xlabel(names[0] if last else "", fontsize=8)
    cells[0].set_ylabel(names[1] if first else "", fontsize=8)


def _above(
    look: features.Look, panels: list[dense.Panel], title: str | None
) -> list[str]:
    lines = [] if title is None else title.split("\n")
    if look.stretched:
        lines.append(f"black is {look.low:.3g}, white is {look.high:.3g}")
    return [*lines, *(panel.note for panel in panels if panel.note)]


def _beside(figure: Any, grid: np.ndarray, panels: list[dense.Panel], bar: Any) -> None:
    """The colour bar of spectrograms, the legend of masks."""
    if bar is not None:
        bar = figure.colorbar(bar, ax=grid, fraction=0.03, pad=0.02)
        bar.ax.tick_params(labelsize=7)
    handles = [handle for panel in panels for handle in panel.handles]
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=_legend_columns(figure.get_figwidth(), handles),
            fontsize=8,
            handleheight=1.2,
            frameon=False,
        )
