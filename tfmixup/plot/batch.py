"""Draws a batch: every example with its λ and its label mass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfmixup import checks, elements
from tfmixup.plot.boxes import (
    Boxes,
    boxes_of,
    draw_boxes,
    keys_of_boxes,
    taken_of_batch,
)
from tfmixup.plot.figure import draw_example, example_grid
from tfmixup.plot.masks import LEAST, draw_masks, short_name

__all__ = ["batch"]

# Keys of dict elements, in the order in which they are looked for.
_FEATURES = ("image", "audio", "spectrogram")
_TARGETS = ("label", "segmentation_mask", "mask")
_KINDS = ("image", "waveform", "spectrogram")
_SCALES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))  # the values of black and white
_MOST = 3  # classes, or numbers of a regression target, written above an example
_LINE = 24  # characters of a line above an example


class _Target(NamedTuple):
    """One target: `first`, or for a pair λ·first + (1 − λ)·second.

    `name` is its key in a dict, its place in a tuple, or None.
    """

    name: Any
    first: np.ndarray
    second: np.ndarray | None = None
    lam: np.ndarray | None = None


@checks.named("tfmixup.plot.batch")
def batch(
    ds_or_batch: Any,
    class_names: Sequence[str] | Mapping[Any, Sequence[str]] | None = None,
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
    box_format: str | None = None,
    title: str | None = None,
) -> Any:
    """Draws examples of a batch, each under its λ and the label mass of its classes.

        λ·y_i + (1 − λ)·y_j

    A mixed label such as "3: 0.79 / 4: 0.21" does not tell λ. 0.79 may be the share of
    the first example or of the second. Two examples of one class have an unmixed label.
    λ is written if it is known: from `lam`, or from pairs of targets (y_i, y_j, λ),
    which `targets="pair"` makes. Up to three classes are named, the largest first.
    Masses below 0.005 are left out, and the rest is "others".

    The shape of a feature, or `kind`, decides how it is drawn. All examples are on one
    scale.

    - (B, H, W, C), C 1, 3 or 4: grey, RGB or RGBA images. Videos (B, T, H, W, C) show
      their middle frame. (B, H, W) is an image for uint8 only. Black and white are 0
      and 255 for integers. For floats they are 0 and 1, −1 and 1, or 0 and 255, the
      first that holds the whole batch. Otherwise they are the least and the greatest
      value of the batch, and the figure says so.
    - (B, T), (B, T, 1) or (B, T, 2): waveforms, one line per channel.
    - (B, T, F): spectrograms, time from left to right.

    Masks of images, class ids (B, H, W) or shares (B, H, W, C), are drawn below them.
    Every class has a colour, lighter from class to class. A pixel of several classes
    has the blend of their colours, and dots. An ignored pixel (no class, or weight 0)
    has grey stripes. Other targets with pixels, floats (B, H, W), go from dark to
    light. Numbers are written as "y = 1.5". Sequences are not written.

    Boxes of objects, dicts of boxes and labels, are drawn on the images: every class in
    a colour, under its name. If weights differ from 1, each box has its weight behind
    the name, and a line that is thinner for less weight. Rows of label −1 are left out.

    Args:
      ds_or_batch: a batch, or a dataset of batches, whose first batch is drawn. Batches
        are `(x, y)`, `(x, y, sample_weight)`, a dict as TFDS yields it, or x alone.
      class_names: names of the classes, for labels and masks. Of several targets each
        can have its names: a dict by the target's key or place. None for class ids.
      lam: λ in [0, 1], a number or (B,). Needed because blended labels do not tell λ.
      examples: how many examples are drawn, from the first on, at least 1.
      columns: how many examples are in a row, at least 1.
      kind: "image", "waveform" or "spectrogram", if the shape misleads: (B, H, W)
        floats are taken for spectrograms, (B, T, F, 1) for grey images.
      value_range: (low, high), the values of black and white, or the ends of the scale
        of sounds. None to choose it as told above.
      ignore_label: the id in integer labels and masks that is no class, such as 255.
      feature_key: which feature of a dict is drawn. None for "image", "audio" or
        "spectrogram".
      target_keys: which targets of a dict element are drawn. None for those of "label",
        "segmentation_mask" and "mask" that it has, and for all dicts of boxes.
      weight_key: the key of sample weights in dict elements, used if there is one.
      box_format: what the numbers of a box are, by Keras's names, such as "xyxy". None
        is "rel_yxyx" for boxes under the key "bbox", as in TFDS, and an error for
        others.
      title: a title above all examples.

    Returns:
      A `matplotlib.figure.Figure`. `figure.savefig("mix.png")` writes it, and a
      notebook shows it.

    Raises:
      ImportError: matplotlib is not installed.
      TypeError, KeyError, ValueError: an argument or the batch is not as described.

    Examples:
      >>> x, y = tf.random.uniform([8, 16, 16, 3]), tf.range(8)
      >>> mixed = tfmixup.MixUp(0.4, num_classes=10)(x, y)
      >>> figure = batch(mixed)
    """
    checks.integer("examples", examples)
    checks.integer("columns", columns)
    feature, targets, weights, objects = _read(
        ds_or_batch, feature_key, target_keys, weight_key, box_format
    )
    size, count = len(feature), min(examples, len(feature))
    lam = _lam(lam, size, targets)
    known = [target.name for target in targets] + [boxes.name for boxes in objects]
    names = _names(class_names, known)
    kind, values = _values(feature[:count], kind)
    if objects and kind != "image":
        raise ValueError(
            f"boxes are drawn on images, and the feature is taken for a {kind}. Pass "
            "kind='image', or leave the boxes out by target_keys."
        )
    low, high = _scale(values, kind, value_range)

    lines: list[list[str]] = [[] for _ in range(count)]  # above every example
    if lam is not None:
        lines = [[f"λ = {value:.2f}"] for value in lam[:count]]
    below = []  # targets with pixels, and the names of their classes
    for target in targets:
        named = names.get(target.name)
        cut = (y[:count] if isinstance(y, np.ndarray) else y for y in target)
        drawn = _Target._make(cut)
        if target.first.ndim < 3:
            mass = _label_mass(drawn, named, ignore_label)
            for row, text in enumerate(lines):
                text += _label_lines(drawn, mass, named, row)
        elif kind == "image":
            mass = _label_mass(drawn, named, ignore_label)
            weight = None if weights is None else weights[:count]
            below.append((_pixels(drawn, mass, weight, values.shape[1:3]), named))
    for row, text in enumerate(lines):
        if weights is not None and weights.size == size and (weights != 1).any():
            text.append(f"weight {weights.reshape(-1)[row]:.2f}")
        if not np.isfinite(values[row]).all():
            text.append("NaN or infinite!")
    head = [] if title is None else [title]
    if kind == "image" and (low, high) not in _SCALES:
        head.append(f"black is {low:.3g}, white is {high:.3g}")

    columns = min(columns, count)
    height = 0.16 * max(map(len, lines))
    figure, cells = example_grid(
        kind, values, columns, 1 + len(below), height, bool(head)
    )
    if head:
        figure.suptitle("\n".join(head), fontsize=10)
    for axes, text, example in zip(cells[0], lines, values):
        axes.set_title("\n".join(text), fontsize=9)
        draw_example(axes, kind, example, low, high)
    for boxes in objects:
        draw_boxes(cells[0], boxes, values.shape[1:3], names.get(boxes.name))
    if kind == "spectrogram":
        figure.colorbar(cells[0, 0].images[0], ax=list(cells[0]))
    handles: list[Any] = []
    for layer, (pixels, named) in zip(cells[1:], below):
        if pixels.ndim == 4:
            handles += draw_masks(layer, pixels, named)
            continue
        low, high = _scale(pixels, "depth", None)
        for axes, example in zip(layer, pixels):
            image = axes.imshow(example, vmin=low, vmax=high)
        figure.colorbar(image, ax=list(layer))
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=max(2, columns),
            fontsize=8,
            frameon=False,
        )
    return figure


def _read(
    batch: Any, feature_key: Any, target_keys: Any, weight_key: str, box_format: Any
) -> tuple[np.ndarray, list[_Target], np.ndarray | None, list[Boxes]]:
    """The feature (B, ...), the targets, the sample weights or None, and the boxes."""
    if isinstance(batch, tf.data.Dataset):
        batch = next(iter(batch), None)
        if batch is None:
            raise ValueError("the dataset is empty.")
    if hasattr(batch, "shape"):
        batch = (batch, ())
    keys = target_keys
    if keys is None and isinstance(batch, dict):
        keys = [key for key in _TARGETS if key in batch] + keys_of_boxes(batch)
    parts = taken_of_batch(elements.split(batch, (), tuple(keys or ())))
    objects = boxes_of(parts.objects, box_format)
    features, weights = parts.features, parts.weights
    if isinstance(batch, dict):
        features, weights = batch, batch.get(weight_key)
    feature = _array("the feature", _feature(features, feature_key))
    if feature.ndim < 2 or not len(feature):
        raise ValueError(
            f"a batch of images, waveforms or spectrograms is needed, got a "
            f"feature of shape {feature.shape}. Call dataset.batch(...) first, and "
            "check that the batch is not empty."
        )
    targets = list(_targets(parts.targets, None))
    beside = [
        ("the target" if t.name is None else f"the target {t.name!r}", t.first)
        for t in targets
    ]
    beside += [("the target of boxes", one.labels) for one in objects]
    weight = None
    flat = [w for w in tf.nest.flatten(weights) if w is not None]
    if len(flat) == 1:  # Weights of several targets do not fit one picture.
        weight = _array("sample weights", flat[0])
        beside.append(("sample_weight", weight))
    for what, array in beside:
        if array.ndim == 0 or len(array) != len(feature):
            raise ValueError(
                f"the feature has {len(feature)} examples, but {what} is of "
                f"shape {array.shape}. Elements must be batches: call "
                "dataset.batch(...)."
            )
    return feature, targets, weight, objects


def _feature(features: Any, key: Any) -> Any:
    have = ""
    if isinstance(features, dict):
        listed = sorted(map(str, features))
        have = f", such as {listed}"
        if key is not None and key not in features:
            raise KeyError(
                f"feature_key asks for {key!r}, but there are only {listed}."
            )
        for wanted in _FEATURES if key is None else (key,):
            if wanted in features:
                return features[wanted]
    flat = tf.nest.flatten(features)
    if len(flat) != 1:
        raise ValueError(
            f"elements have {len(flat)} tensors that could be drawn, and one "
            f"is. Say which: feature_key=... with a key of the dict{have}; map tuples "
            "of features to one."
        )
    return flat[0]


def _targets(nest: Any, name: Any) -> Iterator[_Target]:
    if isinstance(nest, dict):
        for key, inner in nest.items():
            yield from _targets(inner, key)
    elif isinstance(nest, (tuple, list)) and _is_pair(nest):
        first, second, lam = (_array("a target", part) for part in nest)
        yield _Target(name, first, second, lam.astype(np.float64))
    # A list of numbers is one target, because labels may be written by hand.
    elif isinstance(nest, (tuple, list)) and not (nest and np.isscalar(nest[0])):
        for index, inner in enumerate(nest):
            yield from _targets(inner, index)
    elif nest is not None:
        yield _Target(name, _array("a target", nest))


def _is_pair(nest: Sequence[Any]) -> bool:
    """Whether `nest` looks like `(y_i, y_j, λ)` of `targets="pair"`."""
    if len(nest) != 3 or not all(hasattr(part, "shape") for part in nest):
        return False
    first, second, lam = (tf.convert_to_tensor(part) for part in nest)
    alike = first.shape == second.shape and first.dtype == second.dtype
    share = lam.dtype.is_floating and lam.shape == first.shape[:1]
    return alike and share and bool(tf.reduce_all((lam >= 0) & (lam <= 1)))


def _array(what: str, value: Any) -> np.ndarray:
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise TypeError(
            f"{what} must be a dense tensor, got a {type(value).__name__}. "
            "Pad it (Dataset.padded_batch) or leave it out."
        )
    array = np.asarray(value)
    if array.dtype.name in ("float16", "bfloat16"):  # NumPy has no bfloat16.
        return array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{what} must be numbers, got {array.dtype}. Leave it out, or "
            "name others in feature_key and target_keys."
        )
    return array


def _lam(lam: Any, size: int, targets: list[_Target]) -> np.ndarray | None:
    if lam is None:
        return next((t.lam for t in targets if t.lam is not None), None)
    try:
        values = np.asarray(lam, np.float64)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.size not in (1, size) or values.ndim > 1:
        raise ValueError(
            f"lam must be one number or one for each of the {size} examples "
            f"of the batch, got shape {values.shape}."
        )
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"lam must be in [0, 1], got {lam!r}.")
    return np.broadcast_to(values.reshape(-1), [size])


def _names(class_names: Any, known: list[Any]) -> dict[Any, Any]:
    if class_names is None:
        return {}
    if not isinstance(class_names, Mapping):
        if isinstance(class_names, str) or not isinstance(class_names, Sequence):
            raise TypeError(
                f"class_names must be a sequence of names, or a dict of such "
                f"by target, got {class_names!r}."
            )
        return dict.fromkeys(known, class_names)
    for key in class_names:
        if key not in known:
            raise KeyError(
                f"class_names has the key {key!r}, and targets are named "
                f"{known}. Give a plain sequence where there is one target."
            )
    return dict(class_names)


def _values(feature: np.ndarray, kind: str | None) -> tuple[str, np.ndarray]:
    """Images (B, H, W, C), waveforms (B, T, C) or spectrograms (B, T, F)."""
    x = feature
    if kind is not None:
        checks.choice("kind", kind, _KINDS)
    elif x.ndim == 2 or (x.ndim == 3 and x.shape[2] <= 2):
        kind = "waveform"
    else:
        kind = "spectrogram" if x.ndim == 3 and x.dtype != np.uint8 else "image"
    if kind == "image":
        x = x[:, x.shape[1] // 2] if x.ndim == 5 else x  # the middle frame of a video
        x = x[..., np.newaxis] if x.ndim == 3 else x
        fits = x.ndim == 4 and x.shape[3] in (1, 3, 4)
    else:
        x = x[..., np.newaxis] if kind == "waveform" and x.ndim == 2 else x
        x = x[..., 0] if kind == "spectrogram" and x.shape[3:] == (1,) else x
        fits = x.ndim == 3
    if not fits:
        raise ValueError(
            f"a feature of shape {feature.shape} cannot be drawn as "
            f"kind={kind!r}. Images are (batch, height, width, channels) of 1, 3 or 4 "
            "channels, waveforms (batch, time) or (batch, time, channels), "
            "spectrograms (batch, time, frequency). Map the dataset to that, or name "
            "another feature_key."
        )
    return kind, x


def _scale(values: np.ndarray, kind: str, value_range: Any) -> tuple[float, float]:
    """The values of black and white, or the ends of the scale, for all examples."""
    if value_range is not None:
        try:
            low, high = (float(end) for end in value_range)
        except (TypeError, ValueError):
            low = high = np.nan
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(
                f"value_range must be two numbers (low, high), the values of "
                f"black and white, got {value_range!r}. For example: "
                "value_range=(-1, 1)."
            )
        return low, high
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0, 1)
    if kind == "image":
        for start, stop in _SCALES[-1:] if values.dtype.kind in "iu" else _SCALES:
            slack = 1e-3 * (stop - start)  # Mixing may round 255 to 255.00002.
            if start - slack <= low and high <= stop + slack:
                return start, stop
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _label_mass(
    target: _Target, names: Sequence[str] | None, ignore_label: int | None
) -> np.ndarray | None:
    """Shares of classes, (B, C) or (B, H, W, C). None if the target has no classes.

    Pixels that are ignored have no share of any class.
    """
    ys = [target.first] if target.second is None else [target.first, target.second]
    if ys[0].dtype.kind == "f":
        in_range = all(y.min() >= 0 and y.max() <= 1.001 for y in ys)
        if ys[0].shape[-1] == 1 or not (
            ys[0].ndim == 4 or (ys[0].ndim == 2 and in_range)
        ):
            return None
        classes = ys[0].shape[-1]
    else:
        ys = [y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y for y in ys]
        if ys[0].ndim not in (1, 3):
            return None
        ys = [np.where(y == ignore_label, -1, y.astype(np.int64)) for y in ys]
        classes = max(len(names or ()), 1, *(1 + int(y.max()) for y in ys))
        ys = [y[..., np.newaxis] == np.arange(classes) for y in ys]
    if names is not None and len(names) != classes:
        what, hint = "labels", ""
        if ys[0].ndim == 4:
            what, hint = "masks", f"; pixels that have none: ignore_label={classes - 1}"
        raise ValueError(
            f"class_names has {len(names)} entries, and {what} have "
            f"{classes} classes. Name every class, in the order of their ids{hint}."
        )
    return _blend(target, *ys)


def _blend(target: _Target, first: np.ndarray, *second: np.ndarray) -> np.ndarray:
    if not second or target.lam is None:
        return first.astype(np.float64)
    lam = target.lam.reshape(-1, *[1] * (first.ndim - 1))
    return lam * first + (1 - lam) * second[0]


def _pixels(
    target: _Target,
    mass: np.ndarray | None,
    weights: np.ndarray | None,
    size: tuple[int, ...],
) -> np.ndarray:
    """A mask's shares of classes (B, H, W, C), or numbers (B, H, W)."""
    y = target.first
    if y.ndim > 4 or y.shape[1:3] != size:
        raise ValueError(
            f"a target of shape {y.shape} does not lie on images of "
            f"{size[0]}×{size[1]} pixels. Leave it out, by target_keys or a map."
        )
    if mass is None:
        both = [y] if target.second is None else [y, target.second]
        return _blend(target, *both).reshape(y.shape[:3])
    if weights is not None and weights.size == mass[..., 0].size:
        mass = mass * (weights.reshape(mass.shape[:3]) != 0)[..., np.newaxis]
    return mass


def _label_lines(
    target: _Target, mass: np.ndarray | None, names: Sequence[str] | None, row: int
) -> list[str]:
    """Lines such as "3: 0.79 / 4: 0.21" or "y = 1.5". No line for sequences."""
    first, second, lam = target.first, target.second, target.lam
    if mass is None:
        if first.dtype.kind != "f":
            return []
        if second is not None and lam is not None:
            ends = _numbers(first[row]), _numbers(second[row])
            return [f"{lam[row]:.2f} · {ends[0]} + {1 - lam[row]:.2f} · {ends[1]}"]
        return [f"y = {_numbers(first[row])}"]
    shares = mass[row]
    order = np.argsort(-shares, kind="stable")
    shown = [c for c in order[:_MOST] if shares[c] >= LEAST]
    if len(order) > _MOST:
        # With label smoothing many classes have equal small shares. Name none of them.
        distinct = [c for c in shown if shares[c] > shares[order[_MOST]] + 1e-6]
        shown = distinct or shown
    texts = [f"{short_name(names, c)}: {shares[c]:.2f}" for c in shown]
    others = shares.sum() - shares[shown].sum()
    if others >= LEAST:
        texts.append(f"others: {others:.2f}")
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 3 + len(text) <= _LINE:
            lines[-1] += f" / {text}"
        else:
            lines.append(text)
    return lines


def _numbers(y: np.ndarray) -> str:
    listed = [f"{number:.3g}" for number in y.reshape(-1)[:_MOST]]
    return ", ".join([*listed, "…"] if y.size > _MOST else listed)
