"""Options: the arguments of a mixer that say what elements look like."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.box_formats import FORMATS
from tfmixup.checks import see_docs

__all__ = ["Options"]

# TensorFlow counts the elements of a batch of one-hot labels in int32. More classes
# could overflow this count.
_MOST_CLASSES = 2**24

DTYPES = ("float32", "float16", "bfloat16", "float64", "uint8")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Options:
    """Arguments of every mixer: what elements look like before and after mixing.

    Args:
      num_classes: integer labels are one-hot encoded to this many classes. If there are
        several targets, give each its own number: a nest of numbers with the structure
        of the targets, or a dict by their keys. Give None for a target without classes.
      label_smoothing: ε in [0, 1), for integer labels. Smoothing and mixing commute.
      targets: "blend" for λ·y_i + (1 − λ)·y_j; "pair" for (y_i, y_j, λ), for losses
        that are not linear in the label; "union" for max(y_i, y_j), if both examples
        can be heard in the mixture.
      ignore_label: the value of unknown labels, which carry no weight: such as 255 for
        masks, -1 for class ids, NaN or an integer for float targets without classes. An
        integer marks float targets only if no target has class ids. With
        `ignore_label`, mixed elements have sample weights: of the shape of a mask or of
        a float target, or (B,) for class ids.
      integer_masks: True keeps masks as class ids instead of one-hot vectors. Only
        mixers that move pixels and do not blend them can do so.
      feature_keys: keys of dict elements that hold features, as TFDS names them.
      target_keys: keys of dict elements that hold targets.
      length_keys: keys of dict elements, or of features that are a dict, that hold the
        lengths of padded features or their padding masks (boolean, True where there is
        something). The mixture has the longer of the two lengths, or the union of the
        two masks.
      keep_keys: keys of dict elements, or of features that are a dict, that stay those
        of the first example. Their dtype does not matter: token ids, categories,
        strings. Keys of a dict element that no argument names stay those of the first
        example too.
      max_boxes: how many rows of boxes every mixed image has: dicts of boxes and labels
        among the targets, as TFDS and Keras have them, are padded to this number, with
        label -1. A mixture has the boxes of all its images, so give two times (for
        `Mosaic` four times) the most boxes of an image. More boxes raise an error. None
        refuses boxes.
      box_format: what the four numbers of a box are, by Keras's names, such as "xyxy"
        (pixels) or "rel_xywh" (shares of the image's size). None is "rel_yxyx" for
        boxes under the key "bbox", as in TFDS, and an error for others.
      box_weights: add a key "weight" beside the boxes, float32: with `MixUp` the share
        of the image that a box comes from, else 1; 0 in rows without a box.
      dtype: of the mixed features: "float32", "float16", "bfloat16", "float64", or
        "uint8" (rounded to nearest; takes uint8 features). Mixing is computed in
        float32, or in float64 for "float64".
      jit_compile: True or False, or "auto" to compile with XLA wherever every
        dimension but the batch is static. With "auto", features of variable length are
        not compiled again for each length.
    """

    # `num_classes` may be a dict, which has no hash. The hash of a mixer leaves it out.
    num_classes: Any = dataclasses.field(default=None, hash=False)
    label_smoothing: float = 0.0
    targets: Literal["blend", "pair", "union"] = "blend"
    # NaN is not equal to NaN, so comparisons of mixers use `_ignore_key` instead.
    ignore_label: float | None = dataclasses.field(default=None, compare=False)
    integer_masks: bool = False
    feature_keys: tuple[str, ...] = ("image",)
    target_keys: tuple[str, ...] = ("label",)
    length_keys: tuple[str, ...] = ()
    keep_keys: tuple[str, ...] = ()
    max_boxes: int | None = None
    box_format: str | None = None
    box_weights: bool = True
    # dtypes of TensorFlow and NumPy are accepted too. They are replaced by these names.
    dtype: Literal["float32", "float16", "bfloat16", "float64", "uint8"] = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    _ignore_key: Any = dataclasses.field(init=False, repr=False, default=None)

    # Whether every pixel of the result comes from one example. Only then can masks stay
    # class ids.
    moves_pixels: ClassVar[bool] = False

    @property
    def all_keys(self) -> tuple[tuple[str, ...], ...]:
        """The keys of features, targets, lengths and kept parts, in this order."""
        return self.feature_keys, self.target_keys, self.length_keys, self.keep_keys

    @property
    def keeps_integers(self) -> bool:
        """Whether pairs keep some integer target as it is, of any shape."""
        given = self.num_classes
        several = given.values() if isinstance(given, dict) else tf.nest.flatten(given)
        return self.targets == "pair" and None in several

    def check_arguments(self) -> None:
        """Refuses invalid arguments; makes keys tuples, and dtypes names."""
        _check_targets(self)
        self._check_keys()
        _check_boxes(self)
        if isinstance(self.dtype, (tf.DType, type, np.dtype)):
            object.__setattr__(self, "dtype", _dtype_name(self.dtype))
        checks.choice("dtype", self.dtype, DTYPES)
        checks.choice("jit_compile", self.jit_compile, (True, False, "auto"))

    def _check_keys(self) -> None:
        seen: dict[str, str] = {}
        for name in ("feature_keys", "target_keys", "length_keys", "keep_keys"):
            keys = checks.keys(name, getattr(self, name))
            object.__setattr__(self, name, keys)
            for key in dict.fromkeys(keys):
                if key in seen:
                    raise ValueError(
                        f"{key!r} is in both {seen[key]} and {name}. Leave it in one."
                    )
                seen[key] = name
        if not self.feature_keys:
            raise ValueError("feature_keys is empty: name at least one key.")


def _dtype_name(dtype: tf.DType | type | np.dtype) -> str | tf.DType | type | np.dtype:
    try:
        return tf.as_dtype(dtype).name
    except TypeError:
        return dtype


def _check_targets(options: Options) -> None:
    """Refuses arguments on targets that are invalid or do not go together."""
    if options.num_classes is not None:
        num_classes = tf.nest.map_structure(_check_num_classes, options.num_classes)
        object.__setattr__(options, "num_classes", num_classes)
    smoothing = checks.fraction(
        "label_smoothing", options.label_smoothing, below_one=True
    )
    object.__setattr__(options, "label_smoothing", smoothing)
    if smoothing and options.num_classes is None:
        raise ValueError(
            f"label_smoothing={smoothing} is for integer "
            "labels and needs num_classes. For labels that are one-hot already, "
            "smooth in the loss: "
            "keras.losses.CategoricalCrossentropy(label_smoothing=...)."
        )
    checks.choice("targets", options.targets, ("blend", "pair", "union"))
    if smoothing and options.targets == "union":
        raise ValueError(
            f"label_smoothing={smoothing} is for one class an "
            "example, and targets='union' has several. Smooth in the loss: "
            "keras.losses.BinaryCrossentropy(label_smoothing=...)."
        )
    checks.boolean("integer_masks", options.integer_masks)
    if options.integer_masks and not options.moves_pixels:
        raise ValueError(
            "integer_masks=True keeps one class id a pixel, but blending "
            "makes every pixel a mixture of two. Leave it out, so that masks come "
            "one-hot, or use tfmixup.CutMix." + see_docs("images_and_masks")
        )
    if options.integer_masks and options.num_classes is None:
        raise ValueError(
            "integer_masks=True needs num_classes=..., by which the class ids of masks "
            "are checked; they stay ids." + see_docs("images_and_masks")
        )
    if options.integer_masks and smoothing:
        raise ValueError(
            f"label_smoothing={smoothing} cannot be told in "
            "integer_masks=True. Leave one of them out."
        )
    if options.ignore_label is not None:
        _check_ignore_label(options.ignore_label, options)


def _check_boxes(options: Options) -> None:
    """Refuses arguments on boxes that are invalid or have no boxes to be for."""
    checks.boolean("box_weights", options.box_weights)
    if options.max_boxes is not None:
        if not getattr(options, "mixes_boxes", True):
            raise ValueError(
                f"max_boxes={options.max_boxes!r} is for boxes, which "
                f"{type(options).__name__} cannot mix. Use tfmixup.MixUp, "
                "tfmixup.CutMix or tfmixup.Mosaic." + see_docs("detection")
            )
        most = checks.integer("max_boxes", options.max_boxes)
        object.__setattr__(options, "max_boxes", most)
    elif options.box_format is not None or not options.box_weights:
        raise ValueError(
            "box_format and box_weights are for boxes, which need max_boxes=..., such "
            "as max_boxes=100." + see_docs("detection")
        )
    if options.box_format is not None:
        checks.choice("box_format", options.box_format, FORMATS)


def _check_num_classes(classes: Any) -> int | None:
    """Refuses an invalid number of classes; returns it as a Python int, or None."""
    if classes is None:
        return None
    if classes == 1 and checks.is_number(classes):
        raise ValueError(
            "num_classes must be at least 2, got 1: one class would make every label "
            "certain. For labels 0 and 1 of one sigmoid output leave it out, and cast "
            "them to float32 of shape (batch, 1)."
        )
    classes = checks.integer("num_classes", classes, least=2)
    if classes > _MOST_CLASSES:
        raise ValueError(
            f"num_classes={classes} is more than {_MOST_CLASSES:,}, "
            "and every label would be a vector of that length. Use targets='pair' "
            "without num_classes, which keeps class ids." + see_docs("pairs_of_targets")
        )
    return classes


def _check_ignore_label(label: Any, options: Options) -> None:
    if not checks.is_number(label) or not (math.isnan(label) or label % 1 == 0):
        raise TypeError(
            f"ignore_label must be an integer, NaN or None, got {label!r} "
            f"({type(label).__name__}). 255 is usual in masks, -1 for class ids, NaN "
            "for floats."
        )
    if math.isnan(label):
        object.__setattr__(options, "ignore_label", math.nan)
        object.__setattr__(options, "_ignore_key", "nan")
        return
    object.__setattr__(options, "_ignore_key", label)
    classes = [n for n in tf.nest.flatten(options.num_classes) if n is not None]
    if classes and 0 <= int(label) < max(classes):
        raise ValueError(
            f"ignore_label={label} is a class, being below num_classes="
            f"{max(classes)}. Use the label of what has none, such as 255 or -1."
        )
