"""The arguments that all mixers share, checked and printed."""

from __future__ import annotations

import dataclasses
import numbers
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfmixup import checks
from tfmixup.pages import see
from tfmixup.targets import COMBINATIONS, Options

__all__ = ["Config"]

DTYPES = ("float32", "float16", "bfloat16", "uint8")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Config:
    """Arguments of every mixer; see `Mixer`."""

    num_classes: int | None = None
    label_smoothing: float = 0.0
    targets: str = "blend"
    ignore_label: int | None = None
    integer_masks: bool = False
    feature_keys: tuple[str, ...] = ("image",)
    target_keys: tuple[str, ...] = ("label",)
    length_keys: tuple[str, ...] = ()
    dtype: str = "float32"
    jit_compile: bool | str = "auto"

    # Whether every pixel of the result is of one example, so that masks can stay ids.
    moves_pixels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check_targets()
        self._check_keys()
        if isinstance(self.dtype, (tf.DType, type, np.dtype)):
            object.__setattr__(self, "dtype", _dtype_name(self.dtype))
        checks.choice(self.name, "dtype", self.dtype, DTYPES)
        checks.choice(self.name, "jit_compile", self.jit_compile, (True, False, "auto"))

    @property
    def name(self) -> str:
        """The name in errors, such as "tfmixup.MixUp"."""
        return f"tfmixup.{type(self).__name__}"

    @property
    def options(self) -> Options:
        """What the targets need to know."""
        return Options(
            num_classes=self.num_classes,
            label_smoothing=self.label_smoothing,
            ignore_label=self.ignore_label,
            integer_masks=self.integer_masks,
            combination=self.targets,
        )

    @property
    def keeps_integers(self) -> bool:
        """Whether integer targets of any shape are kept, in pairs."""
        return self.targets == "pair" and self.num_classes is None

    def __repr__(self) -> str:
        own = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            same = type(value) is type(field.default) and value == field.default
            if field.repr and (not field.kw_only or not same):
                own.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(own)})"

    def _check_targets(self) -> None:
        owner = self.name
        if self.num_classes is not None:
            # One class would make every label certain: a binary label has two.
            checks.positive_integer(owner, "num_classes", self.num_classes, least=2)
        checks.fraction(owner, "label_smoothing", self.label_smoothing, below_one=True)
        if self.label_smoothing and self.num_classes is None:
            raise ValueError(
                f"{owner}: label_smoothing={self.label_smoothing} is for integer "
                "labels and needs num_classes. For labels that are one-hot already, "
                "smooth in the loss: "
                "keras.losses.CategoricalCrossentropy(label_smoothing=...)."
            )
        checks.choice(owner, "targets", self.targets, tuple(COMBINATIONS))
        if self.label_smoothing and self.targets == "union":
            raise ValueError(
                f"{owner}: label_smoothing={self.label_smoothing} is for one class an "
                "example, and targets='union' has several. Smooth in the loss: "
                "keras.losses.BinaryCrossentropy(label_smoothing=...)."
            )
        checks.boolean(owner, "integer_masks", self.integer_masks)
        if self.integer_masks and not self.moves_pixels:
            raise ValueError(
                f"{owner}: integer_masks=True keeps one class id a pixel, but blending "
                "makes every pixel a mixture of two. Leave it out, so that masks come "
                "one-hot, or use tfmixup.CutMix." + see("images_and_masks")
            )
        if self.integer_masks and self.label_smoothing:
            raise ValueError(
                f"{owner}: label_smoothing={self.label_smoothing} cannot be told in "
                "integer_masks=True. Leave one of them out."
            )
        self._check_ignore_label()

    def _check_ignore_label(self) -> None:
        owner, label = self.name, self.ignore_label
        if label is None:
            return
        if not isinstance(label, numbers.Integral) or isinstance(label, bool):
            raise TypeError(
                f"{owner}: ignore_label must be an integer or None, got {label!r} "
                f"({type(label).__name__}). 255 is usual."
            )
        if self.num_classes is None or self.targets != "blend":
            raise ValueError(
                f"{owner}: ignore_label={label} is for integer masks that are blended: "
                "it needs num_classes and targets='blend'." + see("images_and_masks")
            )
        if 0 <= label < self.num_classes:
            raise ValueError(
                f"{owner}: ignore_label={label} is a class, being below num_classes="
                f"{self.num_classes}. Use the label of pixels that have none, such as "
                "255."
            )

    def _check_keys(self) -> None:
        owner = self.name
        names = ("feature_keys", "target_keys", "length_keys")
        seen: dict[str, str] = {}
        for name in names:
            keys = checks.keys(owner, name, getattr(self, name))
            object.__setattr__(self, name, keys)
            for key in dict.fromkeys(keys):
                if key in seen:
                    raise ValueError(
                        f"{owner}: {key!r} is in both {seen[key]} and {name}. "
                        "Leave it in one."
                    )
                seen[key] = name
        if not self.feature_keys:
            raise ValueError(f"{owner}: feature_keys is empty: name at least one key.")


def _dtype_name(dtype: tf.DType | type | np.dtype) -> str | tf.DType | type | np.dtype:
    try:
        return tf.as_dtype(dtype).name
    except TypeError:
        return dtype
