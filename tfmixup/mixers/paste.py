"""What the mixers share that paste a rectangle of one image into the other."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from tfmixup.blending import as_float, blend
from tfmixup.elements import Parts
from tfmixup.mixers import boxes, pixels
from tfmixup.mixers.base import Mixer

__all__ = ["Paste"]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Paste(Mixer, abc.ABC):
    """Pixels of the second image inside a box, of the first one outside.

    Whatever has the pixels of the image is pasted alike: masks, depth maps, weights of
    pixels. Other targets and weights are blended by the share of pixels that are kept.
    """

    moves_pixels: ClassVar[bool] = True

    @abc.abstractmethod
    def box(
        self, params: Any, height: int | tf.Tensor, width: int | tf.Tensor
    ) -> boxes.Box:
        """The boxes in images of H × W pixels."""

    def source(
        self, second: tf.Tensor, box: boxes.Box, axis: int, exact: bool
    ) -> tf.Tensor:
        """What is seen through the box.

        Args:
          second: (B, ...).
          box: where it is pasted.
          axis: of H; W is the next one.
          exact: only values that are there, as ids of classes must be.
        """
        return second

    def mix_features(
        self, first: tf.Tensor, second: tf.Tensor, params: Any
    ) -> tf.Tensor:
        """Pastes into one image or video; the box is that of all frames."""
        axis = first.shape.rank - 3
        return tf.cast(self._paste(first, second, axis, params, False), self.dtype)

    def share(self, first: Parts, second: Parts, params: Any) -> tf.Tensor:
        """The share of the first image's pixels that are kept, counted."""
        height, width = pixels.size(first.features)
        return boxes.kept_share(self.box(params, height, width), height, width)

    def target_mixer(
        self, features: Any, share: tf.Tensor, params: Any
    ) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Pastes dense targets and weights of pixels, blends all others."""
        images = [feature.shape for feature in tf.nest.flatten(features)]

        def mixed(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
            axis = pixels.height_axis(first.shape, images)
            if axis is None:
                return self.mix_target(first, second, share, params)
            return self._paste(first, second, axis, params, True)

        return mixed

    def mix_target(
        self, first: tf.Tensor, second: tf.Tensor, share: tf.Tensor, params: Any
    ) -> tf.Tensor:
        """Blends one encoded target without pixels; small boxes keep all of one."""
        return blend(first, second, share, as_float(first).dtype, sometimes=True)

    def check_spec(self, parts: Parts, owner: str | None = None) -> None:
        """Refuses batches that cannot be mixed; see `pixels.check_spec` too."""
        super().check_spec(parts, owner)
        name = type(self).__name__
        pixels.check_spec(owner or self.name, name, parts, self.targets)

    def check_sizes(self, parts: Parts) -> list[tf.Operation]:
        """Makes unequal sizes raise that were not static."""
        return pixels.check_sizes(self.name, parts)

    def _paste(
        self,
        first: tf.Tensor,
        second: tf.Tensor,
        axis: int,
        params: Any,
        exact: bool,
    ) -> tf.Tensor:
        height, width = pixels.length(first, axis), pixels.length(first, axis + 1)
        box = self.box(params, height, width)
        inside = boxes.contains(box, height, width)
        inside = pixels.align(inside, axis, first.shape.rank)
        pasted = self.source(second, box, axis, exact)
        return tf.where(inside, pasted, tf.cast(first, pasted.dtype))
